"""The carrier over real sockets: every HTTP answer, limits, and links that live through lost connections."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect as open_socket
from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from graphs.errors import JournalError, UsageError, WorkerUnreachable
from graphs.records import Close, End, Event, Result, State, Submit
from protocol import codec
from protocol.config import Config, Role
from protocol.errors import WorkerRefused
from protocol.events import Closed, DeltaSeen, Event as LinkEvent, Faulted, Got, Ready
from protocol.handshake import DeviceHello
from protocol.link import Link
from protocol.messages import Fault
from protocol.session import Conn
from protocol.transport import MAX_PACKET, PATH, SUBPROTOCOL, accept, connect, listen
from wire.memory_store import MemoryStore
from wire.pair import DEVICE, DEVICE_ID, STORES, WORKER, run_id

SUBMIT = Submit("", bytes(32), {}, {})
TOKEN = "correct horse"
DEVICE_CONFIG = Config(Role.DEVICE, "worker", DEVICE_ID)


class Worker:
    """A worker with one session for one device, and what it was told."""

    def __init__(self) -> None:
        self.store = MemoryStore(STORES[WORKER])
        self.events: list[LinkEvent] = []
        self.changed = asyncio.Event()
        self.draining: int | None = None
        self.sockets: list[ServerConnection] = []
        self.link = Link(Conn(Config(Role.WORKER, "device", DEVICE_ID, hb_ms=1000), self.store.snapshot()), self.store, self.hear)
        self.server: Server
        self.url = ""

    def hear(self, event: LinkEvent) -> None:
        self.events.append(event)
        self.changed.set()

    async def handle(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        came = await accept(socket)
        if came is not None:
            await self.link.carry(socket, came[1].conn, came[0])


@asynccontextmanager
async def serving() -> AsyncIterator[Worker]:
    worker = Worker()
    worker.server = await listen(
        worker.handle, host="127.0.0.1", port=0, token=TOKEN, draining=lambda: worker.draining, origins=["http://good"]
    )
    port = next(iter(worker.server.sockets)).getsockname()[1]
    worker.url = f"ws://127.0.0.1:{port}{PATH}"
    try:
        yield worker
    finally:
        worker.server.close()
        await worker.server.wait_closed()
        await worker.link.close()


class Device:
    """Events of a device's link, and a way to wait for one."""

    def __init__(self) -> None:
        self.store = MemoryStore(STORES[DEVICE])
        self.events: list[LinkEvent] = []
        self.changed = asyncio.Event()

    def hear(self, event: LinkEvent) -> None:
        self.events.append(event)
        self.changed.set()


async def until(side: Worker | Device, condition: Callable[[], bool]) -> None:
    """Returns when what a side was told makes the condition true."""
    async with asyncio.timeout(20):
        while not condition():
            side.changed.clear()
            await side.changed.wait()


def kinds(side: Worker | Device, kind: type[Any]) -> list[Any]:
    return [event for event in side.events if isinstance(event, kind)]


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


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
                connection = http.client.HTTPConnection(host, timeout=10)
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


# -- what a device is told when there is no connection


async def refused(url: str, token: str | None = TOKEN) -> WorkerUnreachable:
    with pytest.raises(WorkerUnreachable) as caught:
        async with connect(url, DEVICE_CONFIG, MemoryStore(STORES[DEVICE]), lambda _: None, token=token):
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


def test_no_worker_at_all_is_unreachable() -> None:
    async def main() -> None:
        async with serving() as worker:
            url = worker.url
        error = await refused(url)
        assert error.url == url
        assert url in str(error)
        assert "serve" in str(error)

    run(main)


def test_what_is_no_url_is_a_usage_error() -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="link URL"):
            async with connect("not a url", DEVICE_CONFIG, MemoryStore(STORES[DEVICE]), lambda _: None):
                pass

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
    async with asyncio.timeout(20):
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


# -- a link


async def work(worker: Worker, link: Link, device: Device) -> None:
    run_ = run_id(1)
    link.append(run_, SUBMIT)
    await until(worker, lambda: bool(kinds(worker, Got)))
    start = worker.link.append(run_, Event("a", 1, State.EXECUTING, 5, {}))
    worker.link.delta(run_, start, ["Hel", "lo"])
    await until(device, lambda: bool(kinds(device, DeltaSeen)))
    worker.link.append(run_, Result("a", 1, 0, "Hello", 5, {}))
    worker.link.append(run_, End(0, 5, {}))
    await until(device, lambda: len(kinds(device, Got)) == 3)


def test_a_run_goes_out_and_its_results_come_back() -> None:
    async def main() -> None:
        device = Device()
        async with serving() as worker:
            async with connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN) as (link, ready):
                assert ready == Ready(STORES[WORKER], {})
                await work(worker, link, device)
                await link.flushed()
                assert "".join(token for event in kinds(device, DeltaSeen) for token in event.tokens) == "Hello"
            assert device.store.tail(run_id(1), STORES[WORKER], 0, 3) == worker.store.tail(run_id(1), STORES[WORKER], 0, 3)
            assert kinds(device, Closed)
            await until(worker, lambda: bool(kinds(worker, Closed)))

    run(main)


def test_a_lost_connection_is_made_again_and_nothing_is_lost() -> None:
    async def main() -> None:
        device = Device()
        async with (
            serving() as worker,
            connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN, reconnect=True) as (link, _),
        ):
            link.append(run_id(1), SUBMIT)
            await until(worker, lambda: bool(kinds(worker, Got)))
            worker.sockets[-1].transport.abort()
            await until(device, lambda: bool(kinds(device, Closed)))
            link.append(run_id(1), Close(None))
            worker.link.append(run_id(1), Result("a", 1, 0, 1, 5, {}))
            await until(device, lambda: bool(kinds(device, Got)))
            await until(worker, lambda: len(kinds(worker, Got)) == 2)
            assert [type(event.record) for event in kinds(worker, Got)] == [Submit, Close]
            assert len(worker.sockets) == 2

    run(main)


def test_a_worker_that_refuses_later_is_told_once() -> None:
    async def main() -> None:
        device = Device()
        async with (
            serving() as worker,
            connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN, reconnect=True),
        ):
            await worker.sockets[-1].close(4403)
            await until(device, lambda: bool(kinds(device, Closed)))
            assert len(worker.sockets) == 1
            assert kinds(device, Closed)[-1].code == 4403

    run(main)


def test_without_a_working_journal_nothing_is_sent() -> None:
    class Broken(MemoryStore):
        async def commit(self, effects: Any) -> None:
            raise OSError("disk full")

    async def main() -> None:
        device = Device()
        store = Broken(STORES[DEVICE])
        async with serving() as worker:
            async with connect(worker.url, DEVICE_CONFIG, store, device.hear, token=TOKEN) as (link, _):
                link.append(run_id(1), SUBMIT)
                with pytest.raises(JournalError, match="disk full"):
                    await link.durable()
                with pytest.raises(JournalError):
                    link.append(run_id(1), Close(None))
                await until(device, lambda: bool(kinds(device, Closed)))
                assert kinds(device, Faulted)[0].code == "INTERNAL"
            assert worker.store.logs == {}

    run(main)


def test_what_is_appended_during_a_commit_makes_the_next_one() -> None:
    class Slow(MemoryStore):
        gate: asyncio.Event

        async def commit(self, effects: Any) -> None:
            await self.gate.wait()
            await super().commit(effects)

    async def main() -> None:
        store = Slow(STORES[DEVICE])
        store.gate = asyncio.Event()
        link = Link(Conn(DEVICE_CONFIG, store.snapshot()), store, lambda _: None)
        link.append(run_id(1), SUBMIT)
        await asyncio.sleep(0)
        for number in range(10):
            link.append(run_id(number + 2), SUBMIT)
        store.gate.set()
        await link.durable()
        assert store.commits == 2
        assert len(store.logs) == 11
        await link.close()

    run(main)


def test_a_handlers_mistake_does_not_stop_the_link(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        device = Device()

        def broken(event: LinkEvent) -> None:
            device.hear(event)
            if isinstance(event, Got):
                raise ValueError("mine")

        async with serving() as worker, connect(worker.url, DEVICE_CONFIG, device.store, broken, token=TOKEN) as (link, _):
            await work(worker, link, device)

    run(main)
    assert "handles Got" in caplog.text
    assert TOKEN not in caplog.text


def test_a_worker_that_says_nothing_is_given_up() -> None:
    async def main() -> None:
        async def silent(socket: ServerConnection) -> None:
            await socket.wait_closed()

        server = await listen(silent, host="127.0.0.1", port=0, token=None)
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}{PATH}"
        with pytest.raises(WorkerUnreachable, match="said nothing"):
            async with connect(url, DEVICE_CONFIG, MemoryStore(STORES[DEVICE]), lambda _: None, seconds=0.2):
                pass
        server.close()
        await server.wait_closed()

    run(main)


def test_draining_says_so_and_closes() -> None:
    async def main() -> None:
        device = Device()
        async with serving() as worker, connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN):
            worker.link.drain("stopping", 0, 9_000)
            await until(device, lambda: bool(kinds(device, Closed)))
            assert kinds(device, Closed)[0].code == 4503
            assert any(type(event).__name__ == "GoingAway" for event in device.events)

    run(main)
