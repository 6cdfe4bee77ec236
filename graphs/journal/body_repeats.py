"""What a body repeats of an earlier one of its run is kept once: a long chat that crosses the link turn by turn takes as much room as its messages.

As with records (`repeats`), this is how a store keeps a body, not what the body is: its name, its bytes and what travels are the same. A body that is
kept *short* has a *base*, an earlier body of the same run, and parts: by turns bytes of its own and stretches of the base's. The base may be
short as well. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgpack

from graphs.journal.repeats import Kept, Memory, loosen, shorten, squeeze

__all__ = ["Recent", "Short", "read_short", "whole_of"]

_LEAST: Final = 16 << 10
_MOST: Final = 8 << 20
"""Bytes of a body: of smaller ones little can be saved, and larger ones are not held in memory."""
_DEEPEST: Final = 1_024
"""How many bodies one may go back to; then one is kept whole again."""
_BASES: Final = 2
"""How many earlier bodies of a run are looked at: what goes out and what comes back take turns."""
_MOST_RUNS: Final = 256
_FORMAT, _SQUEEZED = 1, 2
"""The kinds of files: the second has its parts squeezed."""


class Short(NamedTuple):
    """How a short body is kept: its size, how many bodies it goes back to, the name of its base, its parts."""

    size: int
    depth: int
    base: bytes
    parts: list[Any]


class Recent:
    """The bodies of late in one store, to compare the next ones of a run with, and to read them from. Not safe in several threads at once."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._latest: OrderedDict[tuple[str, bytes], list[bytes]] = OrderedDict()

    def get(self, scope: str, name: bytes) -> bytes | None:
        """The whole of a body, if it is remembered."""
        found = self._memory.get((scope, name))
        return found[1] if found is not None else None

    def remember(self, scope: str, name: bytes, data: bytes) -> None:
        """That is the whole of it. Nothing is compared with it: it was read, and how far it goes back is not asked."""
        if len(data) <= _MOST:
            self._memory.put((scope, name), _DEEPEST, data)

    def admits(self, size: int) -> bool:
        """Whether a body of that size may be kept short at all."""
        return _LEAST <= size <= _MOST

    def shorten(self, scope: str, run: bytes, name: bytes, data: bytes) -> bytes | None:
        """The bytes of the file of a new body that is kept short; None if it repeats too little."""
        best: tuple[bytes, bytes, int] | None = None
        for base in self._latest.get((scope, run), ()):
            found = self._memory.get((scope, base))
            if found is None or found[0] >= _DEEPEST:
                continue
            parts = shorten(found[1], data)
            if parts is not None and (best is None or len(parts) < len(best[1])):
                best = base, parts, found[0] + 1
        self._note(scope, run, name)
        if best is None:
            self._memory.put((scope, name), 0, data)
            return None
        base, parts, depth = best
        self._memory.put((scope, name), depth, data)
        small = squeeze(parts)
        kind, written = (_FORMAT, parts) if small is None else (_SQUEEZED, small)
        packed: bytes = msgpack.packb([kind, len(data), depth, base, written])
        return packed

    def _note(self, scope: str, run: bytes, name: bytes) -> None:
        names = self._latest.setdefault((scope, run), [])
        self._latest.move_to_end((scope, run))
        names[:] = [*(each for each in names if each != name), name][-_BASES:]
        while len(self._latest) > _MOST_RUNS:
            self._latest.popitem(last=False)


def read_short(file: bytes) -> Short:
    """What the file of a short body says. Raises ValueError if it says nothing."""
    try:
        kind, size, depth, base, packed = msgpack.unpackb(file)
        parts = msgpack.unpackb(loosen(Kept(packed, 0)).data if kind == _SQUEEZED else packed)
        if kind not in (_FORMAT, _SQUEEZED) or not isinstance(base, bytes) or len(parts) % 3 != 1:
            raise ValueError("it is of a kind that is not known here")
        own, stretches = parts[::3], [*parts[1::3], *parts[2::3]]
        if not all(type(each) is bytes for each in own) or not all(type(each) is int and each >= 0 for each in stretches):
            raise ValueError("its parts are none")
        return Short(size, depth, base, parts)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ValueError(f"its file cannot be read: {error}") from error


def whole_of(short: Short, look: Callable[[bytes], bytes | Short | None]) -> bytes | None:
    """The bytes of a short body. `look` gives its base by name: whole, short again, or None if it is not here: then so is this one.

    Raises ValueError if the parts do not fit together. Each byte is copied once, however many bodies it goes back to.
    """
    chain: list[bytes | Short] = [short]
    while isinstance(last := chain[-1], Short):
        if len(chain) > _DEEPEST + 1:
            raise ValueError("it goes back to itself")
        base = look(last.base)
        if base is None:
            return None
        chain.append(base)
    pieces: list[bytes] = []
    todo: list[bytes | tuple[int, int, int]] = [
        (0, 0, short.size)
    ]  # what comes next is at the end: bytes, or where they are in the chain
    while todo:
        item = todo.pop()
        if isinstance(item, bytes):
            pieces.append(item)
            continue
        level, start, length = item
        body = chain[level]
        if isinstance(body, Short):
            todo += reversed(_stretch(body, level, start, length))
        elif start + length <= len(body):
            pieces.append(body[start : start + length])
        else:
            raise ValueError(f"{length} bytes from {start} on, of {len(body)}")
    whole = b"".join(pieces)
    if len(whole) != short.size:
        raise ValueError(f"{len(whole)} bytes, not {short.size}")
    return whole


def _stretch(body: Short, level: int, start: int, length: int) -> list[bytes | tuple[int, int, int]]:
    """So many bytes of a short body from there on: its own, and where in its base the others are."""
    found: list[bytes | tuple[int, int, int]] = []
    at, end = 0, start + length
    parts = body.parts
    for number in range(0, len(parts), 3):
        own = parts[number]
        low, high = max(start - at, 0), min(end - at, len(own))
        if low < high:
            found.append(own[low:high])
        at += len(own)
        if number + 1 == len(parts) or at >= end:
            break
        offset, size = parts[number + 1], parts[number + 2]
        low, high = max(start - at, 0), min(end - at, size)
        if low < high:
            found.append((level + 1, offset + low, high - low))
        at += size
    return found
