"""A child run: the part of a device's run that this worker executes.

The same engine as on the device runs the cut graph and *runs ahead*: it starts what is ready, boundary values come in as
events, results go out as records. It ends after the device said that no more boundary values will come (CLOSE) and nothing can
run any more; its END is its last record (docs/protocol.md §8).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from cloud.worker import RefusedCut, Worker
from graphs.attempt import Attempt
from graphs.errors import LinkCondition
from graphs.events import Close as CloseEvent, Event as EngineEvent, Outcome, Settled, Start, Suspend, Told
from graphs.journal.ids import run_id_short
from graphs.paths import escape
from graphs.recorder import LogRecorder
from graphs.records import Cancel, Close, End, EndStatus, Error, Input, Known, Record, Result, State, Submit
from graphs.runtime import Runtime
from graphs.spec import Graph
from graphs.values import Value

__all__ = ["ChildLog", "ChildRun"]


class ChildLog(Protocol):
    """Where a child run's records go: the session of the device it belongs to."""

    def append(self, run: bytes, record: Known) -> int:
        """Write a record into this worker's log of the run. Raises LinkCondition if it may not or cannot be sent."""

    def delta(self, run: bytes, start: int, token: Value) -> None:
        """A piece of an answer; volatile."""

    async def durable(self) -> None:
        """Returns when everything appended so far is durable here."""

    async def held(self, run: bytes, seq: int) -> None:
        """Returns when the device, too, holds this worker's log of the run durably up to `seq`."""


class ChildRun:
    """One child run. `root` is the run id of the device's run: idempotency keys of agents hang on it.

    `model_names` are the device's words for models; `grace_ms` is how long its owner may be gone before it is cancelled, None
    for ever.
    """

    def __init__(self, worker: Worker, log: ChildLog, run: bytes, submit: Submit) -> None:
        self.worker = worker
        self.run = run
        self.submit = submit
        self.graph_hash: bytes = submit.graph
        parent = submit.opts.get("parent")
        self.root: bytes = parent[0] if isinstance(parent, (list, tuple)) and parent else run
        options: Mapping[str, Any] = submit.opts.get("options") or {}
        self.model_names: Mapping[str, str] = options.get("models") or {}
        gone = submit.opts.get("gone")
        self.grace_ms: int | None = int(gone[1]) if isinstance(gone, (list, tuple)) and len(gone) > 1 else None
        self.ended = False
        self._log = log
        self._runtime: Runtime | None = None
        self._task: asyncio.Task[None] | None = None
        self._early: list[Record] | None = []
        """Orders that came before the run had begun; None once it has."""

    def __repr__(self) -> str:
        return f"<ChildRun {run_id_short(self.run)}>"

    # -- orders

    def begin(self, graph: Graph) -> None:
        """The cut is here: start what can start."""
        if self.ended:
            return
        options: Mapping[str, Any] = self.submit.opts.get("options") or {}
        compiler = self.worker.compiler(strict=bool(options.get("strict")))
        known, inject = _outcomes(graph, self.submit.inputs)
        self._runtime = Runtime(
            compiler.plan(graph),
            compiler,
            known=known,
            open=True,
            services=self.worker.services(self.model_names),
            config=options.get("config"),
            max_turns=options.get("max_turns"),
            recorder=_ChildRecorder(self._append, self._durable, everything=True, delta=self._delta),
            run_id=self.root,
        )
        self._task = asyncio.get_running_loop().create_task(self._execute(inject))

    def refuse(self, refusal: RefusedCut) -> None:
        """The cut cannot run here: one final error for the frame, and the end."""
        if self.ended:
            return
        self._append(Error(None, 0, 0, refusal.code, str(refusal), True, False))
        self._end(EndStatus.COMPLETED)

    def order(self, record: Record) -> None:
        """An order of the device: a boundary value, CLOSE or CANCEL."""
        if self.ended:
            return  # an order that arrives after END has no effect
        if self._runtime is None and isinstance(record, Cancel) and record.paths is None:
            self._end(EndStatus.CANCELLED)  # a run that waits for its graph needs none to be cancelled
        elif self._early is not None:
            self._early.append(record)
        elif isinstance(record, Input):
            self._feed(Told(record.path, Outcome(record.state, record.value), self._now()))
        elif isinstance(record, Close):
            self._feed(CloseEvent(self._now()))
        elif isinstance(record, Cancel):
            self._cancel(record)

    def abandon(self, why: str) -> None:
        """The device has been gone for too long."""
        self.order(Cancel(None, why))

    async def stop(self) -> None:
        """This process is about to end: stop without a word, the log stays open."""
        self.ended = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- inside

    def _cancel(self, record: Cancel) -> None:
        runtime = self._runtime
        assert runtime is not None
        if record.paths is None:
            runtime.abort(record.why)
            return
        paths = set(record.paths)
        for start in list(runtime.engine.root.starts.values()):
            if start.path in paths:
                runtime.cancel(start)
                self._feed(Suspend(start, LinkCondition("CANCELLED", record.why, retryable=False), self._now()))

    def _feed(self, event: EngineEvent) -> None:
        if self._runtime is not None and not self._runtime.ended:
            self._runtime.feed(event)

    async def _execute(self, inject: Mapping[str, Value]) -> None:
        runtime = self._runtime
        assert runtime is not None
        self.worker.running += 1
        try:
            running = asyncio.ensure_future(runtime.run(inject))
            await asyncio.sleep(0)  # the run begins before the orders that came early
            early, self._early = self._early, None
            for record in early or ():
                self.order(record)
            state = await running
        except LinkCondition as condition:
            self._append(Error(None, 0, 0, condition.condition, str(condition), True, condition.retryable))
            state = State.FAILED
        finally:
            self.worker.running -= 1
        first = runtime.engine.first_error()
        if first is not None and not first[0]:  # the cut could not start at all
            self._append(Error(None, 0, 0, "GRAPH_INVALID", str(first[1]), True, False))
        self._end(EndStatus.CANCELLED if state == State.ABORTED else EndStatus.COMPLETED)

    def _append(self, record: Known) -> int:
        try:
            return self._log.append(self.run, record)
        except LinkCondition as condition:
            if not isinstance(record, Result):
                raise
            # The value may not or cannot cross: the holder learns why and places the node elsewhere.
            refused = Error(record.path, record.at, record.retry, condition.condition, str(condition), True, condition.retryable)
            return self._log.append(self.run, refused)

    def _delta(self, start: int, token: Value) -> None:
        self._log.delta(self.run, start, token)

    async def _durable(self, seq: int) -> None:
        await self._log.durable()
        if seq:
            await self._log.held(self.run, seq)

    def _end(self, status: EndStatus) -> None:
        if not self.ended:
            self.ended = True
            self._log.append(self.run, End(status, int(time.time() * 1000), {}))

    def _now(self) -> float:
        return self._runtime.clock() if self._runtime is not None else 0.0


class _ChildRecorder(LogRecorder):
    """Records everything, link conditions of nodes included: the holder decides what becomes of those.

    That a node with effects begins must be known to the holder before it does: were this worker lost in the middle of it, a
    holder that knows nothing would give the node to another.
    """

    def __init__(
        self,
        append: Callable[[Any], int],
        durable: Callable[[int], Awaitable[None]],
        *,
        everything: bool,
        delta: Callable[[int, Value], None],
    ) -> None:
        super().__init__(append, lambda: durable(self._last_once), everything=everything, delta=delta)
        self._last_once = 0

    def begun(self, start: Start, t: float) -> None:
        super().begun(start, t)
        if isinstance(start, Attempt) and start.effect == "once":
            self._last_once = self._begun[start]

    def settled(self, event: Settled, by: Mapping[str, Value], usage: Mapping[str, Value] | None, t: float) -> None:
        if event.state == State.SUSPENDED and event.start is not None and isinstance(event.value, LinkCondition):
            if event.value.condition != "CANCELLED":
                self.erred(event.start, event.value, True, t)
            return
        super().settled(event, by, usage, t)


def _outcomes(graph: Graph, inputs: Mapping[str, Any]) -> tuple[dict[str, Outcome], dict[str, Value]]:
    """The inputs of a SUBMIT, by id or path: outcomes of boundary and computed nodes by path, and values of static nodes."""
    known: dict[str, Outcome] = {}
    inject: dict[str, Value] = {}
    for name, (state, value) in inputs.items():
        spec = graph.nodes.get(name)
        if spec is not None and "agent" not in spec and spec.get("boundary") is not True:
            inject[name] = value
        else:
            known[name if spec is None else escape(name)] = Outcome(state, value)
    return known, inject
