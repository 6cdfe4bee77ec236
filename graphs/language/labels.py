"""Sensitivity labels: which nodes of a graph carry which (graph-spec §14).

A value has the union of the labels of all it was made of, conditions included, what its agent puts on it, and its node's own `sensitivity`; a node
may add labels, never remove them, but for an agent that is there to do so. A nested graph's labels come out with the results that it gives, and
go in with its inputs. A graph that is itself a value cannot be looked at before it runs: until then it has the label `UNSEEN`.

What is *at* a node's place is more than its value: all that it reads, and the whole text of a graph written in it. So there are two answers for
each node, `Labels.values` and `Labels.touched`. Pure; whether a labelled value may leave is decided elsewhere, and in the end by the link's encoder.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphs.language.declassify import PSEUDONYMS, passed
from graphs.language.refs import is_source, names_in, texts_in
from graphs.language.spec import Graph, is_computed, reads, words, written_inside
from graphs.paths import escape
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.registry import Agent

__all__ = [
    "UNCLEARABLE",
    "UNSEEN",
    "UNTOLD",
    "UNTRUSTED",
    "AgentLabels",
    "Labels",
    "Spread",
    "all_labels",
    "alternatives",
    "confining",
    "declared_in",
    "label_graph",
    "labels_by_node",
    "own_labels",
    "put_on",
]

UNSEEN: Final = "a graph that is not here"
"""Stands for the labels of a graph that nobody has looked at: no policy clears it."""
UNTOLD: Final = "labels that nobody told"
"""Stands for the labels of a run that came from elsewhere without a word of them."""
UNCLEARABLE: Final = frozenset({UNSEEN, PSEUDONYMS, UNTOLD})
"""What no policy clears, whatever it says."""
UNTRUSTED: Final = "untrusted"
"""Says where a value comes from, not where it may go: it confines nothing (graphs.language.integrity)."""

_NONE: Final = frozenset[str]()
_LOOPS: Final = ("@loop", "__loopIndex")
_NAMING: Final = ("place", "graph")
"""Attributes in which, or below which, alternatives are named."""
_CALLERS: Final = frozenset({"toolLoopAgent", "toolsAgent"})
"""Agents that call those which a model names."""


class Labels(NamedTuple):
    """The labels in one graph; nodes without any are left out. `values` are those of each node's value, `touched` those of all that is wherever
    the node runs, `inside` what was found in the graphs written in its nodes.
    """

    values: Mapping[str, frozenset[str]]
    touched: Mapping[str, frozenset[str]]
    inside: Mapping[str, Labels]

    @property
    def all(self) -> frozenset[str]:
        """Every label in the graph."""
        return _NONE.union(*self.touched.values(), *self.values.values())


_NOTHING: Final = Labels(MappingProxyType({}), MappingProxyType({}), MappingProxyType({}))


def own_labels(spec: Mapping[str, Value]) -> frozenset[str]:
    """The labels a node's own `sensitivity` names: one word or a list of them."""
    return frozenset(words(spec.get("sensitivity")))


def confining(labels: Iterable[str]) -> frozenset[str]:
    """Those of the labels that limit where a value may go."""
    return frozenset(labels) - {UNTRUSTED}


def labels_by_node(graph: Graph, agents: Mapping[str, Agent] | None = None) -> Mapping[str, frozenset[str]]:
    """The labels of all that is wherever a node runs, by node; nodes without any are left out. `agents` say which labels they put on what they
    give. With `UNSEEN` among them, a graph decides that will only be known when it runs.
    """
    return label_graph(graph, agents).touched


def label_graph(
    graph: Graph,
    agents: Mapping[str, Agent] | None = None,
    *,
    given: Mapping[str, frozenset[str]] = MappingProxyType({}),
    around: frozenset[str] = _NONE,
    seen: Mapping[str, frozenset[str]] = MappingProxyType({}),
    prefix: str = "",
    noted: Mapping[str, frozenset[str]] = MappingProxyType({}),
) -> Labels:
    """The labels in a graph. `given` are those of values that whoever opens it puts into static nodes, `around` those of the conditions under which
    it is opened at all; `seen` the labels in graphs that are values, by the place of the node that opens them, as far as they are known: `prefix`
    is where this graph stands in the document. `noted` are labels that nodes put on their values for reasons which are not here, by place, "" being
    all of them.
    """
    about = AgentLabels(agents, graph.document, graph.attributes)
    if not (around or noted or any(given.values()) or about.any_in(graph)):
        return _NOTHING
    spread = Spread(graph, about, seen, prefix, noted)
    spread.know(given, around)
    spread.spread()
    return spread.found()


def all_labels(document: Mapping[str, Value] | None, agents: Mapping[str, Agent] | None = None) -> frozenset[str]:
    """The labels of all values of a graph, but for those of graphs that are values themselves; None is a graph that is not here."""
    return frozenset({UNSEEN}) if document is None else label_graph(Graph(document), agents).all - {UNSEEN}


def put_on(graph: Graph, agents: Mapping[str, Agent] | None, prefix: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    """The labels that agents put on values, by the place of the node: what a graph does not say itself."""
    about = AgentLabels(agents, graph.document, graph.attributes)
    for name, spec in graph.nodes.items():
        if is_computed(spec):
            if labels := about.adds(spec):
                yield prefix + escape(name), labels
            inner = written_inside(spec) if isinstance(spec.get("graph"), Mapping) else None
            if inner is not None:
                yield from put_on(inner, agents, f"{prefix}{escape(name)}/")


def declared_in(value: Value) -> frozenset[str]:
    """The labels that are declared in graphs anywhere in a value, which nobody may have checked: maps that have `nodes`."""
    found: set[str] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            for part in (item.get("nodes"), item.get("inputs")):
                for each in part.values() if isinstance(part, Mapping) else ():
                    if isinstance(each, Mapping):
                        found.update(own_labels(each))
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)
    return frozenset(found)


def alternatives(document: Mapping[str, Value], attributes: Collection[str] = _NAMING) -> Iterator[str]:
    """The agents that `local` names for nodes of a graph, at whatever depth; `attributes`, if known, are all that its nodes have."""
    if "place" not in document and not any(each in attributes for each in _NAMING):
        return
    stack: list[Value] = [document]
    while stack:
        item = stack.pop()
        if not isinstance(item, Mapping):
            continue
        place = item.get("place")
        local = place.get("local") if isinstance(place, Mapping) else None
        if isinstance(local, Mapping) and isinstance(local.get("agent"), str):
            yield local["agent"]
        nodes = item.get("nodes")
        stack += [*(nodes.values() if isinstance(nodes, Mapping) else ()), item.get("graph")]


def _written(entries: Value) -> list[Mapping[str, Value]]:
    """The entries of an `any` that are maps."""
    return [each for each in entries if isinstance(each, Mapping)] if isinstance(entries, list) else []


class AgentLabels:
    """What agents say of labels, for a graph's document; `attributes`, if known, are all that its nodes have."""

    def __init__(
        self,
        agents: Mapping[str, Agent] | None,
        document: Mapping[str, Value],
        attributes: Collection[str] = _NAMING,
    ) -> None:
        self._agents = agents or {}
        self._speak = {name for name, each in self._agents.items() if each.labels is not None}
        self._called_by_value = {name for name in self._speak if not self._agents[name].named}
        instead = alternatives(document, attributes) if self._speak else ()
        self._standing_in = self._called_by_value.intersection(instead)
        """Those that may run instead of a node: which node's alternative one is hangs on what is around it, so they count for all."""

    def any_in(self, graph: Graph) -> bool:
        """Whether there can be labels in a graph at all: of most graphs that is all there is to say."""
        if graph.document.get("inputs") or self._standing_in or not graph.attributes.isdisjoint(("sensitivity", "graph")):
            return True
        if not self._speak:
            return False
        silent: set[str] = set()
        for spec in graph.nodes.values():
            name = spec.get("agent")
            if (isinstance(name, str) and name in silent) or "agent" not in spec:
                continue
            if self._called(spec) or "any" in graph.attributes:
                return True
            if isinstance(name, str) and name not in _CALLERS:
                silent.add(name)
        return False

    def nests(self, spec: Mapping[str, Value]) -> str | None:
        """How a node's agent opens a graph, as far as that is known: nested, map."""
        name: Any = spec["agent"]
        known = self._agents.get(name) if isinstance(name, str) else None
        return known.nests if known is not None else {"nestedAgent": "nested", "mapAgent": "map"}.get(name)

    def own(self, spec: Mapping[str, Value]) -> frozenset[str]:
        """The labels that a node or the declaration of an input names itself."""
        return own_labels(spec)

    def reads(self, _nodes: Mapping[str, Mapping[str, Value]], spec: Mapping[str, Value]) -> Iterable[str]:
        """The nodes whose labels a node takes over."""
        return reads(spec)

    def adds(self, spec: Mapping[str, Value]) -> frozenset[str]:
        """The labels that a node's agent, and those that it may call, put on the value."""
        if not self._speak:
            return _NONE
        found = [self._of(name, spec) for name in self._called(spec)]
        place = spec.get("place")
        local = place.get("local") if isinstance(place, Mapping) else None
        found += [self._of(name, {**spec, **(local or {}), "agent": name}) for name in self._standing_in]
        for each in _written(spec.get("any")):
            if each.get("agent") in self._speak:
                found.append(self._of(str(each["agent"]), {**spec, **each}))
        return _NONE.union(*found)

    def removes(self, spec: Mapping[str, Value]) -> frozenset[str]:
        """The labels that a node's agent is there to take off."""
        name = spec["agent"]
        known = self._agents.get(name) if isinstance(name, str) else None
        return frozenset(known.declassifies(spec)) if known is not None and known.declassifies is not None else _NONE

    def _of(self, name: str, spec: Mapping[str, Value]) -> frozenset[str]:
        said = self._agents[name].labels
        return frozenset(said(spec) if callable(said) else said or ())

    def _called(self, spec: Mapping[str, Value]) -> Collection[str]:
        """The agents with labels that may be called: all, where a value decides which."""
        name = spec["agent"]
        if not isinstance(name, str) or name.startswith(":"):
            return self._called_by_value
        if name not in _CALLERS:
            return [name] if name in self._speak else []
        inputs = spec.get("inputs") or {}
        listed = (spec.get("params") or {}).get("tools") or inputs.get("tools")
        tools = [each.get("agent") if isinstance(each, Mapping) else each for each in listed] if isinstance(listed, list) else []
        if (
            isinstance(listed, str)
            or "params" in inputs
            or any(not isinstance(each, str) or each.startswith(":") for each in tools)
        ):
            return self._called_by_value
        return [each for each in (name, *tools) if each in self._speak]


class Spread:
    """Labels spreading over one graph until nothing changes. All sets only grow, so what is found stays true when more is known of what is around
    the graph: it goes on from there, and graphs in graphs in loops cost no more than their size.
    """

    def __init__(
        self,
        graph: Graph,
        agents: AgentLabels,
        seen: Mapping[str, frozenset[str]],
        prefix: str,
        noted: Mapping[str, frozenset[str]] = MappingProxyType({}),
        within: frozenset[str] = _NONE,
    ) -> None:
        self.within = within
        """What the nodes say that this graph is written in: it holds for all inside, and for what they hand in."""
        self.graph = graph
        self.agents = agents
        self.noted = noted
        self.seen = seen
        self.prefix = prefix
        self.given: dict[str, frozenset[str]] = {}
        self.around = _NONE
        self.values: dict[str, frozenset[str]] = {}
        """Names that are no nodes of the document are static nodes, too: those that whoever opens it makes."""
        self.touched: dict[str, frozenset[str]] = {}
        self.nested: dict[str, Spread] = {}
        loop = graph.document.get("loop")
        condition = loop.get("while") if isinstance(loop, Mapping) else None
        self.turns = tuple(names_in(condition)) if is_source(condition) else ()
        """What decides how many turns there are."""
        self.opens_values = any(isinstance(spec.get("graph"), str) for spec in graph.nodes.values())

    def know(self, given: Mapping[str, frozenset[str]], around: frozenset[str]) -> None:
        """Take in what is around the graph."""
        self.around |= around
        for name, labels in given.items():
            self.given[name] = self.given.get(name, _NONE) | labels
            self.values[name] = self.values.get(name, _NONE) | labels

    def spread(self) -> None:
        """Go on until nothing changes."""
        nodes = self.graph.nodes
        followers: dict[str, list[str]] = {}
        for name, spec in nodes.items():
            for source in {*reads(spec), *(self.turns if self._counts_turns(spec) else ())}:
                followers.setdefault(source, []).append(name)
        todo, waiting = deque(nodes), set(nodes)
        while todo:
            name = todo.popleft()
            waiting.discard(name)
            value, touched = self._of(name, nodes[name])
            if touched:
                self.touched[name] = touched
            if value != self.values.get(name, _NONE):
                self.values[name] = value
                again = [each for each in followers.get(name, ()) if each not in waiting]
                todo.extend(again)
                waiting.update(again)

    def found(self) -> Labels:
        """What is known by now."""
        inside = {name: each.found() for name, each in self.nested.items()}
        return Labels({name: each for name, each in self.values.items() if each}, self.touched, inside)

    def _of(self, name: str, spec: Mapping[str, Value]) -> tuple[frozenset[str], frozenset[str]]:
        declared = self.graph.document.get("inputs")
        about = declared.get(name) if isinstance(declared, Mapping) else None
        said = self.agents.own
        own = said(spec) | self.within | self.given.get(name, _NONE) | (said(about) if isinstance(about, Mapping) else _NONE)
        if self.noted:
            own |= self.noted.get(self.prefix + escape(name), _NONE) | self.noted.get("", _NONE)
        read = self._union(self.agents.reads(self.graph.nodes, spec))
        turns = self._union(self.turns) if self._counts_turns(spec) else _NONE
        read |= turns
        if not is_computed(spec):
            if self.opens_values:
                own |= declared_in(spec.get("value"))
            return own | read, own | read
        own |= self.around | self.agents.adds(spec)
        removed = self.agents.removes(spec)
        graph = spec.get("graph")
        if isinstance(graph, str):
            unknown = self.seen.get(self.prefix + escape(name), frozenset({UNSEEN}))
            return own | read | unknown, own | read | unknown
        if isinstance(graph, Mapping):
            value, touched = self._nesting(name, spec, graph)
            return own | value, own | read | touched
        if removed:
            return own | turns | passed(spec, removed, lambda each: self.values.get(each, _NONE), self.graph.nodes), own | read
        return own | read, own | read

    # -- graphs written in a node

    def _nesting(
        self, name: str, spec: Mapping[str, Value], document: Mapping[str, Value]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """The labels that a nested graph gives to the value, and all labels in it."""
        graph, mode = written_inside(spec), self.agents.nests(spec)
        inputs: Mapping[str, Value] = spec.get("inputs") or {}
        everything = self._union(reads(spec)) | self.within | own_labels(spec)
        if graph is None:
            declared = declared_in(document)
            return everything | declared, declared
        if mode is None or "params" in inputs:  # what becomes of the inputs, or which results are given, is not written here
            inner = self._inner(name, graph, dict.fromkeys((*graph.nodes, *inputs), everything), self.around | everything)
            return everything | inner.all, inner.all
        params: Mapping[str, Value] = spec.get("params") or {}
        within = self.within | own_labels(spec)
        given = {key: within | self._union(names_in(value)) for key, value in inputs.items()}
        outside = self._union(reads({key: value for key, value in spec.items() if key != "inputs"}))
        rows = given.pop("rows", _NONE) if mode == "map" else given.get("loopCount", _NONE)
        if mode == "map":
            key = params.get("rowKey")
            given.update(dict.fromkeys((key if isinstance(key, str) and key else "row", "__mapIndex"), rows))
        conditions = self._union(reads({key: spec.get(key) for key in ("if", "unless", "agent")}))
        inner = self._inner(name, graph, given, self.around | own_labels(spec) | conditions | rows)
        if params.get("supressError") or params.get("suppressError"):  # then the text of any error inside is the value
            return outside | rows | inner.all, inner.all
        return outside | rows | _results(graph, inner, every=bool(params.get("resultAll"))), inner.all

    def _counts_turns(self, spec: Mapping[str, Value]) -> bool:
        """Whether a node's value depends on how many turns there were, where labels decide about that."""
        return bool(self.turns) and _counts_turns(spec)

    def _inner(self, name: str, graph: Graph, given: Mapping[str, frozenset[str]], around: frozenset[str]) -> Labels:
        found = self.nested.get(name)
        if found is None:
            found = self.nested[name] = Spread(
                graph,
                self.agents,
                self.seen,
                f"{self.prefix}{escape(name)}/",
                self.noted,
                self.within | own_labels(self.graph.nodes[name]),
            )
        elif around <= found.around and all(labels <= found.given.get(each, _NONE) for each, labels in given.items()):
            return found.found()
        found.know(given, around)
        found.spread()
        return found.found()

    def _union(self, names: Iterable[str]) -> frozenset[str]:
        found = _NONE
        for name in names:
            found |= self.values.get(name, _NONE)
        return found


def _results(graph: Graph, labels: Labels, *, every: bool) -> frozenset[str]:
    if every:
        return _NONE.union(*labels.values.values())
    results = (name for name, spec in graph.nodes.items() if spec.get("isResult"))
    return _NONE.union(*(labels.values.get(name, _NONE) for name in results))


def _counts_turns(spec: Mapping[str, Value]) -> bool:
    """Whether a node's value depends on how many turns there were."""
    return "update" in spec or any(
        word in text for part in ("inputs", "passThrough") for text in texts_in(spec.get(part)) for word in _LOOPS
    )
