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
from graphs.values import Value, as_extension
from protocol.chunks import chunk_parts, read_chunk
from protocol.errors import RemoteProtocolError
from protocol.messages import (
    CATALOGUE,
    NUMBERS,
    Ack,
    BlobChunk,
    Delta,
    Entry,
    Message,
    Unhandled,
    check,
    is_control_to_ignore,
)

__all__ = [
    "DEFAULT_LIMITS",
    "FIXINT",
    "HEADS",
    "LOWEST_LIMITS",
    "UINT16",
    "Excess",
    "Limits",
    "decode",
    "encode",
    "encode_ack",
    "encode_ack_of_one",
    "encode_delta",
    "encode_entry",
    "encode_text",
    "excess",
    "is_plain",
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
    return msgpack.packb([NUMBERS[type(message)], *fields], default=as_extension)  # type: ignore[no-any-return]


def encode_text(alias: int, start: int, off: int, tokens: Sequence[Value]) -> bytes:
    """The envelope of tokens that are not merged."""
    return _pack((0x38, alias, start, off, tokens))


def encode_delta(delta: Delta) -> bytes:
    """The envelope of tokens."""
    return msgpack.packb((0x38, *delta) if delta.n is not None else (0x38, *delta[:4]))  # type: ignore[no-any-return]


def encode_ack(positions: Sequence[int]) -> bytes:
    """The envelope of an ACK: alias, sequence number, alias, ..."""
    count = len(positions) + 1
    head = bytes((0x90 | count, 0x05)) if count < 16 else b"\xdc" + count.to_bytes(2, "big") + b"\x05"
    return head + b"".join(map(uint, positions))


def encode_ack_of_one(alias: int, seq: int) -> bytes:
    """The same of one log."""
    if alias < 128 and 255 < seq < 65_536:
        return _pack_ack(_ACK_HEAD, alias, 0xCD, seq)
    return b"\x93\x05" + uint(alias) + uint(seq)


def encode_entry(alias: bytes, seq: int, record: Encoded) -> bytes:
    """The envelope of a record, around bytes that are already there. `alias` is packed."""
    type_, count, tail = record
    return HEADS[count, type_] + alias + uint(seq) + tail


class _Heads(dict[tuple[int, int], bytes]):
    """How the envelope of a record begins, by how many fields it has, and its type."""

    def __missing__(self, key: tuple[int, int]) -> bytes:
        count, type_ = key
        return b"\xdc" + (count + 3).to_bytes(2, "big") + bytes((type_,))


def uint(number: int) -> bytes:
    """An unsigned number in its shortest form."""
    if number < 128:
        return FIXINT[number]
    if number < 65_536:
        return UINT16(0xCD, number) if number > 255 else bytes((0xCC, number))
    return msgpack.packb(number)  # type: ignore[no-any-return]


_pack: Final[Callable[[Any], bytes]] = msgpack.Packer().pack
"""As msgpack.packb, which makes a packer and its memory each time: for what is packed in one step, as `_pack` is shared by all threads."""
_ACK = struct.Struct(">HBBH")
"""The usual ACK of one log: its head, a small alias, and 0xCD and a number of two bytes, or else the number or 0xCC and the number."""
_ACK_HEAD = 0x9305
_ACK_ENDS = bytes([4] * 128 + [{0xCC: 5, 0xCD: 6}.get(each, 0) for each in range(128, 256)])
"""Where it ends, by the byte after its alias; 0 for whatever else."""
_pack_ack, _unpack_ack, _ACK_SIZE = _ACK.pack, _ACK.unpack_from, _ACK.size
UINT16: Final = struct.Struct(">BH").pack
"""Packs 0xCD and a number of two bytes."""
FIXINT: Final = tuple(bytes((each,)) for each in range(128))
"""The numbers of one byte."""
HEADS: Final = _Heads({(count, type_): bytes((0x93 + count, type_)) for count in range(13) for type_ in range(0x20, 0x38)})
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
    found: list[Message] = []
    for message in read(packet, limit):
        if message.__class__ is list:
            found += (Entry(al, seq, Encoded(*plain), record) for al, seq, *plain, record in message)
        elif message.__class__ is tuple:
            found.append(Ack(message))
        elif message is not None:
            found.append(message)
    return found


def read(packet: bytes | bytearray | memoryview, limit: int = MAX_PACKET) -> list[Any]:
    """As `decode`, but a usual `Ack` comes as its positions alone, a tuple, and records that follow each other as one list, each a tuple, too: the
    fields of an `Entry`, and among them those of its `Encoded`. To make the objects would take a sixth of all that a record costs. One that may be
    skipped comes as None: it was sent, and counts.
    """
    size = len(packet)
    if size > limit or not size:
        raise _unfit(size, limit)
    if size > _LARGE and packet[1] == 0x14 and (chunk := read_chunk(packet)) is not None:
        return [chunk]
    if packet.__class__ is not bytes:
        packet = bytes(packet)
    messages: list[Any] = []
    start = 0
    if size >= _ACK_SIZE:
        head, al, first, seq = _unpack_ack(packet)
        if head == _ACK_HEAD and al < 128 and (start := _ACK_ENDS[first]):  # nearly every packet begins with the ACK of one log
            messages.append(((al, seq if start == 6 else first if start == 4 else seq >> 8),))
            if start == size:
                return messages
    unpacker = _UNPACKERS.pop() if _UNPACKERS else _unpacker()
    unpack, tell = unpacker.unpack, unpacker.tell
    before = tell() - start
    unpacker.feed(packet[start:] if start else packet)
    entries: list[Any] = []
    while start < size:
        try:
            envelope = unpack()
        except Exception as error:  # noqa: BLE001 - msgpack raises many kinds
            raise _undecodable(error) from None
        end = tell() - before
        if (
            (usual := _USUAL.get(packet[start : start + 2])) is not None
            and (width := _SMALL[packet[start + 2]])
            and (more := _SMALL[packet[start + 2 + width]])
        ):
            type_, count, flat = usual
            body = start + 2 + width + more
        else:
            body = start + 2 if 0x90 < packet[start] < 0xA0 else _after_type(envelope, packet, start)
            type_ = packet[body - 1]
            if not 0x1F < type_ < 0x38:
                message = (_text(envelope) if type_ == 0x38 else None) or _message(type_, envelope)
                messages.append(message)
                if message is not None:
                    entries = []
                start = end
                continue
            count, flat = len(envelope) - 3, _FLAT.get(type_)
            body = _after_head(envelope, packet, body)
        if end - body > MAX_RECORD:
            raise RemoteProtocolError("LIMIT_RECORD", f"a record of {end - body:,} bytes, the limit is {MAX_RECORD:,}")
        tail = packet[body:end]
        if flat is None or (record := flat(envelope)) is None:
            record = _unusual(type_, envelope[3:], tail)
        if not entries:
            messages.append(entries)
        entries.append((envelope[1], envelope[2], type_, count, tail, record))
        start = end
    if size <= MAX_PACKET:
        _UNPACKERS.append(unpacker)
    return messages


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


def _unfit(size: int, limit: int) -> RemoteProtocolError:
    if size:
        return RemoteProtocolError("LIMIT_PACKET", f"a packet of {size:,} bytes, the limit is {limit:,}")
    return RemoteProtocolError("PROTOCOL_DECODE", "an empty packet")


def _undecodable(error: Exception) -> RemoteProtocolError:
    if isinstance(error, msgpack.OutOfData):
        return RemoteProtocolError("PROTOCOL_DECODE", "the packet ends inside an envelope")
    if isinstance(error, msgpack.StackError):
        return RemoteProtocolError("LIMIT_DEPTH", "an envelope nested deeper than any may be")
    # only its wording tells a limit from a malformed byte
    fault = "LIMIT_ITEMS" if "max_array_len" in str(error) or "max_map_len" in str(error) else "PROTOCOL_DECODE"
    return RemoteProtocolError(fault, f"not msgpack we accept: {str(error) or type(error).__name__}")


def _message(type_: int, envelope: list[Any]) -> Message | None:
    if type_ > 127:
        raise RemoteProtocolError("PROTOCOL_DECODE", "an envelope begins with its type, a number of one byte")
    kind = CATALOGUE.get(type_)
    if kind is None or kind.message is None:
        return None if is_control_to_ignore(type_) else Unhandled(type_)
    del envelope[0]
    if type_ == 0x38:
        _check_depth(envelope, MAX_RECORD_DEPTH, kind.name)
    elif type_ != 0x05:  # an ACK holds numbers only
        _check_depth(envelope, MAX_CONTROL_DEPTH, kind.name)
    message = check(type_, envelope)
    if isinstance(message, str):
        raise RemoteProtocolError("PROTOCOL_DECODE", message)
    return message


def _text(envelope: list[Any]) -> Delta | None:
    """The DELTA in this envelope, if it is numbers and a list of text, as nearly all of them: nothing in it is deep. Else None: look closer."""
    if len(envelope) != 5:
        return None
    _, al, start, off, tokens = envelope
    if not (tokens.__class__ is list and al.__class__ is start.__class__ is off.__class__ is int):
        return None
    for token in tokens:
        if token.__class__ is not str:
            return None
    if not 0 <= al | start | off <= MAX_UINT:  # which is all bits: so is each of them
        return None
    delta: Delta = _new(Delta, (al, start, off, tokens, None))
    return delta


def _after_type(envelope: Any, packet: bytes, start: int) -> int:
    """Where an envelope goes on after its type, if it has no usual header."""
    if envelope.__class__ is not list or not envelope:
        raise RemoteProtocolError("PROTOCOL_DECODE", f"an envelope is an array, got a {type(envelope).__name__}")
    return start + (4 if packet[start] == 0xDC else 6)


def _after_head(envelope: list[Any], packet: bytes, body: int) -> int:
    """Where the fields of a record begin, if its alias and its number from `body` on are written in an unusual way."""
    if len(envelope) > 2:
        _, al, seq, *_ = envelope
        if al.__class__ is seq.__class__ is int and 0 <= al <= MAX_UINT and 0 <= seq <= MAX_UINT:
            body += _UINT_SIZE[packet[body]]
            return body + _UINT_SIZE[packet[body]]
    raise RemoteProtocolError("PROTOCOL_DECODE", "a record begins with its alias and its sequence number")


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
_FLAT = flat_readers(3)
_USUAL = {head: (head[1], head[0] - 0x93, _FLAT.get(head[1])) for head in HEADS.values()}
"""By how the envelope of a record begins as nearly all do: its type, its number of fields, and what reads them, if there is something."""
_SMALL = bytes([1] * 128 + [{0xCC: 2, 0xCD: 3, 0xCE: 5}.get(each, 0) for each in range(128, 256)])
"""Bytes of a number that is surely not negative and not too large, by its first byte; 0 for whatever else."""
_UINT_SIZE = {**dict.fromkeys(range(128), 1), 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}
"""Bytes of a non-negative number, by its first byte: a peer need not write the shortest form."""
