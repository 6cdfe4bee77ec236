"""Calling an agent: in a thread if it blocks, inside its filters, and what its exceptions mean to the engine."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from graphs.departures import at_node, begins
from graphs.engine.doubts import Doubts, indeterminate
from graphs.engine.events import Event, Failed, Instead, Interrupted, Suspend
from graphs.errors import LinkCondition, ModelCrashed
from graphs.running.attempt import Attempt
from graphs.running.ports import AgentFilter
from graphs.running.threads import in_thread
from graphs.running.trust import require_trusted
from graphs.values import Value

__all__ = ["call_agent", "failure", "in_doubt", "let_stop", "uncancel"]

_STOPPING: Final = 1.0
"""Seconds for which agents that were stopped may say what they have used up, before their run is over."""


async def call_agent(start: Attempt, filters: Sequence[AgentFilter]) -> Value:
    """Run the attempt's agent inside the filters that apply, the first one outermost. Raises whatever any of them raises."""
    agent = start.agent
    assert agent is not None
    if agent.requires is not None or "requires" in start.node.spec:
        require_trusted(start, agent)
    call: Callable[[Any], Any] = _in_thread(agent.run) if agent.blocking else agent.run
    for each in reversed(filters):
        if each.applies(agent.name, start.node.id):
            call = _wrapped(each, call, start)
    if agent.needs:
        with at_node(start.path):
            await begins(agent, start.inputs)
            value = call(start)
            return await value if inspect.isawaitable(value) else value
    value = call(start)
    return await value if inspect.isawaitable(value) else value


def failure(start: Attempt, error: Exception, t: float) -> Event:
    """What an exception of an attempt is: executed again, done in another way, suspended, or a failure of the node."""
    if isinstance(error, ModelCrashed):
        return Interrupted(start, error, t)
    if isinstance(error, LinkCondition):
        if error.condition == "BUSY" and (other := start.frame.engine.compiler.otherwise(start)) is not None:
            return Instead(start, other, t)
        return Suspend(start, error, t, error.awaited)
    return Failed(start, error, t)


def in_doubt(start: Attempt, doubts: Doubts) -> LinkCondition:
    """Why a node with effects does not run by itself: it was in flight when its side died, or has run, or may have, where this run comes from."""
    path = start.path
    return indeterminate(path, f"node {start.node.id!r} {doubts.why(path)}")


def _in_thread(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda context: in_thread(run, context)


def _wrapped(each: AgentFilter, call: Callable[[Any], Any], start: Attempt) -> Callable[[Any], Any]:
    async def next_(context: Any) -> Any:
        value = call(context)
        return await value if inspect.isawaitable(value) else value

    def run(context: Any) -> Any:
        if each.params:
            start.alive.filter_params = {**each.params, **start.alive.filter_params}
        return each.run(context, next_)

    return run


async def let_stop(tasks: Collection[asyncio.Task[None]]) -> None:
    """Returns when those that were told to stop have done so, or soon."""
    if stopping := [task for task in tasks if task.cancelling()]:
        await asyncio.wait(stopping, timeout=_STOPPING)


def uncancel(task: asyncio.Task[None] | None) -> None:
    """An agent that was stopped may have ended in any way; its worker goes on as if nobody had cancelled it."""
    if task is not None:
        task.uncancel()
