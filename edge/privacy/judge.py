"""The gate's own judgement of what is about to leave for a worker (protocol.gate.Judge), whatever placement and delegate say of it.

It knows the run's document as it was given, what was put into it, and which graphs that are values were opened: from these it finds the labels of
each value by where that is in the document (graphs.language.lineage). And it looks for the labelled texts themselves, in case a value is not the
one that it is said to be. What it finds only adds to what it is told. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from edge.privacy.texts import labelled_texts
from graphs.language.labels import UNSEEN, confining, declared_in
from graphs.language.lineage import Lineage, said_in
from graphs.language.spec import is_boundary, is_computed
from graphs.paths import document_path, escape, node_path
from graphs.records import Answer, Frame, Input, Known, State, Submit
from graphs.values import Value, canonical, decode

if TYPE_CHECKING:
    from graphs.registry import Agent
    from protocol.payload import Labelled

__all__ = ["Judge"]

_NONE: Final = frozenset[str]()
_PLACES: Final = 64
"""Places whose graphs are looked at; what opens another one stays unseen."""
_DOCUMENTS: Final = 256
"""Graphs whose labelled texts are looked for."""


class Judge:
    """Of one link, over which the parts of one run go. Before `watch` there is nothing to judge by."""

    def __init__(self) -> None:
        self._document: Mapping[str, Value] | None = None
        self._agents: Mapping[str, Agent] | None = None
        self._inject: Mapping[str, Value] = {}
        self._noted: Mapping[str, frozenset[str]] = {}
        self._opened: dict[str, frozenset[str]] = {}
        """What is said in the graphs that were opened at a place, but for those that these open in turn:"""
        self._deeper: dict[str, set[str]] = {}
        self._documents: dict[bytes, Value] = {}
        """Graphs with labelled texts that were opened, by their canonical bytes."""
        self._found: Lineage | None = None
        self._seen: dict[str, frozenset[str]] = {}
        self._texts: list[tuple[bytes, frozenset[str]]] | None = None

    def watch(
        self,
        document: Mapping[str, Value],
        agents: Mapping[str, Agent],
        inject: Mapping[str, Value],
        noted: Mapping[str, frozenset[str]] = MappingProxyType({}),
    ) -> None:
        """The run of this graph goes over the link, with these values in its static nodes; `noted` is what was told of it when it came here."""
        self._document, self._agents, self._inject, self._noted = document, agents, inject, noted
        self._found = self._texts = None

    def opened(self, path: str, document: Value) -> None:
        """The node at this path opens this graph, which is a value."""
        place = document_path(path)
        if place not in self._opened and len(self._opened) >= _PLACES:
            return
        self._opened[place] = self._opened.get(place, _NONE) | (said_in(document, self._agents) - {UNSEEN})
        self._deeper.setdefault(place, set()).update(_openers(document, f"{place}/"))
        if declared_in(document) and len(self._documents) < _DOCUMENTS and (body := canonical(document)) not in self._documents:
            self._documents[body], self._texts = document, None
        seen = {each: self._seen_at(each, set()) for each in self._opened}
        if seen != self._seen:
            self._seen, self._found = seen, None

    def _seen_at(self, place: str, around: set[str]) -> frozenset[str]:
        found = self._opened.get(place)
        if found is None:
            return frozenset({UNSEEN})
        around.add(place)
        return found.union(*(self._seen_at(each, around) for each in self._deeper[place] - around))

    # -- protocol.gate.Judge

    def of_record(self, record: Known) -> Labelled:
        """The labels of the values in a record."""
        if isinstance(record, (Input, Answer)):
            return self._of(record.path, record.value)
        if isinstance(record, (Submit, Frame)) and record.inputs:
            frame = record.frame
            found = {}
            for name, (state, value) in record.inputs.items():
                path = node_path(frame, escape(name)) if state == State.INJECTED else name
                found[name] = self._of(path, value)
            return found if any(found.values()) else ()
        return ()

    def of_graph(self, body: bytes) -> Collection[str]:
        """The labels of all that stands in the text of a cut: boundary nodes say labels of values that are not there."""
        lineage = self._lineage()
        if lineage is None or not lineage.all:
            return ()
        document: Any = decode(body)
        found: set[str] = set()
        for name, spec in document["nodes"].items():
            if is_boundary(spec):
                continue
            found |= declared_in({"nodes": {name: spec}})
            found |= (_of_computed if is_computed(spec) else _of_static)(lineage, escape(name), spec)
        for text, labels in self._labelled_texts(lineage):
            if text in body:
                found |= labels
        return confining(found)

    def _lineage(self) -> Lineage | None:
        if self._found is None and self._document is not None:
            self._found = Lineage(self._document, self._agents, self._seen, self._noted)
        return self._found

    def _of(self, path: str, value: Value) -> frozenset[str]:
        lineage = self._lineage()
        if lineage is None or not lineage.all:
            return _NONE
        labels, released = lineage.of(document_path(path))
        if lineage.opens_values:
            labels |= declared_in(value)
        texts = self._labelled_texts(lineage)
        if texts:
            data = canonical(value)
            for text, carried in texts:
                if not carried <= labels and text in data:
                    labels |= carried - released
        return confining(labels)

    def _labelled_texts(self, lineage: Lineage) -> list[tuple[bytes, frozenset[str]]]:
        """What is looked for."""
        if self._texts is None:
            self._texts = labelled_texts(
                lineage.graph.nodes, self._inject, self._documents.values(), opens_values=lineage.opens_values
            )
        return self._texts


def _of_static(lineage: Lineage, last: str, spec: Mapping[str, Value]) -> frozenset[str]:
    """The labels of a static node in a cut: those of the node of the document that it is, or of all that it could be."""
    value = spec.get("value")
    could = [
        lineage.of(place).labels
        for place, each in lineage.statics.items()
        if place.rpartition("/")[2] == last and each.get("value") == value
    ]
    return frozenset.intersection(*could) if could else _NONE


def _of_computed(lineage: Lineage, last: str, spec: Mapping[str, Value]) -> frozenset[str]:
    """The labels of the text of a computed node, from what it is written in; likewise."""
    could = [labels for place, (each, labels) in lineage.inside.items() if place.rpartition("/")[2] == last and each == spec]
    return frozenset.intersection(*could) if could else _NONE


def _openers(document: Value, prefix: str) -> Iterator[str]:
    """The places of the nodes in a graph that open graphs that are values."""
    nodes = document.get("nodes") if isinstance(document, Mapping) else None
    for name, spec in nodes.items() if isinstance(nodes, Mapping) else ():
        graph = spec.get("graph") if isinstance(spec, Mapping) else None
        if isinstance(graph, str):
            yield prefix + escape(str(name))
        elif isinstance(graph, Mapping):
            yield from _openers(graph, f"{prefix}{escape(str(name))}/")
