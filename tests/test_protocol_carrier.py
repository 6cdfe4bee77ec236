"""The carrier: every message once, whole, in order, whoever listens at the time; and nothing without bound while nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedOK

from protocol.carrier import HIGH, Carrier
from protocol.transport import MAX_PACKET, SUBPROTOCOL, listen


class Taken:
    """What a taker is told."""

    def __init__(self) -> None:
        self.messages: list[bytes | bytearray | str] = []
        self.reads: list[int] = []
        self.writable_again = 0
        self.changed = asyncio.Event()

    def took(self, _carrier: Carrier, packet: bytes | bytearray | str) -> None:
        self.messages.append(packet)

    def took_all(self, _carrier: Carrier) -> None:
        self.reads.append(len(self.messages))
        self.changed.set()

    def writable(self, _carrier: Carrier) -> None:
        self.writable_again += 1
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def two() -> AsyncIterator[tuple[ClientConnection, Carrier]]:
    """A plain WebSocket client, and the carrier at the other end."""
    came: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()

    async def handle(socket: ServerConnection) -> None:
        assert isinstance(socket, Carrier)
        came.set_result(socket)
        await socket.wait_closed()

    server = await listen(handle, host="127.0.0.1", port=0, token=None)
    options: Any = {"subprotocols": [SUBPROTOCOL], "compression": None, "proxy": None, "max_size": None}
    async with connect(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/link", **options) as client:
        yield client, await came
    server.close()
    await server.wait_closed()


def go(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


def test_what_came_before_somebody_takes_comes_first() -> None:
    async def main() -> None:
        async with two() as (client, carrier):
            for number in range(5):
                await client.send(bytes([number]))
            assert await carrier.recv() == b"\0"
            taken = Taken()
            carrier.take(taken)
            await client.send(b"last")
            await taken.until(lambda: len(taken.messages) == 5)
            assert taken.messages == [b"\1", b"\2", b"\3", b"\4", b"last"]
            assert taken.reads[-1] == 5

    go(main)


def test_a_message_in_pieces_is_put_together_even_when_it_began_before() -> None:
    async def main() -> None:
        async with two() as (client, carrier):
            gate = asyncio.Event()

            async def pieces() -> AsyncIterator[bytes]:
                yield b"one "
                await gate.wait()
                yield b"two "
                yield b"three"

            await client.send(b"first")
            sending = asyncio.create_task(client.send(pieces()))
            assert await carrier.recv() == b"first"
            taken = Taken()
            carrier.take(taken)
            gate.set()
            await sending
            await client.send(["te", "xt"])
            await taken.until(lambda: len(taken.messages) == 2)
            assert taken.messages == [b"one two three", "text"]

    go(main)


def test_recv_gives_text_as_asked_and_says_when_it_is_over() -> None:
    async def main() -> None:
        async with two() as (client, carrier):
            await client.send("Grüße")
            await client.send("Grüße")
            assert [await carrier.recv(), await carrier.recv(decode=False)] == ["Grüße", "Grüße".encode()]
            await client.send(b"the last")
            await client.close(1000, "done")
            await carrier.wait_closed()
            assert await carrier.recv() == b"the last"
            with pytest.raises(ConnectionClosedOK):
                await carrier.recv()
            assert carrier.last_words == (1000, "done")

    go(main)


def test_while_nobody_reads_only_a_few_messages_are_kept() -> None:
    async def main() -> None:
        async with two() as (client, carrier):
            piece = bytes(MAX_PACKET)
            sending = asyncio.create_task(_send(client, piece, 60))
            async with asyncio.timeout(20):
                while carrier.transport.is_reading():  # noqa: ASYNC110 - a transport tells nobody that it pauses
                    await asyncio.sleep(0.01)
            assert not sending.done()
            taken = Taken()
            carrier.take(taken)
            await taken.until(lambda: len(taken.messages) == 60)
            await sending
            assert all(message == piece for message in taken.messages)

    go(main)


async def _send(client: ClientConnection, piece: bytes, count: int) -> None:
    for _ in range(count):
        await client.send(piece)


def test_a_full_socket_says_so_and_says_when_it_is_not() -> None:
    async def main() -> None:
        async with two() as (client, carrier):
            taken = Taken()
            carrier.take(taken)
            client.transport.pause_reading()
            sent = 0
            while not carrier.paused:
                carrier.put(bytes(HIGH))
                sent += 1
                assert sent < 10_000
            assert carrier.buffered > HIGH
            client.transport.resume_reading()
            for _ in range(sent):
                assert len(await client.recv()) == HIGH
            await taken.until(lambda: taken.writable_again == 1)
            assert not carrier.paused

    go(main)
