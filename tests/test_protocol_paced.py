"""Who sends more than he may is read later: nothing is lost, nothing is cut, and other reasons not to read hold, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from protocol.carrier import FULL, Carrier
from protocol.paced import Paced
from protocol.transport import PATH, listen, open_socket

PACKET = bytes(range(256)) * 128


class Reader:
    """Takes what comes at the worker's end."""

    def __init__(self, count: int) -> None:
        self.came: list[bytes] = []
        self.all = asyncio.Event()
        self._count = count

    def took(self, carrier: Carrier, packet: Any, last: bool = False) -> None:
        self.came.append(bytes(packet))
        if len(self.came) == self._count:
            self.all.set()

    def took_all(self, carrier: Carrier) -> None:
        """Nothing is answered."""

    def writable(self, carrier: Carrier) -> None:
        """Nothing is sent."""


def between(handler: Callable[[Paced], Awaitable[None]], device: Callable[[Any], Awaitable[None]]) -> None:
    """Connects the two over a real socket."""

    async def main() -> None:
        async def serve(socket: ServerConnection) -> None:
            assert isinstance(socket, Paced)
            await handler(socket)

        server = await listen(serve, host="127.0.0.1", port=0)
        socket = await open_socket(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}{PATH}")
        try:
            await device(socket)
        finally:
            await socket.close()
            server.close()
            await server.wait_closed()

    asyncio.run(asyncio.wait_for(main(), 120))


def test_a_flood_is_read_in_portions_and_nothing_of_it_is_lost() -> None:
    counted, reader = list[int](), Reader(64)

    async def worker(socket: Paced) -> None:
        def take(_now: float, size: int, _messages: int) -> float:
            counted.append(size)
            return 0.003

        socket.pace(take)
        socket.take(reader)
        await socket.wait_closed()

    async def device(socket: Any) -> None:
        for _ in range(64):
            await socket.send(PACKET)
        await reader.all.wait()
        assert socket.is_open, "it was not cut"

    between(worker, device)
    assert reader.came == [PACKET] * 64
    assert 64 * len(PACKET) - 16 * 1024 < sum(counted) < 65 * len(PACKET) + 4096
    assert len(counted) > 1


def test_nothing_more_is_read_for_as_long_as_is_owed() -> None:
    """The clock is a mock: it stands still, so the time of who was held never comes."""
    held = list[bool]()

    async def worker(socket: Paced) -> None:
        asked = asyncio.Event()

        def take(_now: float, _size: int, _messages: int) -> float:
            asked.set()
            return 86_400.0

        socket.pace(take)
        socket.take(Reader(1))
        await asked.wait()
        held.append(not socket.transport.is_reading())
        await socket.close()

    async def device(socket: Any) -> None:
        await socket.send(PACKET)
        await socket.wait_closed()

    between(worker, device)
    assert held == [True]


@pytest.mark.parametrize("first", [1, FULL])
def test_reasons_not_to_read_hold_each_for_itself(first: int) -> None:
    async def worker(socket: Paced) -> None:
        def reads() -> bool:
            return bool(socket.transport.is_reading())

        assert reads()
        socket.hold(1, True)
        socket.hold(1, True)
        socket.hold(FULL, True)
        assert not reads()
        socket.hold(first, False)
        assert not reads()
        socket.hold(1 + FULL - first, False)
        assert reads()
        socket.hold(FULL, False)
        assert reads()
        await socket.send("they held")

    async def device(socket: Any) -> None:
        assert await socket.recv() == "they held"

    between(worker, device)


def test_messages_are_counted_where_somebody_says_how_many_came() -> None:
    told, heard = list[tuple[int, int]](), [10]

    async def worker(socket: Paced) -> None:
        asked = asyncio.Event()

        def take(_now: float, size: int, messages: int) -> float:
            told.append((size, messages))
            asked.set()
            return 0.0

        class Counting(Reader):
            def took(self, carrier: Carrier, packet: Any, last: bool = False) -> None:
                heard[0] += 300

        socket.pace(take)
        socket.count(lambda: heard[0])
        socket.take(Counting(1))
        await asked.wait()

    async def device(socket: Any) -> None:
        await socket.send(b"short")
        await socket.wait_closed()

    between(worker, device)
    assert [messages for _, messages in told] == [300]
    assert told[0][0] < 1024, "the upgrade with it, and far less than a portion"
