"""A child run: the part of a device's run that this worker executes.

It consists of frames, each a fragment of one turn of one graph instance of the device's run, ordered by SUBMIT and FRAME. It
ends after the device said that nothing more will come (CLOSE of all) and nothing can run any more; its END is its last record
(docs/protocol.md §8).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, ClassVar, Protocol

from cloud.frame import FrameRun
from cloud.labelling import frame_labels, labelled
from cloud.worker import RefusedCut, Worker
from graphs.budget import Budget
from graphs.engine.events import Settled, Start as StartCommand
from graphs.engine.outcomes import Known as KnownOutcomes
from graphs.errors import JournalError, LimitReached, LinkCondition
from graphs.journal.ids import run_id_short
from graphs.language.spec import Graph
from graphs.paths import opener, split_frame, split_path
from graphs.records import Cancel, Close, End, EndStatus, Error, Frame, Input, Known, Record, Result, Start, State, Submit
from graphs.running.attempt import Attempt
from graphs.running.recorder import LogRecorder
from graphs.values import Value

__all__ = ["ChildLog", "ChildRun", "grace_of"]


class ChildLog(Protocol):
    """Where a child run's records go: the session of the device it belongs to."""

    def append(self, run: bytes, record: Known, labels: Collection[str] = ()) -> int:
        """Write a record into this worker's log of the run; `labels` are those of the values in it. Raises LinkCondition if it may not or cannot be
        sent.
        """

    def delta(self, run: bytes, start: int, token: Value) -> None:
        """A piece of an answer; volatile."""

    def state(self, run: bytes, path: str, at: int, state: int) -> None:
        """Show a node's state; volatile."""

    async def durable(self, run: bytes) -> None:
        """Returns when everything appended to the run's log so far is durable here."""

    async def held(self, run: bytes, seq: int) -> None:
        """Returns when the device, too, holds this worker's log of the run durably up to `seq`."""


def grace_of(submit: Submit) -> int | None:
    """How long the owner of a run may be gone before it is cancelled, in ms; None for ever."""
    gone = submit.opts.get("gone")
    return int(gone[1]) if isinstance(gone, (list, tuple)) and len(gone) > 1 else None


class ChildRun:
    """One child run. `root` is the run id of the device's run: idempotency keys of agents hang on it.

    `bypass` are names of agents that need not exist, `model_names` the device's words for models; `grace_ms` is how long its
    owner may be gone before it is cancelled, None for ever. `before` is what an earlier process of this worker has reported: what it
    finished is not done again, what it was doing is, unless that has effects.
    """

    def __init__(self, worker: Worker, log: ChildLog, run: bytes, submit: Submit, before: KnownOutcomes | None = None) -> None:
        self.worker = worker
        self.run = run
        parent = submit.opts.get("parent")
        self.root: bytes = parent[0] if isinstance(parent, (list, tuple)) and parent else run
        self._options: Mapping[str, Any] = submit.opts.get("options") or {}
        self.bypass: tuple[str, ...] = tuple(self._options.get("bypass") or ())
        self.model_names: Mapping[str, str] = self._options.get("models") or {}
        self.grace_ms = grace_of(submit)
        self.ended = False
        self._before = before
        self.budget = Budget(worker.bounds)
        granted = self._options.get("grants")
        self._grants = [each for each in granted if isinstance(each, str)] if isinstance(granted, (list, tuple)) else ["people"]
        self._log = log
        self._recorder = _ChildRecorder(
            self._append,
            lambda: log.durable(run),
            everything=True,
            held=self._held,
            delta=self._delta,
            show=self._show,
            unbegun=self._unbegun,
        )
        self._frames: dict[str, FrameRun] = {}
        self._parked: dict[str, list[Record]] = {}
        """Orders for frames whose graph is still to come."""
        self._latest: dict[str, str] = {}
        """By a frame's name without its turn, the one that was ordered last."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._cancelled = False
        self._labelled = False
        worker.running += 1

    def __repr__(self) -> str:
        return f"<ChildRun {run_id_short(self.run)}>"

    # -- frames

    def park(self, order: Submit | Frame) -> None:
        """A frame is ordered; its graph is to be found before it can begin. Nothing once all of the child run is cancelled: else its nodes would
        wait for orders that nobody gives, and END would never follow.
        """
        if not self._cancelled:
            self._parked[order.frame] = []
            self._latest[split_frame(order.frame)[0]] = order.frame

    def begin(self, order: Submit | Frame, graph: Graph) -> None:
        """The frame's cut is here: start what can start."""
        early = self._parked.pop(order.frame, None)
        if self.ended or early is None:
            return
        compiler = self.worker.compiler(
            self.budget, strict=bool(self._options.get("strict")), bypass=self.bypass, grants=self._grants
        )
        frame = self._frames[order.frame] = FrameRun(
            order.frame,
            graph,
            order.inputs,
            demand=order.opts.get("demand") or (),
            compiler=compiler,
            labels=frame_labels(order.frame, graph, compiler),
            services=self.worker.services(self.model_names),
            options=self._options,
            recorder=self._recorder,
            root=self.root,
            before=self._before,
            begun=order.opts.get("begun"),
            asks=order.opts.get("retries") is True,
        )
        for record in early:
            frame.order(record)
        self._labelled = self._labelled or bool(frame.labels)
        self.worker.prefetch(graph, self.model_names)
        task = asyncio.get_running_loop().create_task(self._execute(frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def refuse(self, order: Submit | Frame, refusal: RefusedCut) -> None:
        """The cut cannot run here: one final error for the frame; the child run goes on."""
        if self._parked.pop(order.frame, None) is not None and not self.ended:
            self._append(Error(order.frame or None, 0, 0, refusal.code, str(refusal), True, refusal.code == "GRAPH_MISSING"))
            self._end_if_done()

    def lacks(self, frame: str, condition: LinkCondition) -> None:
        """A boundary value of the frame does not come: the holder learns why, and places what needs it elsewhere."""
        if not self.ended:
            self._append(Error(frame or None, 0, 0, condition.condition, str(condition), True, condition.retryable))

    # -- orders

    def order(self, record: Record) -> None:
        """An order of the device: a boundary value, START, CLOSE or CANCEL."""
        if self.ended:
            return  # an order that arrives after END has no effect
        if isinstance(record, Close) and record.frame is None:
            self._close()
        elif isinstance(record, Cancel):
            self._cancel(record)
        elif isinstance(record, Close):
            self._pass_on(self._here(record.frame or ""), record)
        elif isinstance(record, (Input, Start)):
            self._pass_on(self._frame_of(record.path), record)

    def abandon(self, why: str) -> None:
        """The device has been gone for too long."""
        self.order(Cancel(None, why))

    async def stop(self) -> None:
        """This process is about to end: stop without a word, the log stays open."""
        if not self.ended:
            self.ended = True
            self.worker.running -= 1
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- inside

    def _here(self, name: str) -> str | None:
        """What this frame is called here: a loop that is whole here has the name of its first turn here."""
        if name in self._frames or name in self._parked:
            return name
        base, turn = split_frame(name)
        latest = self._latest.get(base)
        if latest is None or split_frame(latest)[1] > turn or not (latest in self._frames or latest in self._parked):
            return None
        return latest

    def _frame_of(self, path: str) -> str | None:
        """The frame here that a node is in, or that a graph is in which it is nested in."""
        found = path
        while found:
            if (name := self._here(split_path(found)[0])) is not None:
                return name
            found = opener(found)
        return None

    def _frame_at(self, path: str | None) -> FrameRun | None:
        """The frame here that a record is of: of a node in it, or of itself."""
        found = self._frames.get(path or "")
        name = self._frame_of(path) if found is None and path is not None else None
        return found or (self._frames.get(name) if name is not None else None)

    def _pass_on(self, name: str | None, record: Record) -> None:
        if name is None:
            return
        if name in self._parked:
            self._parked[name].append(record)
        else:
            self._frames[name].order(record)

    def _close(self) -> None:
        self._closed = True
        for records in self._parked.values():
            records.append(Close(None))
        for frame in self._frames.values():
            frame.order(Close(None))
        self._end_if_done()

    def _cancel(self, record: Cancel) -> None:
        if record.paths is None:
            self._closed = self._cancelled = True
            self._parked.clear()  # a frame that waits for its graph needs none to be cancelled
            for frame in self._frames.values():
                frame.order(record)
            self._end_if_done()
            return
        for path in record.paths:
            if path in self._frames:
                self._frames[path].order(Cancel(None, record.why))
            elif self._parked.pop(path, None) is None:
                self._pass_on(self._here(split_path(path)[0]), Cancel([path], record.why))

    async def _execute(self, frame: FrameRun) -> None:
        broken: tuple[str, str] | None = None
        try:
            await frame.run()
        except LinkCondition as condition:
            broken = condition.condition, str(condition)
        except JournalError:
            return  # nothing can be written down any more: this process is about to end, and the next one goes on
        if frame.broken is not None:
            limited = isinstance(frame.broken, LimitReached)
            broken = LimitReached.code if limited else "GRAPH_INVALID", str(frame.broken)
        if broken is not None and not self.ended:
            self._append(Error(frame.name or None, 0, 0, *broken, True, False))
        if self._frames.get(frame.name) is frame:
            del self._frames[frame.name]
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._closed and not self._frames and not self._parked and not self.ended:
            self.ended = True
            self.worker.running -= 1
            status = EndStatus.CANCELLED if self._cancelled else EndStatus.COMPLETED
            self._log.append(self.run, End(status, int(time.time() * 1000), {}))

    def _append(self, record: Known) -> int:
        frame = self._frame_at(getattr(record, "path", None)) if self._labelled else None
        record, labels = labelled(record, frame.labels if frame is not None else None)
        try:
            return self._log.append(self.run, record, labels)
        except LinkCondition as condition:
            if not isinstance(record, Result):
                raise
            code, text, retryable = condition.condition, str(condition), condition.retryable
            if self._recorder.acts(record.path):
                # It has happened, and is not to happen again for want of its value: whoever knows what it gave says so.
                code, text, retryable = (
                    "NODE_INDETERMINATE",
                    f"it has done its work here, and what it gave is not kept: {text}",
                    False,
                )
            # The value may not or cannot cross: the holder learns why, and places the node elsewhere if it may run again.
            return self._log.append(self.run, Error(record.path, record.at, record.retry, code, text, True, retryable))

    def _show(self, path: str, at: int, state: int) -> None:
        self._log.state(self.run, path, at, state)

    def _delta(self, start: int, token: Value) -> None:
        try:
            self._log.delta(self.run, start, token)
        except LinkCondition:
            return  # too large for a token, which is only for showing: the result has it

    async def _held(self, seq: int) -> None:
        """Returns when the device knows. Raises LinkCondition once the child run is over here: whoever waits for that must not begin any more."""
        if not self.ended:
            await self._log.held(self.run, seq)
        if self.ended:
            raise LinkCondition("CANCELLED", "its part of the run is over here")

    def _unbegun(self, start: StartCommand) -> None:
        """A node that is on record as executing never began, for the run was cancelled: else its owner had to think that it may have."""
        if self._cancelled and not self.ended:
            text = "it was cancelled before it began"
            self._append(Error(start.path, start.at, start.retry, "CANCELLED", text, True, True))


class _ChildRecorder(LogRecorder):
    """Records everything, link conditions of nodes included: the holder decides what becomes of those.

    That a node with effects begins must be known to the holder before it does: were this worker lost in the middle of it, a
    holder that knows nothing would give the node to another.
    """

    def __init__(
        self,
        append: Callable[[Any], int],
        durable: Callable[[], Awaitable[None]],
        *,
        everything: bool,
        held: Callable[[int], Awaitable[None]],
        delta: Callable[[int, Value], None],
        show: Callable[[str, int, int], None],
        unbegun: Callable[[StartCommand], None],
    ) -> None:
        super().__init__(append, durable, everything=everything, delta=delta)
        self._held = held
        self._once: dict[StartCommand, int] = {}
        """Nodes with effects that are about to begin or have begun; of those that are over nobody need wait to hear."""
        self._show = show
        self._unbegun = unbegun
        self._newest: StartCommand | None = None

    told_of_starts: ClassVar = True

    def started(self, start: StartCommand, t: float) -> None:  # noqa: ARG002 - the port hands it over
        self._show(start.path, start.at, State.EXECUTING)

    def begun(self, start: StartCommand, t: float) -> None:
        super().begun(start, t)
        if isinstance(start, Attempt) and start.effect == "once":
            self._once[start] = self._begun[start]
            self._newest = start

    async def may_begin(self) -> None:
        start, self._newest = self._newest, None
        try:
            await self.durable()
            if self._once:
                await self._held(max(self._once.values()))
        except BaseException:
            if start is not None:
                self._unbegun(start)
            raise

    def settled(self, event: Settled, by: Mapping[str, Value], usage: Mapping[str, Value] | None, t: float) -> None:
        try:
            self._settle(event, by, usage, t)
        finally:
            if event.start is not None:
                self._once.pop(event.start, None)

    def acts(self, path: str) -> bool:
        """Whether a node with effects is at work there."""
        return any(start.path == path for start in self._once)

    def _settle(self, event: Settled, by: Mapping[str, Value], usage: Mapping[str, Value] | None, t: float) -> None:
        if event.state == State.SUSPENDED and event.start is not None and isinstance(event.value, LinkCondition):
            if event.value.condition != "CANCELLED":
                self.erred(event.start, event.value, True, t)
            return
        super().settled(event, by, usage, t)
