"""Where labels come from, found a second way: as what can be reached from where they are said, over one flat map of a whole document.

`graphs.language.labels` lets labels grow graph by graph, and everything above the link asks that. The link's gate does not take its word: it asks
this module, which shares no step with it but how references are read and what agents say of themselves. Every way that a value, or a decision,
can take into another value is an arrow between two spots; a label is wherever arrows lead from where it is said. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphs.language.declassify import PSEUDONYMS, passed
from graphs.language.labels import UNSEEN, AgentLabels, declared_in
from graphs.language.refs import is_source, names_in
from graphs.language.spec import Graph, words, written_inside
from graphs.paths import escape
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.registry import Agent

__all__ = ["Lineage", "Opened", "Origin", "said_in"]

_NONE: Final = frozenset[str]()
_TURN: Final = ("__loopIndex", "@loop")
_SPECIAL: Final = ("if", "unless", "agent")


class Origin(NamedTuple):
    """What is known of the value at a place: its labels, and those that were taken off on the way to it."""

    labels: frozenset[str] = _NONE
    released: frozenset[str] = _NONE


_UNKNOWN: Final = Origin(frozenset({UNSEEN}))

Opened = Mapping[str, frozenset[str]]
"""Labels by the place of a node in the document: those in graphs that are values, of the node that opened them."""


def said_in(document: Value, agents: Mapping[str, Agent] | None = None) -> frozenset[str]:
    """Every label that is said anywhere in a graph, wherever it may lead: by a node, by an input, by the agent of a node; `UNSEEN` if a graph in it
    is a value.
    """
    found = set(declared_in(document))
    stack: list[Value] = [document]
    while stack:
        item = stack.pop()
        nodes = item.get("nodes") if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or not isinstance(nodes, Mapping):
            continue
        about = AgentLabels(agents, item)
        for spec in nodes.values():
            if isinstance(spec, Mapping) and "agent" in spec:
                found |= about.adds(spec)
                found |= {UNSEEN} if isinstance(spec.get("graph"), str) else _NONE
                stack.append(spec.get("graph"))
    return frozenset(found)


class Lineage:
    """The labels of the values of a document's nodes, by their places in it; those of graphs that are values count as far as they are `opened`,
    and `noted` are labels that nodes put on their values for reasons which are not in the document (graphs.language.labels.label_graph).
    """

    def __init__(
        self,
        document: Mapping[str, Value],
        agents: Mapping[str, Agent] | None = None,
        opened: Opened = MappingProxyType({}),
        noted: Opened = MappingProxyType({}),
    ) -> None:
        self.graph = Graph(document)
        self.opens_values = False
        self.statics: dict[str, Mapping[str, Value]] = {}
        """The static nodes that are written in the document, at whatever depth, by place."""
        self.inside: dict[str, tuple[Mapping[str, Value], frozenset[str]]] = {}
        """The computed nodes, with what the nodes say that they are written in: it holds for their text."""
        self._agents = AgentLabels(agents, document)
        self._opened, self._noted = opened, noted
        self._arrows: dict[str, list[str]] = {}
        self._filters: list[tuple[str, str, Mapping[str, Value], frozenset[str], Mapping[str, Mapping[str, Value]]]] = []
        """Nodes that take labels off: their place, the prefix of their graph, what they say, what they take off, and the nodes beside them."""
        self._labels: dict[str, frozenset[str]] = {}
        self._released: dict[str, frozenset[str]] = {}
        self._said: list[tuple[str, frozenset[str]]] = []
        self._known: set[str] = set()
        self._read(self.graph, "", _NONE)
        self._follow()

    @property
    def all(self) -> frozenset[str]:
        """Every label there is."""
        return _NONE.union(*self._labels.values())

    def of(self, place: str) -> Origin:
        """Of the value at a place. Of one in a graph that is a value there is only known what is known of the node that opens it."""
        while True:
            if place in self._labels or place in self._known:
                return Origin(self._labels.get(place, _NONE), self._released.get(place, _NONE))
            place, found, _ = place.rpartition("/")
            if not found:
                return _UNKNOWN if self._labels else Origin()

    # -- the map: a spot is a place for its value, a place with a slash behind it for the decision that the graph inside runs

    def _read(self, graph: Graph, prefix: str, within: frozenset[str]) -> None:
        loop = graph.document.get("loop")
        condition = loop.get("while") if isinstance(loop, Mapping) else None
        turns = list(names_in(condition)) if is_source(condition) else []
        spots = {name: prefix + escape(name) for name in graph.nodes}
        for name, spec in graph.nodes.items():
            here = spots[name]
            self._say(here, within | frozenset(words(spec.get("sensitivity"))))
            self._say(here, self._noted.get(here, _NONE) | self._noted.get("", _NONE))
            if "update" in spec or _tells_turns([spec.get("inputs"), spec.get("passThrough")]):
                self._lead(prefix, turns, here)
            if "agent" in spec:
                self.inside[here] = spec, within
                self._read_computed(graph, prefix, here, spec, within)
            else:
                self.statics[here] = spec
                self._lead(prefix, names_in(spec.get("update")), here)

    def _read_computed(self, graph: Graph, prefix: str, here: str, spec: Mapping[str, Value], within: frozenset[str]) -> None:
        self._say(here, self._agents.adds(spec))
        self._arrow(prefix, here)
        conditions = [each for key in _SPECIAL if is_source(spec.get(key)) for each in names_in(spec[key])]
        document = spec.get("graph")
        removed = self._agents.removes(spec)
        if removed and document is None:
            self._filters.append((here, prefix, spec, removed, graph.nodes))
            return
        self._lead(prefix, conditions, here)
        self._lead(prefix, names_in(spec.get("passThrough")), here)
        if is_source(document):
            self.opens_values = True
            self._say(here, self._opened.get(here, frozenset({UNSEEN})))
            self._lead(prefix, names_in(document), here)
        if isinstance(document, Mapping):
            self._read_nesting(prefix, here, spec, document, conditions, within | frozenset(words(spec.get("sensitivity"))))
        else:
            self._lead(prefix, names_in(spec.get("inputs")), here)

    def _read_nesting(
        self,
        prefix: str,
        here: str,
        spec: Mapping[str, Value],
        document: Mapping[str, Value],
        conditions: Collection[str],
        within: frozenset[str],
    ) -> None:
        inner, runs = written_inside(spec), f"{here}/"
        inputs: Mapping[str, Value] = spec.get("inputs") or {}
        params: Mapping[str, Value] = spec.get("params") or {}
        if inner is None:
            self._say(here, declared_in(document))
            self._lead(prefix, names_in(inputs), here)
            return
        self._arrow(prefix, runs)
        self._lead(prefix, conditions, runs)
        mode = self._agents.nests(spec)
        if mode is None or "params" in inputs:  # what becomes of the inputs is not written here: all of them may be everywhere
            everything = [*conditions, *names_in(inputs), *names_in(spec.get("passThrough"))]
            for spot in (here, runs, *(runs + escape(name) for name in {*inner.nodes, *inputs})):
                self._lead(prefix, everything, spot)
                self._say(spot, within)
            self._read(inner, runs, within)
            self._all_of(inner, runs, here)
            for name in inputs:
                self._arrow(runs + escape(name), here)
            return
        self._say(runs, within)
        is_map = mode == "map"
        row = params.get("rowKey")
        row = row if isinstance(row, str) and row else "row"
        filled = {*inputs, *((row, "__mapIndex") if is_map else ())} - ({"rows"} if is_map else set())
        for name in filled:
            self._known.add(runs + escape(name))
            self._say(runs + escape(name), within)
        for key, item in inputs.items():
            each = list(names_in(item))
            if key == ("rows" if is_map else "loopCount"):
                self._lead(prefix, each, runs)
                self._lead(prefix, each, here)
            if is_map and key == "rows":
                self._lead(prefix, each, runs + escape(row))
                self._lead(prefix, each, runs + "__mapIndex")
            else:
                self._lead(prefix, each, runs + escape(key))
        self._read(inner, runs, within)
        if params.get("supressError") or params.get("suppressError"):
            self._all_of(inner, runs, here)  # the text of any error inside may be the value
            self._arrow(runs, here)
        if params.get("supressError") or params.get("suppressError") or params.get("resultAll"):
            for name in (*inner.nodes, *filled):
                self._arrow(runs + escape(name), here)
        for name, each_spec in inner.nodes.items():
            if each_spec.get("isResult"):
                self._arrow(runs + escape(name), here)

    def _all_of(self, graph: Graph, runs: str, here: str) -> None:
        for name, spec in graph.nodes.items():
            self._arrow(runs + escape(name), here)
            deeper = written_inside(spec) if "graph" in spec else None
            if deeper is not None:
                self._all_of(deeper, f"{runs}{escape(name)}/", here)

    def _say(self, spot: str, labels: frozenset[str]) -> None:
        if labels:
            self._said.append((spot, labels))

    def _lead(self, prefix: str, names: Iterator[str] | Collection[str], to: str) -> None:
        for name in names:
            self._arrow(prefix + escape(name), to)

    def _arrow(self, source: str, target: str) -> None:
        self._arrows.setdefault(source, []).append(target)

    # -- following it

    def _follow(self) -> None:
        if self.opens_values:  # whoever opens such a value has what is said in it
            for place, spec in self.statics.items():
                self._say(place, declared_in(spec.get("value")))
        self._known.update(self._arrows, *self._arrows.values(), self.statics)
        self._known.update(here for here, *_ in self._filters)
        for spot, labels in self._said:
            self._labels[spot] = self._labels.get(spot, _NONE) | labels
        if not self._labels:
            return
        readers: dict[str, list[int]] = {}
        for number, (_, prefix, spec, _, _) in enumerate(self._filters):
            for name in {*names_in([spec.get("inputs"), spec.get("passThrough")]), *_decides(spec)}:
                readers.setdefault(prefix + escape(name), []).append(number)
        todo = deque(self._labels)
        while todo:
            spot = todo.popleft()
            labels, released = self._labels.get(spot, _NONE), self._released.get(spot, _NONE)
            for target in self._arrows.get(spot, ()):
                self._grow(target, labels, released, todo)
            for number in readers.get(spot, ()):
                here, prefix, spec, removed, nodes = self._filters[number]
                kept = passed(spec, removed, partial(self._labels_at, prefix), nodes)
                self._grow(here, kept, released | (labels - kept - {PSEUDONYMS}), todo)

    def _labels_at(self, prefix: str, name: str) -> frozenset[str]:
        return self._labels.get(prefix + escape(name), _NONE)

    def _grow(self, spot: str, labels: frozenset[str], released: frozenset[str], todo: deque[str]) -> None:
        before, let_go = self._labels.get(spot, _NONE), self._released.get(spot, _NONE)
        if not (labels <= before and released <= let_go):
            self._labels[spot], self._released[spot] = before | labels, let_go | released
            todo.append(spot)


def _decides(spec: Mapping[str, Value]) -> Iterator[str]:
    for key in _SPECIAL:
        if is_source(spec.get(key)):
            yield from names_in(spec[key])


def _tells_turns(item: Any) -> bool:
    """Whether a text anywhere in a value asks for the number of the turn."""
    if isinstance(item, str):
        return any(word in item for word in _TURN)
    inner = item.values() if isinstance(item, Mapping) else item if isinstance(item, (list, tuple)) else ()
    return any(_tells_turns(each) for each in inner)
