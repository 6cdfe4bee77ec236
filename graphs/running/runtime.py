"""The runtime: the one thin asyncio shell around the engine. It owns tasks and timers, runs agents, and decides nothing.

Plain agents run inline. Async ones are awaited inside worker tasks that already exist: another worker starts only when one
really suspends while work is ready, so there are as many tasks as nodes that really wait, not one a node. A coroutine is never
stepped outside a task, so time-outs, cancellation and context variables work as their users know them. Each node sees fresh
context variables: a worker whose context an agent changed retires, and a new one takes over.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import Context, copy_context
from typing import Any, Final

from graphs.budget import current
from graphs.engine.bounded import BoundedEngine
from graphs.engine.doubts import Doubts
from graphs.engine.engine import Engine
from graphs.engine.events import (
    Abort,
    Arm,
    Begin,
    Command,
    Completed,
    Ended,
    Erred,
    Event,
    Failed,
    Opened,
    Outcome,
    Over,
    Settled,
    Start,
    Stop,
    Suspend,
    Told,
)  # fmt: skip
from graphs.engine.plan import Compiler, Plan
from graphs.errors import NodeError, UsageError
from graphs.language.uncollected import uncollected
from graphs.running.attempt import Attempt
from graphs.running.calling import call_agent, failure, in_doubt, let_stop, uncancel
from graphs.running.ports import AgentFilter, Observer, Recorder, Remote, Services, tell_stopped
from graphs.running.stopclock import StopClock, is_busy
from graphs.running.timers import Timers
from graphs.running.ways import CAREFULLY, RECORDED, Ways
from graphs.states import State
from graphs.values import Value

__all__ = ["Runtime"]

_SLICE: Final = 0.005
"""Seconds of inline work after which the event loop gets a turn, so that sockets and timers live."""

_CROWD: Final = 256
"""Workers started at most at once."""


class Runtime:
    """One run in this process: `await Runtime(...).run()`.

    `remote` runs the nodes that the plan places elsewhere, `before` may hold an attempt back or refuse it, `recorder` writes down what must not
    be lost, `observers` watch. Those that are `indeterminate` do not run: a person is asked, or they wait for what is said there.
    """

    def __init__(
        self,
        plan: Plan,
        compiler: Compiler,
        *,
        known: Mapping[str, Outcome] | None = None,
        begun: Mapping[str, int] | None = None,
        retried: Mapping[str, int] | None = None,
        indeterminate: Collection[str] | Doubts = (),
        recall: Callable[[Attempt], Outcome | None] | None = None,
        frame: str = "",
        demand: Collection[str] | None = None,
        open: bool = False,
        force_loop: bool = False,
        max_turns: int | None = None,
        services: Services | None = None,
        config: Mapping[str, Any] | None = None,
        filters: Sequence[AgentFilter] = (),
        before: Callable[[Attempt], Awaitable[None]] | None = None,
        recorder: Recorder | None = None,
        remote: Remote | None = None,
        observers: Sequence[Observer] = (),
        run_id: bytes = b"",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.clock, self.compiler, self.services = clock, compiler, services or Services()
        self.config: Mapping[str, Any] = config or {}
        self.filters = tuple(filters)
        self.run_id, self.budget = run_id, compiler.budget
        self.engine = (BoundedEngine if self.budget.bounds.every_value else Engine)(
            plan,
            compiler,
            known=known,
            begun=begun,
            retried=retried,
            frame=frame,
            demand=demand,
            open=open,
            report=bool(recorder or remote or observers),
            force_loop=force_loop,
            max_turns=max_turns,
            epoch_ms=time.time() * 1000 - clock() * 1000,
            start=Attempt,
            shell=self,
        )
        self._recorder, self._remote = recorder, remote
        self._observers: tuple[Observer, ...] = (*observers, *((recorder,) if recorder is not None else ()))
        self._told_of_starts = tuple(each for each in self._observers if each is not recorder or recorder.told_of_starts)
        self._doubts, self._recall = indeterminate if isinstance(indeterminate, Doubts) else Doubts(indeterminate), recall
        self._ordered: set[Attempt] = set()  # elsewhere, and not begun: what is to start here after it waits for that
        self._behind, self._ready = deque[Attempt](), deque[Attempt]()
        self._workers: set[asyncio.Task[None]] = set()
        self._before, self._ways = before, Ways(recorded=recorder is not None, filtered=bool(self.filters or before))
        self._armed = self._resting = False
        self._context: Context = copy_context()
        self._context.run(current.set, self.budget)
        self._stop_clock = StopClock(self.budget, clock, self.feed, lambda: is_busy(self.engine, open=open))
        self._timers = Timers(self.feed, clock)
        self._over: asyncio.Future[State] | None = None

    # -- what callers use

    async def run(self, inject: Mapping[str, Value] | None = None) -> State:
        """Run to the end and give how it ended. Cancelling the caller's task aborts the run.

        Raises UsageError when called twice, whatever the recorder raises, and programming errors of this package; never an
        agent's error, those are in `engine.errors()`.
        """
        if self._over is not None:
            raise UsageError("this run was started before; make a new one")
        self._over = asyncio.get_running_loop().create_future()
        try:
            self._stop_clock.start()
            with uncollected(len(self.engine.known)):  # all of that is over in one go
                self.feed(Begin(self.clock(), inject or {}))
            self._rest_if_idle()
            state = await self._over
        except asyncio.CancelledError:
            self.abort("cancelled")
            raise
        finally:
            await self._finish()
        return state

    def feed(self, event: Event) -> None:
        """Hand an event to the engine and carry out what it says; from the event loop's thread only."""
        try:
            self._apply(self._context.run(self.engine.handle, event))
        except Exception as error:  # a recorder's or observer's: whoever called cannot help it, the run ends with it
            if self._over is None or self._over.done():
                raise
            self._over.set_exception(error)
        self._call_help()

    def abort(self, why: str = "aborted") -> None:
        """Stop the run now: running agents are cancelled, results so far stay."""
        if self.engine.ended is None:
            self.feed(Abort(self.clock(), why))

    def rest(self) -> None:
        """Begin nothing more: what runs here finishes, then the run is suspended, whatever is still elsewhere."""
        self._resting = True
        self._rest_if_idle()

    def cancel(self, start: Start) -> None:
        """Cancel an attempt that runs here; the caller tells the engine what becomes of the node."""
        self._stop(start)

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.engine.ended is not None

    # -- commands

    def _apply(self, commands: Sequence[Any]) -> None:
        for command in commands:
            kind = command.__class__
            if kind is Settled:
                self._settled(command)
            elif kind is Attempt:
                if self._recall is not None and (outcome := self._recall(command)) is not None:
                    self.engine.elsewhere.expect(command)
                    asyncio.get_running_loop().call_soon(self.feed, Told(command.path, outcome, self.clock()))
                elif self._doubts and command.path in self._doubts:
                    self._ask_about(command)
                elif command.node.place is None and not self._ordered and not self._behind:
                    self._ready.append(command)
                else:
                    self._launch(command)
            elif kind is Erred:
                self._erred(command)
            elif kind is Stop:
                self._stop(command.start)
            elif kind is Arm:
                self._timers.arm(command.start, command.limit)
            elif kind is Opened:
                if command.frame.emptied:
                    continue  # all of it was known: it was over before anybody could hear of it
                self._remote.opened(command.frame, command.turn)  # type: ignore[union-attr]
            elif kind is Over:
                self._remote.over(command.frame, command.turn, cancelled=command.cancelled)  # type: ignore[union-attr]
            elif kind is Ended and self._over is not None and not self._over.done():
                self._over.set_result(command.state)

    def _apply_alone(self, commands: Sequence[Any]) -> None:
        """`_apply` where nothing is placed elsewhere, in doubt or recalled."""
        for command in commands:
            if command.__class__ is Attempt:
                self._ready.append(command)
            elif command.__class__ is Settled:
                self._settled(command)
            else:
                self._apply((command,))

    def _ask_about(self, start: Attempt) -> None:
        """A node with effects may have happened or not, so it is never repeated by itself; or it waits for what is said of it elsewhere."""
        error = self._doubts.told(start.path) or in_doubt(start, self._doubts)
        asyncio.get_running_loop().call_soon(lambda: self.feed(Suspend(start, error, self.clock())))

    def begun_elsewhere(self, start: Start) -> None:
        """A node that was ordered to start elsewhere has begun there, or is over: what starts after it need not wait any more."""
        if start in self._ordered:
            self._ordered.remove(start)
            while self._behind and (not self._ordered or self._behind[0].node.place is not None):
                self._go(self._behind.popleft())
            self._call_help()

    def _launch(self, start: Attempt) -> None:
        if self._behind or (self._ordered and start.node.place is None):
            self._behind.append(start)  # what is ordered is taken there in this order, but nobody here knows when
        else:
            self._go(start)

    def _go(self, start: Attempt) -> None:
        if start.node.place is None:
            self._ready.append(start)
        elif not start.over:
            self._expect(start)

    def _expect(self, start: Attempt) -> None:
        assert self._remote is not None, "a node is placed elsewhere but nobody runs it there"
        self._started(start)
        if self._remote.expect(start):
            self._ordered.add(start)

    def _settled(self, event: Settled) -> None:
        start: Any = event.start
        by: Mapping[str, Value] = {}
        usage: Mapping[str, Value] | None = None
        if start is not None:
            if self._behind and start in self._behind:  # told before it was launched: it needs no order any more
                self._behind.remove(start)
            if self._ordered:
                self.begun_elsewhere(start)
            if start.live is not None:
                self._timers.disarm(start)
            if not event.known:
                plain = start.live is None and start.node.said is None and start.agent is not None
                by, usage = (start.agent.made_by, None) if plain else start.provenance()
        now = self.engine.now
        for observer in self._observers:
            observer.settled(event, by, usage, now)
        if self._remote is not None:
            self._remote.settled(event)

    def _erred(self, command: Erred) -> None:
        self._timers.disarm(command.start)  # type: ignore[arg-type]
        for observer in self._observers:
            observer.erred(command.start, command.error, command.final, self.clock())

    def _stop(self, start: Start) -> None:
        assert isinstance(start, Attempt)
        self._timers.disarm(start)
        start.over = True
        self.begun_elsewhere(start)
        if start.node.place is not None:
            if self._remote is not None:
                self._remote.stop(start)
        elif start.task is not None and start.task is not asyncio.current_task():
            start.task.cancel()  # not the worker that tells of the attempt's own end

    # -- workers

    def _spawn(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            task = loop.create_task(self._work(), context=self._context.copy())
            self._workers.add(task)
            task.add_done_callback(self._worker_done)

    def _worker_done(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self._over is not None and not self._over.done():
            self._over.set_exception(error)
        self._rest_if_idle()

    def _rest_if_idle(self) -> None:
        if self._resting and not self._workers and self._over is not None and not self._over.done():
            self._over.set_result(State.SUSPENDED)
            self.abort("it rests")

    def _call_help(self) -> None:
        """Something is ready and perhaps nobody is there for it: look once this turn of the loop is over."""
        if self._ready and not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_soon(self._help)

    def _help(self) -> None:
        """Work is ready and no worker ran it: all of them really are suspended."""
        self._armed = False
        if self._ready and self.engine.ended is None and not self._resting:
            self._spawn(min(len(self._ready), _CROWD))

    async def _work(self) -> None:
        ready, clock, base = self._ready, self.clock, self._context
        pop, ways = ready.popleft, self._ways
        of_agent, of_node, find_way = ways.by_agent.get, ways.by_node.get, ways.find
        handle, completed = self.engine.handle, self.engine.completed
        observed = bool(self._told_of_starts)
        # Without these there is nothing to ask about an attempt: it is simply ready.
        alone = self._remote is None and not self._doubts and self._recall is None
        apply = self._apply_alone if alone else self._apply
        admit: Any = self._recorder.admit if self._recorder is not None else None
        task, slice_ends = asyncio.current_task(), clock() + _SLICE
        while ready and not self._resting:
            start = pop()
            if start.over:
                continue
            agent: Any = start.agent
            if observed:
                self._started(start)
            way = (of_agent(agent) if start.node.usual else of_node(start.node)) or find_way(start)
            if way == CAREFULLY:
                event = await self._carefully(start)
                now = clock()
                commands = handle(event) if event is not None else []
            else:
                start.t = clock()
                try:
                    value = agent.run(start)
                    if value.__class__ is not dict and hasattr(value, "__await__"):
                        if ready and not self._armed:
                            self._call_help()
                        start.task = task
                        value = await value
                        if start.over:
                            uncancel(task)
                    if way == RECORDED:
                        admit(value)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - an agent may raise anything
                    commands = self._broke(start, error, task)
                    now = clock()
                else:
                    now = clock()
                    commands = completed(start, value, now)
            if alone and len(commands) == 1 and commands[0].__class__ is Attempt:
                ready.append(commands[0])
            elif commands:
                apply(commands)
            if copy_context() != base:  # an agent changed a context variable: the next node starts with a fresh context
                self._call_help()
                return
            if now > slice_ends:
                await asyncio.sleep(0)
                slice_ends = clock() + _SLICE

    async def _carefully(self, start: Attempt) -> Event | None:
        """Run an attempt with all there may be around it; None if it was stopped meanwhile."""
        start.task = task = asyncio.current_task()
        self._call_help()
        start.t = self.clock()
        try:
            if self._before is not None:
                await self._before(start)
                start.t = self.clock()  # to be held back is no work
            if self._recorder is not None:
                await self._record_begin(start)
            if start.node.timeout:
                self._timers.arm(start)
            value = await call_agent(start, self.filters)
            if self._recorder is not None and start.agent is not None and not start.agent.cheap:
                self._recorder.admit(value)
            return Completed(start, value, self.clock())
        except asyncio.CancelledError:
            return self._cancelled(start, task)
        except Exception as error:  # noqa: BLE001 - an agent may raise anything; it is the node's failure
            return failure(start, error, self.clock())
        finally:
            start.task = None
            if start.over:
                uncancel(task)

    async def _record_begin(self, start: Attempt) -> None:
        assert self._recorder is not None
        agent = start.agent
        assert agent is not None
        once = start.begins_once()
        if once or start.streams:
            self._recorder.begun(start, self.clock())
        if once or "network" in agent.needs or "people" in agent.needs or "files" in agent.needs:
            with self.engine.queue.rests():
                await self._recorder.may_begin()

    def _broke(self, start: Attempt, error: BaseException, task: asyncio.Task[None] | None) -> list[Command]:
        """What follows from an agent that raised, to be called while that is handled: it is the node's failure, or was stopped."""
        event = failure(start, error, self.clock()) if isinstance(error, Exception) else self._cancelled(start, task)
        if start.over:
            uncancel(task)
        return self.engine.handle(event) if event is not None else []

    def _cancelled(self, start: Attempt, task: asyncio.Task[None] | None) -> Event | None:
        """While a CancelledError is handled: None if the attempt was stopped, else the agent's own failure. Raises it if the worker is to end."""
        if task is None or not task.cancelling():
            return Failed(start, NodeError("the agent was cancelled from within: something that it awaited was"), self.clock())
        if not start.over:
            raise  # noqa: PLE0704 - the caller handles it
        tell_stopped(self._observers, start, self.clock())
        return None

    # -- observers, tokens, the end

    def token(self, start: Attempt, token: Value) -> None:
        """An agent handed on a piece of its answer."""
        if start.over or start.frame.starts.get(start.node.index) is not start:
            return  # too late: the attempt is over
        for observer in self._observers:
            observer.token(start, token)

    def _started(self, start: Start) -> None:
        for observer in self._told_of_starts:
            observer.started(start, self.clock())

    async def _finish(self) -> None:
        self._stop_clock.cancel()
        await let_stop(self._workers)
        for task in list(self._workers):
            task.cancel()
        if self._workers:
            await asyncio.gather(*self._workers, return_exceptions=True)
        if self._recorder is not None and self.engine.ended is not None:
            await self._recorder.durable()
