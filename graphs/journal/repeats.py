"""What a record repeats of an earlier one of its log is kept once: a chat that grows for 200 turns takes as much room as its messages do.

How the store keeps a record, not what the record is: its bytes, and the checksum over them, are the same on every side and on the link. Kept of it
is the sequence number of the earlier record, its *base*, and its *parts*: msgpack `[bytes, offset, length, bytes, offset, length, ..., bytes]`, by
turns bytes of its own and a stretch of the base's. The base itself may be kept that way. What is left is *squeezed* by deflate where that pays. Pure.
"""

from __future__ import annotations

import re
import zlib
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Final, NamedTuple

import msgpack

__all__ = ["LEAST", "Kept", "Memory", "Shortener", "loosen", "restore", "shorten", "squeeze", "squeezed"]

LEAST: Final = 512
"""Bytes from which on a record is looked at: of smaller ones little can be saved."""

_PROBE: Final = 32
_PROBES: Final = (1 / 2, 1 / 4, 3 / 4, 1 / 8, 7 / 8, 1 / 16)
"""Where in the base to look for something that comes again."""
_PLACES: Final = 4
_VARIED: Final = 6
"""Different bytes in something worth looking for."""
_SHIFTS: Final = (0, 1, -1, 2, -2, 3, -3, 4)
"""By how much what is repeated has usually moved: a list's length and a turn's number are written with more bytes as they grow."""
_STRETCHES: Final = 8
_WORTH: Final = 96
"""Bytes from which on a stretch is taken from the base."""

_MOST: Final = 8 << 20
_MOST_TOGETHER: Final = 16 << 20
"""Bytes of records that are remembered to compare later ones with: of one, and of all."""

_TURN: Final = re.compile(rb"#\d+")


_MOST_SQUEEZED: Final = 256 << 10
"""Bytes up to which something is squeezed: some 25 us a kB, and large values are as often as not what is squeezed already."""
_PAYS: Final = 7 / 8
_WINDOW, _EFFORT = 13, 5
"""Of deflate: it looks back 8 KiB and has tables of that size, which takes two thirds of the time that its own choice takes for a message."""


class Kept(NamedTuple):
    """How the bytes of a record are kept: as they are, or, with a `base`, as parts. In the table, `base` is 0 or negative for what is squeezed."""

    data: bytes
    base: int | None = None


def squeezed(kept: Kept) -> Kept:
    """As it lies in the table: squeezed, if that pays."""
    small = squeeze(kept.data) if len(kept.data) >= LEAST else None
    return kept if small is None else Kept(small, -(kept.base or 0))


def loosen(kept: Kept) -> Kept:
    """What lay in the table, not squeezed any more. Raises ValueError."""
    data, base = kept
    if base is None or base > 0:
        return kept
    try:
        inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        whole = inflating.decompress(data, _MOST_SQUEEZED + 1)
        if not inflating.eof or inflating.unused_data:
            raise ValueError("what was squeezed has no end")
    except zlib.error as error:
        raise ValueError(str(error)) from error
    return Kept(whole, -base or None)


def squeeze(data: bytes) -> bytes | None:
    """Less bytes for these, which `loosen` makes them of again; None if that does not pay."""
    if len(data) > _MOST_SQUEEZED:
        return None
    deflating = zlib.compressobj(1, zlib.DEFLATED, -_WINDOW, _EFFORT)
    small = deflating.compress(data) + deflating.flush()
    return small if len(small) < len(data) * _PAYS else None


class Memory:
    """Bytes by name, the latest `most` of them."""

    def __init__(self, most: int = _MOST_TOGETHER) -> None:
        self._kept: OrderedDict[Hashable, tuple[int, bytes]] = OrderedDict()
        self._most = most
        self._size = 0

    def get(self, name: Hashable) -> tuple[int, bytes] | None:
        """The number and the bytes under that name."""
        return self._kept.get(name)

    def put(self, name: Hashable, number: int, data: bytes) -> None:
        """Remember bytes under a name, in the place of what was there."""
        if (before := self._kept.pop(name, None)) is not None:
            self._size -= len(before[1])
        self._kept[name] = number, data
        self._size += len(data)
        while self._size > self._most and len(self._kept) > 1:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._size -= len(oldest)


class Shortener:
    """Decides how the records of logs lie in the table, as they come, in their order."""

    def __init__(self) -> None:
        self._memory = Memory()

    def keep(self, log: Hashable, seq: int, tail: bytes) -> Kept:
        """How to keep record `seq` of a log. A later record may have it as its base."""
        size = len(tail)
        if not LEAST <= size <= _MOST:
            return Kept(tail)
        own, latest = (log, _subject(tail)), (log,)
        best = Kept(tail)
        found = {entry[0]: entry[1] for name in (own, latest) if (entry := self._memory.get(name)) is not None}
        for base, data in found.items():
            parts = shorten(data, tail)
            if parts is not None and len(parts) < len(best.data):
                best = Kept(parts, base)
        self._memory.put(own, seq, tail)
        self._memory.put(latest, seq, tail)
        return squeezed(best)


def _subject(tail: bytes) -> bytes:
    """What a record is about: nearly always its path, whatever the turn."""
    length = tail[0] & 0x1F if 0xA0 <= tail[0] < 0xC0 else tail[1]
    return _TURN.sub(b"", tail[:length])


def shorten(base: bytes, data: bytes) -> bytes | None:
    """The parts of `data`, given `base`; None if that saves less than a quarter."""
    parts: list[bytes | int] = []
    done = 0
    for start, offset, length in sorted(_stretches(base, data)):
        parts += [data[done:start], offset, length]
        done = start + length
    if not parts:
        return None
    parts.append(data[done:])
    packed: bytes = msgpack.packb(parts)
    return packed if len(packed) * 4 < len(data) * 3 else None


def restore(base: bytes, parts: bytes) -> bytes:
    """The bytes that have these parts. Raises ValueError if they are none, or want more of the base than there is."""
    try:
        items = msgpack.unpackb(parts)
        pieces = [items[0]]
        for offset, length, own in zip(items[1::3], items[2::3], items[3::3], strict=True):
            if not 0 <= offset <= offset + length <= len(base):
                raise ValueError(f"{length} bytes from {offset} on, of {len(base)}")
            pieces += [base[offset : offset + length], own]
        return b"".join(pieces)
    except (ValueError, TypeError, LookupError, msgpack.UnpackException) as error:
        raise ValueError(str(error)) from error


def _stretches(base: bytes, data: bytes) -> Iterator[tuple[int, int, int]]:
    """Stretches of `data` that are in `base`: (start, offset in the base, length). They do not overlap."""
    gaps = [(0, len(data))]
    found = 0
    while gaps and found < _STRETCHES:
        start, end = gaps.pop()
        stretch = _longest(base, data, start, end)
        if stretch is None:
            continue
        at, offset, length = stretch
        yield at, offset, length
        found += 1
        gaps += [(low, high) for low, high in ((start, at), (at + length, end)) if high - low >= LEAST]


def _longest(base: bytes, data: bytes, start: int, end: int) -> tuple[int, int, int] | None:
    """The longest stretch of data[start:end] in the base that a few looks find."""
    best: tuple[int, int, int] | None = None
    length = _WORTH - 1
    for share in _PROBES:
        offset = int(len(base) * share)
        probe = base[offset : offset + _PROBE]
        if len(probe) < _PROBE:
            continue
        if best is not None and best[1] <= offset < best[1] + best[2]:
            continue  # that is in it
        for place in _places(data, probe, offset, start, end):
            before = _common_end(base, offset, data, place, place - start)
            after = _common(base, offset, data, place, end - place)
            if before + after > length:
                length = before + after
                best = place - before, offset - before, length
            if 2 * length > end - start:
                return best
    return best


def _places(data: bytes, probe: bytes, offset: int, start: int, end: int) -> Iterator[int]:
    """Where the probe is in data[start:end]: near its own place, then wherever it is."""
    near = [offset + shift for shift in _SHIFTS if start <= offset + shift <= end - _PROBE]
    for place in near:
        if data.startswith(probe, place):
            yield place
    if len(set(probe)) < _VARIED:
        return  # it may be anywhere
    place = start - 1
    for _ in range(_PLACES):
        place = data.find(probe, place + 1, end)
        if place < 0:
            return
        if place not in near:
            yield place


def _common(one: bytes, at: int, other: bytes, place: int, most: int) -> int:
    """How many bytes from there on are the same, up to `most`."""
    most = min(most, len(one) - at)
    same, step = 0, 64
    while same < most:  # slices are copied and compared at once, ten times as fast as views are
        step = min(step, most - same)
        if one[at + same : at + same + step] != other[place + same : place + same + step]:
            break
        same += step
        step *= 2
    else:
        return same
    while step > 1:  # they differ somewhere in the next `step`
        half = step // 2
        if one[at + same : at + same + half] == other[place + same : place + same + half]:
            same += half
            step -= half
        else:
            step = half
    return same


def _common_end(one: bytes, at: int, other: bytes, place: int, most: int) -> int:
    """How many bytes before there are the same, up to `most`."""
    most = min(most, at)
    same, step = 0, 64
    while same < most:
        step = min(step, most - same)
        if one[at - same - step : at - same] != other[place - same - step : place - same]:
            break
        same += step
        step *= 2
    else:
        return same
    while step > 1:
        half = step // 2
        if one[at - same - half : at - same] == other[place - same - half : place - same]:
            same += half
            step -= half
        else:
            step = half
    return same
