"""The engine: decides what runs when. Pure: no clock, no I/O, no asyncio, no randomness; events carry their time.

`Engine(plan, ...).handle(event) -> list[Command]` is all there is. Device, worker, tests and simulator run this one engine. It
owns the states of all nodes in all frames, the queue, retries, conditions, loops, nested graphs and maps, and the end of the
run. It never runs an agent: the shell carries out `Start` commands and answers each with one `Completed`, `Failed`,
`Interrupted` or `Suspend` event.

`known` is a table of outcomes by path: a node that becomes ready and has a known outcome completes at once, without a start.
That one table serves resume, values from the other side of a cut, replay and kept results, in any order.

How it works: counters instead of scans. Each frame (one turn of one graph instance) counts for every node how many awaited
nodes have no value yet; a finished node counts its followers down and those that reach zero are queued. Completions that need
nobody outside (known outcomes, default values, nested graphs that end) go through `_todo`, so nothing recurses with the length
of a graph.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final

from graphs.engine import faults, nesting, starting, turns
from graphs.engine.elsewhere import Elsewhere
from graphs.engine.events import (
    Abort,
    Begin,
    Close,
    Command,
    Completed,
    Event,
    Failed,
    Instead,
    Interrupted,
    Order,
    Outcome,
    Settled,
    Start,
    Suspend,
    Told,
    Wake,
)  # fmt: skip
from graphs.engine.frames import Frame
from graphs.engine.limits import Queue
from graphs.engine.plan import Compiler, Plan, PlanNode
from graphs.engine.shaping import shaped
from graphs.paths import split_frame
from graphs.states import State
from graphs.values import MISSING, Value

__all__ = ["Engine", "Frame"]

_READ: Final[dict[str, Value]] = {}
"""The inputs of an attempt that is over and that nobody watched."""

_new, _init, _new_tuple = object.__new__, Start.__init__, tuple.__new__

WAITING, QUEUED, EXECUTING = State.WAITING.value, State.QUEUED.value, State.EXECUTING.value
COMPLETED, FAILED, TIMED_OUT = State.COMPLETED.value, State.FAILED.value, State.TIMED_OUT.value
ABORTED, SKIPPED, INJECTED, SUSPENDED = State.ABORTED.value, State.SKIPPED.value, State.INJECTED.value, State.SUSPENDED.value


class Engine:
    """One run.

    `known` are outcomes by path. `frame` is the name of the frame that the graph is (a frame of another run, that this one runs
    a fragment of). Nodes of it named in `demand` start only when an Order says so. `open` keeps the run from ending before a
    Close event: more outcomes of boundary nodes may come. `report` asks for Erred and Settled commands. `begun` says how often
    a path was begun before (resume), `retried` how many of those attempts had failed, with others left. `force_loop` goes on with loops
    after failures. `epoch_ms` is the wall clock's milliseconds at time 0 of the events' clock, for `@now`. `start` is the class of
    Start commands and `shell` what they can reach through their frame; the engine uses neither.
    """

    def __init__(
        self,
        plan: Plan,
        compiler: Compiler,
        *,
        known: Mapping[str, Outcome] | None = None,
        frame: str = "",
        demand: Collection[str] | None = None,
        open: bool = False,
        report: bool = False,
        begun: Mapping[str, int] | None = None,
        retried: Mapping[str, int] | None = None,
        force_loop: bool = False,
        max_turns: int | None = None,
        epoch_ms: float = 0,
        start: type[Start] = Start,
        shell: Any = None,
    ) -> None:
        self.compiler = compiler
        self.known: dict[str, Outcome] = dict(known or {})
        # On-demand nodes start when the holder's queue says so; what they open inside is up to this one.
        self.queue = Queue(plan.limit, plan.labels)
        base, turn = split_frame(frame)
        self.root = Frame(self, plan, base=base, turn=turn)
        self.log: list[Start] = []
        """What happened to each node in each turn, in order: the last attempt, with how and when it ended."""
        self.now: float = 0.0
        self.ended: State | None = None
        self.epoch_ms = epoch_ms
        self.force_loop = force_loop
        self.max_turns = max_turns
        self.suspended: dict[str, BaseException] = {}
        self.asleep: dict[str, Start] = {}
        """The attempts that were suspended, by path: a Wake begins them again."""
        self.awaited: set[str] = set()
        """Of the suspended paths, those to which somebody sees: the run does not end for them."""
        self.start_class = start
        self.shell = shell
        self.commands: list[Command] = []
        self.open = open
        self.report = report
        self._begun = dict(begun or {})
        self._retried = dict(retried or {})
        self._direct = not plan.labels and not begun and demand is None
        self._on_demand = demand is not None
        self.elsewhere = Elsewhere(self, demand or ())
        self.close_turn = partial(turns.close, self)
        self._todo: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            Begin: self._on_begin,
            Failed: partial(faults.failed, self),
            Interrupted: partial(faults.interrupted, self),
            Suspend: partial(faults.suspend, self),
            Wake: partial(faults.wake, self),
            Instead: partial(faults.instead, self),
            Told: self.elsewhere.told,
            Close: self.elsewhere.close,
            Order: self.elsewhere.order,
            Abort: self._on_abort,
        }

    # -- events in, commands out

    def handle(self, event: Event) -> list[Command]:
        """Take one event in and give what is to be done now, in order. An event about an attempt or a run that is over is ignored."""
        if event.__class__ is Completed:
            return self.completed(*event)
        if self.ended is not None:
            return []
        commands: list[Command] = []
        self.commands = commands
        self.now = event.t
        self._handlers[event.__class__](event)
        if self._todo or self.suspended:
            self._work_off()
        return commands

    def completed(self, start: Start, value: Value, t: float) -> list[Command]:
        """`handle(Completed(start, value, t))` without the event's object: the one event that comes once a node."""
        commands: list[Command] = []
        frame, node = start.frame, start.node
        if frame.starts.get(node.index) is not start:
            return commands
        self.commands = commands
        self.now = t
        if node.plain:
            self.finish(frame, node, value, start)
        else:
            self.shape(start, value)
        if self._todo or self.suspended:
            self._work_off()
        return commands

    def _work_off(self) -> None:
        while self._todo:
            call, arguments = self._todo.popleft()
            call(*arguments)
        if self.suspended and self.ended is None:
            turns.end_if_suspended(self)

    def _on_begin(self, event: Begin) -> None:
        root = self.root
        root.inject(event.inject)
        turns.begin(self, root)

    def _on_abort(self, event: Abort) -> None:
        if self.ended is None:
            turns.stop(self, event.error)

    # -- readiness and attempts

    def ready(self, frame: Frame, number: int) -> None:
        """Node `number` has all it waits for: complete it from what is known, skip it, or queue it."""
        node = frame.plan.nodes[number]
        assert node is not None
        frame.active += 1
        queue = self.queue
        if node.simple and self._direct and not self.known:
            # The commonest case: nothing to decide but whether there is a place.
            if queue.running >= queue.limit or queue.line or queue.others:
                frame.states[number] = QUEUED
                self.enqueue(frame, node)
            else:
                queue.running += 1
                self._start_simple(frame, node)
            return
        if self.known and (outcome := self.known.pop(frame.path_of(node), None)) is not None:
            if outcome.state == SKIPPED:  # order of arrival decided it then, and might decide otherwise now
                self._skip(frame, node, known=True)
            else:
                frame.states[number] = QUEUED
                self._todo.append((self.take, (frame, node, outcome, None)))
            return
        if node.condition is not None and (node.place is None or not node.any_input):
            # Of an anyInput node elsewhere, the order of arrival there decides.
            try:
                holds = node.condition(frame.results)
            except Exception as error:  # noqa: BLE001 - whatever a property function raises is the node's failure (D2)
                frame.states[number] = QUEUED
                self.later(faults.broke, self, frame, node, error)
                return
            if not holds and node.default is MISSING:
                self._skip(frame, node, known=False)
                return
            if not holds:
                frame.note_default(number)
        if self._on_demand and self.elsewhere.withhold(frame, node):
            return
        if queue.enter(frame, node):
            self.begin_node(frame, node)
            return
        frame.states[number] = QUEUED
        self.enqueue(frame, node)

    def enqueue(self, frame: Frame, node: PlanNode) -> None:
        """A ready node waits for a place."""
        self.queue.push(frame, node)
        if (
            self.queue.running < self.queue.limit
        ):  # what stands before it is held back by its label, or a nested graph raised the limit
            self.drain()

    def _skip(self, frame: Frame, node: PlanNode, *, known: bool) -> None:
        frame.active -= 1
        frame.states[node.index] = SKIPPED
        self.settled(frame, node, SKIPPED, MISSING, None, known)

    def begin_node(self, frame: Frame, node: PlanNode) -> None:
        """A node has its place in the queue: its first attempt."""
        if node.simple and self._direct:
            self._start_simple(frame, node)
            return
        if self.known and starting.told_meanwhile(self, frame, node):
            return
        frame.states[node.index] = EXECUTING
        if frame.defaulted and node.index in frame.defaulted:
            self._todo.append((starting.default, (self, frame, node)))
            return
        begun = self._begun.get(frame.path_of(node), 0) if self._begun else 0
        self.attempt(frame, node, self._retried.get(frame.path_of(node), 0) if self._retried else 0, begun + 1)

    def _start_simple(self, frame: Frame, node: PlanNode) -> None:
        number, get = node.index, node.inputs
        frame.states[number] = EXECUTING
        try:
            inputs = get(frame.results) if get is not None else dict(node.literal_inputs)
        except Exception:  # noqa: BLE001 - the long way round tells the node's failure
            self.attempt(frame, node, 0, 1)
            return
        start = _new(self.start_class)  # in two steps: one function that calls another costs less than a call of the class
        _init(start, frame, node, node.agent, inputs, node.params, 0, 1, self.now)  # type: ignore[arg-type]
        frame.starts[number] = start
        self.commands.append(start)

    def attempt(self, frame: Frame, node: PlanNode, retry: int, at: int) -> None:
        """Begin an attempt, with whatever there is to decide."""
        starting.attempt(self, frame, node, retry, at)

    # -- what becomes of an attempt

    def shape(self, start: Start, value: Value, *, exists: bool = True) -> None:
        """An attempt's raw value becomes the node's value, or shaping it fails the attempt."""
        frame, node = start.frame, start.node
        try:
            value = shaped(node, frame.results, value, exists=exists)
        except Exception as error:  # noqa: BLE001 - whatever a property function raises is the node's failure (D2)
            self.fail(start, error)
            return
        self.finish(frame, node, value, start)
        if node.ends:
            nesting.win(self, frame)

    def fail(self, start: Start, error: BaseException) -> None:
        """An attempt failed."""
        faults.fail(self, start, error)

    def take(self, frame: Frame, node: PlanNode, outcome: Outcome, start: Start | None) -> None:
        """Complete a node with an outcome that somebody else found; with a start it holds a place in the queue, else none."""
        state, value, error = outcome
        number = node.index
        if start is not None:
            del frame.starts[number]
        if error is not None:
            frame.states[number] = state
            frame.note_error(number, error)
            self.settled(frame, node, state, error, start, True)
        elif state == SKIPPED:
            frame.states[number] = SKIPPED
            self.settled(frame, node, SKIPPED, MISSING, start, True)
        else:
            frame.states[number] = COMPLETED
            frame.results[number] = value
            self.settled(frame, node, COMPLETED, value, start, True)
            self.tell(frame, number)
            if node.ends:
                self.later(nesting.win, self, frame)
        if start is not None:
            self.leave(frame, node)
        else:
            frame.active -= 1
            frame.check_end()

    def finish(self, frame: Frame, node: PlanNode, value: Value, start: Start) -> None:
        """An attempt gave the node's value. Once a node, so what `tell`, `ready`, `leave` and `drain` mostly do is written out."""
        number = node.index
        plan, states, queue = frame.plan, frame.states, self.queue
        del frame.starts[number]
        frame.results[number] = value
        states[number] = COMPLETED
        start.state = COMPLETED
        start.value = value
        start.ended = self.now
        self.log.append(start)
        if self.report:
            self.commands.append(_new_tuple(Settled, (frame, node, start.turn, COMPLETED, value, start, False)))
        else:
            start.inputs = _READ  # kept only while somebody may ask: they are a third of what a node costs in memory
        waits = frame.waits
        for follower in plan.followers[number]:
            waits[follower] = left = waits[follower] - 1
            if not left:
                then = plan.nodes[follower]
                if not then.simple or not self._direct or self.known:  # type: ignore[union-attr]
                    self.ready(frame, follower)
                elif queue.running >= queue.limit or queue.line or queue.others:
                    frame.active += 1
                    states[follower] = QUEUED
                    self.enqueue(frame, then)  # type: ignore[arg-type]
                else:
                    frame.active += 1
                    queue.running += 1
                    self._start_simple(frame, then)  # type: ignore[arg-type]
            elif left < 0:
                frame.look_at_any(follower)
        if queue.line and queue.running == queue.limit:  # its place goes to the first in line
            waiting, then = queue.line.popleft()
            if then.simple and self._direct:
                self._start_simple(waiting, then)
            else:
                self.begin_node(waiting, then)
        else:
            if queue.labels:
                queue.leave(node)
            else:
                queue.running -= 1
            if queue.line or queue.others:
                self.drain()
        frame.active -= 1
        if not frame.active and not frame.dead:
            turns.close(self, frame)

    def tell(self, frame: Frame, number: int) -> None:
        """Node `number` has a value (or completed without one): its followers, in written order, may have become ready."""
        waits = frame.waits
        for follower in frame.plan.followers[number]:
            waits[follower] = left = waits[follower] - 1
            if not left:
                self.ready(frame, follower)
            elif left < 0:  # an anyInput node: its count began below zero
                frame.look_at_any(follower)

    def leave(self, frame: Frame, node: PlanNode) -> None:
        self.queue.leave(node)
        if self.queue.line or self.queue.others:
            self.drain()
        frame.active -= 1
        if not frame.active:
            frame.check_end()

    def drain(self) -> None:
        """Give the free places to those that wait."""
        while (entry := self.queue.take()) is not None:
            self.begin_node(*entry)

    def begun_before(self, path: str) -> int:
        """How often the path was begun before this engine was made."""
        return self._begun.get(path, 0)

    def retried_before(self, path: str) -> int:
        """How many of its attempts had failed by then, while others were left."""
        return self._retried.get(path, 0)

    def begin_again(self, start: Start) -> None:
        """The next attempt of this path is this one once more, even if it has to queue first."""
        self._begun[start.path] = start.at - 1
        self._retried[start.path] = start.retry

    def settled(self, frame: Frame, node: PlanNode, state: int, value: Any, start: Start | None, known: bool) -> None:
        entry = start or self.start_class(frame, node, None, {}, {}, 0, 0, self.now)
        entry.state = state
        entry.value = value
        entry.ended = self.now
        self.log.append(entry)
        if self.report:
            self.commands.append(Settled(frame, node, frame.turn, state, value, start, known))

    # -- for frames and nested graphs

    def later(self, call: Callable[..., None], *arguments: Any) -> None:
        """Do this before `handle` returns, but not inside what goes on now: nothing recurses with the length of a graph."""
        self._todo.append((call, arguments))

    def frame_over(self, frame: Frame) -> None:
        """A nested frame ended."""
        opened = frame.nesting
        assert opened is not None
        if opened.left > 1 and opened.start.nesting is opened and not frame.failed and not frame.strays:
            opened.keep(frame)  # one row of many: nothing follows from it yet
        else:
            self._todo.append((nesting.frame_over, (self, frame)))

    def forget(self) -> None:
        """Drop what was to be done for frames that are dead now."""
        if self._todo:
            self._todo = deque(entry for entry in self._todo if not _is_over(entry))

    # -- what to ask it

    def results(self, *, all: bool = True) -> dict[str, Value]:
        """The root graph's values by node, in written order, without `all` those of `isResult` nodes; nodes without one are left out."""
        return self.root.values(all=all)

    def errors(self) -> dict[str, BaseException]:
        """The errors of the root graph's failed nodes, in written order."""
        return self.root.errors_by_id()

    def first_error(self) -> tuple[str, BaseException] | None:
        """The first failed node in written order, and its error; ("", error) if the graph could not start."""
        return self.root.first_error()


def _is_over(entry: tuple[Callable[..., None], tuple[Any, ...]]) -> bool:
    call, arguments = entry
    about = (each.frame if isinstance(each, Start) else each for each in (getattr(call, "__self__", None), *arguments))
    return any(isinstance(each, Frame) and each.dead for each in about)
