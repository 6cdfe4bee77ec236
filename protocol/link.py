"""The link: drives a session over WebSocket, the same on both sides.

A `Link` owns one session (protocol.session.Conn) and keeps the order that the session asks for: effects are committed before what they allow is
sent. It has no task of its own: what came in one read is answered in the same turn of the loop, what the application says in one turn leaves
together in the next. Commits run beside the connection, so tokens and control never wait for a disk. The link outlives connections; what a connection
was lost for is told as an event, never raised into the application.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphs.errors import JournalError
from graphs.records import Known
from graphs.values import Value
from protocol.carrier import FULL, Carrier, Packet
from protocol.commits import Commits
from protocol.copying import ABOUT_COPIES, Copying
from protocol.ending import send_last, shut
from protocol.errors import Close, RemoteProtocolError
from protocol.events import Closed, Event, Faulted, GoingAway, NeedRecords
from protocol.handshake import read_first_packet
from protocol.messages import Bytes, GraphStatus, Hash, RunId
from protocol.outbox import ACKS, NOW
from protocol.payload import Labelled
from protocol.pull import ABOUT_BODIES, Puller
from protocol.session import Conn
from protocol.store import LinkStore

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import ServerConnection

    Socket: TypeAlias = ClientConnection | ServerConnection

__all__ = ["MAX_UNWRITTEN", "Link"]

_TEXT_MESSAGE: Final = 1003
_INTERNAL: Final = 1011
_PACKETS: Final = 8
"""Packets in one turn of the loop, before others have theirs."""
MAX_UNWRITTEN: Final = 2 * 1024 * 1024
"""Bytes of records that were received and are not durable yet, above which nothing more is read."""

_SPECIAL: Final = ABOUT_BODIES | ABOUT_COPIES | {NeedRecords, GoingAway, Faulted}
"""Events that the link itself has something to do about."""

_log = logging.getLogger("graphferry.link")


class Link:
    """A session and whatever connection it has at the moment. All methods belong to one event loop.

    `on_event` is told what the session says, in order, in the loop; it must not block. What it raises is logged and changes nothing here.
    """

    def __init__(self, conn: Conn, store: LinkStore, on_event: Callable[[Event], None]) -> None:
        self._conn = conn
        self._store = store
        self.on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._commits = Commits(conn, store, self._tell, self._turn)
        self.bodies = Puller(conn, store, self._hear, self._start, self._commits.fail)
        """Values that did not fit into their records."""
        self._copying = Copying(conn, store, self.bodies, lambda: self._hear(conn.events()), self._commits.fail)
        self._idle: asyncio.Future[None] | None = None
        """Awaited by `flushed`."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._awake = False
        """Whether a turn is under way, or about to come."""
        self._carrier: Carrier | None = None
        self._number = 0
        self._ending: Carrier | None = None
        """The connection that is being closed."""
        self._deaf = False
        """Whether nothing is taken any more, as it could not be acknowledged: who said it says it again on the next connection."""
        self._full = False
        """Whether nothing is read since too much waits to be durable."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0
        self._timed = False
        """Whether the timer is known to come in time for whatever is volatile, unless that becomes very much."""
        self.stale_after = 0
        """On a device whose connection was refused as stale: the highest number the worker has seen."""
        self.retry_ms: int | None = None
        """When the worker that sent us away wants us back."""

    # -- the application's side: as the methods of Conn

    def append(self, run: RunId, record: Known, labels: Labelled = ()) -> int:
        """Write a record into this side's log of the run. Raises as `Conn.append`, and JournalError once the journal cannot be written."""
        if self._commits.failure is not None:
            raise self._commits.failure
        seq = self._conn.append(run, record, labels)
        if not self._awake:
            self._soon()
        return seq

    def release(self, run: RunId) -> None:
        """As `Conn.release`."""
        self._conn.release(run)
        if not self._awake:
            self._soon()

    def behind(self, run: RunId) -> bool:
        """As `Conn.behind`."""
        return self._conn.behind(run)

    def delivered(self, run: RunId) -> bool:
        """As `Conn.delivered`."""
        return self._conn.delivered(run)

    def delta(self, run: RunId, start: int, tokens: Sequence[Value]) -> None:
        """Tokens of an attempt: volatile. Raises as `Conn.delta`."""
        if self._conn.delta(run, start, tokens) or not self._timed:
            self._prompt()

    def state(self, run: RunId, path: str, at: int, state: int, t: int) -> None:
        """Show a node's state: volatile."""
        self._conn.state(run, path, at, state, t)
        self._prompt()

    def put_graph(self, address: Hash, body: bytes, labels: Collection[str] = (), run: RunId | None = None) -> bool:
        """Hold a graph ready for the worker. False: the gate refused. Raises as `Conn.put_graph`."""
        passed = self._conn.put_graph(address, body, labels, run)
        self._soon()
        return passed

    def graph_state(self, address: Hash, status: GraphStatus, problems: Sequence[tuple[str, str, str]] = ()) -> None:
        """Say what became of a graph."""
        self._conn.graph_state(address, status, problems)
        self._soon()

    def offer(self, offer: Mapping[str, Value]) -> None:
        """What this worker offers from now on."""
        self._conn.offer(offer)
        self._soon()

    @property
    def is_up(self) -> bool:
        """Whether there is a connection, and both sides have said who they are."""
        return self._conn.copies.is_up

    def sync(self, *, look: bool = False) -> int:
        """Bring what is shared with the peer up to date at both ends. Raises and ends as `Copies.begin` of the session."""
        number = self._conn.copies.begin(self._store.lines(), look=look)
        self._soon()
        return number

    def drain(self, reason: str, drain_ms: int, retry_ms: int) -> None:
        """Take no new runs and close after `drain_ms`."""
        self._conn.drain(_now(), reason, drain_ms, retry_ms)
        self._soon()

    async def durable(self) -> None:
        """Returns when everything appended or received so far is durable here. Raises JournalError if it cannot be written."""
        await self._commits.durable()

    async def flushed(self, seconds: float = 5.0) -> None:
        """Returns when all that may be sent was handed to the socket, or after `seconds`."""
        await self.durable()
        if self._carrier is not None:
            if self._idle is None:
                self._idle = self._loop.create_future()
            self._soon()
            await asyncio.wait([self._idle], timeout=seconds)

    async def close(self) -> None:
        """End the connection, if there is one, and wait until what was appended is durable or cannot become so; nothing is appended any more."""
        with suppress(JournalError):
            await self._commits.durable()
        if self._carrier is not None:
            self._turn()  # what came so far is acknowledged
            self._deaf = True
            await shut(self._carrier)
        self._copying.close()
        self.bodies.close()
        self._commits.run()
        while self._tasks or self._commits.task is not None:
            pending = {*self._tasks} if self._commits.task is None else {*self._tasks, self._commits.task}
            await asyncio.gather(*pending, return_exceptions=True)
        self._commits.close()

    # -- one connection

    async def carry(self, socket: Socket, number: int, first: bytes | None = None) -> Closed:
        """Be one connection's life: returns when it is over, and why; the event `Closed` says the same. `first` is the packet that was read
        already to find this link. The socket is one of `protocol.transport`.

        A newer connection replaces an older one; one that is not newer is told so and closed.
        """
        assert isinstance(socket, Carrier), "sockets come from protocol.transport"
        closed = await self._refusal(socket, number)
        if closed is None:
            self._take_over(socket, number)
            try:
                if first is not None:
                    await self._learn(first)
                    self.took(socket, first)
                socket.take(self)
                await socket.wait_closed()
                closed = Closed(*socket.last_words)
            finally:
                if self._carrier is socket:
                    closing = self._conn.closing
                    if closing is not None and closed is not None:
                        closed = Closed(closing, closed.text)
                    self._let_go()
        self._tell([closed])
        return closed

    async def _refusal(self, socket: Socket, number: int) -> Closed | None:
        try:
            await self.durable()  # one full commit precedes HELLO: what it states must not be lost again
        except JournalError as error:
            await socket.close(_INTERNAL)
            return Closed(_INTERNAL, error.message)
        stale = self._conn.fence(number)
        if stale is None:
            return None
        await send_last(socket, stale, Close.REPLACED)
        return Closed(Close.REPLACED, stale.text)

    def _take_over(self, carrier: Carrier, number: int) -> None:
        if self._carrier is not None:
            self._start(shut(self._carrier, Close.REPLACED, "a newer connection of this device"))
        self._carrier, self._number, self._full = carrier, number, False
        self.retry_ms = None
        self._conn.connected(_now(), number)
        self._turn()

    def _let_go(self) -> None:
        self._carrier = self._ending = None
        self._conn.disconnected()
        self._rest()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timed = None, False

    async def _learn(self, first: bytes) -> None:
        """Runs of a HELLO that are not in memory are looked up before the session answers about them."""
        try:
            named = {said.run for said in read_first_packet(first).logs}
        except RemoteProtocolError:
            return  # the session says so in its own words
        if unknown := self._conn.unknown(named):
            self._conn.learn(await self._store.find(unknown))

    # -- what the carrier tells (protocol.carrier.Taker)

    def took(self, carrier: Carrier, packet: Packet | str, last: bool = False) -> None:
        """A packet arrived."""
        if carrier is not self._carrier or self._deaf:
            return
        if isinstance(packet, str):
            self._end(carrier, _TEXT_MESSAGE, "binary messages only")
        else:
            now = _now()
            if events := self._conn.receive(now, packet, self._number):
                self._tell(events)
            if last:
                self._answer(carrier, now)

    def took_all(self, carrier: Carrier) -> None:
        """They are answered together."""
        if carrier is self._carrier:
            self._answer(carrier, _now())

    def _answer(self, carrier: Carrier, now: int) -> None:
        """Commit and answer what came. An acknowledgement alone waits for the next turn: what it allows often leaves with it."""
        awake, self._awake = self._awake, True
        self._commits.run()
        self._awake = awake
        need = self._conn.need()
        if need is NOW:
            self._send(carrier, now)
        elif need is ACKS:
            self._soon()
        elif need or self._timer is None:
            self._arm(now, self._conn.deadline())
        if self._full or self._commits.task is not None:
            self._throttle(carrier)

    def writable(self, carrier: Carrier) -> None:
        """The socket takes more again."""
        if carrier is self._carrier:
            self._conn.flows()
            self._soon()

    # -- turns

    def _soon(self) -> None:
        """Something may have to be committed or sent: in the next turn of the loop, with what else comes in this one."""
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._awake = True
        self._commits.run()
        self._awake = False
        if self._carrier is not None:
            if self._full:
                self._throttle(self._carrier)
            self._send(self._carrier, _now())

    def _send(self, carrier: Carrier, now: int) -> None:
        """Hand the socket what may leave, as long as it takes it."""
        conn, need = self._conn, NOW
        parts: Sequence[Bytes] = ()
        for _ in range(_PACKETS if carrier.is_open else 0):
            if carrier.paused:
                break
            # what a socket that takes more still holds is not more than anything waits for
            if parts := conn.parts(now, 0):
                carrier.put(parts)
            if (need := conn.need()) and conn.tells:
                self._tell(conn.events())
            if not (need and parts):
                break
        if carrier.paused:
            conn.blocked(now, carrier.buffered)
            need = NOW
        elif need and parts and carrier.is_open:
            self._soon()
            return
        elif self._idle is not None and self._commits.task is None:
            self._rest()
        if need or self._timer is None or self._commits.failure is not None:
            closing = conn.closing
            if closing is not None or self._commits.failure is not None:
                self._end(carrier, _INTERNAL if closing is None else closing)
            self._arm(now, conn.deadline())

    def _rest(self) -> None:
        """Nothing is left to be sent."""
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    def _end(self, carrier: Carrier, code: int, reason: str = "") -> None:
        if self._ending is not carrier:
            self._ending = carrier
            self._start(shut(carrier, code, reason))

    def _prompt(self) -> None:
        """Something volatile may have to be sent: now, or with what comes until its time."""
        due = self._conn.volatile_due if not self._awake else None  # a turn looks by itself
        if due is None or (self._carrier is not None and self._carrier.paused):
            return
        self._timed = self._timer is not None and self._due <= due
        if self._timed:
            return
        now = _now()
        if due <= now:
            self._soon()
        else:
            self._arm(now, due)

    def _arm(self, now: int, due: int | None) -> None:
        """Be called when the session wants to be; a timer that comes too early is left to come."""
        if due is None or (self._timer is not None and self._due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = max(due, now + 1)
        self._timer = self._loop.call_at(self._due / 1000, self._ring)

    def _ring(self) -> None:
        self._timer, self._timed = None, False
        now, carrier = _now(), self._carrier
        if carrier is not None and carrier.paused:
            self._conn.blocked(now, carrier.buffered)
        self._tell(self._conn.tick(now))
        self._turn()

    def _throttle(self, carrier: Carrier) -> None:
        """Read no more than can be made durable: TCP tells the peer."""
        full = self._conn.unwritten > MAX_UNWRITTEN
        if full is not self._full:
            self._full = full
            carrier.hold(FULL, full)

    # -- events

    def _hear(self, events: Sequence[Event]) -> None:
        """What the session said in answer to a body's bytes."""
        self._tell(events)
        self._soon()

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            kind = event.__class__
            if kind in _SPECIAL:
                if kind in ABOUT_BODIES:
                    self.bodies.handle(event)
                    continue
                if kind in ABOUT_COPIES:
                    self._copying.handle(event)
                    continue
                self._note(event)
            try:
                self.on_event(event)
            except JournalError as error:  # whoever appends next is told the same, and cannot go on
                _log.warning("%s", error.message)
            except Exception:  # noqa: BLE001 - the handler's mistake must not stop what others wait for
                _log.exception("an error in the code that handles %s of the link", kind.__name__)

    def _note(self, event: Event) -> None:
        """What the link itself has to do about an event."""
        if isinstance(event, NeedRecords):
            self._start(self._supply(event))
        elif isinstance(event, GoingAway) or (isinstance(event, Faulted) and event.code == "RATE_LIMITED"):
            self.retry_ms = event.retry_ms
        elif isinstance(event, Faulted) and event.code == "STALE_CONN" and isinstance(event.about, int):
            self.stale_after = event.about

    async def _supply(self, need: NeedRecords) -> None:
        records = await self._store.read(need.run, need.writer, need.after, need.upto)
        self._conn.supply_records(need.run, need.after, records)
        self._soon()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the link failed in the background", exc_info=error)


def _now() -> int:
    return time.monotonic_ns() // 1_000_000
