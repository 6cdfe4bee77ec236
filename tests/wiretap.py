"""A tap on the link: a TCP proxy between a device and a worker that keeps every byte, and reads from them what the protocol said."""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from protocol.codec import decode
from protocol.messages import Message, PutGraph

__all__ = ["Connection", "Tap", "tap"]


@dataclass
class Connection:
    """What went over one connection: raw bytes up (from the device) and down."""

    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)

    def sent(self) -> list[Message]:
        """What the device said, in order."""
        return [message for packet in _packets(bytes(self.up)) for message in decode(packet)]

    def received(self) -> list[Message]:
        """What the worker said, in order."""
        return [message for packet in _packets(bytes(self.down)) for message in decode(packet)]

    def everything(self) -> bytes:
        """All that a reader of the wire could see: the request, every packet unmasked, every graph inflated."""
        seen = [bytes(self.up).partition(b"\r\n\r\n")[0], bytes(self.down).partition(b"\r\n\r\n")[0]]
        seen += [*_packets(bytes(self.up)), *_packets(bytes(self.down))]
        for message in self.sent():
            if isinstance(message, PutGraph):
                seen.append(zlib.decompress(message.body) if message.enc else message.body)
        return b"\n".join(seen)


def _packets(stream: bytes) -> Iterator[bytes]:
    """The binary messages of one direction of a WebSocket without extensions; every message is one frame."""
    rest = stream.partition(b"\r\n\r\n")[2]
    while len(rest) >= 2:
        opcode, masked, size, at = rest[0] & 0x0F, rest[1] & 0x80, rest[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(rest[at : at + width], "big"), at + width
        mask = rest[at : at + 4] if masked else b""
        at += len(mask)
        payload = rest[at : at + size]
        if len(payload) < size:
            return  # the connection was cut in the middle of a frame
        if opcode == 2:
            pad = (mask * (size // 4 + 1))[:size]
            yield (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big") if mask else payload
        rest = rest[at + size :]


class Tap:
    """The proxy. `url` is where the device connects, `connections` are all that were made, in order.

    With `stall` ("up" or "down", bytes) a connection stands still once so many bytes went that way; `stalled` tells.
    """

    def __init__(self, url: str, stall: tuple[str, int] | None = None) -> None:
        self._stall = stall or ("", 0)
        self.stalled = threading.Event()
        self._apart = False
        scheme, _, rest = url.partition("://")
        address, _, path = rest.partition("/")
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}/{path}"
        self.connections: list[Connection] = []
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                device, _ = self._listening.accept()
            except OSError:
                return
            if self._apart:
                device.close()
                continue
            try:
                worker = socket.create_connection(self._target)
            except OSError:  # the worker is away
                device.close()
                continue
            self._sockets += [device, worker]
            connection = Connection()
            self.connections.append(connection)
            for way, source, target, kept in (("up", device, worker, connection.up), ("down", worker, device, connection.down)):
                most = self._stall[1] if way == self._stall[0] else None
                self._threads.append(threading.Thread(target=self._pump, args=(source, target, kept, most), daemon=True))
                self._threads[-1].start()

    def _pump(self, source: socket.socket, target: socket.socket, kept: bytearray, most: int | None) -> None:
        try:
            while data := source.recv(65536):
                if most is not None and len(kept) + len(data) > most:
                    most = 0  # all that comes from now on is lost, as with a cable that was pulled
                    self.stalled.set()
                    continue
                kept += data
                target.sendall(data)
        except OSError:
            pass  # cut, or one side is gone
        _shut(source)
        _shut(target)

    def part(self) -> None:
        """Cut all connections, and take no new ones until they are joined: both sides live, and neither reaches the other."""
        self._apart = True
        self.cut()

    def join(self) -> None:
        """Let them reach each other again."""
        self._apart = False

    def cut(self) -> None:
        """Cut all connections now; new ones are still taken."""
        for each in self._sockets:
            _shut(each)

    def close(self) -> None:
        _shut(self._listening)
        self._listening.close()
        self._threads[0].join()
        self.cut()
        for thread in self._threads[1:]:
            thread.join()
        for each in self._sockets:
            each.close()


def _shut(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed


@contextmanager
def tap(url: str, stall: tuple[str, int] | None = None) -> Iterator[Tap]:
    """A tap on the link to the worker at `url`."""
    each = Tap(url, stall)
    try:
        yield each
    finally:
        each.close()
