"""A computed node, compiled: everything about it that running it needs, so that nothing is looked up by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from graphs.language.implementations import implemented, is_open
from graphs.language.refs import Getter, compile_output, compile_path, compile_source, compile_value, is_source
from graphs.paths import escape
from graphs.registry import Agent
from graphs.values import MISSING, Value, is_true

if TYPE_CHECKING:
    from graphs.engine.plan import Plan

__all__ = ["PlanNode", "always"]

_NONE: Final[Mapping[str, Value]] = {}

_COMMON: Final = frozenset({"agent", "inputs", "params", "isResult", "model"})
"""What most nodes have; what is beyond is looked at only where it is."""


class PlanNode:
    """One node, compiled.

    `place` is where it runs, None is here; with `on_order` it starts there when the queue of this side says so. A `simple`
    node starts with nothing to decide but its inputs; a `plain` one's value is stored as it is; a `usual` one is carried out as its
    agent is, for it says nothing else itself. One that `stands_in` runs here instead of the node of its number, which is placed elsewhere, and
    may be the `same` but for that; `degraded` is the reason, where its value is less than was asked for, `moved` where it is not.
    `implementation` is the number of what was chosen among several (`any`); `said` is what of these goes into a result's provenance. One that
    `may_leave` is asked about when it is about to start here; what then `leaves` for the other side says why. One that `ends` its frame wins a
    race: with its value the frame is over, whatever else still runs there.
    Attributes that most nodes do not have stand here with their defaults, and in a node only where it differs.
    """

    __slots__ = (
        "__dict__",
        "agent",
        "agent_source",
        "escaped",
        "id",
        "index",
        "inputs",
        "is_result",
        "literal_inputs",
        "model",
        "nests",
        "overlays",
        "params",
        "plain",
        "simple",
        "spec",
        "timeout",
        "usual",
    )

    any_input = False
    ends = False
    condition: Callable[[list[Any]], bool] | None = None
    default: Value = MISSING
    degraded: str | None = None
    exists: Callable[[Value], Value] | None = None
    filter_params: Mapping[str, Value] = _NONE
    graph: Value = None
    graph_source: Getter | None = None
    implementation: int | None = None
    label: str | None = None
    leaves: str | None = None
    may_leave = False
    moved: str | None = None
    on_order = False
    output: Callable[[Value], Value] | None = None
    pass_through: Getter | None = None
    place: str | None = None
    plans: dict[Any, Plan] | None = None
    priority: float = 0
    retry = 0
    said: Mapping[str, Value] | None = None
    same = False
    stands_in = False

    def __init__(
        self, index: int, name: str, spec: Mapping[str, Value], numbers: Mapping[str, int], agents: Mapping[str, Agent]
    ) -> None:
        if "any" in spec:
            spec = implemented(spec, 0) if is_open(spec) else spec
            self.implementation = spec["any"]
            self.said = {"any": self.implementation}
        self.index = index
        self.id = name
        self.spec = spec
        self.escaped = escape(name)
        self.is_result: bool = spec.get("isResult") is True
        self.model: str | None = spec.get("model")
        agent = spec["agent"]
        self.agent_source: Getter | None = compile_source(agent, numbers) if is_source(agent) else None
        self.agent: Agent | None = None if self.agent_source is not None else agents.get(agent)
        self.nests = self.agent.nests if self.agent is not None else None
        inputs = spec.get("inputs") or _NONE
        self.literal_inputs: Mapping[str, Value] = inputs
        self.inputs: Getter | None = compile_value(inputs, numbers)
        self.params: Mapping[str, Value] = spec.get("params") or _NONE
        self.overlays = "params" in inputs
        self.timeout: float = 0
        self.plain = True
        self.usual = self.agent is not None
        self.simple = self.agent is not None and self.nests is None and not self.overlays
        if not spec.keys() <= _COMMON:
            self._read_more(spec, numbers)

    def _read_more(self, spec: Mapping[str, Value], numbers: Mapping[str, int]) -> None:
        self.condition = _condition(spec, numbers)
        self.default = spec.get("defaultValue") or MISSING  # falsy defaults count as none (D9)
        self.any_input = spec.get("anyInput") is True
        self.retry = int(spec.get("retry") or 0)
        self.timeout = spec.get("timeout") or 0
        self.priority = spec.get("priority") or 0
        self.label = spec.get("label")
        self.filter_params = spec.get("filterParams") or _NONE
        if "fit" in spec:
            self.params = {"fit": spec["fit"], **self.params}
        until = spec.get("repeatUntil") or _NONE
        if "exists" in until:
            self.exists = compile_path(until["exists"])
        if output := spec.get("output"):
            self.output = compile_output(output)
        if passed := spec.get("passThrough"):
            self.pass_through = compile_value(passed, numbers) or always(passed)
        self.graph = spec.get("graph")
        if is_source(self.graph):
            self.graph_source = compile_source(self.graph, numbers)
        self.plain = self.exists is None and self.output is None and self.pass_through is None
        self.usual = self.usual and not self.timeout and "effect" not in spec and "requires" not in spec
        self.simple = self.simple and self.condition is None and not self.any_input and self.implementation is None


def always(value: Value) -> Getter:
    """The getter of a literal."""
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
