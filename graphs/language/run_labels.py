"""The labels in one run: what is written in its graph says, and what graphs that are values say once they are seen. Pure.

They belong to nodes of the document, so they are the same for all rows and turns, and only grow: what a value was made of in one turn counts for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from graphs.language.labels import UNSEEN, Labels, declared_in, label_graph, put_on
from graphs.language.spec import Graph, written_inside
from graphs.paths import document_path, escape, unescape
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.registry import Agent

__all__ = ["RunLabels"]

_NONE: Final = frozenset[str]()
_MOST: Final = 256
"""Graphs out of values that are remembered for one node; with more, nothing is known of the node any more."""
_PLACES: Final = 64
"""Places whose graphs are looked at: those that open each other are looked at again and again."""


class RunLabels:
    """The labels of a run of `graph`, or of a part of one that stands at `prefix` in its document. `agents` say which labels they put on values,
    `noted` what another store, or an earlier process, knew of places beside what the document says (`label_graph`). `news(labels, places)` hears of
    all labels, and of those that the document does not tell, by place, whenever there are more.
    """

    def __init__(
        self,
        graph: Graph,
        agents: Mapping[str, Agent] | None = None,
        *,
        prefix: str = "",
        noted: Mapping[str, frozenset[str]] = MappingProxyType({}),
        news: Callable[[frozenset[str], Mapping[str, frozenset[str]]], None] | None = None,
    ) -> None:
        self.noted = noted
        self._graph = graph
        self._agents = agents
        self._prefix = prefix
        self._news = news
        self._seen: dict[str, frozenset[str]] = {}
        self._told: dict[str, frozenset[str]] = {}
        self._certain: dict[str, frozenset[str]] = {}
        self._documents: dict[str, list[Graph]] = {}
        """Graphs out of values that open others that nobody has seen: what they carry is found out when those are."""
        self._labels = label_graph(graph, agents, prefix=prefix, noted=noted)
        self._by_place: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._found = self._labels.all - {UNSEEN}

    def __bool__(self) -> bool:
        """Whether there are any labels, or may be."""
        return bool(self._labels.touched)

    def tell(self) -> None:
        """Tell `news` of all labels that were found so far."""
        if self._news is not None:
            places = self._told = dict(self.noted)
            for place, labels in (*put_on(self._graph, self._agents, self._prefix), *self._shown()):
                places[place] = places.get(place, _NONE) | labels
            self._news(self._found, places)

    def of_inputs(self, names: Iterable[str]) -> dict[str, frozenset[str]]:
        """The labels of the values of static nodes, by name."""
        return {name: found for name in names if (found := self.value(escape(name)))}

    @property
    def by_node(self) -> dict[str, frozenset[str]]:
        """The labels of all that is wherever each node of the graph runs, as far as they are known before it does."""
        return {name: known for name, each in self._labels.touched.items() if (known := each - {UNSEEN})}

    @property
    def all(self) -> frozenset[str]:
        """Every label there is."""
        return self._labels.all

    def value(self, path: str) -> frozenset[str]:
        """The labels of the value of the node at this path."""
        return self._at(path)[0]

    def touched(self, path: str) -> frozenset[str]:
        """The labels of all that is wherever the node at this path runs: what it reads, what its errors and the pieces of its answer may tell."""
        return self._at(path)[1]

    def carried(self, value: Value) -> frozenset[str]:
        """The labels that a graph in a value declares, if this run has graphs that are values."""
        return declared_in(value) if any(UNSEEN in each for each in self._labels.touched.values()) or self._seen else _NONE

    def know(self, path: str, document: Value) -> None:
        """The node at this path opens this graph, which is a value."""
        place = document_path(path)
        if place not in self._certain and len(self._certain) >= _PLACES:
            return  # nobody looked at it: what opens it stays unseen, and so where it is
        graph = written_inside({"graph": document})
        found = declared_in(document) if graph is None else self._inside(place, graph)
        if graph is not None and UNSEEN in found:
            kept = self._documents.setdefault(place, [])
            if len(kept) < _MOST:
                kept.append(graph)
        before = self._seen.get(place)
        if before is None or not found <= before:
            self._certain[place] = self._certain.get(place, _NONE) | (found - {UNSEEN})
            self._look_again()

    def _inside(self, place: str, graph: Graph) -> frozenset[str]:
        return label_graph(graph, self._agents, seen=self._seen, prefix=f"{place}/", noted=self.noted).all

    def _look_again(self) -> None:
        """What was seen of one graph says more of those that open it."""
        changed = True
        while changed:
            changed = False
            for place, certain in self._certain.items():
                graphs = self._documents.get(place, ())
                found = certain.union(*(self._inside(place, each) for each in graphs))
                found |= {UNSEEN} if len(graphs) == _MOST else _NONE
                if found != self._seen.get(place):
                    self._seen[place] = found
                    changed = True
        self._labels = label_graph(self._graph, self._agents, seen=self._seen, prefix=self._prefix, noted=self.noted)
        self._by_place.clear()
        self._found |= self._labels.all - {UNSEEN}
        if any(not labels <= self._told.get(place, _NONE) for place, labels in self._shown()):
            self.tell()

    def _shown(self) -> Iterator[tuple[str, frozenset[str]]]:
        """The labels that showed in graphs that are values, by the place of who opened them."""
        return ((place, labels - {UNSEEN}) for place, labels in self._seen.items() if labels - {UNSEEN})

    def _at(self, path: str) -> tuple[frozenset[str], frozenset[str]]:
        place = document_path(path)
        known = self._by_place.get(place)
        if known is None:
            known = self._by_place[place] = _find(self._labels, place.removeprefix(self._prefix))
        return known


def _find(labels: Labels, place: str) -> tuple[frozenset[str], frozenset[str]]:
    """Of a node inside a graph that is a value there is only known what is known of the node that opens it."""
    *around, last = map(unescape, place.split("/"))
    for name in around:
        inner = labels.inside.get(name)
        if inner is None:
            touched = labels.touched.get(name, _NONE)
            return touched, touched
        labels = inner
    return labels.values.get(last, _NONE), labels.touched.get(last, labels.values.get(last, _NONE))
