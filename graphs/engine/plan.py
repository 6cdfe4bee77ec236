"""A plan: a graph compiled once to lists indexed by node number, so that running a node costs no look-up by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from graphs.bounds import TRUSTED
from graphs.budget import Budget
from graphs.engine.made import Made, fit_graph
from graphs.engine.plan_node import PlanNode, always
from graphs.errors import NodeError
from graphs.language.cascade import expanded
from graphs.language.refs import Getter, Index, compile_source, is_source
from graphs.language.spec import Graph, is_boundary, is_computed
from graphs.language.uncollected import uncollected
from graphs.paths import escape
from graphs.registry import Agent
from graphs.states import State
from graphs.values import MISSING, Value

if TYPE_CHECKING:
    from graphs.engine.events import Start
    from graphs.engine.frames import Frame

__all__ = ["DEFAULT_LIMIT", "Better", "Compiler", "Places", "Plan", "PlanNode"]

DEFAULT_LIMIT: Final = 8

_READ_AT_ONCE: Final = 10
"""Values of a graph made at run time that take as long to read and check as a node takes to run."""


class Better(NamedTuple):
    """Attributes of a node that serve better now than those it was placed with, and why; at `place`, None is here."""

    spec: Mapping[str, Value]
    why: str
    place: str | None = None


class Places(Protocol):
    """Where nodes run, by their place in the document: ids from the root graph on, escaped, joined by `/`. None is here."""

    def get(self, path: str, /) -> str | None: ...


class Plan:
    """A compiled graph.

    Lists are indexed by node number, in written order. `nodes[i]` is None for static and boundary nodes. `followers[i]` are the
    nodes that wait for node i, in order, `any_nodes` the anyInput nodes with what they wait for; `waits[i]` how many different
    nodes node i waits for, those left out that have a value from the start. `blank` is the result list a frame begins with.
    `prefix` is where the graph stands in the document, `given` names the static nodes that whoever opens the graph fills,
    `remote` says that nodes of it are placed elsewhere, `quick` that its turns begin with nothing to do but to start `roots`, `made`
    that it came out of a value.
    """

    __slots__ = (
        "_leaving",
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
        "made",
        "nodes",
        "numbers",
        "prefix",
        "quick",
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
        orders: Container[str] = (),
        prefix: str = "",
        given: Collection[str] = (),
        made: bool = False,
        leaving: Container[str] = (),
    ) -> None:
        self.graph = graph
        self._leaving = leaving if "loop" not in graph.document else ()
        self.made = made
        self.prefix = prefix
        self.given = given
        self.remote = False
        specs = graph.nodes
        self.ids: list[str] = list(specs)
        self.numbers = {name: number for number, name in enumerate(self.ids)}
        index = Index(self.numbers)
        count = len(self.ids)
        default_retry = graph.document.get("retry") or 0
        self.nodes: list[PlanNode | None] = [None] * count
        followers: list[list[int]] = [[] for _ in range(count)]
        self.waits: list[int] = [0] * count
        self.computed: list[int] = []
        self.boundaries: list[int] = []
        self.statics: list[int] = []
        self.valueless: list[int] = []
        self.updates: list[tuple[int, Getter]] = []
        self.any_nodes: dict[int, frozenset[int]] = {}
        self.result_nodes: list[tuple[int, str]] = []
        blank: list[Value] = [MISSING] * (count + 1)
        states = [State.WAITING.value] * count
        for number, (name, spec) in enumerate(specs.items()):
            if is_computed(spec):
                index.asked = set()
                node = PlanNode(number, name, spec, index, agents)
                if default_retry and "retry" not in spec:
                    node.retry = default_retry
                self._add_computed(node, index.asked, followers, places, orders)
            elif is_boundary(spec):
                self.boundaries.append(number)
            else:
                self._add_static(number, spec, index, blank, states)
            if spec.get("isResult") is True:
                self.result_nodes.append((number, name))
        # What is there from the start is struck from the waiting counts once, here, instead of once a frame.
        for number in self.statics:
            if blank[number] is not MISSING:
                for follower in followers[number]:
                    self._strike(follower)
        self.followers: list[tuple[int, ...]] = list(map(tuple, followers))
        self.blank = blank
        self.blank_states = states
        self.roots: list[int] = [number for number in self.computed if not self.waits[number]]
        self._read_attributes(graph.document)
        self.quick = not (self.remote or self.valueless or self.endless or self.boundaries or self.any_nodes)

    def _add_computed(
        self, node: PlanNode, awaited: set[int], followers: list[list[int]], places: Places | None, orders: Container[str]
    ) -> None:
        number = node.index
        path = self.prefix + node.escaped
        if places is not None and (place := places.get(path)) is not None:
            node.simple = False
            node.on_order = path in orders
            if not node.on_order or node.nests is None:  # else it is opened here, for what is inside is counted here
                node.place = place
                self.remote = True
        elif path in self._leaving:
            node.may_leave, node.simple = True, False
        self.nodes[number] = node
        self.computed.append(number)
        for each in awaited:
            followers[each].append(number)
        if node.any_input and awaited:
            self.any_nodes[number] = frozenset(awaited)  # a copy: the set goes on to note what statics are updated from
            self.waits[number] = -1  # never counted down to 0: looked at whenever one of its sources finishes
        else:
            self.waits[number] = len(awaited)

    def _add_static(self, number: int, spec: Mapping[str, Value], index: Index, blank: list[Value], states: list[int]) -> None:
        self.statics.append(number)
        update = spec.get("update")
        if update is not None:
            self.updates.append((number, compile_source(update, index)))
        if "value" in spec and spec["value"] is not MISSING:
            blank[number] = spec["value"]
            states[number] = State.INJECTED.value
        elif update is None:
            self.valueless.append(number)

    def end_with(self, name: Value) -> None:
        """The graph is over as soon as the node of that name, if there is one, has a value."""
        number = self.numbers.get(name) if isinstance(name, str) else None
        node = self.nodes[number] if number is not None else None
        if node is not None:
            node.ends, node.plain = True, False

    def _strike(self, follower: int) -> None:
        if self.waits[follower] > 0:
            self.waits[follower] -= 1

    def _read_attributes(self, document: Mapping[str, Value]) -> None:
        limit = document.get("concurrency")
        self.labels: Mapping[str, int] = {}
        if isinstance(limit, Mapping):
            self.labels = limit.get("labels") or {}
            limit = limit["global"]
        self.limit: int = limit if limit is not None else DEFAULT_LIMIT
        loop = document.get("loop") or {}
        self.loops = bool(loop)
        self.loop_count: float | None = (loop["count"] or 0) if "count" in loop else None
        condition: Any = loop.get("while")
        self.loop_while: Getter | None = None
        if is_source(condition):
            self.loop_while = compile_source(condition, self.numbers)
        self.endless = "while" in loop and self.loop_while is None and bool(condition)
        if "while" in loop and self.loop_while is None:
            self.loop_while = always(condition)


class Compiler:
    """Makes plans of documents that come up while a run goes on: nested graphs, and graphs as data.

    Pure. `agents` are those known on this side; `bypass` are names accepted without an agent; `places` says for some nodes where
    they run if not here, `orders` which of those start there on order (graphs.engine.orders), `offered` names agents known there. `budget`
    is what the run may have, `made` what graphs may do that come out of values; with `untrusted` the run's own may do no more.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        *,
        bypass: Collection[str] = (),
        strict: bool = False,
        places: Places | None = None,
        orders: Container[str] = (),
        offered: Collection[str] = (),
        budget: Budget | None = None,
        made: Made | None = None,
        untrusted: bool = False,
    ) -> None:
        self.budget = budget or Budget(TRUSTED)
        self.made = made or Made()
        self.untrusted = untrusted
        self.agents = agents
        self.places = places
        self.orders = orders
        self.offered = offered
        self.bypass = bypass
        self.strict = strict
        self.choose: Callable[[str], Better | None] | None = None
        """Says of a node that is placed here and has several implementations, or may leave, by its place in the document, what is to run now if
        not what was chosen."""
        self.busy: Callable[[str, Start], Better | None] | None = None
        """Says of such a node what is to run instead of this attempt, whose model takes no more requests now."""
        self.leaving: Container[str] = ()
        """The nodes that are placed here, and may leave for the other side when they are about to start, by their place in the document."""
        self.opened: Callable[[str, Value], None] | None = None
        """Hears of each graph that is a value when a node opens it: the node's place in the document, and the graph."""
        self._stand_ins: dict[tuple[PlanNode, int, str | None, str | None, bool], PlanNode] = {}
        self._leavers: dict[tuple[PlanNode, int, str], PlanNode] = {}

    def plan(self, graph: Graph) -> Plan:
        """The plan of a checked root graph. Raises NodeError if it is not trusted and names an agent that it may not use."""
        graph = expanded(graph)
        if self.untrusted:
            self.made.require_all(graph.nodes, self.agents)
        with uncollected(len(graph.nodes)):
            return Plan(graph, self.agents, self.places, orders=self.orders, made=self.untrusted, leaving=self.leaving)

    def stand_in(
        self,
        plan: Plan,
        node: PlanNode,
        spec: Mapping[str, Value],
        degraded: str | None,
        moved: str | None = None,
        same: bool = False,
    ) -> PlanNode:
        """A node of this side for one of `plan` that is placed elsewhere, by attributes of its own; made once for each reason to, why its result
        is less (`degraded`), or why it is here although it is not (`moved`). `same` says that it is that very node, so that it fails if this does.

        It reads no other nodes than that one, opens no graph, and counts in the queue as it does.
        """
        key = (node, id(spec), degraded, moved, same)
        made = self._stand_ins.get(key)
        if made is None:
            made = PlanNode(node.index, node.id, spec, Index(plan.numbers), self.agents)
            if made.agent is not None and made.agent.named:  # what it does to labels would not have been known before the run
                raise NodeError(f"{made.agent.name} is a node of its own, and cannot be an alternative", retryable=False)
            made.retry = made.retry if "retry" in spec else node.retry
            made.label, made.priority = node.label, node.priority
            made.stands_in, made.degraded, made.moved, made.simple, made.same = True, degraded, moved, False, same
            said = {"degraded": degraded, "moved": moved}
            made.said = {**(made.said or {}), **{word: value for word, value in said.items() if value is not None}} or None
            self._stand_ins[key] = made  # it keeps its attributes, so their id stays its own
        return made

    def best(self, plan: Plan, node: PlanNode) -> PlanNode:
        """A node with several implementations as it is to be done now: by the one that was chosen for it, or as `choose` says."""
        path = plan.prefix + node.escaped
        original = plan.nodes[node.index]
        if self.choose is None or original is None or original.place is not None:
            return node
        found = self.choose(path)
        return (self._better(plan, original, found) if found is not None else None) or original

    def otherwise(self, start: Start) -> PlanNode | None:
        """What is to be done instead of an attempt of this side whose model takes no more requests now; None if it waits for that."""
        plan, node = start.frame.plan, start.node
        original = plan.nodes[node.index]
        if self.busy is None or original is None or original.place is not None or node.place is not None:
            return None
        found = self.busy(plan.prefix + node.escaped, start)
        return self._better(plan, original, found) if found is not None else None

    def _better(self, plan: Plan, node: PlanNode, found: Better) -> PlanNode | None:
        if found.place is None:
            return self.stand_in(plan, node, found.spec, None, found.why)
        if not node.may_leave:  # its frame turns: what of it is elsewhere has to turn with it
            return None
        key = (node, id(found.spec), found.why)
        made = self._leavers.get(key)
        if made is None:
            made = self._leavers[key] = PlanNode(node.index, node.id, found.spec, Index(plan.numbers), self.agents)
            made.retry = made.retry if "retry" in found.spec else node.retry
            made.label, made.priority = node.label, node.priority
            made.place, made.leaves, made.simple = found.place, found.why, False
        return made

    def agent(self, name: str, plan: Plan) -> Agent | None:
        """The agent that a node of `plan` names by a value, or that another agent calls. Raises NodeError if it may not be used so, or by a graph
        made at run time.
        """
        agent = self.agents.get(name)
        if agent is not None and agent.named:
            raise NodeError(f"{name} is a node of its own: no value and no model names it", retryable=False)
        if agent is not None and plan.made:
            self.made.require(name, agent)
        return agent

    def budget_of(self, frame: Frame) -> Budget:
        """What counts the nodes of a frame."""
        return frame.nesting.budget if frame.nesting is not None else self.budget

    def budget_for(self, start: Start, outer: Budget) -> Budget:
        """What is to count the nodes of the graph that an attempt opens: its own if that came out of a value, and none around did."""
        bounds = self.made.bounds
        if bounds is None or start.node.graph_source is None or start.frame.plan.made:
            return outer
        return Budget(bounds, outer, floor=start.frame.depth)

    def nested(
        self,
        outer: Plan,
        node: PlanNode,
        document: Value,
        given: tuple[str, ...],
        budget: Budget,
        *,
        mode: str | None,
        shared: bool,
    ) -> Plan:
        """The plan of the nested graph that `node` of the plan `outer` opens, the inputs `given` being static nodes of it.

        `mode` is what the agent does, nested or map; `shared` says that the document is the node's own, so its plan can be
        kept; otherwise it came out of a value, and `budget` says how large it may be. Raises GraphInvalid, LimitReached, or
        NodeError where an input's name is a computed node's (graph-spec §9.1).
        """
        if shared and node.plans is not None and (kept := node.plans.get(given)):
            return kept
        if not isinstance(document, Mapping):
            raise NodeError("No GraphData: the nested graph of this node is missing or not a map", retryable=False)
        if not shared:
            if self.opened is not None:
                self.opened(outer.prefix + node.escaped, document)
            budget.open(f"node {node.id!r} would open one more")
            size = fit_graph(document, budget.bounds)
            budget.begin(size // _READ_AT_ONCE, f"node {node.id!r} would open a graph of {size:,} values")
        prefix = f"{outer.prefix}{node.escaped}/"
        known = self.agents.keys() | self._strangers(document, prefix)
        graph = expanded(Graph.of(_with_statics(document, given, mode), known, bypass=self.bypass, strict=self.strict))
        made = outer.made or not shared
        if made:
            self.made.require_all(graph.nodes, self.agents)
        plan = Plan(
            graph,
            self.agents,
            self.places,
            orders=self.orders,
            prefix=prefix,
            given=given,
            made=made,
            leaving=self.leaving,
        )
        if mode == "nested" and node.params.get("race"):
            plan.end_with(node.params.get("resultNodeId"))
        if shared:
            node.plans = {**(node.plans or {}), given: plan}
        return plan

    def _strangers(self, document: Mapping[str, Value], prefix: str) -> set[str]:
        """The agents of nodes that run elsewhere: they need be known only there."""
        nodes = document.get("nodes")
        if self.places is None or not self.offered or not isinstance(nodes, Mapping):
            return set()
        elsewhere = (spec for name, spec in nodes.items() if self.places.get(prefix + escape(str(name))) is not None)
        named = (spec.get("agent") for spec in elsewhere if isinstance(spec, Mapping))
        return {name for name in named if isinstance(name, str) and name in self.offered}


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
