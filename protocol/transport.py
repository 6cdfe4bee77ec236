"""The carrier: how a device opens a connection to a worker, and how a worker takes one.

Everything that can be said in HTTP is said before the upgrade: health, wrong path, wrong token, foreign origin, other version, draining
(docs/protocol.md §3, §16).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from graphs.errors import UsageError, WorkerUnreachable
from protocol.carrier import carrying
from protocol.config import Config
from protocol.ending import send_last
from protocol.errors import CLOSES, Close, Reconnect, RemoteProtocolError, WorkerRefused, WorkerUntrusted
from protocol.events import Closed, Event, Faulted, Ready
from protocol.handshake import DeviceHello, read_first_packet
from protocol.link import Link
from protocol.liveness import STABLE_MS, WELCOME_MS, backoff
from protocol.messages import Fault, RunId
from protocol.paced import Paced
from protocol.pairing import PAIR_PATH
from protocol.session import Conn
from protocol.store import LinkStore
from protocol.tls import WrongCertificate

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

__all__ = [
    "LOOPBACK",
    "MAX_PACKET",
    "PATH",
    "SUBPROTOCOL",
    "Admit",
    "Link",
    "Refused",
    "accept",
    "bearer",
    "connect",
    "listen",
    "open_socket",
]

PATH: Final = "/v1/link"
SUBPROTOCOL: Final = "graphferry.v1"
MAX_PACKET: Final = 1 << 20
_CLOSE_SECONDS: Final = 1.0
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Refused(NamedTuple):
    """How a request is refused: the status, the words, and after how many seconds it may be made again."""

    status: HTTPStatus
    text: str
    seconds: int | None = None


Admit: TypeAlias = Callable[[str, str | None, str], Refused | None]
"""`admit(path, token, address)` of a request: None lets it in."""

_wire_log = logging.getLogger("graphferry.websocket")
_wire_log.setLevel(logging.INFO)  # at DEBUG the library logs the headers of each request, the token among them


# -- the device


@asynccontextmanager
async def connect(
    url: str,
    config: Config,
    store: LinkStore,
    on_event: Callable[[Event], None],
    *,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    seconds: float = 10.0,
    reconnect: bool = False,
    runs: Collection[RunId] = (),
) -> AsyncIterator[tuple[Link, Ready]]:
    """A connection to a worker for the length of the block: its link, and what it said of itself. `runs` are child runs to go on with.

    `tls` is for a `wss` URL; without one the system's certificates count. With `reconnect` a connection that is lost later is made again
    until the block ends; a worker that then refuses is told as `Faulted`. Raises WorkerUnreachable if there is no worker, WorkerRefused if it
    does not let this device in, WorkerUntrusted if its certificate is not the right one; all once, nothing is tried again, but for a number that the
    worker says is too low: this store went back in time.
    """
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    forgiving = True

    def hear(event: Event) -> None:
        if ready.done() or (forgiving and link.stale_after):
            pass
        elif isinstance(event, Ready):
            ready.set_result(event)
        elif isinstance(event, Faulted) and event.close is not None:
            text = f"the worker at {url} does not let this device in: {event.text}"
            ready.set_exception(WorkerRefused(url, 0, text, retry_ms=event.retry_ms))
        elif isinstance(event, Closed):
            ready.set_exception(WorkerUnreachable(url, f"the worker at {url} closed the connection: {event.text or event.code}"))
        on_event(event)

    socket = await open_socket(url, token, tls=tls, seconds=seconds)
    async with _closing_if_refused(socket):
        link = Link(Conn(config, await store.find(runs)), store, hear)
        number = await store.next_connection()
    began = asyncio.get_running_loop().time()
    carrying = asyncio.get_running_loop().create_task(_carry(link, socket, number))
    try:
        try:
            async with asyncio.timeout(seconds):
                first: list[asyncio.Future[Any]] = [ready, carrying]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if link.stale_after:
                    number, link.stale_after, forgiving = await store.next_connection(link.stale_after), 0, False
                    socket = await open_socket(url, token, tls=tls, seconds=seconds)
                    carrying = asyncio.get_running_loop().create_task(_carry(link, socket, number))
                welcome = await asyncio.shield(ready)
                link.bodies.meter.answered(asyncio.get_running_loop().time() - began)
        except TimeoutError:
            raise WorkerUnreachable(url, f"the worker at {url} took the connection but said nothing for {seconds:g} s") from None
        keeping = (
            asyncio.get_running_loop().create_task(_keep(link, carrying, url, store, token, tls, hear)) if reconnect else None
        )
        link.on_event = on_event
        try:
            yield link, welcome
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
    finally:
        await link.close()
        await _finished(carrying)
        if ready.done() and not ready.cancelled():
            ready.exception()


@asynccontextmanager
async def _closing_if_refused(socket: ClientConnection) -> AsyncIterator[None]:
    """The journal that is asked inside may be full or gone: then nobody else would close the socket."""
    try:
        yield
    except BaseException:
        await socket.close()
        raise


async def _carry(link: Link, socket: ClientConnection, number: int) -> tuple[Closed, float]:
    """One connection: why it ended, and how many ms it lasted."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        return await link.carry(socket, number), (loop.time() - began) * 1000
    finally:
        await socket.close()


async def _keep(
    link: Link,
    carrying: asyncio.Task[tuple[Closed, float]],
    url: str,
    store: LinkStore,
    token: str | None,
    tls: ssl.SSLContext | None,
    tell: Callable[[Event], None],
) -> None:
    """Make the connection again whenever it was lost, as long as that makes sense."""
    attempt, forgiven = 0, True
    try:
        while True:
            closed, lasted = await asyncio.shield(carrying)
            if lasted > STABLE_MS:
                attempt, forgiven = 0, True
            verdict = CLOSES.get(closed.code, Reconnect.ALWAYS)
            if link.stale_after:
                verdict = Reconnect.ONCE
            if verdict is Reconnect.NEVER or (verdict is Reconnect.ONCE and not forgiven):
                if link.stale_after:
                    text = "another installation connects with this device's identity"
                    tell(Faulted("DEVICE_CLONED", text, True, Close.REPLACED))
                return
            forgiven = forgiven and verdict is not Reconnect.ONCE
            wait = link.retry_ms
            socket = None
            while socket is None:
                # no jitter of secrets: it only spreads devices that lost the same worker
                await asyncio.sleep((wait if wait is not None else backoff(attempt, random.random())) / 1000)  # noqa: S311
                attempt += 1
                try:
                    socket = await open_socket(url, token, tls=tls)
                except WorkerRefused as error:
                    if not error.retryable:
                        tell(Faulted("AUTH_FORBIDDEN", error.message, True, Close.FORBIDDEN))
                        return
                    wait = error.retry_ms
                except WorkerUnreachable:
                    wait = None
            async with _closing_if_refused(socket):
                number = await store.next_connection(link.stale_after)
            link.stale_after = 0
            carrying = asyncio.get_running_loop().create_task(_carry(link, socket, number))
    finally:
        await link.close()
        await _finished(carrying)


async def _finished(carrying: asyncio.Task[Any]) -> None:
    """A closed connection ends by itself; a handshake that hangs does not."""
    await asyncio.wait([carrying], timeout=_CLOSE_SECONDS)
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)


async def open_socket(
    url: str, token: str | None = None, *, tls: ssl.SSLContext | None = None, seconds: float = 10.0
) -> ClientConnection:
    """A WebSocket to a worker, nothing said yet. Raises as `connect`."""
    from websockets.asyncio.client import ClientConnection, connect as open_connection
    from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
    from websockets.typing import Subprotocol

    class Direct(open_connection):
        """Follows no redirect: who is sent elsewhere would tell his values to another than he trusts."""

        def process_redirect(self, exc: Exception) -> Exception | str:
            return exc

    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    try:
        socket = await Direct(
            url,
            ssl=tls,
            logger=_wire_log,
            additional_headers={"Authorization": f"Bearer {token}"} if token else {},
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            create_connection=carrying(ClientConnection),
            max_size=MAX_PACKET,
            ping_interval=None,
            open_timeout=seconds,
            close_timeout=_CLOSE_SECONDS,
            proxy=None if host in LOOPBACK else True,
        )
    except InvalidURI as error:
        raise UsageError(f"{url!r} is not a link URL: it looks like ws://HOST:PORT{PATH}") from error
    except InvalidStatus as error:
        raise _refused(url, error.response.status_code, error.response.headers.get("Retry-After"), token) from error
    except (InvalidHandshake, EOFError) as error:
        hint = "If the worker speaks TLS, its URL begins with wss://" if url.startswith("ws://") else None
        raise WorkerUnreachable(url, f"what answers at {url} is no worker: {error}", hint=hint) from error
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(url, error) from error
    except (OSError, TimeoutError) as error:
        reason, hint = _reason(error, ciphered=tls is not None)
        raise WorkerUnreachable(url, f"the worker at {url} cannot be reached: {reason}", hint=hint) from error
    if socket.subprotocol != SUBPROTOCOL:
        await socket.close()
        raise WorkerUnreachable(url, f"what answers at {url} is no worker: it does not speak {SUBPROTOCOL}")
    return socket


def _reason(error: OSError | TimeoutError, *, ciphered: bool) -> tuple[str, str]:
    """Why nobody was reached, in the system's words: asyncio's own ("Connect call failed") say less. And what to do."""
    if ciphered and isinstance(error, ConnectionResetError) and error.errno is None:  # asyncio's, of a handshake that was cut off
        return "it ended the connection when TLS began", "If the worker speaks no TLS, its URL begins with ws://"
    hint = "Is a worker running there (`graphferry serve`), and are host and port of the URL its own?"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno), hint
    return error.strerror or str(error) or "no answer", hint


def _untrusted(url: str, error: ssl.SSLCertVerificationError) -> WorkerUntrusted:
    if isinstance(error, WrongCertificate):
        return WorkerUntrusted(
            url,
            f"THE CERTIFICATE OF THE WORKER AT {url} HAS CHANGED: nothing was sent to it. It shows {error.seen}, "
            f"this device was paired with {error.pinned}. Somebody may be in between",
            hint="If the worker was set up anew, pair again: `graphferry serve pair` there, then `graphferry pair` here.",
        )
    return WorkerUntrusted(
        url,
        f"the certificate of the worker at {url} cannot be verified: {error.verify_message or error}",
        hint="Pair with the worker, which pins its certificate: `graphferry serve pair` there, then `graphferry pair` here.",
    )


def _refused(url: str, status: int, retry_after: str | None, token: str | None) -> WorkerRefused:
    text, hint = {
        401: (
            "does not accept this token" if token else "wants a token, and this device has none for it",
            "Pair with it (graphferry pair), or set GRAPHFERRY_TOKEN to the worker's token.",
        ),
        403: (
            "forbids this connection: this device's access was revoked, or never was",
            "Ask whoever runs the worker; then pair again: graphferry pair.",
        ),
        404: ("has no link there", f"The URL ends in {PATH}."),
        426: ("speaks another version of the protocol", "Update graphferry on the older side."),
        429: ("takes no new connections now", "Try again later."),
        507: ("has no room on its disk", "Whoever runs it frees some; then it goes on by itself, with what it has."),
    }.get(status, (f"answered with HTTP status {status}", "Check the URL."))
    later = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    retry_ms = int(retry_after) * 1000 if retry_after is not None and retry_after.isdecimal() else 5_000
    return WorkerRefused(url, status, f"the worker at {url} {text}", retry_ms=retry_ms if later else None, hint=hint)


# -- the worker


async def listen(
    handler: Callable[[ServerConnection], Any],
    *,
    host: str,
    port: int,
    token: str | None = None,
    admit: Admit | None = None,
    tls: ssl.SSLContext | None = None,
    plain: bool = False,
    draining: Callable[[], int | None] = lambda: None,
    health: Callable[[], str] = lambda: "ok\n",
    origins: Collection[str] = (),
) -> Server:
    """Listen for devices. `handler` has one connection each, of the link or of pairing; `admit` says who may come, without it all who show
    `token`. `draining` gives the ms after which to come back while no new ones are taken.

    Everything but a device that may come is answered before the upgrade: 200 /healthz, 401, 403, 404, 426, 429.
    Raises UsageError for an address that is not loopback without `tls`, unless `plain` says that the network in between is safe.
    """
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.typing import Subprotocol

    if host not in LOOPBACK and tls is None and not plain:
        raise UsageError(
            f"--host {host}: without TLS only loopback addresses are served",
            hint="Leave out --no-tls; or use 127.0.0.1, and a tunnel of your own to reach it from elsewhere.",
        )
    judging = admit if admit is not None else _fixed(token)

    def judge(connection: ServerConnection, request: Request) -> Response | None:
        return _judge(connection, request, judging, draining(), health, origins)

    return await serve(
        handler,
        host,
        port,
        ssl=tls,
        logger=_wire_log,
        process_request=judge,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        create_connection=carrying(ServerConnection, Paced),
        max_size=MAX_PACKET,
        ping_interval=None,
        close_timeout=_CLOSE_SECONDS,
        server_header=None,
    )


def _fixed(token: str | None) -> Admit:
    """Lets those in who show this token, or everybody; there is no pairing."""

    def admit(path: str, given: str | None, _address: str) -> Refused | None:
        if path != PATH:
            return Refused(HTTPStatus.NOT_FOUND, f"the link is at {PATH}")
        if token is None or (given is not None and hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())):
            return None
        return Refused(HTTPStatus.UNAUTHORIZED, "a token is needed")

    return admit


def _judge(
    connection: ServerConnection,
    request: Request,
    admit: Admit,
    drain_ms: int | None,
    health: Callable[[], str],
    origins: Collection[str],
) -> Response | None:
    path = request.path.partition("?")[0]
    if path == "/healthz":
        return connection.respond(HTTPStatus.OK, health())
    if path not in (PATH, PAIR_PATH):
        return connection.respond(HTTPStatus.NOT_FOUND, f"the link is at {PATH}\n")
    if not set(request.headers.get_all("Origin")) <= set(origins):
        return connection.respond(HTTPStatus.FORBIDDEN, "pages of other sites may not use this worker\n")
    remote = connection.remote_address
    if (refused := admit(path, bearer(request), str(remote[0]) if remote else "")) is not None:
        refusal = connection.respond(refused.status, refused.text + "\n")
        if refused.status == HTTPStatus.UNAUTHORIZED:
            refusal.headers["WWW-Authenticate"] = "Bearer"
        if refused.seconds is not None:
            refusal.headers["Retry-After"] = str(refused.seconds)
        return refusal
    offered = [each.strip() for line in request.headers.get_all("Sec-WebSocket-Protocol") for each in line.split(",")]
    if SUBPROTOCOL not in offered:
        return connection.respond(HTTPStatus.UPGRADE_REQUIRED, f"this worker speaks {SUBPROTOCOL}\n")
    if drain_ms is not None:
        refusal = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "this worker is about to stop\n")
        refusal.headers["Retry-After"] = str(max(1, drain_ms // 1000))
        return refusal
    return None


def bearer(request: Request) -> str | None:
    """The token that a request shows."""
    shown = request.headers.get_all("Authorization")
    if len(shown) != 1:
        return None
    scheme, _, given = shown[0].partition(" ")
    return given.strip() or None if scheme.lower() == "bearer" else None


async def accept(socket: ServerConnection) -> tuple[bytes, DeviceHello] | None:
    """The first packet of a connection and the HELLO in it; None if there was none in time: then the peer was told, and the connection closed."""
    from websockets.exceptions import ConnectionClosed

    try:
        async with asyncio.timeout(WELCOME_MS / 1000):
            packet = await socket.recv(decode=None)
        if isinstance(packet, str):
            await socket.close(1003, "binary messages only")
            return None
        return packet, read_first_packet(packet)
    except TimeoutError:
        await send_last(socket, Fault("TIMEOUT", "no HELLO in time", True), Close.TIMEOUT)
    except RemoteProtocolError as error:
        await send_last(socket, Fault(error.fault, error.text, True), error.close or Close.PROTOCOL)
    except ConnectionClosed:
        pass  # it is gone already
    return None
