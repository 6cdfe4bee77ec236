"""The carrier: drives a session over WebSocket, on both sides.

A `Link` owns one session (`protocol.session.Conn`) and keeps the order that the session asks for: effects are committed before what they allow is sent.
Commits run beside the connection, so tokens and control never wait for a disk. The link outlives connections; what a connection is lost for is told as an
event, never raised into the application.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from graphs.errors import JournalError, LinkCondition, UsageError, WorkerUnreachable
from graphs.records import Known
from graphs.values import Value
from protocol.config import Config
from protocol.errors import RemoteProtocolError
from protocol.events import Closed, Event, NeedRecords, Ready
from protocol.handshake import DeviceHello, read_first_packet
from protocol.messages import GraphStatus, Hash, RunId
from protocol.session import Conn
from protocol.store import LinkStore

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

__all__ = ["MAX_PACKET", "PATH", "SUBPROTOCOL", "Link", "accept", "connect", "listen"]

PATH: Final = "/v1/link"
SUBPROTOCOL: Final = "graphferry.v1"
MAX_PACKET: Final = 1 << 20
_HELLO_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 1.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def _now() -> int:
    return time.monotonic_ns() // 1_000_000


class Link:
    """A session and whatever connection it has at the moment. All methods belong to one event loop.

    `on_event` is told what the session says, in order, in the loop.
    """

    def __init__(self, conn: Conn, store: LinkStore, on_event: Callable[[Event], None]) -> None:
        self._conn = conn
        self._store = store
        self._on_event = on_event
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._committing: asyncio.Task[None] | None = None
        self._failure: JournalError | None = None

    # -- the application's side

    def append(self, run: RunId, record: Known, labels: Collection[str] = ()) -> int:
        """Write a record into this side's log of the run. Raises as `Conn.append`."""
        seq = self._conn.append(run, record, labels)
        self._poke()
        return seq

    def delta(self, run: RunId, start: int, tokens: Sequence[Value]) -> None:
        """Tokens of an attempt: volatile. Raises as `Conn.delta`."""
        self._conn.delta(run, start, tokens)
        self._poke()

    def put_graph(self, address: Hash, body: bytes, labels: Collection[str] = ()) -> bool:
        """Hold a graph ready for the worker. False: the gate refused. Raises as `Conn.put_graph`."""
        passed = self._conn.put_graph(address, body, labels)
        self._poke()
        return passed

    def graph_state(self, address: Hash, status: GraphStatus, problems: Sequence[tuple[str, str, str]] = ()) -> None:
        """Say what became of a graph."""
        self._conn.graph_state(address, status, problems)
        self._poke()

    def offer(self, offer: Mapping[str, Value]) -> None:
        """What this worker offers from now on."""
        self._conn.offer(offer)
        self._poke()

    def drain(self, reason: str, drain_ms: int, retry_ms: int) -> None:
        """Take no new runs and close after `drain_ms`."""
        self._conn.drain(_now(), reason, drain_ms, retry_ms)
        self._poke()

    async def durable(self) -> None:
        """Returns when everything appended so far is durable here. Raises JournalError if it cannot be written."""
        self._commit()
        while self._committing is not None and self._failure is None:
            await asyncio.shield(self._committing)
        if self._failure is not None:
            raise self._failure

    async def flushed(self, seconds: float = 5.0) -> None:
        """Returns when all that may be sent was handed to the socket, or after `seconds`."""
        await self.durable()
        self._idle.clear()
        self._wake.set()
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return

    # -- one connection

    async def carry(self, socket: ClientConnection | ServerConnection, number: int, first: bytes | None = None) -> None:
        """Be one connection's life: returns when it is over. `first` is a packet that was read already."""
        from websockets.exceptions import ConnectionClosed

        conn = self._conn
        conn.connected(_now(), number)
        sender = asyncio.get_running_loop().create_task(self._send(socket))
        code, text = 0, "the connection was lost"
        try:
            if first is not None:
                self._tell(conn.receive(_now(), first, number))
                self._poke()
            while True:
                packet = await socket.recv(decode=None)
                if isinstance(packet, str):
                    await socket.close(1003, "binary messages only")
                    break
                self._tell(conn.receive(_now(), packet, number))
                self._poke()
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                code, text = closed.rcvd.code, closed.rcvd.reason
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            conn.disconnected()
            self._idle.set()
            self._tell([Closed(code, text)])

    async def _send(self, socket: ClientConnection | ServerConnection) -> None:
        conn = self._conn
        while True:
            self._wake.clear()
            now = _now()
            self._tell(conn.tick(now))
            self._commit()
            while (packet := conn.poll(now, socket.transport.get_write_buffer_size())) is not None:
                await socket.send(packet)
                now = _now()
            if conn.closing is not None:
                await socket.close(conn.closing)
                return
            if self._committing is None:
                self._idle.set()
            due = conn.deadline()
            try:
                await asyncio.wait_for(self._wake.wait(), None if due is None else max(0.0, (due - _now()) / 1000))
            except TimeoutError:
                continue

    # -- inside

    def _poke(self) -> None:
        self._commit()
        self._wake.set()

    def _commit(self) -> None:
        """One group commit at a time: what is appended meanwhile makes the next one."""
        if self._committing is None and self._failure is None:
            effects = self._conn.effects()
            if effects:
                self._committing = asyncio.get_running_loop().create_task(self._write(effects))

    async def _write(self, effects: Sequence[Any]) -> None:
        try:
            await self._store.commit(effects)
        except JournalError as error:
            self._failure = error
            self._tell([Closed(0, f"the journal cannot be written: {error}")])
            return
        finally:
            self._committing = None
        self._tell(self._conn.committed(len(effects)))
        self._poke()

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, NeedRecords):
                task = asyncio.get_running_loop().create_task(self._supply(event))
                task.add_done_callback(lambda done: done.exception())
            else:
                self._on_event(event)

    async def _supply(self, need: NeedRecords) -> None:
        records = await self._store.read(need.run, need.writer, need.after, need.upto)
        self._conn.supply_records(need.run, need.after, records)
        self._poke()


# -- the device


@asynccontextmanager
async def connect(
    url: str, config: Config, store: LinkStore, on_event: Callable[[Event], None], *, token: str | None = None, seconds: float = 10.0
) -> AsyncIterator[tuple[Link, Ready]]:
    """A connection to a worker for the length of the block: its link, and what it said of itself.

    Raises WorkerUnreachable, whose text says what is wrong, once: nothing is tried again here.
    """
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()

    def hear(event: Event) -> None:
        if isinstance(event, Ready) and not ready.done():
            ready.set_result(event)
        elif isinstance(event, Closed) and not ready.done():
            ready.set_exception(WorkerUnreachable(url, f"the worker at {url} closed the connection: {event.text or event.code}"))
        on_event(event)

    socket = await _open(url, token, seconds)
    link = Link(Conn(config, await store.find(())), store, hear)
    number = await store.next_connection()
    carrying = asyncio.get_running_loop().create_task(link.carry(socket, number))
    try:
        try:
            welcome = await asyncio.wait_for(asyncio.shield(ready), seconds)
        except TimeoutError:
            raise WorkerUnreachable(url, f"the worker at {url} took the connection but said nothing for {seconds:g} s") from None
        yield link, welcome
    finally:
        await socket.close()
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
        if ready.done() and not ready.cancelled():
            ready.exception()


async def _open(url: str, token: str | None, seconds: float) -> ClientConnection:
    from websockets.asyncio.client import connect as open_socket
    from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
    from websockets.typing import Subprotocol

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        return await open_socket(
            url,
            additional_headers=headers,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=MAX_PACKET,
            ping_interval=None,
            open_timeout=seconds,
            close_timeout=_CLOSE_SECONDS,
            proxy=None,
        )
    except InvalidURI as error:
        raise UsageError(f"{url!r} is not a link URL: it looks like ws://HOST:PORT{PATH}") from error
    except InvalidStatus as error:
        raise _refused(url, error.response.status_code) from error
    except (InvalidHandshake, EOFError) as error:
        raise WorkerUnreachable(url, f"what answers at {url} is no worker: {error}") from error
    except (OSError, TimeoutError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "no answer"
        raise WorkerUnreachable(
            url, f"the worker at {url} cannot be reached: {reason}", hint="Start one with `graphferry serve`, or run with --offline."
        ) from error


def _refused(url: str, status: int) -> LinkCondition:
    text, hint = {
        401: ("does not accept this token", "Set GRAPHFERRY_TOKEN to the worker's token."),
        403: ("forbids this connection", "Ask whoever runs the worker."),
        404: ("has no link there", f"The URL ends in {PATH}."),
        426: ("speaks another version of the protocol", "Update graphferry on the older side."),
        429: ("takes no new connections now", "Try again later."),
    }.get(status, (f"answered with HTTP status {status}", "Check the URL."))
    return WorkerUnreachable(url, f"the worker at {url} {text}", hint=hint)


# -- the worker


async def listen(
    handler: Callable[[ServerConnection], Any],
    *,
    host: str,
    port: int,
    token: str | None,
    draining: Callable[[], int | None] = lambda: None,
    health: Callable[[], str] = lambda: "ok\n",
    origins: Collection[str] = (),
) -> Server:
    """Listen for devices. `handler` has one connection each; `draining` gives the ms after which to come back while no new ones are taken.

    Everything but a device with the right token is answered before the upgrade: 200 /healthz, 401, 403, 404, 426, 429.
    Raises UsageError for an address that is not loopback: there is no TLS yet.
    """
    from websockets.asyncio.server import serve
    from websockets.typing import Subprotocol

    if host not in _LOOPBACK:
        raise UsageError(
            f"--host {host}: only loopback addresses are served until there is TLS", hint="Use 127.0.0.1, and a tunnel of your own to reach it from elsewhere."
        )

    def judge(connection: ServerConnection, request: Request) -> Response | None:
        return _judge(connection, request, token, draining(), health, origins)

    return await serve(
        handler,
        host,
        port,
        process_request=judge,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        max_size=MAX_PACKET,
        ping_interval=None,
        close_timeout=_CLOSE_SECONDS,
        server_header=None,
    )


def _judge(
    connection: ServerConnection, request: Request, token: str | None, drain_ms: int | None, health: Callable[[], str], origins: Collection[str]
) -> Response | None:
    path = request.path.partition("?")[0]
    if path == "/healthz":
        return connection.respond(HTTPStatus.OK, health())
    if path != PATH:
        return connection.respond(HTTPStatus.NOT_FOUND, f"the link is at {PATH}\n")
    origin = request.headers.get("Origin")
    if origin is not None and origin not in origins:
        return connection.respond(HTTPStatus.FORBIDDEN, "pages of other sites may not use this worker\n")
    if token is not None and not _token_fits(request.headers.get("Authorization", ""), token):
        refusal = connection.respond(HTTPStatus.UNAUTHORIZED, "a token is needed\n")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal
    offered = [each.strip() for line in request.headers.get_all("Sec-WebSocket-Protocol") for each in line.split(",")]
    if SUBPROTOCOL not in offered:
        return connection.respond(HTTPStatus.UPGRADE_REQUIRED, f"this worker speaks {SUBPROTOCOL}\n")
    if drain_ms is not None:
        refusal = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "this worker is about to stop\n")
        refusal.headers["Retry-After"] = str(max(1, drain_ms // 1000))
        return refusal
    return None


def _token_fits(header: str, token: str) -> bool:
    scheme, _, given = header.partition(" ")
    return hmac.compare_digest(given.strip().encode(), token.encode()) and scheme.lower() == "bearer"


async def accept(socket: ServerConnection) -> tuple[bytes, DeviceHello] | None:
    """The first packet of a connection and the HELLO in it; None if there was none in time, and the connection is closed then."""
    from websockets.exceptions import ConnectionClosed

    try:
        packet = await asyncio.wait_for(socket.recv(decode=None), _HELLO_SECONDS)
        if isinstance(packet, str):
            await socket.close(1003, "binary messages only")
            return None
        hello = read_first_packet(packet)
    except TimeoutError:
        await socket.close(4408, "no HELLO in time")
        return None
    except RemoteProtocolError as error:
        await socket.close(error.close or 4400, str(error)[:100])
        return None
    except ConnectionClosed:
        return None
    return packet, hello
