"""The two ends of a link in one process, for measuring, and what they are measured against: bare websockets, and a raw protocol."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgpack

from graphs.records import Encoded, Known, Record, Start, Submit
from protocol.config import Config, Role
from protocol.events import Acked, Event, Got
from protocol.link import Link
from protocol.payload import Reference
from protocol.replay import log_head
from protocol.session import Conn
from protocol.store import BodyPart, Effect, LinkStore, SharesNothing, Snapshot, Write
from protocol.transport import accept, connect, listen

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

__all__ = ["DEVICE", "SUBMIT", "Ends", "Memory", "asking", "ends", "framed", "raw", "run_id", "sockets"]

DEVICE: Final = b"b" * 16
SUBMIT: Final = Submit("", bytes(32), {}, {})

T = TypeVar("T")


def run_id(number: int) -> bytes:
    """A run id."""
    return number.to_bytes(16, "big")


class Memory(SharesNothing):
    """A journal that keeps everything in memory: what remains is the link's own cost.

    Plain tuples of numbers and bytes: the garbage collector lets go of them when it has seen them once. Objects of classes it would look at again and
    again, as it never does with a journal on a disk: that was a tenth of what was measured.
    """

    def __init__(self, store: bytes) -> None:
        self.store = store
        self.logs: dict[tuple[bytes, bytes], list[tuple[Any, ...]]] = defaultdict(list)
        """Of each record: type, number of fields, tail, checksum."""
        self.connection = 0

    def commit(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if type(effect) is Write:
                self.logs[effect[:2]].append(effect[3:])

    async def read(self, run: bytes, writer: bytes, after: int, upto: int) -> Sequence[Encoded]:
        return [Encoded(*each[:3]) for each in self.logs[run, writer][after:upto]]

    async def find(self, runs: Collection[bytes]) -> Snapshot:
        chosen = [(key, log) for key, log in self.logs.items() if not runs or key[0] in runs]
        logs = [(key, [(Encoded(*each[:3]), each[3]) for each in log]) for key, log in chosen]
        return Snapshot(self.store, None, [log_head(*key, log) for key, log in logs])

    async def begin_body(self, run: bytes | None, named: Reference) -> tuple[int, bool]:
        raise NotImplementedError("nothing here is large")

    async def write_body(self, ref: bytes, off: int, *data: bytes | memoryview) -> None:
        raise NotImplementedError("nothing here is large")

    async def check_body(self, ref: bytes, size: int, crc: int | None) -> bool:
        raise NotImplementedError("nothing here is large")

    async def read_body(self, _ref: bytes, _off: int, _length: int) -> BodyPart | None:
        return None

    async def load_body(self, _ref: bytes) -> bytes | None:
        return None

    async def next_connection(self, above: int = 0) -> int:
        self.connection = max(self.connection, above) + 1
        return self.connection


class _Told:
    """What one end is told, counted; `until` waits for a count, on a future as `recv` of websockets does."""

    def __init__(self) -> None:
        self.got = 0
        self.acked: dict[bytes, int] = {}
        self.on_event: Callable[[Event], None] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def hear(self, event: Event) -> None:
        if type(event) is Got:
            self.got += 1
        elif type(event) is Acked:
            self.acked[event.run] = event.seq
        if self.on_event is not None:
            self.on_event(event)
        if self._waiter is not None:
            self._waiter.set_result(None)
            self._waiter = None

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class Ends:
    """A worker that listens, and devices that connect to it."""

    def __init__(self, url: str, store: LinkStore, links: dict[bytes, tuple[Link, _Told]]) -> None:
        self.url = url
        self.worker_store = store
        self.links = links

    @asynccontextmanager
    async def device(self, store: LinkStore, device: bytes = DEVICE) -> AsyncIterator[tuple[Link, _Told, Link, _Told]]:
        """A connected device: its link and what it is told, and the same of the worker for it."""
        told = _Told()
        config = Config(Role.DEVICE, "worker", device)
        async with connect(self.url, config, store, told.hear) as (link, _):
            yield link, told, *self.links[device]


@asynccontextmanager
async def ends(store: LinkStore) -> AsyncIterator[Ends]:
    """A worker on this store."""
    links: dict[bytes, tuple[Link, _Told]] = {}

    async def serve(socket: ServerConnection) -> None:
        came = await accept(socket)
        if came is None:
            return
        packet, hello = came
        if hello.device not in links:
            told = _Told()
            conn = Conn(Config(Role.WORKER, "device", hello.device), await store.find(()))
            links[hello.device] = Link(conn, store, told.hear), told
        await links[hello.device][0].carry(socket, hello.conn, packet)

    server = await listen(serve, host="127.0.0.1", port=0, token=None)
    try:
        port = next(iter(server.sockets)).getsockname()[1]
        yield Ends(f"ws://127.0.0.1:{port}/v1/link", store, links)
    finally:
        server.close()
        await server.wait_closed()


# -- bounds


@asynccontextmanager
async def sockets(answer: Callable[[bytes], bytes]) -> AsyncIterator[Any]:
    """A bare websockets connection whose other end answers each message."""
    from websockets.asyncio.client import connect as open_socket
    from websockets.asyncio.server import serve

    async def handle(socket: ServerConnection) -> None:
        async for message in socket:
            assert isinstance(message, bytes)
            await socket.send(answer(message))

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with open_socket(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as socket:
            yield socket


class _Raw(asyncio.Protocol):
    """Messages with four bytes of length before each; `answer` makes the answer, None on the asking side."""

    def __init__(self, answer: Callable[[bytes], bytes] | None) -> None:
        self._answer = answer
        self._rest = b""
        self.transport: asyncio.Transport
        self.received = 0
        self.wanted = 0
        self.done = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at, answers = 0, []
        while len(data) - at >= 4:
            size = int.from_bytes(data[at : at + 4], "big")
            if len(data) - at - 4 < size:
                break
            message = data[at + 4 : at + 4 + size]
            at += 4 + size
            if self._answer is not None:
                answers.append(framed(self._answer(message)))
            else:
                msgpack.unpackb(message)
                self.received += 1
        self._rest = data[at:]
        if answers:
            self.transport.write(b"".join(answers))
        if self._answer is None and self.received >= self.wanted:
            self.done.set()

    async def until(self, count: int) -> None:
        """Returns when so many answers came."""
        self.wanted = count
        if self.received < count:
            self.done.clear()
            await self.done.wait()


def framed(message: bytes) -> bytes:
    """With its length before it."""
    return len(message).to_bytes(4, "big") + message


@asynccontextmanager
async def raw(answer: Callable[[bytes], bytes]) -> AsyncIterator[_Raw]:
    """A connection of the raw protocol whose other end answers each message."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Raw(answer), "127.0.0.1", 0)
    port = next(iter(server.sockets)).getsockname()[1]
    transport, protocol = await loop.create_connection(lambda: _Raw(None), "127.0.0.1", port)
    try:
        yield protocol
    finally:
        transport.close()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def asking(response: Known) -> AsyncIterator[Callable[[int], Awaitable[Record]]]:
    """Gives a function that asks question `number` over a link of its own, and returns when the response is here: each is a record.

    Nothing is counted in between: that would be measured with the link, and what it is compared with has none.
    """
    async with ends(Memory(b"worker-1")) as both, both.device(Memory(b"device-1")) as (device, told, worker, _):
        run, loop = run_id(1), asyncio.get_running_loop()
        device.append(run, SUBMIT)
        await told.until(lambda: told.acked.get(run, 0) == 1)
        waiting = loop.create_future()

        def respond(event: Event) -> None:
            if type(event) is Got:
                worker.append(run, response)

        def hear(event: Event) -> None:
            if type(event) is Got:
                waiting.set_result(event.record)

        def ask(number: int) -> Awaitable[Record]:
            nonlocal waiting
            waiting = loop.create_future()
            device.append(run, Start("node", number))
            return waiting

        worker.on_event, device.on_event = respond, hear
        yield ask
