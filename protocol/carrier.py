"""The carrier of packets: a WebSocket that hands each message on in the turn of the loop in which it was read.

`websockets` keeps the opening and the closing handshake, pings, messages in pieces, and all that is wrong with a frame. What is done here is what
happens to nearly every frame, one that is a whole binary message: it is taken from the bytes read, and written, in one step. What is left out is the
library's queue between the socket and a task that waits: on a short message that, the task and a parser that is a generator cost more than
everything else together.
"""

from __future__ import annotations

import os
import socket as sockets
import struct
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.connection import Connection
    from websockets.asyncio.server import ServerConnection
else:
    Connection = object  # heavy: imported when there is a connection

__all__ = ["FULL", "Carrier", "Packet", "Taker", "carrying"]

HIGH: Final = 64 * 1024
"""Bytes that wait in this process for the socket above which it takes no more."""
LOW: Final = 16 * 1024
"""Bytes down to which they must fall before it does again: the socket never runs dry."""
_UNSENT: Final = 64 * 1024
"""Bytes that the system takes before it has sent the last ones."""
_WAITING: Final = 16
"""Messages that wait for a reader before no more are read from the socket."""
_UNREAD, FULL = 1, 2
"""Bits of `hold`: messages wait for a reader; what was read waits to be durable."""
_LARGE: Final = 32 * 1024
"""Bytes of a message from which on a copy costs more than to keep what it was read with."""
_KEYS: Final = 256
_CONTINUATION, _TEXT, _BINARY = range(3)
_WHOLE: Final = 0x80 | _BINARY
"""The first byte of a frame that is a binary message by itself."""
_OPEN: Final = 1
_END_OF_HEAD: Final = b"\r\n\r\n"
_SHORT, _MEDIUM, _LONG = (struct.Struct(form).pack for form in (">BB", ">BBH", ">BBQ"))

_unpack_head = struct.Struct(">BBH").unpack_from
"""How a frame begins: what it is, its length if that is below 126, and the length that follows if it is not."""

Packet: TypeAlias = bytes | bytearray | memoryview
"""Bytes as they came: a long message is not copied out of what it was read with."""
Kind = TypeVar("Kind", "type[ClientConnection]", "type[ServerConnection]")


class Taker(Protocol):
    """Whom a carrier tells, in its loop. None of these may raise or block."""

    def took(self, carrier: Carrier, packet: Packet | str, last: bool = False) -> None:
        """A message arrived; text is a `str`. `last`: it was all of one read."""

    def took_all(self, carrier: Carrier) -> None:
        """These were all messages of one read."""

    def writable(self, carrier: Carrier) -> None:
        """The socket takes more again."""


class Carrier(Connection):
    """Mixed into the two kinds of connections of `websockets` by `carrying`."""

    __slots__ = (  # few: there are thousands of connections
        *(
            "_head",
            "_holds",
            "_is_text",
            "_key",
            "_mask",
            "_masked",
            "_messages",
            "_part",
            "_reads",
            "_rest",
            "_taken",
            "_taker",
            "_waiter",
        ),
        "_whole",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taker: Taker | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._messages: list[Packet | str] = []
        self._holds = 0
        """Why nothing is read from the socket: a bit a reason."""
        self._part: bytearray | None = None
        self._is_text = False
        self._head: bytes | None = b""
        """The last bytes read while the opening handshake lasts."""
        self._reads = False
        """Whether frames are read here."""
        self._rest: bytearray | None = None
        """The beginning of a frame that is not all here."""
        self._whole = 0
        """How many bytes of it there must be before it is worth a look."""
        self._masked, self._mask = _masking(self.protocol)
        self._taken = self._masked ^ 0x80
        """The bit in the frames that come that says whether they are masked."""
        self._key = 0 if self._masked else 4
        """Bytes of the key before the bytes of a message that comes."""

    # -- reading

    async def recv(self, decode: bool | None = None) -> Any:
        """The next message, while nobody takes them: text as `str` unless `decode` is False. Raises ConnectionClosed."""
        while not self._messages:
            if self.connection_lost_waiter.done():
                raise self.close_exc
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.pop(0)
        self.hold(_UNREAD, False)
        if isinstance(message, str):
            return message.encode() if decode is False else message
        return bytes(message)

    def take(self, taker: Taker) -> None:
        """From now on `taker` is told of each message, those that wait included."""
        self._taker = taker
        self.hold(_UNREAD, False)
        waiting, self._messages = self._messages, []
        for message in waiting:
            taker.took(self, message)
        taker.took_all(self)

    def process_event(self, event: Any) -> None:
        """A frame arrived, or during the handshake something else."""
        opcode = getattr(event, "opcode", None)
        if opcode == _BINARY and event.fin:
            self._put(event.data)
        elif opcode in (_BINARY, _TEXT):
            self._is_text = opcode == _TEXT
            self._part = bytearray(event.data)
            self._end_of_message(event.fin)
        elif opcode == _CONTINUATION and self._part is not None:
            self._part += event.data
            self._end_of_message(event.fin)
        else:
            super().process_event(event)

    def _end_of_message(self, fin: bool) -> None:
        if fin:
            part, self._part = self._part, None
            assert part is not None
            self._put(part.decode("utf-8", "replace") if self._is_text else part)

    def _put(self, message: Packet | str) -> None:
        if self._taker is not None:
            self._taker.took(self, message)
            return
        self._messages.append(message)
        if len(self._messages) >= _WAITING:
            self.hold(_UNREAD, True)
        self._wake()

    def hold(self, why: int, on: bool) -> None:
        """Read nothing more from the socket for this reason, one bit, or no longer for it: TCP tells the peer."""
        before, self._holds = self._holds, self._holds | why if on else self._holds & ~why
        if self._holds and not before:
            self.transport.pause_reading()
        elif before and not self._holds:
            self.transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def last_words(self) -> tuple[int, str]:
        """The code and the reason with which the connection ended; 0 if it was lost without a word."""
        said = self.protocol.close_rcvd or self.protocol.close_sent
        return (said.code, said.reason) if said is not None else (0, "it ended without a word")

    # -- writing

    @property
    def is_open(self) -> bool:
        """Whether something may be sent."""
        return self.protocol.state == 1

    @property
    def buffered(self) -> int:
        """Bytes that wait in this process for the socket."""
        return self.transport.get_write_buffer_size()

    def put(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send a packet, given in one or more parts. Look at `is_open` and `paused` first."""
        size, masked = sum(map(len, parts)), self._masked
        if size < 126:
            head = _SHORT(_WHOLE, masked | size)
        elif size < 0x10000:
            head = _MEDIUM(_WHOLE, masked | 126, size)
        else:
            head = _LONG(_WHOLE, masked | 127, size)
        if masked:
            key = _new_key()
            self.transport.write(b"".join((head, key, self._mask(b"".join(parts), key))))
        else:
            self.transport.write(b"".join((head, *parts)))

    # -- what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(HIGH, LOW)
        _keep_short(transport)

    def data_received(self, data: bytes) -> None:
        if not self._reads:
            if self._head is not None:
                self._look_for_frames(self._head + data)
            super().data_received(data)
        elif self._rest is not None:
            if len(self._rest) + len(data) < self._whole:
                self._rest += data
                return
            self._complete(memoryview(data))
        else:
            count, taker = len(data), self._taker
            # most reads are one message, whole and by itself; whatever else comes is looked at closer
            if count > 7 and taker is not None:
                first, second, length = _unpack_head(data)
                key = 4
                if (second := second ^ self._taken) < 126:
                    length, key = second, 2
                start = key + self._key
                if start + length == count and first == _WHOLE and second < 127:
                    protocol = self.protocol
                    if protocol.current_size is None and protocol.state == _OPEN:
                        taker.took(self, self._mask(data[start:], data[key:start]) if start > key else data[start:], True)
                        return
            self._take_frames(data)
        if self._taker is not None:
            self._taker.took_all(self)

    def _look_for_frames(self, seen: bytes) -> None:
        """The opening handshake goes on. If the peer waits for its end, as it should, frames begin with the next byte."""
        end = seen.find(_END_OF_HEAD)
        self._head = seen[-3:] if end < 0 else None
        self._reads = end + len(_END_OF_HEAD) == len(seen)

    def _complete(self, data: memoryview) -> None:
        """These bytes follow the beginning of a frame. Only what completes it is copied to it: of a long frame that comes in large reads, little."""
        while self._rest is not None and data:
            lacks = self._whole - len(self._rest)
            self._rest += data[:lacks]
            data = data[lacks:]
            if len(self._rest) == self._whole:
                rest, self._rest = self._rest, None
                self._take_frames(rest)
        if data and self._reads:
            self._take_frames(data)
        elif data:
            super().data_received(bytes(data))

    def _take_frames(self, data: bytes | bytearray | memoryview) -> None:
        """Take the frames that begin with these bytes, and keep the rest. The library gets all but binary messages, and in the end everything."""
        at, size, protocol, taken = 0, len(data), self.protocol, self._taken
        while True:
            self._whole = at + 2
            if size < self._whole:
                break
            length, start = data[at + 1] ^ taken, at + 2
            if 125 < length < 128:
                start += 2 if length == 126 else 8
                self._whole = start
                if size < start:
                    break
                length = int.from_bytes(data[at + 2 : start], "big")
            if protocol.state != _OPEN or data[at + 1] & 0x80 != taken or length > (protocol.max_message_size or length):
                self._reads = False  # it ends the connection, or has to say why
                super().data_received(bytes(data[at:]))
                return
            if taken:
                start += 4
            self._whole = end = start + length
            if size < end:
                break
            if data[at] == _WHOLE and protocol.current_size is None:
                if taken:
                    self._put(self._mask(data[start:end], bytes(data[start - 4 : start])))
                else:
                    self._put(bytes(data[start:end]) if length < _LARGE else memoryview(data)[start:end])
            else:
                super().data_received(bytes(data[at:end]))
            at = end
        if at < size:
            self._rest = bytearray(memoryview(data)[at:])
            self._whole -= at

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taker is not None:
            self._taker.writable(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._taker = None
        self._wake()


@cache
def carrying(kind: Kind, carrier: type[Carrier] = Carrier) -> Kind:
    """That kind of connection, as a `Carrier`, or as that kind of one."""
    return type(kind.__name__, (carrier, kind), {})


_keys: Final[list[bytes]] = []
"""Keys to mask with, asked of the system many at a time."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keys.clear)


def _new_key() -> bytes:
    """A key that nobody can foresee."""
    try:
        return _keys.pop()
    except IndexError:
        block = os.urandom(4 * _KEYS)
        _keys.extend(block[at : at + 4] for at in range(4, len(block), 4))
        return block[:4]


def _masking(protocol: Any) -> tuple[int, Any]:
    """The bit in the frames this side sends that says whether they are masked; those that come have the other. And how it is done."""
    from websockets.protocol import CLIENT

    try:
        from websockets.speedups import apply_mask
    except ImportError:  # it was installed where nothing could be compiled
        from websockets.utils import apply_mask

    return 0x80 if protocol.side is CLIENT else 0, apply_mask


def _keep_short(transport: asyncio.BaseTransport) -> None:
    """Let the system's queue before the wire be no longer than ours: what is urgent would wait behind bulk in either."""
    raw = transport.get_extra_info("socket")
    option = getattr(sockets, "TCP_NOTSENT_LOWAT", None)
    if raw is not None and option is not None and raw.family in (sockets.AF_INET, sockets.AF_INET6):
        raw.setsockopt(sockets.IPPROTO_TCP, option, _UNSENT)
