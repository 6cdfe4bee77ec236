"""The carrier over real sockets: every HTTP answer, first packets, and sizes."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect as open_socket
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from certificates import certificate
from ferry import FakeServer
from graphs.errors import JournalError, UsageError, WorkerUnreachable
from protocol import codec
from protocol.ending import send_last
from protocol.errors import WorkerRefused
from protocol.handshake import DeviceHello
from protocol.messages import Fault
from protocol.pairing import PAIR_PATH
from protocol.tls import client_context, server_context
from protocol.transport import MAX_PACKET, PATH, SUBPROTOCOL, Refused, accept, connect, listen
from wire.memory_store import MemoryStore
from wire.pair import DEVICE, DEVICE_ID, STORES
from wire.sockets import DEVICE_CONFIG, TOKEN, Worker, run, serving

# -- before the upgrade


async def status(url: str, **more: Any) -> int:
    options = {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}, "subprotocols": [Subprotocol(SUBPROTOCOL)], **more}
    with pytest.raises(InvalidStatus) as caught:
        await open_socket(url, proxy=None, compression=None, **options)
    return caught.value.response.status_code


def test_health_is_answered_without_a_token() -> None:
    async def main() -> None:
        async with serving() as worker:
            host = worker.url.removeprefix("ws://").removesuffix(PATH)

            def get() -> tuple[int, bytes]:
                connection = http.client.HTTPConnection(host, timeout=120)
                connection.request("GET", "/healthz")
                response = connection.getresponse()
                body = response.read()
                connection.close()
                return response.status, body

            assert await asyncio.to_thread(get) == (200, b"ok\n")

    run(main)


def test_everything_wrong_is_said_before_the_upgrade() -> None:
    async def main() -> None:
        async with serving() as worker:
            assert await status(worker.url, additional_headers={}) == 401
            assert await status(worker.url, additional_headers={"Authorization": "Bearer wrong"}) == 401
            assert await status(worker.url, additional_headers={"Authorization": f"Basic {TOKEN}"}) == 401
            assert await status(worker.url, origin="http://evil") == 403
            assert await status(worker.url.replace(PATH, "/v2/link")) == 404
            assert await status(worker.url, subprotocols=[Subprotocol("other")]) == 426
            assert await status(worker.url, subprotocols=None) == 426
            worker.draining = 7_000
            assert await status(worker.url) == 429
            assert worker.sockets == []

    run(main)


def test_a_page_on_the_allow_list_may_connect() -> None:
    async def main() -> None:
        async with (
            serving() as worker,
            open_socket(
                worker.url,
                proxy=None,
                origin="http://good",  # type: ignore[arg-type]
                additional_headers={"Authorization": f"Bearer {TOKEN}"},
                subprotocols=[Subprotocol(SUBPROTOCOL)],
            ) as socket,
        ):
            assert socket.subprotocol == SUBPROTOCOL
            assert socket.protocol.extensions == []

    run(main)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_only_loopback_is_served(host: str) -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="loopback"):
            await listen(lambda _: None, host=host, port=0, token=None)

    run(main)


def test_another_address_is_served_with_tls_or_where_the_network_is_said_to_be_safe() -> None:
    async def main() -> None:
        for more in ({"tls": server_context(certificate("first"))}, {"plain": True}):
            server = await listen(lambda _: None, host="0.0.0.0", port=0, token=None, **more)
            server.close()
            await server.wait_closed()

    run(main)


def test_who_may_come_is_asked_for_each_request_of_the_link_and_of_pairing() -> None:
    asked: list[tuple[str, str | None, str]] = []

    def admit(path: str, token: str | None, address: str) -> Refused | None:
        asked.append((path, token, address))
        return Refused(HTTPStatus.TOO_MANY_REQUESTS, "later", 7) if path == PAIR_PATH else Refused(HTTPStatus.FORBIDDEN, "no")

    async def main() -> None:
        server = await listen(lambda _: None, host="127.0.0.1", port=0, admit=admit)
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        assert await status(url + PATH) == 403
        assert await status(url + PAIR_PATH, additional_headers={}) == 429
        assert await status(url + "/", additional_headers={}) == 404
        assert asked == [(PATH, TOKEN, "127.0.0.1"), (PAIR_PATH, None, "127.0.0.1")]
        server.close()
        await server.wait_closed()

    run(main)


def test_a_device_that_is_sent_away_after_the_upgrade_says_why() -> None:
    async def main() -> None:
        async def handle(socket: ServerConnection) -> None:
            await accept(socket)
            await send_last(socket, Fault("AUTH_FORBIDDEN", "not you", True), 4403)

        server = await listen(handle, host="127.0.0.1", port=0)
        error = await refused(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}{PATH}")
        assert isinstance(error, WorkerRefused)
        assert "not you" in error.message
        server.close()
        await server.wait_closed()

    run(main)


# -- what a device is told when there is no connection


async def refused(url: str, token: str | None = TOKEN, tls: ssl.SSLContext | None = None) -> WorkerUnreachable:
    with pytest.raises(WorkerUnreachable) as caught:
        async with connect(url, DEVICE_CONFIG, MemoryStore(STORES[DEVICE]), lambda _: None, token=token, tls=tls):
            pass
    return caught.value


def test_a_refusal_names_its_reason_and_the_url_but_not_the_token() -> None:
    async def main() -> None:
        async with serving() as worker:
            wrong = await refused(worker.url, "guess-of-mine")
            assert isinstance(wrong, WorkerRefused)
            assert (wrong.status, wrong.retryable) == (401, False)
            assert worker.url in str(wrong)
            assert "GRAPHFERRY_TOKEN" in str(wrong)
            assert "guess-of-mine" not in str(wrong)
            missing = await refused(worker.url.replace(PATH, "/x"))
            assert isinstance(missing, WorkerRefused)
            assert (missing.status, missing.retryable) == (404, False)
            worker.draining = 7_000
            later = await refused(worker.url)
            assert isinstance(later, WorkerRefused)
            assert (later.status, later.retryable, later.retry_ms) == (429, True, 7_000)
            assert worker.sockets == []

    run(main)


def test_no_redirect_is_followed() -> None:
    async def main() -> None:
        async with serving() as worker:
            elsewhere = FakeServer(f"302 Found\r\nLocation: {worker.url}")
            try:
                error = await refused(elsewhere.url)
            finally:
                elsewhere.close()
            assert isinstance(error, WorkerRefused)
            assert error.status == 302
            assert worker.sockets == []

    run(main)


def test_no_worker_at_all_is_unreachable() -> None:
    async def main() -> None:
        async with serving() as worker:
            url = worker.url
        error = await refused(url)
        assert error.url == url
        assert url in str(error)
        assert "serve" in str(error)

    run(main)


def test_a_worker_without_tls_that_is_asked_for_it_is_told_from_none() -> None:
    async def main() -> None:
        async with serving() as worker:
            error = await refused(worker.url.replace("ws://", "wss://"), tls=client_context())
            assert error.message == f"the worker at {error.url} cannot be reached: it ended the connection when TLS began"
            assert error.hint is not None
            assert "ws://" in error.hint

    run(main)


def test_what_is_no_url_is_a_usage_error() -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="link URL"):
            async with connect("not a url", DEVICE_CONFIG, MemoryStore(STORES[DEVICE]), lambda _: None):
                pass

    run(main)


@pytest.mark.parametrize("asked", ["find", "next_connection"])
def test_a_journal_that_refuses_leaves_no_socket_open(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise JournalError("the disk is full")

    async def main() -> None:
        closed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

        async def handle(socket: ServerConnection) -> None:
            await socket.wait_closed()
            closed.set_result(socket.close_code)

        server = await listen(handle, host="127.0.0.1", port=0)
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}{PATH}"
        store = MemoryStore(STORES[DEVICE])
        monkeypatch.setattr(store, asked, refuse)
        with pytest.raises(JournalError, match="the disk is full"):
            async with connect(url, DEVICE_CONFIG, store, lambda _: None):
                pass
        assert await asyncio.wait_for(closed, 120) == 1000  # said, and not only gone
        server.close()
        await server.wait_closed()

    run(main)


# -- the first packet, sizes, text


@asynccontextmanager
async def raw(worker: Worker) -> AsyncIterator[ClientConnection]:
    async with open_socket(
        worker.url,
        proxy=None,
        compression=None,
        max_size=None,
        additional_headers={"Authorization": f"Bearer {TOKEN}"},
        subprotocols=[Subprotocol(SUBPROTOCOL)],
    ) as socket:
        yield socket


async def ended(socket: ClientConnection) -> tuple[list[Any], int]:
    """What was still said, and the close code."""
    said: list[Any] = []
    async with asyncio.timeout(120):
        try:
            while True:
                said += codec.decode(await socket.recv(decode=False))
        except ConnectionClosed:
            return said, socket.close_code or 0


HELLO = DeviceHello(DEVICE_ID, STORES[DEVICE], 1)


@pytest.mark.parametrize(
    ("message", "code", "fault"),
    [
        ("text", 1003, None),
        (b"\xc1", 4400, "PROTOCOL_DECODE"),
        (codec.encode(Fault("X", "", False)), 4400, "PROTOCOL_HANDSHAKE"),
        (bytes(codec.MAX_FIRST_PACKET + 1), 4413, "LIMIT_PACKET"),
        (bytes(MAX_PACKET + 1), 1009, None),
    ],
    ids=["text", "garbage", "no hello", "too long", "far too long"],
)
def test_a_first_packet_that_is_no_hello(message: Any, code: int, fault: str | None) -> None:
    async def main() -> None:
        async with serving() as worker, raw(worker) as socket:
            await socket.send(message)
            said, closed = await ended(socket)
            assert closed == code
            assert [each.code for each in said] == ([fault] if fault else [])

    run(main)


@pytest.mark.parametrize(
    ("message", "code"),
    [("text", 1003), (bytes(codec.MAX_PACKET + 1), 4413), (bytes(MAX_PACKET + 1), 1009), (b"\xc1", 4400)],
    ids=["text", "over the limit", "over the carrier's limit", "garbage"],
)
def test_a_later_packet_that_breaks_a_rule(message: Any, code: int) -> None:
    async def main() -> None:
        async with serving() as worker, raw(worker) as socket:
            await socket.send(codec.encode(HELLO.message()))
            await socket.recv()
            await socket.send(message)
            assert (await ended(socket))[1] == code

    run(main)


def test_an_older_connection_is_refused_and_a_newer_one_replaces() -> None:
    async def main() -> None:
        async with serving() as worker, raw(worker) as first:
            await first.send(codec.encode(DeviceHello(DEVICE_ID, STORES[DEVICE], 5).message()))
            await first.recv()
            async with raw(worker) as stale:
                await stale.send(codec.encode(DeviceHello(DEVICE_ID, STORES[DEVICE], 5).message()))
                said, code = await ended(stale)
                assert (said[0].code, said[0].about, code) == ("STALE_CONN", 5, 4409)
            async with raw(worker) as newer:
                await newer.send(codec.encode(DeviceHello(DEVICE_ID, STORES[DEVICE], 6).message()))
                await newer.recv()
                assert (await ended(first))[1] == 4409
                await newer.send(codec.encode(HELLO.message()))  # still alive: it answers with a fault
                assert (await ended(newer))[0][0].code == "PROTOCOL_HANDSHAKE"

    run(main)


# -- hostile bytes on a real socket


HANDSHAKE = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
).encode()


def frame(payload: bytes, opcode: int = 2, *, masked: bool = True, says: int | None = None) -> bytes:
    """A WebSocket frame as a client sends it, perhaps with a length that lies."""
    size = len(payload) if says is None else says
    return (
        bytes((0x80 | opcode, (0x80 if masked else 0) | 127)) + size.to_bytes(8, "big") + (bytes(4) if masked else b"") + payload
    )


HOSTILE: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x02\x00" + bytes(range(256)),
    "a header without an end": b"GET /" + b"a" * 100_000,
    "a thousand headers": b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(1_000)) + b"\r\n",
    "half a handshake": HANDSHAKE[:80],
    "a frame that is not masked": HANDSHAKE + frame(b"\x93\x03\x01\x01", masked=False),
    "a frame of 2^62 bytes": HANDSHAKE + frame(b"x" * 1_000, says=2**62),
    "a frame cut off": HANDSHAKE + frame(b"x" * 1_000, says=100_000),
    "a reserved opcode": HANDSHAKE + frame(b"x", opcode=5),
    "a ping of 200 bytes": HANDSHAKE + frame(b"x" * 200, opcode=9),
    "text": HANDSHAKE + frame(b"hello", opcode=1),
    "no HELLO": HANDSHAKE + frame(b"\x93\x03\x01\x01"),
    "a first packet of a megabyte": HANDSHAKE + frame(bytes(1_000_000)),
    "a HELLO that is a bomb": HANDSHAKE + frame(b"\x92\x01" + b"\x91" * 100_000),
    "close, then more": HANDSHAKE + frame(b"\x03\xe8", opcode=8) + frame(b"\x93\x03\x01\x01") * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_end_one_connection_and_nothing_else(name: str) -> None:
    async def main() -> None:
        async with serving() as worker:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(worker.url.rsplit(":", 1)[1].partition("/")[0]))
            writer.write(HOSTILE[name])
            writer.write_eof()
            async with asyncio.timeout(120):
                try:
                    while await reader.read(65536):
                        pass
                except ConnectionError:
                    pass  # closed hard: also an answer
            writer.close()
            async with connect(worker.url, DEVICE_CONFIG, MemoryStore(STORES[DEVICE]), lambda _: None, token=TOKEN) as (_, ready):
                assert ready.store == worker.store.store

    run(main)
