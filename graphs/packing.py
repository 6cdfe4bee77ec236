"""Packing: plain values as msgpack, where what msgpack writes by itself is canonical already and needs no second look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgpack

from graphs.states import EndStatus, State
from graphs.values import Value

__all__ = ["PLAIN", "is_flat", "pack", "pack_flat", "pack_small", "packs_as_it_is"]

PLAIN: Final = frozenset({str, int, bool, bytes, type(None), State, EndStatus})
"""Types whose every value is written one way only."""

_USUAL_DEPTH: Final = 32

_MOST_KEPT: Final = 1 << 20


def is_flat(value: Value, plain: frozenset[Any] = PLAIN) -> bool:
    """Whether it is a map from text to values of these types: as most results are, and all that is said of them."""
    if value.__class__ is not dict:
        return False
    for key, item in value.items():  # noqa: SIM110 - a generator costs as much as the whole loop
        if key.__class__ is not str or item.__class__ not in plain:
            return False
    return True


def packs_as_it_is(items: Iterable[Value], depth: int) -> bool:
    """Whether msgpack writes all of these canonically; False also if they are nested deeper than is usual."""
    if depth > _USUAL_DEPTH:
        return False
    for item in items:
        kind = type(item)
        if kind in PLAIN:
            continue
        if kind is dict:
            for key in item:
                if type(key) is not str:
                    return False
            item = item.values()
        elif kind is float and item % 1:
            continue
        elif kind is not list:
            return False
        if not packs_as_it_is(item, depth + 1):
            return False
    return True


def pack(value: Value) -> bytes:
    """The value as msgpack. Raises OverflowError, UnicodeEncodeError or RecursionError for what msgpack cannot say."""
    global _packer  # noqa: PLW0603 - made anew so that one large value does not occupy its memory for ever
    packed: bytes = _packer.pack(value)
    if len(packed) > _MOST_KEPT:
        _packer = msgpack.Packer()
    return packed


def pack_flat(value: Value) -> bytes | None:
    """The value as msgpack if `is_flat`, in one call as each result goes through here; None otherwise, or for what msgpack cannot say."""
    if value.__class__ is not dict:
        return None
    for key, item in value.items():
        if key.__class__ is not str or item.__class__ not in PLAIN:
            return None
    try:
        return pack(value)
    except (OverflowError, UnicodeEncodeError):
        return None


_packer = msgpack.Packer()  # one for all threads: plain values are packed in one step of the interpreter
pack_small = msgpack.Packer().pack
"""`pack` of what is known to be small: in one step, but what it once needed it keeps."""
