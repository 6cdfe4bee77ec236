"""Bytes of a body on the wire: BLOB_CHUNK, written and read without copying the bytes themselves (docs/protocol.md §14).

All other messages are written and read by protocol.codec; this one is long, and there are many of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgpack

from graphs.records import MAX_UINT
from protocol.messages import BlobChunk, Bytes

__all__ = ["chunk_parts", "read_chunk"]


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
    return b"\x96" + fields + head, data, msgpack.packb(crc)


def read_chunk(packet: bytes | bytearray | memoryview) -> BlobChunk | None:
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
