"""The codec: packets to messages and back, within limits, and nothing a peer sends raises anything but RemoteProtocolError.

A packet is envelopes one after the other; an envelope is a msgpack array that begins with its type (docs/protocol.md §3, §4, §17, §18).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgpack

from graphs.errors import ValueUnsupported
from graphs.records import MAX_UINT, Encoded, Record, depth, ext, flat_readers, from_fields, is_flat
from graphs.values import Value
from protocol.errors import RemoteProtocolError
from protocol.messages import (
    CATALOGUE,
    NUMBERS,
    Ack,
    BlobChunk,
    Bytes,
    Delta,
    Entry,
    Message,
    Unhandled,
    check,
    is_control_to_ignore,
)

__all__ = [
    "DEFAULT_LIMITS",
    "HEADS",
    "LOWEST_LIMITS",
    "Excess",
    "Limits",
    "chunk_parts",
    "decode",
    "encode",
    "encode_ack",
    "encode_delta",
    "encode_entry",
    "excess",
    "is_plain",
    "long_head",
    "longest",
    "read",
    "uint",
]

MAX_PACKET: Final = 256 * 1024
MAX_FIRST_PACKET: Final = 128 * 1024
MAX_RECORD: Final = 64 * 1024
MAX_ITEMS: Final = 4096
MAX_VALUE_DEPTH: Final = 32
MAX_RECORD_DEPTH: Final = MAX_VALUE_DEPTH + 2
"""A value in a record's field may stand in a map and a pair: the `inputs` of SUBMIT."""
MAX_CONTROL_DEPTH: Final = 8
MIN_PACKET: Final = MAX_FIRST_PACKET
"""A peer that takes less could not be sent the largest record."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one side accepts. Negotiated down: each side sends within the smaller of both.

    packet: bytes of one packet. window: records of one log that may be unacknowledged; window_bytes: their bytes.
    """

    packet: int = MAX_PACKET
    window: int = 1024
    window_bytes: int = 4 * 1024 * 1024


DEFAULT_LIMITS: Final = Limits()

LOWEST_LIMITS: Final = Limits(packet=MIN_PACKET, window=4, window_bytes=MAX_RECORD)
"""No side may take less, so a device keeps to these until WELCOME tells it more."""


# -- writing


def encode(message: Message) -> bytes:
    """The envelope of any message. Nil fields at the end are left out."""
    if isinstance(message, Entry):
        return encode_entry(uint(message.al), message.seq, message.encoded)
    if isinstance(message, Ack):
        return encode_ack([number for pair in message.positions for number in pair])
    if isinstance(message, BlobChunk):
        return b"".join(chunk_parts(message))
    if isinstance(message, Delta):
        return encode_delta(message)
    fields: list[Any] = list(message)
    while fields and fields[-1] is None:
        fields.pop()
    return msgpack.packb([NUMBERS[type(message)], *fields])  # type: ignore[no-any-return]


def encode_delta(delta: Delta) -> bytes:
    """The envelope of tokens."""
    return msgpack.packb((0x38, *delta) if delta.n is not None else (0x38, *delta[:4]))  # type: ignore[no-any-return]


def chunk_parts(chunk: BlobChunk) -> Sequence[Bytes]:
    """The envelope of bytes of a body in parts: the bytes themselves are not copied."""
    ref, off, total, data, crc = chunk
    fields = msgpack.packb([0x14, ref, off, total])[1:]
    size = len(data)
    head = (
        b"\xc6" + size.to_bytes(4, "big")
        if size > 0xFFFF
        else b"\xc5" + size.to_bytes(2, "big")
        if size > 0xFF
        else bytes((0xC4, size))
    )
    if crc is None:
        return b"\x95" + fields + head, data
    return b"\x96" + fields + head, data, uint(crc)


def encode_ack(positions: Sequence[int]) -> bytes:
    """The envelope of an ACK: alias, sequence number, alias, ..."""
    count = len(positions) + 1
    head = bytes((0x90 | count, 0x05)) if count < 16 else b"\xdc" + count.to_bytes(2, "big") + b"\x05"
    return head + b"".join(map(uint, positions))


def encode_entry(alias: bytes, seq: int, record: Encoded) -> bytes:
    """The envelope of a record, around bytes that are already there. `alias` is packed."""
    type_, count, tail = record
    return (HEADS.get((count, type_)) or long_head(type_, count)) + alias + uint(seq) + tail


def long_head(type_: int, count: int) -> bytes:
    """How the envelope of a record with many fields begins."""
    return b"\xdc" + (count + 3).to_bytes(2, "big") + bytes((type_,))


def uint(number: int) -> bytes:
    """An unsigned number in its shortest form."""
    if number < 128:
        return _FIXINT[number]
    if number < 65_536:
        return _UINT16(0xCD, number) if number > 255 else bytes((0xCC, number))
    return msgpack.packb(number)  # type: ignore[no-any-return]


_UINT16 = struct.Struct(">BH").pack
_FIXINT = tuple(bytes((each,)) for each in range(128))
HEADS: Final = {(count, type_): bytes((0x93 + count, type_)) for count in range(13) for type_ in range(0x20, 0x38)}
"""How the envelope of a record begins, by how many fields it has, and its type."""


class Excess(Enum):
    """Which limit of a record's inline payload is exceeded."""

    SIZE = "bytes"
    DEPTH = "levels of nesting"
    ITEMS = "entries in one list or map"


def excess(items: list[Value], size: int) -> Excess | None:
    """The limit that a record with these fields and so many bytes exceeds; None if it can travel whole (docs/protocol.md §12)."""
    if size > MAX_RECORD:
        return Excess.SIZE
    if depth(items, MAX_RECORD_DEPTH) > MAX_RECORD_DEPTH:
        return Excess.DEPTH
    return Excess.ITEMS if longest(items, size) > MAX_ITEMS else None


def is_plain(tail: bytes) -> bool:
    """Whether fields with these bytes are surely neither too deep nor odd, found without decoding them.

    Every level has a header of its own, bytes that stand for one are few in text and numbers, and keys that are no text or time stamps begin with
    a header for bytes or extensions.
    """
    heads = tail.translate(None, _NO_HEAD)
    return not heads or (len(heads) <= MAX_RECORD_DEPTH and not heads.translate(None, _CONTAINER_HEADS))


_CONTAINER_HEADS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
_ODD_HEADS = bytes((*range(0xC4, 0xCA), *range(0xD4, 0xD9)))
_NO_HEAD = bytes(set(range(256)) - set(_CONTAINER_HEADS) - set(_ODD_HEADS))


def longest(items: list[Value], size: int) -> int:
    """The entries of the longest list or map in `items`, which have `size` bytes; 0 if none can be too long."""
    if size <= MAX_ITEMS:  # each entry takes at least a byte
        return 0
    most, stack = 0, [item for item in items if isinstance(item, (dict, list, tuple))]
    while stack:
        container = stack.pop()
        most = max(most, len(container))
        inner = container.values() if isinstance(container, dict) else container
        stack.extend(item for item in inner if isinstance(item, (dict, list, tuple)))
    return most


# -- reading


def decode(packet: bytes | bytearray | memoryview, limit: int = MAX_PACKET) -> list[Message]:
    """The messages of a packet of at most `limit` bytes; types that may be skipped are left out.

    Raises RemoteProtocolError, and nothing else, whatever the bytes are.
    """
    return [Entry(*message) if message.__class__ is tuple else message for message in read(packet, limit)]


def read(packet: bytes | bytearray | memoryview, limit: int = MAX_PACKET) -> list[Any]:
    """As `decode`, but records are plain tuples with the fields of an `Entry`: to make one of each takes a twentieth of all that a record costs."""
    size = len(packet)
    if size > limit:
        raise RemoteProtocolError("LIMIT_PACKET", f"a packet of {size:,} bytes, the limit is {limit:,}")
    if not size:
        raise RemoteProtocolError("PROTOCOL_DECODE", "an empty packet")
    if size > _LARGE and packet[1] == 0x14 and (chunk := _chunk(packet)) is not None:
        return [chunk]
    messages: list[Any] = []
    start = 0
    if size > 3 and packet[0] == 0x93 and packet[1] == 0x05:
        # the ACK of one log, with which nearly every packet begins
        at = 2 + _SMALL[packet[2]]
        end = at + _SMALL[packet[at]] if 2 < at < size else size + 1
        if at < end <= size:
            al = packet[2] if at == 3 else int.from_bytes(packet[3:at], "big")
            seq = packet[at] if end == at + 1 else int.from_bytes(packet[at + 1 : end], "big")
            messages.append(_new(Ack, (((al, seq),),)))
            if end == size:
                return messages
            start = end
    unpacker = _UNPACKERS.pop() if _UNPACKERS else _unpacker()
    unpack, tell = unpacker.unpack, unpacker.tell
    before = tell() - start
    unpacker.feed(packet[start:] if start else packet)
    while start < size:
        try:
            envelope = unpack()
        except Exception as error:  # noqa: BLE001 - msgpack raises many kinds
            raise _undecodable(error) from None
        end = tell() - before
        header = packet[start]
        if header < 0xA0 and envelope.__class__ is list and envelope:
            body = start + 1
        elif envelope.__class__ is not list or not envelope:
            raise RemoteProtocolError("PROTOCOL_DECODE", f"an envelope is an array, got a {type(envelope).__name__}")
        else:
            body = start + (3 if header == 0xDC else 5)
        type_ = packet[body]
        if type_ > 127 or envelope[0] != type_ or envelope[0].__class__ is not int:
            raise RemoteProtocolError("PROTOCOL_DECODE", "an envelope begins with its type, a number of one byte")
        if 0x20 <= type_ <= 0x37:
            messages.append(_entry(type_, envelope, packet, body + 1, end))
        elif (message := _message(type_, envelope)) is not None:
            messages.append(message)
        start = end
    if size <= MAX_PACKET:
        _UNPACKERS.append(unpacker)
    return messages


def _chunk(packet: bytes | bytearray | memoryview) -> BlobChunk | None:
    """The one message of a packet, if it is bytes of a body written as everybody writes them, which are not copied; else None: look closer."""
    count, named = packet[0] - 0x90, packet[3]
    if count not in (5, 6) or packet[2] != 0xC4 or named not in (16, 32):
        return None
    off, at = _uint_at(packet, 4 + named)
    total, at = _uint_at(packet, at)
    size, start = _uint_at(packet, at, _BIN_WIDTH)
    end, crc = start + size, None
    if end > len(packet):
        return None
    if count == 6:
        crc, end = _uint_at(packet, end) if end < len(packet) else (-1, end)
    numbers = (off, total, size, 0 if crc is None else crc)
    if end != len(packet) or min(numbers) < 0 or max(numbers) > MAX_UINT:
        return None
    return BlobChunk(bytes(packet[4 : 4 + named]), off, total, memoryview(packet)[start : start + size], crc)


_UINT_WIDTH: Final[Mapping[int, int]] = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_BIN_WIDTH: Final[Mapping[int, int]] = {0xC5: 2, 0xC6: 4}


def _uint_at(packet: bytes | bytearray | memoryview, at: int, widths: Mapping[int, int] = _UINT_WIDTH) -> tuple[int, int]:
    """The number that stands there, and where what follows begins; -1 if something else does."""
    first = packet[at]
    if first < 128 and widths is _UINT_WIDTH:
        return first, at + 1
    end = at + 1 + widths.get(first, 0)
    return int.from_bytes(packet[at + 1 : end], "big") if end > at + 1 else -1, end


_LARGE: Final = 32 * 1024
"""Bytes of a packet that is likely to be a chunk of a body alone."""
_MOST: Final[Mapping[str, int]] = {"max_ext_len": MAX_RECORD, "max_array_len": MAX_ITEMS, "max_map_len": MAX_ITEMS}

_UNPACKERS: Final[list[msgpack.Unpacker]] = []
"""To be used again: making one costs more than decoding a short packet. One that met an error, or grew, is thrown away."""


def _unpacker() -> msgpack.Unpacker:
    return msgpack.Unpacker(
        strict_map_key=True,
        ext_hook=ext,
        max_buffer_size=0,  # the packet's own limit is looked at before
        **_MOST,
    )


def _undecodable(error: Exception) -> RemoteProtocolError:
    if isinstance(error, msgpack.OutOfData):
        return RemoteProtocolError("PROTOCOL_DECODE", "the packet ends inside an envelope")
    if isinstance(error, msgpack.StackError):
        return RemoteProtocolError("LIMIT_DEPTH", "an envelope nested deeper than any may be")
    # only its wording tells a limit from a malformed byte
    fault = "LIMIT_ITEMS" if "max_array_len" in str(error) or "max_map_len" in str(error) else "PROTOCOL_DECODE"
    return RemoteProtocolError(fault, f"not msgpack we accept: {str(error) or type(error).__name__}")


def _message(type_: int, envelope: list[Any]) -> Message | None:
    kind = CATALOGUE.get(type_)
    if kind is None or kind.message is None:
        return None if is_control_to_ignore(type_) else Unhandled(type_)
    del envelope[0]
    if type_ == 0x38:
        if (delta := _text(envelope)) is not None:
            return delta
        _check_depth(envelope, MAX_RECORD_DEPTH, kind.name)
    elif type_ != 0x05:  # an ACK holds numbers only
        _check_depth(envelope, MAX_CONTROL_DEPTH, kind.name)
    message = check(type_, envelope)
    if isinstance(message, str):
        raise RemoteProtocolError("PROTOCOL_DECODE", message)
    return message


def _text(fields: list[Any]) -> Delta | None:
    """The DELTA with these fields, if they are numbers and a list of text, as nearly all of them: nothing in it is deep. Else None: look closer."""
    if len(fields) != 4:
        return None
    al, start, off, tokens = fields
    if not (tokens.__class__ is list and al.__class__ is start.__class__ is off.__class__ is int):
        return None
    for token in tokens:
        if token.__class__ is not str:
            return None
    if not (0 <= al <= MAX_UINT and 0 <= start <= MAX_UINT and 0 <= off <= MAX_UINT):
        return None
    delta: Delta = _new(Delta, (al, start, off, tokens, None))
    return delta


def _entry(
    type_: int, envelope: list[Any], packet: bytes | bytearray | memoryview, body: int, end: int
) -> tuple[int, int, Encoded, Record]:
    """A record: its fields from `body` to `end` of the packet are kept as bytes, for the journal, and read, for who acts on it."""
    if len(envelope) < 3:
        raise RemoteProtocolError("PROTOCOL_DECODE", _NO_HEAD_OF_RECORD)
    al, seq = envelope[1], envelope[2]
    width = _SMALL[packet[body]]
    if width and (more := _SMALL[packet[body + width]]):
        body += width + more
    elif al.__class__ is seq.__class__ is int and 0 <= al <= MAX_UINT and 0 <= seq <= MAX_UINT:
        body += _UINT_SIZE[packet[body]]
        body += _UINT_SIZE[packet[body]]
    else:
        raise RemoteProtocolError("PROTOCOL_DECODE", _NO_HEAD_OF_RECORD)
    if end - body > MAX_RECORD:
        raise RemoteProtocolError("LIMIT_RECORD", f"a record of {end - body:,} bytes, the limit is {MAX_RECORD:,}")
    tail = packet[body:end]
    if tail.__class__ is not bytes:
        tail = bytes(tail)
    usual = _FLAT.get(type_)
    record = usual(envelope) if usual is not None else None
    if record is None:
        record = _unusual(type_, envelope[3:], tail)
    return al, seq, _new(Encoded, (type_, len(envelope) - 3, tail)), record


def _unusual(type_: int, fields: list[Any], tail: bytes) -> Record:
    """The record with these fields, which are looked at one by one."""
    for field in fields:
        if field.__class__ not in _SCALARS and not is_flat(field, _SCALARS):
            if not is_plain(tail):
                _check_depth(fields, MAX_RECORD_DEPTH, "a record")
            break
    try:
        return from_fields(type_, fields, tail)
    except ValueUnsupported as error:
        raise RemoteProtocolError("PROTOCOL_DECODE", error.message) from None


def _check_depth(fields: list[Any], limit: int, what: str) -> None:
    try:
        found = depth(fields, limit)
    except ValueUnsupported as error:
        raise RemoteProtocolError("PROTOCOL_DECODE", error.message) from None
    if found > limit:
        raise RemoteProtocolError("LIMIT_DEPTH", f"{what} is nested deeper than {limit} levels")


_new: Callable[..., Any] = tuple.__new__
"""Makes a named tuple in half the time."""
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})
_NO_HEAD_OF_RECORD: Final = "a record begins with its alias and its sequence number"
_FLAT = flat_readers(3)
_SMALL = bytes([1] * 128 + [{0xCC: 2, 0xCD: 3, 0xCE: 5}.get(each, 0) for each in range(128, 256)])
"""Bytes of a number that is surely not negative and not too large, by its first byte; 0 for whatever else."""
_UINT_SIZE = {**dict.fromkeys(range(128), 1), 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}
"""Bytes of a non-negative number, by its first byte: a peer need not write the shortest form."""
