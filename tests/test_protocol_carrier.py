"""The carrier: every message once, whole, in order, whoever listens at the time; and nothing without bound while nobody does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from protocol import bodies, outbox
from protocol.carrier import HIGH, Carrier, Packet
from protocol.transport import MAX_PACKET, SUBPROTOCOL, listen, open_socket


class Taken:
    """What a taker is told."""

    def __init__(self) -> None:
        self.messages: list[Packet | str] = []
        self.reads: list[int] = []
        self.writable_again = 0
        self.changed = asyncio.Event()

    def took(self, carrier: Carrier, packet: Packet | str, last: bool = False) -> None:
        self.messages.append(packet)
        if last:
            self.took_all(carrier)

    def took_all(self, _carrier: Carrier) -> None:
        self.reads.append(len(self.messages))
        self.changed.set()

    def writable(self, _carrier: Carrier) -> None:
        self.writable_again += 1
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
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
            async with asyncio.timeout(120):
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
                carrier.put([bytes(HIGH)])
                sent += 1
                assert sent < 10_000
            assert carrier.buffered > HIGH
            client.transport.resume_reading()
            for _ in range(sent):
                assert len(await client.recv()) == HIGH
            await taken.until(lambda: taken.writable_again == 1)
            assert not carrier.paused

    go(main)


# -- frames, byte by byte

_REQUEST = (
    b"GET /v1/link HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + SUBPROTOCOL.encode() + b"\r\n\r\n"
)


def frame(data: bytes, opcode: Opcode = Opcode.BINARY, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask)


@asynccontextmanager
async def raw() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Taken, Callable[[], Carrier]]]:
    """A socket on which nothing was said yet, and what the carrier at its other end, once there is one, tells."""
    taken, came = Taken(), list[Carrier]()

    async def handle(socket: ServerConnection) -> None:
        assert isinstance(socket, Carrier)
        came.append(socket)
        socket.take(taken)
        await socket.wait_closed()
        taken.changed.set()

    server = await listen(handle, host="127.0.0.1", port=0, token=None)
    reader, writer = await asyncio.open_connection("127.0.0.1", next(iter(server.sockets)).getsockname()[1])
    yield reader, writer, taken, lambda: came[0]
    writer.close()
    server.close()
    await server.wait_closed()


async def head(reader: asyncio.StreamReader) -> None:
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")


def test_frames_of_all_kinds_are_read_alike_wherever_the_bytes_are_cut() -> None:
    async def main() -> None:
        seed = random.randrange(1 << 32)
        print("seed", seed)
        dice = random.Random(seed)
        sent, pings = bytearray(), 0
        wanted: list[bytes | str] = []
        for number in range(200):
            data = dice.randbytes(
                dice.choice((0, 1, 125, 126, 127, 3_000, 65_535, 65_536, 90_000) if number % 20 == 0 else (0, 9, 125, 126))
            )
            match dice.randrange(6):
                case 0:
                    sent += frame(data[:1], fin=False) + frame(b"p", Opcode.PING) + frame(data[1:], Opcode.CONT)
                    pings += 1
                    wanted.append(data)
                case 1:
                    sent += frame(data.hex().encode(), Opcode.TEXT)
                    wanted.append(data.hex())
                case _:
                    sent += frame(data)
                    wanted.append(data)
        async with raw() as (reader, writer, taken, carrier):
            writer.write(_REQUEST)
            await head(reader)
            while sent:
                size = dice.choice((1, 2, 3, 7, 100, 70_000, 300_000))
                writer.write(sent[:size])
                del sent[:size]
                await asyncio.sleep(0)
            await taken.until(lambda: len(taken.messages) == len(wanted))
            assert taken.messages == wanted
            assert await reader.readexactly(pings * 3) == frame(b"p", Opcode.PONG, mask=False) * pings
            for size in (0, 125, 126, 65_535, 65_536):
                carrier().put([bytes(size)])
                assert await reader.readexactly(len(frame(bytes(size), mask=False))) == frame(bytes(size), mask=False)

    go(main)


@pytest.mark.parametrize("cut", [0, 1, 30, len(_REQUEST) - 2, len(_REQUEST) - 1, len(_REQUEST)])
@pytest.mark.parametrize("early", [0, 1, 5, None])
def test_bytes_that_come_with_the_opening_handshake_are_not_lost(cut: int, early: int | None) -> None:
    async def main() -> None:
        frames = frame(b"one\r\n\r\n") + frame(b"two") + frame(b"three")
        said = _REQUEST + frames[:early]
        async with raw() as (reader, writer, taken, _):
            writer.write(said[:cut])
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(said[cut:])
            await head(reader)
            writer.write((_REQUEST + frames)[len(said) :])
            await taken.until(lambda: len(taken.messages) == 3)
            assert taken.messages == [b"one\r\n\r\n", b"two", b"three"]

    go(main)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (frame(b"x", mask=False), 1002),
        (b"\x83" + frame(b"x")[1:], 1002),
        (b"\xc2" + frame(b"x")[1:], 1002),
        (frame(b"x", Opcode.CONT), 1002),
        (frame(b"x", fin=False) + frame(b"y"), 1002),
        (frame(b"x", fin=False) + frame(b"y", Opcode.TEXT), 1002),
        (frame(bytes(MAX_PACKET + 1))[:20], 1009),
        (b"\x82\xff" + b"\xff" * 8, 1009),
        (b"\x89\xfe\0\xff" + bytes(4 + 255), 1002),
        (frame(b"\x03\xe8", Opcode.CLOSE), 1000),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_what_is_wrong_with_a_frame_is_said_and_what_follows_is_not_read(wrong: bytes, code: int, step: int) -> None:
    async def main() -> None:
        async with raw() as (reader, writer, taken, _):
            writer.write(_REQUEST)
            await head(reader)
            sent = frame(b"good") + wrong + frame(b"late")
            for start in range(0, len(sent), step):
                writer.write(sent[start : start + step])
                await asyncio.sleep(0)
            said = await reader.readexactly(4)
            assert said[0] == 0x88
            assert int.from_bytes(said[2:], "big") == code
            assert taken.messages == [b"good"]

    go(main)


@pytest.mark.parametrize(
    ("reads", "code"),
    [
        (
            [b"\x82\x05" + bytes(137)],
            1002,
        ),  # as long as a frame of 133 bytes would be, which is its length and the missing mask read as one
        (
            [b"\x82\xff" + b"\xff" * 8 + bytes(125)],
            1009,
        ),  # as long as a frame of 127 bytes would be, which only says that its length follows
        ([frame(b"x" * 9, fin=False), frame(b"y" * 9)], 1002),
        ([frame(b"", Opcode.CLOSE), frame(b"y" * 9)], 1005),
    ],
)
def test_a_read_that_seems_to_be_one_whole_message_is_one(reads: list[bytes], code: int) -> None:
    async def main() -> None:
        async with raw() as (reader, writer, taken, _):
            writer.write(_REQUEST)
            await head(reader)
            for number, data in enumerate([frame(b"long enough"), *reads]):
                writer.write(data)
                if number == 0:
                    await taken.until(lambda: len(taken.messages) == 1)
                await writer.drain()
                await asyncio.sleep(0.01)
            said = await reader.readexactly(2)
            assert said[0] == 0x88
            assert code == (int.from_bytes(await reader.readexactly(2), "big") if said[1] else 1005)
            assert taken.messages == [b"long enough"]

    go(main)


def test_a_socket_that_takes_more_holds_nothing_back() -> None:
    assert outbox.PRESSURE >= HIGH  # the link does not ask such a socket what it holds
    assert bodies.PRESSURE >= HIGH


def test_a_client_masks_what_it_sends() -> None:
    async def main() -> None:
        heard: list[Any] = []

        async def handle(socket: ServerConnection) -> None:
            heard.extend([await socket.recv() for _ in range(4)])  # the library refuses what is not masked

        async with (
            serve(handle, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)]) as server,
            asyncio.timeout(120),
        ):
            carrier = await open_socket(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/link")
            assert isinstance(carrier, Carrier)
            messages = [b"same", b"same", bytes(126), bytes(65_536)]
            for message in messages:
                carrier.put([message])
            await carrier.wait_closed()
            assert heard == messages

    go(main)
