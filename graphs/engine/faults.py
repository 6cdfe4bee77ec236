"""What becomes of an attempt that did not give a value: retried, failed, begun again, or suspended until it is woken. Part of the engine, and
as pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from graphs.engine import turns
from graphs.engine.doubts import indeterminate
from graphs.engine.events import Erred, Failed, Instead, Interrupted, Start, Stop, Suspend, Wake
from graphs.engine.frames import Frame
from graphs.engine.plan_node import PlanNode
from graphs.errors import LimitReached, LinkCondition, NodeError, NodeTimeout, WorkerNeeded
from graphs.states import State

if TYPE_CHECKING:
    from graphs.engine.engine import Engine

__all__ = ["MAX_EXECUTIONS", "broke", "fail", "failed", "instead", "interrupted", "suspend", "wake"]

MAX_EXECUTIONS: Final = 3
"""How often a path is begun again when its model's process dies, before the node fails."""

_FAILED, _TIMED_OUT = State.FAILED.value, State.TIMED_OUT.value
_QUEUED, _EXECUTING, _SUSPENDED = State.QUEUED.value, State.EXECUTING.value, State.SUSPENDED.value


def failed(engine: Engine, event: Failed) -> None:
    """The agent raised, or the time ran out."""
    start = event.start
    if start.frame.starts.get(start.node.index) is start:
        if isinstance(event.error, NodeTimeout):
            engine.commands.append(Stop(start))
        fail(engine, start, event.error, timed_out=isinstance(event.error, NodeTimeout))


def interrupted(engine: Engine, event: Interrupted) -> None:
    """Nothing the node did: the same attempt is begun again, a few times."""
    start = event.start
    frame, node = start.frame, start.node
    if frame.starts.get(node.index) is not start:
        return
    executions = start.at - (start.retry - engine.retried_before(start.path)) - engine.begun_before(start.path)
    if executions >= MAX_EXECUTIONS:
        message = f"{event.error} (begun {executions} times; not tried again)"
        fail(engine, start, NodeError(message, retryable=False), last=True)
        return
    if engine.report:
        engine.commands.append(Erred(start, event.error, False))
    # The same attempt, so with the same inputs: an anyInput node may see more by now.
    again = engine.start_class(frame, node, start.agent, start.inputs, start.params, start.retry, start.at + 1, engine.now)
    frame.starts[node.index] = again
    if node.stands_in:
        engine.elsewhere.expect(again)
    engine.commands.append(again)


def instead(engine: Engine, event: Instead) -> None:
    """A node that was expected from elsewhere begins here, as another one says."""
    start, node = event.start, event.node
    frame = start.frame
    if frame.starts.get(node.index) is not start:
        return
    engine.commands.append(Stop(start))
    # The inputs it was expected with: an anyInput node may see more by now.
    inputs = {key: start.inputs[key] for key in node.literal_inputs if key in start.inputs}
    over = inputs.get("params") if node.overlays else None
    params: Any = {**node.params, **over} if isinstance(over, Mapping) else node.params
    begun = engine.start_class(frame, node, node.agent, inputs, params, start.retry, start.at + 1, engine.now)
    frame.starts[node.index] = begun
    engine.elsewhere.expect(begun)
    engine.commands.append(begun)


def suspend(engine: Engine, event: Suspend) -> None:
    """The node waits; what is independent of it goes on."""
    start = event.start
    frame, node = start.frame, start.node
    if frame.starts.get(node.index) is not start:
        return
    del frame.starts[node.index]
    frame.states[node.index] = _SUSPENDED
    frame.held += 1
    engine.suspended[start.path] = event.error
    engine.asleep[start.path] = start
    if event.awaited:
        engine.awaited.add(start.path)
    engine.settled(frame, node, _SUSPENDED, event.error, start, False)
    engine.leave(frame, node)


def wake(engine: Engine, event: Wake) -> None:
    """A suspended node takes its place in the queue again; it goes on as the attempt that it was, for it has not failed."""
    engine.awaited.discard(event.path)
    start = engine.asleep.pop(event.path, None)
    if start is None or engine.suspended.pop(event.path, None) is None or start.frame.dead:
        return
    frame, node = start.frame, start.node
    frame.held -= 1
    frame.active += 1
    engine.begin_again(start)
    if engine.queue.enter(frame, node):
        frame.states[node.index] = _EXECUTING
        engine.attempt(frame, node, start.retry, start.at)
    else:
        frame.states[node.index] = _QUEUED
        engine.enqueue(frame, node)


def fail(engine: Engine, start: Start, error: BaseException, *, last: bool = False, timed_out: bool = False) -> None:
    """An attempt failed: again at once in the same place while retries are left, else the node has failed (graph-spec §6.5).

    `timed_out` says that its own time ran out, not that of a node inside it.
    """
    frame, node = start.frame, start.node
    if frame.starts.get(node.index) is not start:
        return
    if start.nesting is not None:
        turns.abandon(engine, start)
    if isinstance(error, LimitReached) and start.acts:
        # It is no end of what was begun: a run that goes on under another limit would do it a second time.
        message = f"node {node.id!r} may have done its work, and what it gave is not kept: {error.message}"
        suspend(engine, Suspend(start, indeterminate(start.path, message), engine.now))
        return
    final = last or start.retry >= node.retry or isinstance(error, (LimitReached, WorkerNeeded))
    if not final and (over := _over(engine, start)) is not None:
        final, error = True, over
    if engine.report:
        engine.commands.append(Erred(start, error, final))
    if not final:
        if node.place is not None:
            engine.elsewhere.give_up(start)
        engine.attempt(frame, node, start.retry + 1, start.at + 1)
        return
    if node.stands_in and node.moved is None and not node.same and not isinstance(error, LimitReached):
        # What was asked for has not failed: it may still be done where it was to be done.
        message = f"the worker was not reached, and what runs here instead of node {node.id!r} failed: {error}"
        suspend(engine, Suspend(start, LinkCondition("ALTERNATIVE_FAILED", message), engine.now))
        return
    del frame.starts[node.index]
    state = _TIMED_OUT if timed_out else _FAILED
    frame.states[node.index] = state
    frame.note_error(node.index, error)
    engine.settled(frame, node, state, error, start, False)
    engine.leave(frame, node)


def _over(engine: Engine, start: Start) -> LimitReached | None:
    """Why there may be no further attempt."""
    try:
        engine.compiler.budget_of(start.frame).retry(start.retry, f"node {start.node.id!r} failed and would be tried once more")
    except LimitReached as error:
        return error
    return None


def broke(engine: Engine, frame: Frame, node: PlanNode, error: BaseException) -> None:
    """A node's condition could not be resolved: the node has failed before it was queued (D2)."""
    frame.states[node.index] = _FAILED
    frame.note_error(node.index, error)
    engine.settled(frame, node, _FAILED, error, None, False)
    frame.active -= 1
    frame.check_end()
