"""The link: drives a session over WebSocket, the same on both sides.

A `Link` owns one session (protocol.session.Conn) and keeps the order that the session asks for: effects are committed before what they allow is
sent. Commits run beside the connection, so tokens and control never wait for a disk. The link outlives connections; what a connection was lost
for is told as an event, never raised into the application.
"""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphs.errors import JournalError
from graphs.records import Known
from graphs.values import Value
from protocol import codec
from protocol.errors import Close, RemoteProtocolError
from protocol.events import BodyBytes, Closed, Event, Faulted, GoingAway, NeedRecords
from protocol.handshake import read_first_packet
from protocol.messages import Fault, GraphStatus, Hash, RunId
from protocol.pull import Puller
from protocol.session import Conn
from protocol.store import LinkStore

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import ServerConnection

    Socket: TypeAlias = ClientConnection | ServerConnection

__all__ = ["Link", "send_last"]

_TEXT_MESSAGE: Final = 1003
_INTERNAL: Final = 1011
_UNSENT: Final = 64 * 1024
"""Bytes that the system takes before it has sent the last ones."""
_AT_ONCE: Final = 16 * 1024
"""Bytes that a connection with an empty buffer takes without waiting: half of what fills it."""
_LOOK_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 2.0
"""How long a close may take: more than the library gives its handshake."""

_log = logging.getLogger("graphferry.link")


class Link:
    """A session and whatever connection it has at the moment. All methods belong to one event loop.

    `on_event` is told what the session says, in order, in the loop; it must not block. What it raises is logged and changes nothing here.
    """

    def __init__(self, conn: Conn, store: LinkStore, on_event: Callable[[Event], None]) -> None:
        self._conn = conn
        self._store = store
        self._on_event = on_event
        self._wake = asyncio.Event()
        self.bodies = Puller(conn, store, self._hear, self._start)
        """Values that did not fit into their records."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._committing = False
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._failure: JournalError | None = None
        self._socket: Socket | None = None
        self._sender: asyncio.Task[None] | None = None
        self._guard: asyncio.TimerHandle | None = None
        """Looks at the peer while it takes nothing."""
        self.stale_after = 0
        """On a device whose connection was refused as stale: the highest number the worker has seen."""
        self.retry_ms: int | None = None
        """When the worker that sent us away wants us back."""

    # -- the application's side: as the methods of Conn

    def append(self, run: RunId, record: Known, labels: Collection[str] = ()) -> int:
        """Write a record into this side's log of the run. Raises as `Conn.append`, and JournalError once the journal cannot be written."""
        if self._failure is not None:
            raise self._failure
        seq = self._conn.append(run, record, labels)
        self._poke()
        return seq

    def behind(self, run: RunId) -> bool:
        """As `Conn.behind`."""
        return self._conn.behind(run)

    def delta(self, run: RunId, start: int, tokens: Sequence[Value]) -> None:
        """Tokens of an attempt: volatile. Raises as `Conn.delta`."""
        self._conn.delta(run, start, tokens)
        self._wake.set()

    def state(self, run: RunId, path: str, at: int, state: int, t: int) -> None:
        """Show a node's state: volatile."""
        self._conn.state(run, path, at, state, t)
        self._wake.set()

    def put_graph(self, address: Hash, body: bytes, labels: Collection[str] = ()) -> bool:
        """Hold a graph ready for the worker. False: the gate refused. Raises as `Conn.put_graph`."""
        passed = self._conn.put_graph(address, body, labels)
        self._wake.set()
        return passed

    def graph_state(self, address: Hash, status: GraphStatus, problems: Sequence[tuple[str, str, str]] = ()) -> None:
        """Say what became of a graph."""
        self._conn.graph_state(address, status, problems)
        self._wake.set()

    def offer(self, offer: Mapping[str, Value]) -> None:
        """What this worker offers from now on."""
        self._conn.offer(offer)
        self._wake.set()

    def drain(self, reason: str, drain_ms: int, retry_ms: int) -> None:
        """Take no new runs and close after `drain_ms`."""
        self._conn.drain(_now(), reason, drain_ms, retry_ms)
        self._wake.set()

    async def durable(self) -> None:
        """Returns when everything appended or received so far is durable here. Raises JournalError if it cannot be written."""
        if self._failure is not None:
            raise self._failure
        target = self._conn.staged
        if self._conn.durable < target:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((target, waiter))
            self._poke()
            await waiter

    async def flushed(self, seconds: float = 5.0) -> None:
        """Returns when all that may be sent was handed to the socket, or after `seconds`."""
        await self.durable()
        self._idle.clear()
        self._wake.set()
        if self._socket is not None:
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                return

    async def close(self) -> None:
        """End the connection, if there is one, and wait until what was appended is durable or cannot become so."""
        if self._socket is not None:
            await _shut(self._socket)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- one connection

    async def carry(self, socket: Socket, number: int, first: bytes | None = None) -> Closed:
        """Be one connection's life: returns when it is over, and why; the event `Closed` says the same. `first` is the packet that was read
        already to find this link.

        A newer connection replaces an older one; one that is not newer is told so and closed.
        """
        closed = await self._refusal(socket, number)
        if closed is None:
            self._take_over(socket, number)
            try:
                closed = await self._receive(socket, number, first)
            finally:
                if self._socket is socket:
                    closing = self._conn.closing
                    if closing is not None and closed is not None:
                        closed = Closed(closing, closed.text)
                    await self._let_go()
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

    def _take_over(self, socket: Socket, number: int) -> None:
        if self._socket is not None:
            self._start(_shut(self._socket, Close.REPLACED, "a newer connection of this device"))
        if self._sender is not None:
            self._sender.cancel()
        self._socket = socket
        _keep_short(socket)
        self.retry_ms = None
        self._conn.connected(_now(), number)
        self._sender = asyncio.get_running_loop().create_task(self._send(socket))

    async def _let_go(self) -> None:
        self._socket = None
        sender, self._sender = self._sender, None
        self._conn.disconnected()
        self._idle.set()
        if sender is not None:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _receive(self, socket: Socket, number: int, first: bytes | None) -> Closed:
        from websockets.exceptions import ConnectionClosed

        try:
            if first is not None:
                await self._learn(first)
                self._take(first, number)
            while True:
                packet = await socket.recv(decode=None)
                if isinstance(packet, str):
                    await socket.close(_TEXT_MESSAGE, "binary messages only")
                else:
                    self._take(packet, number)
        except ConnectionClosed as error:
            end = error.rcvd or error.sent
            return Closed(end.code, end.reason) if end is not None else Closed(0, "the connection was lost")

    def _take(self, packet: bytes, number: int) -> None:
        events = self._conn.receive(_now(), packet, number)
        self._tell(events)
        if not (events and all(type(event) is BodyBytes for event in events)):  # those alone leave nothing to be said
            self._poke()

    async def _learn(self, first: bytes) -> None:
        """Runs of a HELLO that are not in memory are looked up before the session answers about them."""
        try:
            named = {said.run for said in read_first_packet(first).logs}
        except RemoteProtocolError:
            return  # the session says so in its own words
        if unknown := self._conn.unknown(named):
            self._conn.learn(await self._store.find(unknown))

    async def _send(self, socket: Socket) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._send_all(socket)
        except ConnectionClosed:
            return  # the receiving half says why

    async def _send_all(self, socket: Socket) -> None:
        while True:
            self._wake.clear()
            self._tell(self._conn.tick(_now()))
            buffered = socket.transport.get_write_buffer_size()
            while (packet := self._conn.poll(_now(), buffered)) is not None:
                if buffered or len(packet) > _AT_ONCE:  # this may take as long as the peer does not read, or is not there
                    self._guard = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, socket)
                await socket.send(packet)
                if self._guard is not None:
                    self._guard.cancel()
                    self._guard = None
                self._tell(self._conn.events())
                buffered = socket.transport.get_write_buffer_size()
            if (code := self._conn.closing) is not None or self._failure is not None:
                await _shut(socket, code if code is not None else _INTERNAL)
                return
            if not self._committing:
                self._idle.set()
            due = self._conn.deadline()
            try:
                # not wait_for: in Python 3.11 it loses a cancellation that comes when the wait is just over (gh-86296)
                async with asyncio.timeout(None if due is None else max(0.001, (due - _now()) / 1000)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _look(self, socket: Socket) -> None:
        """A packet is not taken: a peer that is silent meanwhile is lost, long before the system says so."""
        if self._socket is not socket:
            return
        self._tell(self._conn.tick(_now()))
        if self._conn.closing is not None:
            socket.transport.abort()
        else:
            self._guard = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, socket)

    # -- durability

    def _poke(self) -> None:
        """Something may have to be committed or sent."""
        if not self._committing and self._failure is None and self._conn.staged > self._conn.durable:
            self._committing = True
            self._start(self._commit())
        self._wake.set()

    async def _commit(self) -> None:
        """One transaction at a time: what is appended meanwhile makes the next one."""
        try:
            while effects := self._conn.effects():
                await self._store.commit(effects)
                self._tell(self._conn.committed(len(effects)))
                self._wake.set()
                self._release()
        except Exception as error:  # noqa: BLE001 - whatever the store raises, nothing may be called durable any more
            failure = error if isinstance(error, JournalError) else JournalError(f"The journal cannot be written: {error}")
            self._failure = failure
            self._release()
            self._tell([Faulted("INTERNAL", failure.message, True)])
        finally:
            self._committing = False
            self._wake.set()

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for target, waiter in waiting:
            if waiter.done():
                continue
            if self._failure is not None:
                waiter.set_exception(self._failure)
            elif self._conn.durable >= target:
                waiter.set_result(None)
            else:
                self._waiting.append((target, waiter))

    # -- events

    def _hear(self, events: Sequence[Event]) -> None:
        """What the session said in answer to a body's bytes."""
        self._tell(events)
        self._wake.set()

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            if self.bodies.handle(event):
                continue
            if isinstance(event, NeedRecords):
                self._start(self._supply(event))
                continue
            if isinstance(event, GoingAway):
                self.retry_ms = event.retry_ms
            elif isinstance(event, Faulted) and event.code == "STALE_CONN" and isinstance(event.about, int):
                self.stale_after = event.about
            try:
                self._on_event(event)
            except Exception:  # noqa: BLE001 - the handler's mistake must not stop what others wait for
                _log.exception("an error in the code that handles %s of the link", type(event).__name__)

    async def _supply(self, need: NeedRecords) -> None:
        records = await self._store.read(need.run, need.writer, need.after, need.upto)
        self._conn.supply_records(need.run, need.after, records)
        self._wake.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the link failed in the background", exc_info=error)


async def _shut(socket: Socket, code: int = 1000, reason: str = "") -> None:
    """Close a connection, without waiting for a peer that takes nothing any more."""
    limit = asyncio.get_running_loop().call_later(_CLOSE_SECONDS, socket.transport.abort)
    try:
        await socket.close(code, reason)
    finally:
        limit.cancel()


async def send_last(socket: Socket, fault: Fault, code: int) -> None:
    """Tell the peer why, and close."""
    from websockets.exceptions import ConnectionClosed

    try:
        await socket.send(codec.encode(fault))
        await socket.close(code, fault.code)
    except ConnectionClosed:
        return  # it is gone already


def _keep_short(socket: Socket) -> None:
    """Let the system's queue before the wire be no longer than ours: what is urgent would wait behind bulk in either."""
    raw = socket.transport.get_extra_info("socket")
    option = getattr(sockets, "TCP_NOTSENT_LOWAT", None)
    if raw is not None and option is not None and raw.family in (sockets.AF_INET, sockets.AF_INET6):
        raw.setsockopt(sockets.IPPROTO_TCP, option, _UNSENT)


def _now() -> int:
    return time.monotonic_ns() // 1_000_000
