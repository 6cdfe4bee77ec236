"""A plan: a graph compiled once to lists indexed by node number, so that running a node costs no look-up by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol

from graphs.errors import NodeError
from graphs.paths import escape
from graphs.records import State
from graphs.refs import Getter, compile_output, compile_path, compile_source, compile_value, is_source
from graphs.registry import Agent
from graphs.spec import Graph, is_boundary, is_computed, reads
from graphs.values import MISSING, Value, is_true

__all__ = ["Compiler", "Places", "Plan", "PlanNode"]

_DEFAULT_LIMIT: Final = 8


class Places(Protocol):
    """Where nodes run, by their place in the document: ids from the root graph on, escaped, joined by `/`. None is here."""

    def get(self, path: str, /) -> str | None: ...


class PlanNode:
    """One node, compiled.

    `place` is where it runs; None is here. A `simple` node starts with nothing to decide but its inputs; a `plain` one's value
    is stored as it is.
    """

    __slots__ = (
        "agent",
        "agent_source",
        "any_input",
        "condition",
        "default",
        "escaped",
        "exists",
        "filter_params",
        "graph",
        "graph_source",
        "id",
        "index",
        "inputs",
        "is_result",
        "label",
        "literal_inputs",
        "model",
        "nests",
        "output",
        "overlays",
        "params",
        "pass_through",
        "place",
        "plain",
        "plans",
        "priority",
        "retry",
        "simple",
        "spec",
        "timeout",
    )

    def __init__(
        self, index: int, name: str, spec: Mapping[str, Value], numbers: Mapping[str, int], agents: Mapping[str, Agent]
    ) -> None:
        self.index = index
        self.id = name
        self.spec = spec
        self.escaped = escape(name)
        self.is_result: bool = spec.get("isResult") is True
        agent = spec["agent"]
        self.agent_source: Getter | None = compile_source(agent, numbers) if is_source(agent) else None
        self.agent: Agent | None = None if self.agent_source else agents.get(agent)
        self.nests = self.agent.nests if self.agent else None
        inputs = spec.get("inputs") or {}
        self.inputs: Getter | None = compile_value(inputs, numbers)
        self.literal_inputs: Mapping[str, Value] = inputs
        self.params: Mapping[str, Value] = spec.get("params") or {}
        self.overlays: bool = "params" in inputs
        self.condition: Callable[[list[Any]], bool] | None = _condition(spec, numbers)
        default = spec.get("defaultValue")
        self.default: Value = default or MISSING  # falsy defaults count as none (D9)
        self.any_input: bool = spec.get("anyInput") is True
        self.retry: int = int(spec.get("retry") or 0)
        until = spec.get("repeatUntil") or {}
        self.exists: Callable[[Value], Value] | None = compile_path(until["exists"]) if "exists" in until else None
        self.timeout: float = spec.get("timeout") or 0
        self.priority: float = spec.get("priority") or 0
        self.label: str | None = spec.get("label")
        output = spec.get("output")
        self.output: Callable[[Value], Value] | None = compile_output(output) if output else None
        passed = spec.get("passThrough")
        self.pass_through: Getter | None = None
        if passed:
            self.pass_through = compile_value(passed, numbers) or _always(passed)
        graph: Any = spec.get("graph")
        self.graph_source: Getter | None = compile_source(graph, numbers) if is_source(graph) else None
        self.graph: Value = graph
        self.plans: dict[Any, Plan] = {}
        self.filter_params: Mapping[str, Value] = spec.get("filterParams") or {}
        self.model: str | None = spec.get("model")
        self.place: str | None = None
        self.plain: bool = self.exists is None and self.output is None and self.pass_through is None
        self.simple: bool = (
            self.agent is not None and self.nests is None and self.condition is None and not self.any_input and not self.overlays
        )


def _always(value: Value) -> Getter:
    return lambda _results: value


def _condition(spec: Mapping[str, Value], numbers: Mapping[str, int]) -> Callable[[list[Any]], bool] | None:
    when = compile_source(spec["if"], numbers) if spec.get("if") is not None else None
    unless = compile_source(spec["unless"], numbers) if spec.get("unless") is not None else None
    if when and unless:
        return lambda results: is_true(when(results)) and not is_true(unless(results))
    if when:
        return lambda results: is_true(when(results))
    if unless:
        return lambda results: not is_true(unless(results))
    return None


class Plan:
    """A compiled graph.

    Lists are indexed by node number, in written order. `nodes[i]` is None for static and boundary nodes. `followers[i]` are the
    nodes that wait for node i, in order, `any_nodes` the anyInput nodes with what they wait for; `waits[i]` how many different
    nodes node i waits for, those left out that have a value from the start. `blank` is the result list a frame begins with.
    `prefix` is where the graph stands in the document, `given` names the static nodes that whoever opens the graph fills,
    `remote` says that nodes of it are placed elsewhere.
    """

    __slots__ = (
        "any_nodes",
        "blank",
        "blank_states",
        "boundaries",
        "computed",
        "endless",
        "followers",
        "given",
        "graph",
        "ids",
        "labels",
        "limit",
        "loop_count",
        "loop_while",
        "loops",
        "nodes",
        "numbers",
        "prefix",
        "remote",
        "result_nodes",
        "roots",
        "statics",
        "updates",
        "valueless",
        "waits",
    )

    def __init__(
        self,
        graph: Graph,
        agents: Mapping[str, Agent],
        places: Places | None = None,
        *,
        prefix: str = "",
        given: Collection[str] = (),
    ) -> None:
        self.graph = graph
        self.prefix = prefix
        self.given = given
        self.remote = False
        specs = graph.nodes
        self.ids: list[str] = list(specs)
        self.numbers = {name: number for number, name in enumerate(self.ids)}
        count = len(self.ids)
        default_retry = graph.document.get("retry") or 0
        self.nodes: list[PlanNode | None] = [None] * count
        self.followers: list[list[int]] = [[] for _ in range(count)]
        self.waits: list[int] = [0] * count
        self.computed: list[int] = []
        self.boundaries: list[int] = []
        self.statics: list[int] = []
        self.valueless: list[int] = []
        self.updates: list[tuple[int, Getter]] = []
        self.any_nodes: dict[int, set[int]] = {}
        self.result_nodes: list[tuple[int, str]] = []
        blank: list[Value] = [MISSING] * (count + 1)
        states = [State.WAITING.value] * count
        for number, (name, spec) in enumerate(specs.items()):
            if is_computed(spec):
                self._add_computed(number, name, spec, agents, default_retry, places)
            elif is_boundary(spec):
                self.boundaries.append(number)
            else:
                self._add_static(number, spec, blank, states)
            if spec.get("isResult") is True:
                self.result_nodes.append((number, name))
        # What is there from the start is struck from the waiting counts once, here, instead of once a frame.
        for number in self.statics:
            if blank[number] is not MISSING:
                for follower in self.followers[number]:
                    self._strike(follower)
        self.blank = blank
        self.blank_states = states
        self.roots: list[int] = [number for number in self.computed if not self.waits[number]]
        self._read_attributes(graph.document)

    def _add_computed(
        self,
        number: int,
        name: str,
        spec: Mapping[str, Value],
        agents: Mapping[str, Agent],
        default_retry: int,
        places: Places | None,
    ) -> None:
        node = PlanNode(number, name, spec, self.numbers, agents)
        if default_retry and "retry" not in spec:
            node.retry = default_retry
        if places is not None and (place := places.get(self.prefix + node.escaped)) is not None:
            node.place = place
            node.simple = False
            self.remote = True
        self.nodes[number] = node
        self.computed.append(number)
        awaited = {self.numbers[each] for each in reads(spec) if each in self.numbers}
        for each in awaited:
            self.followers[each].append(number)
        if node.any_input and awaited:
            self.any_nodes[number] = awaited
            self.waits[number] = -1  # never counted down to 0: looked at whenever one of its sources finishes
        else:
            self.waits[number] = len(awaited)

    def _add_static(self, number: int, spec: Mapping[str, Value], blank: list[Value], states: list[int]) -> None:
        self.statics.append(number)
        update = spec.get("update")
        if update is not None:
            self.updates.append((number, compile_source(update, self.numbers)))
        if "value" in spec and spec["value"] is not MISSING:
            blank[number] = spec["value"]
            states[number] = State.INJECTED.value
        elif update is None:
            self.valueless.append(number)

    def _strike(self, follower: int) -> None:
        if self.waits[follower] > 0:
            self.waits[follower] -= 1

    def _read_attributes(self, document: Mapping[str, Value]) -> None:
        limit = document.get("concurrency")
        self.labels: Mapping[str, int] = {}
        if isinstance(limit, Mapping):
            self.labels = limit.get("labels") or {}
            limit = limit["global"]
        self.limit: int = limit if limit is not None else _DEFAULT_LIMIT
        loop = document.get("loop") or {}
        self.loops = bool(loop)
        self.loop_count: float | None = (loop["count"] or 0) if "count" in loop else None
        condition: Any = loop.get("while")
        self.loop_while: Getter | None = None
        if is_source(condition):
            self.loop_while = compile_source(condition, self.numbers)
        self.endless = "while" in loop and self.loop_while is None and bool(condition)
        if "while" in loop and self.loop_while is None:
            self.loop_while = _always(condition)


class Compiler:
    """Makes plans of documents that come up while a run goes on: nested graphs, and graphs as data.

    Pure. `agents` are those known on this side; `bypass` are names accepted without an agent; `places` says for some nodes where
    they run if not here.
    """

    def __init__(
        self, agents: Mapping[str, Agent], *, bypass: Collection[str] = (), strict: bool = False, places: Places | None = None
    ) -> None:
        self.agents = agents
        self.places = places
        self.bypass = bypass
        self.strict = strict

    def plan(self, graph: Graph) -> Plan:
        """The plan of a checked root graph."""
        return Plan(graph, self.agents, self.places)

    def nested(
        self, outer: Plan, node: PlanNode, document: Value, given: tuple[str, ...], *, mode: str | None, shared: bool
    ) -> Plan:
        """The plan of the nested graph that `node` of the plan `outer` opens, the inputs `given` being static nodes of it.

        `mode` is what the agent does, nested or map; `shared` says that the document is the node's own, so its plan can be
        kept. Raises GraphInvalid, or NodeError where an input's name is a computed node's (graph-spec §9.1).
        """
        if shared and (kept := node.plans.get(given)):
            return kept
        if not isinstance(document, Mapping):
            raise NodeError("No GraphData: the nested graph of this node is missing or not a map", retryable=False)
        plan = Plan(
            Graph.of(_with_statics(document, given, mode), self.agents.keys(), bypass=self.bypass, strict=self.strict),
            self.agents,
            self.places,
            prefix=f"{outer.prefix}{node.escaped}/",
            given=given,
        )
        if shared:
            node.plans[given] = plan
        return plan


def _with_statics(document: Mapping[str, Value], given: tuple[str, ...], mode: str | None) -> Mapping[str, Value]:
    nodes = document.get("nodes")
    if not isinstance(nodes, Mapping):
        return document  # the checker says what is wrong
    added: dict[str, Value] = {}
    for name in given:
        spec = nodes.get(name)
        if isinstance(spec, Mapping) and is_computed(spec):
            if mode == "nested":
                raise NodeError(
                    f"Cannot set both agent and value: the input {name!r} has the name of a computed node of the nested graph",
                    retryable=False,
                )
        elif not isinstance(spec, Mapping):
            added[name] = {"value": None}
        elif "value" not in spec:
            added[name] = {**spec, "value": None}
    return {**document, "nodes": {**nodes, **added}} if added else document
