"""A device as this worker knows it: the child runs it owns, each in the session of that process of it which goes on with it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any, Final

from cloud.child import ChildRun, grace_of
from cloud.holdings import Holdings
from cloud.keeper import Keeper
from cloud.revival import LeftOpen
from cloud.session import Session
from cloud.share import Share
from graphs.errors import JournalError, LinkCondition
from graphs.records import End, Frame, Known, Result, Submit
from graphs.values import Value, decode
from protocol.events import Acked
from protocol.handshake import DeviceHello
from protocol.messages import Fault, RunId
from protocol.numbers import Numbers
from protocol.payload import Reference
from protocol.refill import refill

__all__ = ["MOST_SESSIONS", "Owner"]

MOST_SESSIONS: Final = 64
"""Processes of one device that may be connected at the same time."""
_log = logging.getLogger("graphferry.link")
_MOST_RUNS: Final = 1_024
_BUSY_MS: Final = 1_000


class Owner:
    """One device. `broken` is told that nothing can be written down any more, `gone` that nothing is kept here of it."""

    def __init__(
        self,
        share: Share,
        holdings: Holdings,
        name: bytes,
        keeper: Keeper,
        broken: Callable[[JournalError], None],
        gone: Callable[[], None],
    ) -> None:
        self.share = share
        self.holdings = holdings
        self.name = name
        self.keeper = keeper
        self.broken = broken
        self._gone = gone
        self.runs: dict[RunId, ChildRun] = {}
        self.sessions: dict[int, Session] = {}
        self._in: dict[RunId, Session] = {}
        """In which session each of its runs is."""
        self._left_open: dict[RunId, LeftOpen] = {}
        self._numbers = Numbers()
        self._patience: asyncio.TimerHandle | None = None
        self._acked: dict[RunId, int] = {}
        self._ack: asyncio.Future[None] | None = None
        self._beside: set[asyncio.Task[None]] = set()

    # -- sessions

    def offer(self) -> dict[str, Value]:
        """What the account is offered now (docs/protocol.md §6)."""
        full = self.holdings.full(self.share.account)
        return {**self.share.offer(), **({"full": full.message} if full is not None else {})}

    def greet(self, hello: DeviceHello) -> Session | Fault | str:
        """The session that a connection is of, which counts as connected from here on; the FAULT that it gets instead if its number is not new; or
        why the device may have no more of them.
        """
        if not self._numbers.take(hello.conn):
            return self._stale(f"connection {hello.conn} of this device was there before", 0)
        session = self.sessions.get(hello.session) or Session(self, hello.session)
        if (fault := session.link.fence(hello.conn)) is not None:
            return self._stale(fault.text, session.rank)
        if session.connected == 0 and sum(each.connected > 0 for each in self.sessions.values()) >= MOST_SESSIONS:
            return f"{MOST_SESSIONS} processes of this device are connected already"
        rank = hello.session or hello.conn
        if hello.conn == hello.session:  # who just began has his runs from a store that knows of no later session
            outdone = max((self.holdings.claim(said.run) for said in hello.logs), default=0)
            if outdone > rank:
                return self._stale(f"session {outdone} of this device is later than session {rank}", outdone)
        self.sessions[hello.session] = session
        session.came(hello.conn)
        return session

    def _stale(self, text: str, rank: int) -> Fault:
        return Fault("STALE_CONN", text, True, max(self._numbers.highest, rank))

    async def claim(self, session: Session, runs: set[RunId]) -> set[RunId]:
        """A peer named these runs: they come to its session, but for those that are given, which a later one has. Raises JournalError."""
        for other in list(self.sessions.values()):
            if other.rank < session.rank:
                try:
                    for run in other.link.holds({run for run in runs if self.holdings.claim(run) <= session.rank}):
                        await other.link.give(run, session.link, partial(self._moved, run, other, session))
                except JournalError:
                    if self.sessions.get(other.number) is other:
                        raise
                    continue  # it was over, and is forgotten by now: what it had is in the store
                self._settle(other)
        # nothing is awaited from here on until the session has them
        others = [each for each in self.sessions.values() if each is not session]
        taken = {run for each in others for run in each.link.holds(runs)}
        for run in runs - taken:
            claim = self.holdings.claim(run)
            if claim > session.rank:
                taken.add(run)
            elif claim < session.rank and self.holdings.journal.knows(run):
                self.holdings.claimed(run, session.rank)
        session.named = runs - taken
        return taken

    def _moved(self, run: RunId, before: Session, session: Session) -> None:
        if run in self.runs:
            self._in[run] = session
        session.take_over(run, before)

    def room(self, session: Session, run: RunId) -> tuple[str, str, int | None] | None:
        """`protocol.config.Room`: None if this session may open the run, or give a further log of one that is here."""
        if self.holdings.has_part(self.share.account, run):
            return None
        if self.holdings.claim(run) > session.rank or any(each.link.holds({run}) for each in self.sessions.values()):
            return "RUN_TAKEN", "another process of this device goes on with this run", None
        if len(self.runs) >= _MOST_RUNS:
            return "BUSY", "this device has as many open runs as it may", _BUSY_MS
        return self.share.room() or self.holdings.room(self.share.account, run)

    def _settle(self, session: Session) -> None:
        """Forget a session that is over, and this device with its last one."""
        if session.connected == 0 and session not in self._in.values():
            self._start_beside(self._forget(session))

    async def _forget(self, session: Session) -> None:
        try:
            await session.link.durable()
        except JournalError:
            return  # this process is about to end
        if session.is_over and session not in self._in.values() and self.sessions.get(session.number) is session:
            del self.sessions[session.number]
            if not self.sessions:
                self._gone()
            await session.stop()

    # -- cloud.child.ChildLog

    def append(self, run: RunId, record: Known, labels: Collection[str] = ()) -> int:
        """Write a record of a child run. Raises LinkCondition QUOTA for a result that the account has no room for."""
        if isinstance(record, Result) and (full := self.holdings.full(self.share.account)) is not None:
            raise full
        try:
            seq = self._in[run].link.append(run, record, labels)
        except JournalError:
            return 0  # nothing is kept, sent or called durable any more: this process is about to end, and the next one goes on
        if isinstance(record, End):
            asyncio.get_running_loop().call_soon(self.forget_ended)
        return seq

    def delta(self, run: RunId, start: int, token: Value) -> None:
        """A piece of an answer."""
        self._in[run].link.delta(run, start, [token])

    def state(self, run: RunId, path: str, at: int, state: int) -> None:
        """Show a node's state."""
        self._in[run].link.state(run, path, at, state, int(time.time() * 1000))

    async def durable(self, run: RunId) -> None:
        """Returns when all that was appended to the run's log is durable: a run that moves takes along what is not."""
        session = None
        while session is not (session := self._in.get(run)) and session is not None:
            await session.link.durable()

    async def held(self, run: RunId, seq: int) -> None:
        """Returns when the device holds a child run's log up to `seq`; for as long as it is away, never."""
        while self._acked.get(run, 0) < seq:
            self._ack = self._ack or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._ack)

    def acknowledged(self, event: Acked) -> None:
        """The device holds a run's log up to there."""
        if event.run in self.runs:
            self._acked[event.run] = event.seq
        ack, self._ack = self._ack, None
        if ack is not None:
            ack.set_result(None)

    # -- runs

    def open(self, run: RunId, submit: Submit, session: Session) -> None:
        """A child run begins, or goes on."""
        before = self._left_open.pop(run, None)
        self._in[run] = session
        if run in session.named:  # an earlier session began it, and may never have been heard of it
            self.holdings.claimed(run, session.rank)
        self.runs[run] = ChildRun(self.share, self, run, submit, before.known if before is not None else None)

    async def revive(self, left: Collection[LeftOpen]) -> None:
        """Go on with child runs that an earlier process of this worker left open: in a session that any process of the device may take them from."""
        session = self.sessions.setdefault(0, Session(self, 0))
        await session.load([found.run for found in left])
        for found in left:
            await refill(found.known, lambda named: self._value(session, named))
            self._left_open[found.run] = found
            for record in found.orders:
                if not (isinstance(record, (Submit, Frame)) and record.frame in found.broken):
                    session.intake.take(found.run, record)
                elif isinstance(record, Submit):
                    self.open(found.run, record, session)  # nothing is left to do in it, but it has to end
        self.await_device()  # for what it is asked for: the values of an order, perhaps

    async def _value(self, session: Session, named: Reference) -> Value:
        try:
            data = await session.load_body(named.ref)
        except JournalError as error:  # one damaged value is no reason to go on with nothing
            _log.warning("%s", error.message)
            data = None
        if data is None:
            raise LinkCondition("BLOB_GONE", "a value that was reported is not here any more")
        return decode(data)

    def diverged(self, run: RunId) -> None:
        """The two copies of the run contradict each other: nothing may be said in it any more, so nothing more is done for it."""
        if self.holdings.journal.knows(run):
            self.holdings.journal.finish_run(run, "diverged", ended=int(time.time() * 1000))
        child = self.runs.pop(run, None)
        if child is not None:
            self._start_beside(self._stop(child))

    async def _stop(self, child: ChildRun) -> None:
        await child.stop()
        self._leave(child.run)

    def forget_ended(self) -> None:
        """Runs that are over need nothing any more."""
        for run in [run for run, child in self.runs.items() if child.ended]:
            del self.runs[run]
            self._acked.pop(run, None)
            self._start_beside(self._tell_keeper(run, self._in[run]))
            self._leave(run)

    def _leave(self, run: RunId) -> None:
        session = self._in.pop(run)
        session.drop(run)
        session.link.offer(self.offer())
        self._settle(session)

    async def _tell_keeper(self, run: RunId, session: Session) -> None:
        """A child run is over: the run that it is a part of may be waiting for that here."""
        try:
            await session.link.durable()
        except JournalError:
            return  # this process is about to end
        self.keeper.part_ended(run)

    def _start_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    # -- coming and going

    def came(self) -> None:
        """Some process of the device is there."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def left(self, session: Session) -> None:
        """A connection ended."""
        self.forget_ended()
        self.await_device()
        self._settle(session)

    def await_device(self) -> None:
        """Unless it is here: what it does not ask for in time is given up. It may have left before its order was durable, or an earlier process
        of this worker had the order.
        """
        if self._patience is not None or any(session.connected for session in self.sessions.values()):
            return
        graces = [child.grace_ms for child in self.runs.values()]
        graces += [grace_of(submit) for session in self.sessions.values() for _, submit in session.intake.submits()]
        grace = min((each for each in graces if each is not None), default=None)
        if grace is not None:
            self._patience = asyncio.get_running_loop().call_later(grace / 1000, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        why = "the device was gone for too long"
        for session in self.sessions.values():
            for run, submit in session.intake.submits():
                if grace_of(submit) is not None:
                    session.intake.give_up(run, LinkCondition("CANCELLED", why, retryable=False))
        for child in list(self.runs.values()):
            if child.grace_ms is not None:
                child.abandon(why)

    def revoked(self) -> None:
        """This device may not come any more: nothing of it goes on, whichever of its processes ordered it."""
        for child in list(self.runs.values()):
            child.abandon("the device's access was revoked")

    def drain(self, reason: str, drain_ms: int, retry_ms: int) -> None:
        """Take no new runs of it, and say so to all its processes."""
        for session in self.sessions.values():
            session.link.drain(reason, drain_ms, retry_ms)

    async def stop(self) -> None:
        """This process is about to end."""
        if self._patience is not None:
            self._patience.cancel()
        for session in self.sessions.values():
            session.intake.close()
        for child in list(self.runs.values()):
            await child.stop()
        for session in list(self.sessions.values()):
            await session.stop()
