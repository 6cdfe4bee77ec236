"""The link to a worker as the device uses it: child runs by their id, each with the delegate that holds it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from edge.auditing.witness import allowed
from edge.config import GRACE
from edge.ferrying.comparing import Comparison, withheld
from edge.ferrying.endings import contradicted, graph_refused
from edge.ferrying.held_back import HeldBack, needs_body
from edge.ferrying.looked_up import LookedUp
from edge.ferrying.pulls import Pulls
from edge.ferrying.reach import Reach
from edge.ferrying.shipped import shipped_before
from edge.offers import keep_offer
from edge.pairings import device_id
from edge.planning.links import keep_link
from edge.privacy.clearance import NOWHERE, WORKER, Clearance
from edge.privacy.judge import Judge
from edge.privacy.settings import worker_place
from edge.syncing.sharing import shared_part
from graphs.errors import LinkCondition, WorkerUnreachable
from graphs.journal.claims import require_claim
from graphs.records import Cancel, End, Known, Record, State, Submit, encode
from graphs.values import Value
from protocol.audit import Departures
from protocol.config import Config, Role
from protocol.events import (
    Acked,
    Closed,
    DeltaSeen,
    Diverged,
    Event,
    Faulted,
    Got,
    GraphJudged,
    NeedGraph,
    Offered,
    Ready,
    Refused,
    StateSeen,
)
from protocol.intake import Intake
from protocol.journal_store import JournalStore
from protocol.messages import GraphStatus
from protocol.payload import Labelled, Reference
from protocol.tls import client_context
from protocol.transport import Link, connect

if TYPE_CHECKING:
    from edge.ferrying.delegate import Delegate
    from graphs.journal import Journal

__all__ = ["WorkerLink"]

_FOR_GOOD: Final = frozenset({"AUTH_FORBIDDEN", "DEVICE_CLONED"})
"""Faults after which no connection is made again."""
_END_SECONDS: Final = 10.0
"""For which the end of a child run that was given up is waited for: its nodes may take longer to stop."""


class WorkerLink:
    """A link to one worker, over one connection after the other. `offer` is what it said last, `refused` child runs it takes no more, and why.

    When the connection is lost, nothing is: it is made again, and whatever was said meanwhile follows. For `grace` seconds that is waited
    for; after that the worker counts as away until it is reached again, and those who hold child runs decide what becomes of them.
    """

    def __init__(self, url: str, *, grace: float = GRACE, clearance: Clearance = NOWHERE) -> None:
        self.url = url
        self._clearance = clearance.towards(worker_place(url))
        self.judge = Judge()
        self.offer: Mapping[str, Any] = {}
        self.refused: dict[bytes, LinkCondition] = {}
        self._grace = grace
        self._asking: dict[bytes, asyncio.TimerHandle] = {}
        """Child runs that a busy worker is asked for again, and until when."""
        self._given_up: set[bytes] = set()
        """Child runs that the worker was told to end."""
        self._over: set[bytes] = set()  # child runs whose END came over this link
        self._early: dict[bytes, list[Event]] = {}
        """What was told of the child runs to go on with before anybody did."""
        self._lacking: set[bytes] = set()  # graphs that the worker asked for before there was a link to give them by
        self._pulls = Pulls()
        self._moved = asyncio.Event()
        self._link: Link | None = None
        self._delegates: dict[bytes, Delegate] = {}
        self._stack = AsyncExitStack()
        self._reach = Reach(url, grace, holders=lambda: list(self._delegates.values()), on_away=self._pulls.stop)
        self._store: JournalStore | None = None
        self._journal: Journal | None = None
        self._intake: Intake | None = None
        self._departures: Departures | None = None
        self._peer = b""
        self._comparison: Comparison | None = None
        self._held: str | None = None  # why large values wait

    async def open(self, token: str | None, journal: Journal, runs: Collection[bytes] = (), pinned: str | None = None) -> None:
        """Connect and shake hands; `runs` are child runs to go on with, `pinned` the fingerprint of the worker's certificate. What waits in these
        runs for this device to hold that it begins waits until `attach`, or `release`.

        Raises WorkerUnreachable.
        """
        config = Config(
            role=Role.DEVICE,
            peer=self.url,
            device=device_id(journal.store_id),
            agent="graphferry",
            reserved=True,
            clear=lambda labels, _peer: self._lets(labels),
            judge=self.judge,
            session=runs.session if isinstance(runs, LookedUp) else 0,
        )
        self._journal, self._departures = journal, Departures(journal, self.url, pinned, why=allowed)
        self._store = JournalStore(
            journal, shared=shared_part(journal, self._lets), departures=self._departures, claimed=partial(require_claim, journal)
        )
        self._early = {run: [] for run in runs}
        for run in runs:
            self._departures.begin(run)
        tls = client_context(pinned) if self.url.lower().startswith("wss:") else None
        opened = connect(self.url, config, self._store, self._hear, token=token, tls=tls, reconnect=True, runs=runs)
        try:
            self._link, ready = await self._stack.enter_async_context(opened)
        finally:
            self._reach.calm()

        def follows(run: bytes, record: Record, earlier: Record) -> bool:
            return run in self._delegates and self._delegates[run].follows(record, earlier)

        self._intake = Intake(self._open_link().bodies, self._got, self._lacks, self._reads, follows)
        self._peer = self._departures.store = ready.store
        self.offer = ready.offer
        for address in self._lacking:
            self._needs_graph(address)

    def _lets(self, labels: Collection[str]) -> bool:
        """The gate: what this device lets go there, and the worker says that it may be sent."""
        return self._clearance.towards(self._clearance.worker, self.offer.get("clearance")).may(labels, WORKER)

    def held_back(self, labels: Collection[str]) -> str:
        """Why values with these labels may not go to this worker, in half a sentence; "" if they may."""
        return self._clearance.towards(self._clearance.worker, self.offer.get("clearance")).explain(labels, WORKER)

    def restrain(self, rate: int | None, held: str | None) -> None:
        """Large values leave at so many bytes a second, and while they are `held` back, for this reason, not at all; nor are they asked for."""
        bodies = self._open_link().bodies
        bodies.limit(rate)
        self._held = held
        bodies.held = None if held is None else lambda: HeldBack(self.url, held)

    @property
    def is_reached(self) -> bool:
        """Whether the worker is there, as far as anybody knows."""
        return self._reach.missing is None

    @property
    def store(self) -> bytes:
        """Which worker's store this is."""
        return self._peer

    @property
    def departures(self) -> Departures:
        """What has left over this link."""
        assert self._departures is not None
        return self._departures

    async def close(self) -> None:
        """Send what may still be sent, and close the connection."""
        await self.flush()
        self._reach.end(WorkerUnreachable(self.url, "the link is closed"))
        for run in list(self._asking):
            self._taken(run)
        if self._intake is not None:
            self._intake.close()
        if self._link is not None and self._journal is not None:
            keep_link(self._journal, self.url, self._peer, self._link.bodies.meter, time.time())
        await self._stack.aclose()
        if self._departures is not None:
            self._departures.close()

    # -- what delegates say

    def put_graph(self, address: bytes, body: bytes, labels: Collection[str], run: bytes) -> bool:
        """Ship a cut graph of a root run, unless the worker has it. False: it may not go there."""
        return self._open_link().put_graph(address, body, labels, run)

    def open_run(self, run: bytes, delegate: Delegate, submit: Submit, labels: Labelled) -> None:
        """Open a child run. Raises LinkCondition."""
        self.append(run, submit, labels)
        self._delegates[run] = delegate
        if self._reach.away is not None:
            asyncio.get_running_loop().call_soon(delegate.away, self._reach.away)

    async def caught_up(self, seconds: float = 5.0) -> None:
        """Returns when what the worker had of the child runs of `open` is durable here, or after `seconds`: it may be gone again."""
        link = self._link
        assert link is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._until(lambda: not any(link.behind(run) for run in self._early))

    def attach(self, run: bytes, delegate: Delegate) -> None:
        """Go on with a child run that was among those of `open`; what was told of it meanwhile is told soon, when the run has begun."""
        self._delegates[run] = delegate
        self.release([run])
        if self._reach.away is not None:
            delegate.away(self._reach.away)
        for event in self._early.pop(run, ()):
            asyncio.get_running_loop().call_soon(self._hear, event)
        if (condition := self._reach.over or self.refused.get(run)) is not None:  # it was told before anybody listened
            asyncio.get_running_loop().call_soon(self._end, run, condition)

    def release(self, runs: Collection[bytes]) -> None:
        """These child runs of `open` go on, as far as this device is concerned."""
        for run in runs:
            if self._link is not None:
                self._link.release(run)

    def give_up(self, run: bytes, why: str = "the run goes on in another child run") -> None:
        """End a child run of those of `open` that nobody goes on with."""
        self._early.pop(run, None)
        try:
            self._open_link().append(run, Cancel(None, why))
        except LinkCondition:
            return  # the worker is gone, or has ended it
        self._given_up.add(run)

    async def stopped(self) -> None:
        """Returns when the worker holds all that was said in child runs that were given up. From then on it begins nothing in them, and that it began
        a node with effects before is durable here: it waits for that. With their END it has said what did not begin, if that comes soon. Raises
        WorkerUnreachable if it does not hold it in time.
        """
        if runs := self._given_up - self.refused.keys():
            await self.delivered(runs)
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    await self._until(lambda: runs - self.refused.keys() <= self._over)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._moved.clear()
            await self._moved.wait()

    def append(self, run: bytes, record: Known, labels: Labelled = ()) -> None:
        """A record for a child run's log. Raises LinkCondition."""
        if self._held is not None and needs_body(record):
            raise HeldBack(self.url, self._held)
        self._open_link().append(run, record, labels)

    def forget(self, run: bytes) -> None:
        """Nobody waits for this child run any more."""
        self._taken(run)
        self._delegates.pop(run, None)
        if self._departures is not None:
            self._departures.over(run)
        if self._intake is not None:
            self._intake.forget(run)

    async def compare(self, *, look: bool = False) -> list[Event]:
        """Bring what this device shares up to date here and at the worker, or only `look` what would move: what was told of it.

        Raises LinkCondition if the connection is lost meanwhile, or the worker cannot do that.
        """
        link = self._open_link()
        if not link.is_up:  # it was lost just now, and is being made again
            raise WorkerUnreachable(self.url, f"the connection to the worker at {self.url} was lost")
        self._comparison = Comparison(self.url)
        try:
            link.sync(look=look)  # raises where the journal cannot be read: then nobody waits for what is told
            told = await self._comparison.done()
            assert self._store is not None
            return [*told, *withheld(self._store.shared.withheld, self._peer)]
        finally:
            self._comparison = None

    async def delivered(self, runs: Collection[bytes], seconds: float = 10.0) -> None:
        """Returns when the worker holds this device's logs of these child runs. Raises WorkerUnreachable if it does not in time."""
        link = self._open_link()
        await link.durable()
        try:
            async with asyncio.timeout(seconds):
                await self._until(lambda: all(link.delivered(run) for run in runs))
        except TimeoutError:
            raise WorkerUnreachable(self.url, f"the worker at {self.url} did not take what was sent to it") from None

    async def fetch(self, run: bytes, named: Reference) -> None:
        """Have a body here that a run needs. Raises LinkCondition if it does not come."""
        await self._open_link().bodies.pull(run, named)

    async def value(self, run: bytes, named: Reference) -> Value:
        """A value that a record of this run refers to. Raises LinkCondition if it does not come, or the worker is not waited for any more."""
        if self._reach.away is not None:
            raise self._reach.away
        return await self._pulls.wait(self._open_link().bodies.value(run, named), lambda: self._reach.missing)

    async def flush(self) -> None:
        """Returns when what was said is on its way; at once where there is none: then it is in the journal."""
        if self._link is not None and self._reach.missing is None:
            await self._link.flushed()

    def _open_link(self) -> Link:
        if self._reach.over is not None:
            raise self._reach.over
        assert self._link is not None
        return self._link

    # -- what the link says

    def _hear(self, event: Event) -> None:
        if self._comparison is not None:
            self._comparison.hear(event)
        if isinstance(event, (Got, DeltaSeen, StateSeen)) and event.run in self._early:
            self._early[event.run].append(event)
            self._moved.set()
        elif isinstance(event, Got):
            self._take(event)
        elif isinstance(event, (DeltaSeen, StateSeen)):
            self._shown(event)
        elif isinstance(event, Offered):
            self.offer = event.offer
            if self._journal is not None:
                keep_offer(self._journal, self.url, self.offer)
        elif isinstance(event, GraphJudged):
            self._judged(event)
        elif isinstance(event, NeedGraph):
            self._needs_graph(event.h)
        elif isinstance(event, Refused):
            self._refused(event)
        elif isinstance(event, Acked):
            self._acked(event)
        elif isinstance(event, Diverged):
            self._end(event.run, contradicted())
        elif isinstance(event, Ready):
            self._reach.back()
        elif isinstance(event, Faulted) and event.code in _FOR_GOOD:
            self._lose(f"{event.code}: {event.text}")
        elif isinstance(event, Faulted) and event.close is not None:
            self._reach.shaken(f"{event.code}: {event.text}")
        elif isinstance(event, Closed):
            self._reach.shaken(event.text or f"closed with code {event.code}")

    def _take(self, event: Got) -> None:
        if isinstance(event.record, End):
            self._over.add(event.run)
            self._moved.set()
        if self._intake is not None and event.run in self._delegates:
            self._intake.take(event.run, event.record)

    def _acked(self, event: Acked) -> None:
        assert self._departures is not None
        self._departures.taken(event.run, event.seq)
        self._moved.set()
        self._taken(event.run)

    def _refused(self, event: Refused) -> None:
        """A worker that is full for the moment is asked again by the session, for as long as a lost connection is waited for."""
        condition = LinkCondition(event.code, event.text, retryable=event.retry_ms is not None, retry_ms=event.retry_ms)
        if event.retry_ms is None:
            self._end(event.run, condition)
        elif event.run in self._delegates and event.run not in self._asking:
            self._asking[event.run] = asyncio.get_running_loop().call_later(self._grace, self._end, event.run, condition)

    def _taken(self, run: bytes) -> None:
        """The worker has the run, or nobody waits for it any more."""
        if (asking := self._asking.pop(run, None)) is not None:
            asking.cancel()

    def _got(self, run: bytes, record: Record, bodies: int) -> None:
        if (delegate := self._delegates.get(run)) is not None:
            delegate.got(record, bodies or len(encode(record).tail))

    def _lacks(self, run: bytes, record: Record, condition: LinkCondition) -> None:
        if (delegate := self._delegates.get(run)) is not None:
            delegate.lacks(record, condition)

    def _reads(self, run: bytes, record: Record) -> Sequence[Reference]:
        delegate = self._delegates.get(run)
        return delegate.reads(record) if delegate is not None else ()

    def _shown(self, event: DeltaSeen | StateSeen) -> None:
        delegate = self._delegates.get(event.run)
        if delegate is None:
            return
        if isinstance(event, DeltaSeen):
            delegate.delta(event.path, event.tokens)
        elif event.state == State.EXECUTING:
            delegate.began(event.path)

    def _needs_graph(self, address: bytes) -> None:
        for delegate in self._delegates.values():
            if address in delegate.log.graphs:
                self._open_link().put_graph(address, *delegate.log.graphs[address], delegate.run)
                return
        if self._link is None or self._journal is None:
            self._lacking.add(address)
        elif (found := shipped_before(self._journal, self._early, address)) is not None:
            self._link.put_graph(address, *found)

    def _judged(self, event: GraphJudged) -> None:
        if event.status == GraphStatus.OK and self._store is not None:
            self._store.remember_graph(self._peer, event.h)
        if event.status != GraphStatus.INVALID:
            return
        for run, delegate in list(self._delegates.items()):
            if event.h in delegate.hashes:
                self._end(run, graph_refused(event))

    def _end(self, run: bytes, condition: LinkCondition) -> None:
        self._taken(run)
        self.refused[run] = condition
        if (delegate := self._delegates.pop(run, None)) is not None:
            delegate.lost(condition)

    def _lose(self, why: str) -> None:
        """No connection will be made again."""
        condition = self._reach.end(self._reach.unreachable(why))
        self._pulls.stop()
        for run in list(self._asking):
            self._taken(run)
        delegates, self._delegates = self._delegates, {}
        for delegate in delegates.values():
            delegate.lost(condition)
