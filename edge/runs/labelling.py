"""The labels of a run on this device: what its document alone does not tell is noted in the journal, for later processes and for who gets a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphs.language.hearing import Hearing
from graphs.language.labels import UNSEEN
from graphs.language.lineage import said_in
from graphs.language.run_labels import RunLabels
from graphs.paths import document_path
from protocol.noted import Noted, hear, note, noted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.means import Device
    from graphs.language.spec import Graph
    from graphs.values import Value

__all__ = ["Told", "told_of"]


class Told:
    """What is told of the labels of a run: by who works them out, and by who only hears what is said. Neither asks the other."""

    def __init__(self, labels: RunLabels, heard: Hearing) -> None:
        self.labels = labels
        self._heard = heard

    def begin(self) -> None:
        """Note what is known: before the run is on record, and before it goes on. So a run of which nothing is noted was not listened to."""
        self._heard.tell()
        self.labels.tell()

    def opened(self, path: str, document: Value) -> None:
        """The node at this path, or place, opens this graph, which is a value."""
        self._heard.opened(document_path(path), document)
        self.labels.know(path, document)


def told_of(device: Device, graph: Graph, run: bytes) -> Told:
    """Of the run with this id; it is noted with the run when it begins, or goes on, and whenever there is more."""
    before = noted(device.journal, run)
    if before is None and UNSEEN in said_in(graph.document) and device.journal.knows(run):
        before = Noted(frozenset({UNSEEN}))  # it was begun by a version that did not listen: whole, it goes nowhere
    places = before.places if before is not None else {}

    def worked_out(labels: frozenset[str], places: Mapping[str, frozenset[str]]) -> None:
        if labels or before is not None:
            found = Noted(labels, places)
            note(device.journal, run, found | before if before is not None else found)

    def heard(labels: frozenset[str], places: Mapping[str, frozenset[str]]) -> None:
        found = Noted(labels, places)
        hear(device.journal, run, found | before if before is not None else found)

    return Told(
        RunLabels(graph, device.agents, noted=places, news=worked_out),
        Hearing(graph.document, device.agents, heard, places),
    )
