"""The labels of what a worker reports: what it makes of labelled values carries their labels, and so do errors and the pieces of an answer.

A cut says of each boundary node which labels its value has; the rest follows from the cut's own text (graphs.language.labels).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from graphs.engine.plan import Compiler
from graphs.language.hearing import Hearing
from graphs.language.labels import UNSEEN
from graphs.language.run_labels import RunLabels
from graphs.language.spec import Graph
from graphs.paths import document_path
from graphs.records import Error, Event, Known, Result
from protocol.noted import Noted, hear, note, noted

if TYPE_CHECKING:
    from graphs.journal import Journal
    from graphs.registry import Agent
    from graphs.values import Value

__all__ = ["frame_labels", "held_labels", "labelled"]

_NONE = frozenset[str]()


def frame_labels(frame: str, graph: Graph, compiler: Compiler) -> RunLabels:
    """The labels in the cut of a frame; graphs that are values are looked at when the compiler has them."""
    prefix = document_path(frame)
    labels = RunLabels(graph, compiler.agents, prefix=prefix)
    compiler.opened = lambda place, document: labels.know(prefix + place, document)
    return labels


def held_labels(
    journal: Journal, run: bytes, document: Mapping[str, Value], agents: Mapping[str, Agent]
) -> tuple[RunLabels, Callable[[str, Value], None]]:
    """The labels in a run that this worker holds, with what was told of it, and what to call with each graph that is a value when it is opened. What
    only shows here is noted, for whoever gets the run next, by two who do not ask each other.
    """
    before = noted(journal, run)

    def news(labels: frozenset[str], places: Mapping[str, frozenset[str]]) -> None:
        if before is not None:  # else nobody told anything of it: that stays so
            note(journal, run, Noted(labels, places) | before)

    def heard(labels: frozenset[str], places: Mapping[str, frozenset[str]]) -> None:
        if before is not None:
            hear(journal, run, Noted(labels, places) | before)

    known = before.places if before is not None else {}
    labels = RunLabels(Graph(document), agents, noted=known, news=news)
    hearing = Hearing(document, agents, heard, known)
    hearing.tell()
    labels.tell()

    def opened(place: str, graph: Value) -> None:
        hearing.opened(place, graph)
        labels.know(place, graph)

    return labels, opened


def labelled(record: Known, labels: RunLabels | None) -> tuple[Known, frozenset[str]]:
    """A record of a frame as it is reported, with the labels of the values in it; `labels` are those of the frame, None if none is known.

    A graph that nobody has looked at here is one that an earlier process opened: it came from the device that is told of it.
    """
    if not labels or not isinstance(record, (Result, Error, Event)):
        return record, _NONE
    if isinstance(record, Result):
        return record, labels.value(record.path) - {UNSEEN}
    carried = (labels.all if record.path is None or record.path.endswith("/") else labels.touched(record.path)) - {UNSEEN}
    if isinstance(record, Event) and carried:
        record = replace(record, info={**(record.info or {}), "labels": sorted(carried)})
    return record, carried
