"""An attempt: the engine's Start with what its agent is handed besides the inputs. It is the agent's context
(graphs.registry.AgentContext).
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from graphs.departures import at_node, begins
from graphs.engine.events import Start
from graphs.errors import NodeError
from graphs.paths import without_tries
from graphs.registry import Agent, Effect
from graphs.running.threads import in_thread
from graphs.running.trust import require_trusted
from graphs.values import Value, canonical, clean

if TYPE_CHECKING:
    from graphs.running.runtime import Runtime

__all__ = ["Attempt", "execution_key"]

_NOBODY: Final[Mapping[str, Value]] = {}


def execution_key(run: bytes, path: str) -> bytes:
    """The idempotency key of a node: the same for every attempt, re-execution and place, tries of the nodes around it included, and another
    one for each turn and row (docs/protocol.md §2).
    """
    return hashlib.sha256(run + without_tries(path).encode()).digest()[:16]


class Live:
    """What an attempt needs that has a timeout or says something about itself; most never do."""

    __slots__ = ("by", "called", "filter_params", "timer", "usage")

    def __init__(self) -> None:
        self.timer: asyncio.TimerHandle | None = None
        self.called: dict[bytes, int] = {}
        """How often the attempt has called other agents with the same words."""
        self.by: dict[str, Value] = {}
        self.usage: dict[str, Value] = {}
        self.filter_params: dict[str, Value] = {}


class Attempt(Start):
    """One attempt while it is carried out in this process."""

    __slots__ = ("_begun",)

    @property
    def runtime(self) -> Runtime:
        shell: Runtime = self.frame.engine.shell
        return shell

    @property
    def alive(self) -> Live:
        """Its live part, made at first use."""
        if self.live is None:
            self.live = Live()
        live: Live = self.live
        return live

    # -- what agents see

    @property
    def config(self) -> Mapping[str, Any]:
        """`config.global` overlaid by the entry of the agent's name."""
        config = self.runtime.config
        return {**(config.get("global") or {}), **(config.get(self.agent_name) or {})}

    @property
    def filter_params(self) -> Mapping[str, Value]:
        """The node's, laid over those of the filters around it."""
        laid = self.live.filter_params if self.live is not None else None
        return {**laid, **self.node.filter_params} if laid else self.node.filter_params

    @property
    def node_id(self) -> str:
        return self.node.id

    @property
    def agent_name(self) -> str:
        """The name the node calls its agent by, an alias perhaps."""
        written = self.node.spec["agent"]
        return written if self.node.agent_source is None else (self.agent.name if self.agent else str(written))

    @property
    def model(self) -> str | None:
        return self.node.model

    @property
    def is_result(self) -> bool:
        return self.node.is_result

    @property
    def key(self) -> bytes:
        return execution_key(self.runtime.run_id, self.path)

    @property
    def run(self) -> str:
        return self.runtime.run_id.hex()

    @property
    def priority(self) -> float:
        return self.node.priority

    @property
    def services(self) -> Any:
        return self.runtime.services

    def stream(self, token: Value) -> None:
        self.runtime.token(self, token)

    def made_by(self, **facts: Value) -> None:
        self.alive.by.update(facts)

    def used(self, **counts: Value) -> None:
        usage = self.alive.usage
        for name, count in counts.items():
            usage[name] = usage[name] + count if isinstance(usage.get(name), (int, float)) else count

    async def call_agent(self, name: str, inputs: dict[str, Value], params: dict[str, Value]) -> Value:
        """Call another agent by its name, as part of this attempt: what it streams, costs and is made by counts as this node's.

        Raises NodeError for a name that is not known here, and whatever the agent raises.
        """
        agent = self.find_agent(name)
        if agent is None or agent.nests is not None:
            raise NodeError(f"{self.agent_name}: there is no agent {name!r} to call here", retryable=False)
        if agent.requires is not None:
            require_trusted(self, agent)
        called = _Called(self, name, inputs, params)
        if agent.needs:
            with at_node(self.path):
                await begins(agent, {**inputs, **params})
                return await _run(agent, called)
        return await _run(agent, called)

    def find_agent(self, name: str) -> Agent | None:
        """The agent of that name that `call_agent` would call, to read what it says of itself."""
        return self.runtime.compiler.agent(name, self.frame.plan)

    # -- what the runtime and its recorder see

    @property
    def effect(self) -> Effect:
        """What a repetition may do: the node's word, else the agent's."""
        said: Any = self.node.spec.get("effect")
        return said or (self.agent.effect if self.agent else "none")

    def begins_once(self) -> bool:
        """It is about to begin: whether that has to be on record first, as it must not happen twice. From then on it `acts`."""
        if self.effect != "once":
            return False
        self._begun = True
        return True

    @property
    def acts(self) -> bool:
        """Whether what it does may have happened and must not happen twice: here it began on record, or nobody here knows of its agent."""
        if self.node.place is not None:
            return self.agent is None or (self.agent.nests is None and self.effect == "once")
        return getattr(self, "_begun", False)

    @property
    def streams(self) -> bool:
        """Whether its tokens are of interest: the node is a result and the agent can stream."""
        return self.node.is_result and self.agent is not None and self.agent.stream

    def provenance(self) -> tuple[Mapping[str, Value], Mapping[str, Value] | None]:
        """By what the value was made, and what it cost. The same object for every attempt of an agent that says nothing more."""
        by = self.agent.made_by if self.agent is not None else _NOBODY
        if self.node.said is not None:
            by = {**by, **self.node.said}
        if self.live is None:
            return by, None
        return {**by, **self.live.by}, self.live.usage or None


async def _run(agent: Agent, called: Any) -> Value:
    if agent.blocking:
        return await in_thread(agent.run, called)
    value = agent.run(called)
    return await value if inspect.isawaitable(value) else value


class _Called:
    """The context of an agent that another one calls: its own inputs and params, everything else its caller's."""

    at = 0

    def __init__(self, caller: Attempt, name: str, inputs: dict[str, Value], params: dict[str, Value]) -> None:
        self._caller = caller
        self.agent_name = name
        self.inputs = inputs
        self.params = params

    @cached_property
    def key(self) -> bytes:
        """A key of its own: an attempt may call many agents, and a service must not take one call for another. It hangs on what is called
        and on how often that was called before, so that a repetition that calls the same has the same one.
        """
        said = self._caller.key + canonical([self.agent_name, clean(self.inputs), clean(self.params)])
        own = hashlib.sha256(said).digest()
        count = self._caller.alive.called
        count[own] = number = count.get(own, 0) + 1
        return own[:16] if number == 1 else hashlib.sha256(own + number.to_bytes(4, "big")).digest()[:16]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._caller, name)
