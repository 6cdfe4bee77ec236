"""Agents: what they are, what they are handed, and the table of those known here.

An agent is a function `(context) -> value`, plain or async. Plain agents run inline in the event loop and must be quick; one
that blocks is registered with `blocking=True` and runs in a thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from graphs.errors import UsageError
from graphs.values import Value

__all__ = ["Agent", "AgentContext", "AgentFunction", "Effect", "LabelsOf", "Need", "Registry", "Sample", "agent"]

Effect: TypeAlias = Literal["none", "idempotent", "once"]
"""What a repetition after a crash may do: nothing bad; nothing bad with the same key; harm, so it is never repeated by itself."""

LabelsOf: TypeAlias = Callable[[Mapping[str, Value]], Collection[str]]
"""Labels by a node's attributes. Pure."""

Need: TypeAlias = Literal["model", "network", "files", "people", "device", "declassify"]
"""`device` is the device that holds the run, and nowhere else; `declassify` the right to take labels off."""


class AgentContext(Protocol):
    """What an agent is handed for one attempt. Everything in it is read-only and belongs to others: never change a value.

    `inputs` are the resolved named inputs (an entry may be MISSING), `params` the node's literals overlaid by the input named
    `params`. `retry` counts the failed attempts before this one. `key` is 16 bytes, the same for every attempt, re-execution and
    re-placement of this node in this run: hand it to outside services as idempotency key.
    """

    @property
    def inputs(self) -> dict[str, Value]: ...
    @property
    def params(self) -> dict[str, Value]: ...
    @property
    def config(self) -> Mapping[str, Value]: ...
    @property
    def filter_params(self) -> Mapping[str, Value]: ...
    @property
    def node_id(self) -> str: ...
    @property
    def agent_name(self) -> str:
        """The name the node calls its agent by, an alias perhaps."""

    @property
    def model(self) -> str | None:
        """The node's `model` attribute: a tier or a model's name."""

    @property
    def path(self) -> str: ...
    @property
    def retry(self) -> int: ...
    @property
    def at(self) -> int:
        """How often this path was begun anywhere, this execution included; 0 for an agent that another one calls."""

    @property
    def is_result(self) -> bool: ...
    @property
    def key(self) -> bytes: ...
    @property
    def run(self) -> str:
        """The run's id, in hex: models take turns between runs."""

    @property
    def priority(self) -> float:
        """The node's `priority` attribute: higher goes first within the run."""

    @property
    def services(self) -> Any:
        """What this side offers its agents: `models` (graphs.models.interface.Models) and `files` (a granted folder or None)."""

    async def call_agent(self, name: str, inputs: dict[str, Value], params: dict[str, Value]) -> Value:
        """Call another agent by its name, as part of this attempt. Raises NodeError if there is none."""

    def find_agent(self, name: str) -> Agent | None:
        """The agent of that name, to read what it says of itself; None if there is none."""

    def stream(self, token: Value) -> None:
        """Hand on a piece of the answer while it is made; dropped if nobody listens or the attempt is over."""

    def made_by(self, **facts: Value) -> None:
        """State by what the value was made (`model`, `digest`, `backend`, ...): goes into the result's provenance."""

    def used(self, **counts: Value) -> None:
        """State what it cost (`prompt_tokens`, `completion_tokens`, ...): goes into the result's usage."""


AgentFunction: TypeAlias = Callable[[Any], Value | Awaitable[Value]]


class Sample(NamedTuple):
    """An example of an agent's work: documentation and test in one. `graph` is the nested graph, where the agent has one."""

    inputs: Value
    params: Mapping[str, Value]
    result: Value
    graph: Mapping[str, Value] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Agent:
    """An agent with what a reader, the checker, placement and crash recovery need to know about it."""

    name: str
    run: AgentFunction
    description: str = ""
    category: str = "custom"
    version: str = "1"
    effect: Effect = "once"
    needs: frozenset[Need] = frozenset()
    cheap: bool = False
    """Pure and quick: its result is computed again rather than recorded."""
    blocking: bool = False
    """Runs in a thread."""
    is_async: bool = False
    nests: Literal["nested", "map"] | None = None
    """Opens a nested graph; the engine does its work and `run` is never called."""
    inputs: Mapping[str, Value] | None = None
    params: Mapping[str, Value] | None = None
    output: Mapping[str, Value] | None = None
    samples: tuple[Sample, ...] = ()
    stream: bool = False
    aliases: tuple[str, ...] = field(default=())
    audited: bool = False
    """It uses the network and says itself what it sends (graphs.departures); of any other all it is handed counts as sent."""
    requires: Literal["trusted"] | None = None
    """What its inputs have to be: without a value that anybody could have written (graphs.language.integrity)."""
    labels: frozenset[str] | LabelsOf | None = None
    """The sensitivity labels that it puts on what it gives, perhaps by what the node says (graphs.language.labels)."""
    declassifies: LabelsOf | None = None
    """The labels that it is there to take off what comes in through its node's `inputs` (graphs.language.declassify)."""
    named: bool = False
    """It has to be named in the graph itself, by no value and no model: what it does to labels is known before the run."""
    made_by: Mapping[str, Value] = field(init=False, repr=False)
    """What a result's provenance says of the agent: its name and version."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "made_by", {"agent": str(self.name), "version": str(self.version)})


def agent(
    name: str,
    *,
    effect: Effect = "once",
    needs: Iterable[Need] = (),
    cheap: bool = False,
    blocking: bool = False,
    samples: Iterable[Sample] = (),
    aliases: Iterable[str] = (),
    category: str = "custom",
    version: str = "1",
    stream: bool = False,
    nests: Literal["nested", "map"] | None = None,
    inputs: Mapping[str, Value] | None = None,
    params: Mapping[str, Value] | None = None,
    output: Mapping[str, Value] | None = None,
    labels: Iterable[str] | LabelsOf | None = None,
    declassifies: LabelsOf | None = None,
    named: bool = False,
    audited: bool = False,
    requires: Literal["trusted"] | None = None,
) -> Callable[[AgentFunction], Agent]:
    """Make an agent of a function; its docstring's first paragraph becomes the description.

    An `effect` left out counts as `once`: after a crash in the middle of it, a person is asked before it runs again. `labels` are sensitivity
    labels that its values carry, besides those of its inputs. `requires="trusted"` keeps it from running on what came from the network or out of a
    graph of others, unless a person approved it (docs/privacy.md).
    """
    if callable(name):
        raise UsageError(
            "@agent needs the name that graphs call it by", hint=f'Write @agent("{getattr(name, "__name__", "name")}").'
        )
    carried = labels if labels is None or callable(labels) else frozenset(labels)

    def make(function: AgentFunction) -> Agent:
        return Agent(
            name=name,
            run=function,
            description=(inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " "),
            category=category,
            version=version,
            effect=effect,
            needs=frozenset(needs),
            cheap=cheap,
            blocking=blocking,
            is_async=inspect.iscoroutinefunction(function),
            nests=nests,
            inputs=inputs,
            params=params,
            output=output,
            samples=tuple(samples),
            stream=stream,
            aliases=tuple(aliases),
            audited=audited,
            requires=requires,
            labels=carried,
            declassifies=declassifies,
            named=named,
        )

    return make


class Registry(Mapping[str, Agent]):
    """Agents by name, aliases included."""

    def __init__(self, agents: Iterable[Agent] = ()) -> None:
        self._by_name: dict[str, Agent] = {}
        for each in agents:
            self.add(each)

    def add(self, each: Agent) -> None:
        """Register an agent under its name and aliases; a later one replaces an earlier one. Raises UsageError for what is no agent."""
        if not isinstance(each, Agent):
            raise UsageError(
                f"{each!r} is no agent",
                hint="Agents are what `@graphferry.agent` makes of functions; modules are named with --agents.",
            )
        for name in (each.name, *each.aliases):
            self._by_name[name] = each

    def with_agents(self, agents: Iterable[Agent]) -> Registry:
        """A copy that also has these."""
        copy = Registry()
        copy._by_name = {**self._by_name}
        for each in agents:
            copy.add(each)
        return copy

    def only(self, names: Collection[str]) -> Registry:
        """A copy that has only these. Raises KeyError for a name that is not here."""
        copy = Registry()
        copy._by_name = {name: self._by_name[name] for name in names}
        return copy

    def __getitem__(self, name: str) -> Agent:
        return self._by_name[name]

    def get(self, name: str, default: Agent | None = None) -> Agent | None:  # type: ignore[override]
        """The agent of that name, or `default`: asked for every node of a graph."""
        return self._by_name.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)
