"""The life of a frame: how a turn begins, when it is over, and how everything in it is cancelled. Part of the engine, and as pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphs.engine.events import Ended, Opened, Over, Start, Stop
from graphs.engine.frames import Frame
from graphs.errors import LimitReached, NodeError
from graphs.paths import escape, node_path
from graphs.states import State

if TYPE_CHECKING:
    from graphs.engine.engine import Engine

__all__ = ["abandon", "begin", "close", "end", "end_if_suspended", "kill", "stop"]

_WAITING, _ABORTED = State.WAITING.value, State.ABORTED.value


def begin(engine: Engine, frame: Frame) -> None:
    """Start a turn: whatever is ready at once is queued, in written order (graph-spec §6.1)."""
    plan = frame.plan
    frame.active = 1  # held until all roots are looked at, so that a node that completes at once cannot end the turn (D10)
    if (frame.turn or frame.nesting is None) and _too_many(engine, frame):
        pass
    elif plan.quick and not frame.altered and not frame.lacking:
        ready = engine.ready
        for number in plan.roots:
            ready(frame, number)
        frame.idle = frame.active == 1
    else:
        _begin_slowly(engine, frame)
    frame.active -= 1
    if not frame.active:
        engine.later(frame.check_end)


def _begin_slowly(engine: Engine, frame: Frame) -> None:
    """Begin a turn of a graph with nodes elsewhere, anyInput nodes, or static nodes that may lack a value."""
    plan = frame.plan
    if plan.remote:
        frame.shown = True
        engine.commands.append(Opened(frame, frame.turn))
    complaint = frame.complaint() if frame.lacking or plan.valueless or plan.endless else None
    if complaint:
        frame.broken = NodeError(complaint, retryable=False)
    else:
        for number in plan.boundaries:
            name = plan.ids[number]
            frame.told(node_path(frame.name, escape(name)), name)
        states = frame.states
        for number in frame.roots():
            if states[number] == _WAITING:
                engine.ready(frame, number)
        frame.idle = frame.active == 1


def _too_many(engine: Engine, frame: Frame) -> bool:
    """Whether there may be no such turn any more; of what a node opens, the first turns were counted when it did."""
    budget, count = engine.compiler.budget_of(frame), len(frame.plan.ids)
    if budget.has_begun(count):
        return False
    try:
        budget.begin(count, f"turn {frame.turn} of {frame.base or 'the graph'!r} would begin more")
    except LimitReached as error:
        frame.broken = error
        return True
    return False


def close(engine: Engine, frame: Frame) -> None:
    """Nothing of this frame is queued or running: another turn, or its end (§6.7, §8)."""
    if frame.held or engine.ended is not None:
        return
    if frame is engine.root and engine.open and frame.plan.boundaries and not (frame.plan.loops and frame.settled_outside):
        return
    if frame.shown:
        _leave_turn(engine, frame, cancelled=False)
    if (frame.plan.loops or frame.loop_count is not None) and frame.next_turn():
        frame.active = 1  # until it has begun: what was to look whether the last turn was over is not to end this one
        engine.later(begin, engine, frame)
    elif frame is engine.root:
        end(engine, State.FAILED if frame.failed else State.COMPLETED)
    else:
        engine.frame_over(frame)


def end(engine: Engine, state: State) -> None:
    """The run is over: what still runs in the background is cancelled."""
    engine.open = False
    engine.ended = state
    kill(engine, engine.root)
    engine.commands.append(Ended(state))


def stop(engine: Engine, error: BaseException | None) -> None:
    """Stop the run now: aborted, or failed by an error, which is that of the nodes under way."""
    if error is None:
        end(engine, State.ABORTED)
        return
    root = engine.root
    engine.queue.drop(lambda _frame: True)  # or what waits would start in the places that become free
    for start in list(root.starts.values()):
        engine.fail(start, error)
    if engine.ended is None:
        if not root.errors:
            root.broken = root.broken or error
        end(engine, State.FAILED)


def end_if_suspended(engine: Engine) -> None:
    """End the run as suspended once nothing but suspended nodes is left, and what queues for a place that their parents hold."""
    if engine.queue.idle and not engine.open and not any(_is_seen_to(engine, path) for path in engine.awaited):
        end(engine, State.SUSPENDED)


def _is_seen_to(engine: Engine, path: str) -> bool:
    """Whether a node still waits for what somebody sees to: its frame may have been given up, or its outcome told by the other side."""
    return path in engine.suspended and not engine.asleep[path].frame.dead


def kill(engine: Engine, frame: Frame) -> None:
    """Cancel everything of a frame and of the frames inside it, for good."""
    _kill(engine, frame)
    _sweep(engine)


def _sweep(engine: Engine) -> None:
    """Drop what waits of frames that are dead; once for all of them, for a map may have many thousands."""
    engine.queue.drop(_is_dead)
    engine.forget()


def _is_dead(frame: Frame) -> bool:
    return frame.dead


def _kill(engine: Engine, frame: Frame) -> None:
    frame.dead = True
    if frame.shown:
        _leave_turn(engine, frame, cancelled=True)
    starts, frame.starts = frame.starts, {}
    for number, start in starts.items():
        frame.states[number] = _ABORTED
        engine.queue.leave(start.node)
        nested = start.nesting is not None
        if nested:
            _abandon(engine, start)
        # Of a nested graph the shell has a timer at most.
        if start.agent is not None and (start.node.timeout or start.live is not None or not nested):
            engine.commands.append(Stop(start))
    for inner in frame.strays:
        _kill(engine, inner)


def _leave_turn(engine: Engine, frame: Frame, *, cancelled: bool) -> None:
    frame.shown = False
    engine.commands.append(Over(frame, frame.turn, cancelled))


def abandon(engine: Engine, start: Start) -> None:
    """An attempt that opened a nested graph is over (failed, timed out, aborted): cancel what still runs of it."""
    _abandon(engine, start)
    _sweep(engine)


def _abandon(engine: Engine, start: Start) -> None:
    nesting, start.nesting = start.nesting, None
    engine.queue.close(start.frame, start.node)
    for frame in nesting.frames:
        _kill(engine, frame)
