"""Building graphs in Python: the same documents as YAML, made by calls that a type checker and an editor understand.

Nothing is hidden: `Graph.document` is what the YAML would hold, a text means what it means there, and `build` checks it like any
other graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, TypedDict, Unpack

from graphs.errors import UsageError
from graphs.registry import Agent, Effect
from graphs.values import MISSING, Missing, Value

if TYPE_CHECKING:
    from graphs.language.spec import Graph as Spec

__all__ = ["Graph", "GraphAttributes", "NodeAttributes", "Ref"]

Place: TypeAlias = Literal["edge", "cloud", "auto"] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of a node, or a part of it, for other nodes to read. `source` is how graphs write it, for instance `:draft.text`.

    In an f-string it becomes a template: `f"Write about {topic}"` is `Write about ${:topic}`.
    """

    source: str

    __iter__: ClassVar[None] = None
    """A value that is not there yet cannot be gone through: that is what `mapAgent` is for."""

    def __getitem__(self, part: str | int) -> Ref:
        """A part: the entry of a map by its key, an element of a list by its position from 0, or -1 for the last one."""
        if isinstance(part, int):
            if part < -1:
                raise UsageError(f"{self.source}[{part}]: a source names elements from 0 on, or the last one, -1")
            return Ref(f"{self.source}.$last" if part == -1 else f"{self.source}.${part}")
        if not part or "." in part or _FUNCTION.match(part):
            raise UsageError(
                f"{self.source}: a source cannot name the key {part!r}", hint="Keys with dots or brackets are out of its reach."
            )
        return Ref(f"{self.source}.{part}")

    def call(self, function: str, *arguments: str | int) -> Ref:
        """What a function of the language makes of the value: `ref.call("trim")`, `ref.call("default", "none")`."""
        return Ref(f"{self.source}.{function}({','.join(map(str, arguments))})")

    def __str__(self) -> str:
        if "}" in self.source:
            raise UsageError(f"{self.source}: a name with a brace cannot stand in a template; read it by an input of its own")
        return f"${{{self.source}}}"


class GraphAttributes(TypedDict, total=False):
    """What a graph may have besides its nodes, inputs and loop (docs/language.md)."""

    concurrency: int | Mapping[str, Any]
    retry: int
    verbose: bool
    metadata: Value
    agent_id: Value
    place: Place
    sync: bool
    budget: Mapping[str, float]


class NodeAttributes(TypedDict, total=False):
    """What a node with an agent may have, each as in docs/language.md; `if_` is `if`, `is_result` is `isResult`, and so on."""

    inputs: Mapping[str, Value]
    params: Mapping[str, Value]
    graph: Graph | Ref | Mapping[str, Value]
    graph_loader: Mapping[str, Value]
    if_: Ref | str
    unless: Ref | str
    default_value: Value
    any_input: bool
    retry: int
    repeat_until: Mapping[str, str]
    timeout: float
    priority: int
    label: str
    output: Mapping[str, Value]
    pass_through: Mapping[str, Value]
    is_result: bool
    filter_params: Mapping[str, Value]
    console: Value
    place: Place
    model: str
    sensitivity: str | Sequence[str]
    effect: Effect
    any: Sequence[Mapping[str, Value]]
    budget: Mapping[str, float]
    fit: bool
    integrity: str
    requires: str
    escalate: Mapping[str, Value]
    hedge: Mapping[str, Value]


class Graph:
    """A graph being written.

    `value` and `node` add nodes and give what other nodes read of them, `input` declares what a run may be given. `graph[name]` reads
    a node that comes later, or in a nested graph what the node around it hands in.
    """

    def __init__(self, **attributes: Unpack[GraphAttributes]) -> None:
        self._attributes: dict[str, Value] = {_word(name): value for name, value in attributes.items()}
        self._loop: dict[str, Value] = {}
        self._inputs: dict[str, Value] = {}
        self._nodes: dict[str, dict[str, Value]] = {}
        self._agents: dict[str, Agent] = {}

    def __getitem__(self, name: str) -> Ref:
        """The value of the node of that name, which need not be there yet."""
        if not name or "." in name:
            raise UsageError(f"node {name!r}: a name with a dot in it cannot be read by other nodes")
        return Ref(f":{name}")

    def value(
        self,
        name: str,
        value: Value | Missing = MISSING,
        *,
        update: Ref | str | None = None,
        is_result: bool = False,
        console: Value = None,
        sensitivity: str | Sequence[str] | None = None,
    ) -> Ref:
        """Add a static node. Without a value a run has to be given one; `update` is where it gets the next turn's from."""
        node: dict[str, Value] = {} if value is MISSING else {"value": _literal(value, f"the value of {name!r}")}
        for key, each in (("update", update), ("isResult", is_result), ("console", console), ("sensitivity", sensitivity)):
            if each is not None and each is not False:
                node[key] = _read(each)
        return self._add(name, node)

    def input(
        self,
        name: str,
        default: Value | Missing = MISSING,
        *,
        type: Literal["string", "number", "integer", "boolean", "object", "array", "any"] | None = None,
        description: str | None = None,
        sensitivity: str | Sequence[str] | None = None,
    ) -> Ref:
        """Declare what a run may be given, an option of `graphferry run`. Without a default it has to be given."""
        if name in self._inputs:
            raise UsageError(f"there is an input {name!r} already")
        about: dict[str, Value] = {} if type is None else {"type": type}
        if default is not MISSING:
            about["default"] = _literal(default, f"the default of {name!r}")
        about |= {
            key: _read(each) for key, each in (("description", description), ("sensitivity", sensitivity)) if each is not None
        }
        self._inputs[name] = about
        return self[name]

    def node(self, name: str, agent: str | Agent | Ref, **attributes: Unpack[NodeAttributes]) -> Ref:
        """Add a node with an agent: its name, the agent itself, or what gives its name when the node starts.

        `inputs` and `pass_through` hold references, templates and literals at any depth; `params` hold literals only. An agent that
        is handed over itself is known to `build` and `run` without further ado.
        """
        if isinstance(agent, Agent):
            self._agents[agent.name] = agent
            agent = agent.name
        node: dict[str, Value] = {"agent": _read(agent)}
        for key, each in attributes.items():
            if isinstance(each, Graph):
                self._agents |= each._agents
                each = each.document
            node[_word(key)] = _read(each) if key in _READ else _literal(each, f"{_word(key)} of {name!r}")
        return self._add(name, node)

    def loop(self, *, count: int | None = None, while_: Ref | str | None = None) -> None:
        """Run the graph in turns: a number of them, or while something is true. One of the two."""
        self._loop = {key: _read(each) for key, each in (("count", count), ("while", while_)) if each is not None}

    @property
    def document(self) -> dict[str, Value]:
        """The graph as YAML would hold it; a copy."""
        document: dict[str, Value] = {"version": 0.5, **self._attributes}
        if self._loop:
            document["loop"] = self._loop
        if self._inputs:
            document["inputs"] = self._inputs
        return _copy({**document, "nodes": self._nodes})  # type: ignore[no-any-return]

    @property
    def agents(self) -> tuple[Agent, ...]:
        """The agents that were handed over themselves, nested graphs' included."""
        return tuple(self._agents.values())

    def build(self, *, agents: Iterable[Agent | str] = (), strict: bool = False) -> Spec:
        """The frozen graph, checked. `agents` are known besides the standard ones and those handed over, for instance by name
        those that only a worker has; `strict` makes warnings errors. Raises GraphInvalid with all problems.
        """
        from graphs.agents import standard
        from graphs.language.spec import Graph as Spec

        known = standard().with_agents([*self.agents, *(each for each in agents if isinstance(each, Agent))])
        return Spec.of(self.document, {*known, *(each for each in agents if isinstance(each, str))}, strict=strict, says=known)

    def to_yaml(self) -> str:
        """The graph as YAML, not checked: `graphs.language.load` reads this document from it again."""
        from graphs.language.write import to_yaml

        return to_yaml(self.document)

    def _add(self, name: str, node: dict[str, Value]) -> Ref:
        if name in self._nodes:
            raise UsageError(f"there is a node {name!r} already")
        self._nodes[name] = node
        return self[name]


_READ: Final = frozenset({"inputs", "pass_through", "if_", "unless", "graph"})
"""The attributes in which references stand."""

_FUNCTION: Final = re.compile(r"[A-Za-z]+\(")


def _word(name: str) -> str:
    """The language's word for a Python name: `if_` is `if`, `any_input` is `anyInput`."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(each.capitalize() for each in rest)


def _read(value: Value) -> Value:
    """Data with its references as graphs write them."""
    if isinstance(value, Ref):
        return value.source
    if isinstance(value, Mapping):
        return {key: _read(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_read(item) for item in value]
    return value


def _literal(value: Value, where: str) -> Value:
    """Data in which nothing is read as a reference, so that one in it can only be a mistake."""
    if isinstance(value, Ref):
        raise UsageError(
            f"{where} is never searched for references, and {value.source} is one", hint="Hand it in through `inputs`."
        )
    if isinstance(value, Mapping):
        return {key: _literal(item, where) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_literal(item, where) for item in value]
    return value


def _copy(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
