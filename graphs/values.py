"""Values: JSON-like data and bytes, the sentinel for "no value", and the one canonical encoding.

A value is immutable by agreement: it is handed on by reference inside a process and never changed after an agent returned it.
The canonical form is msgpack with maps in *written order* (order is meaning), the shortest headers and integral floats as
integers, so that a value is the same bytes whichever way it took (docs/protocol.md §7, §12).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from operator import is_
from typing import Any, Final, TypeAlias

import msgpack

from graphs.errors import ValueUnsupported

__all__ = [
    "EXT_BLOBREF",
    "EXT_HANDLE",
    "MISSING",
    "Missing",
    "Value",
    "as_extension",
    "canonical",
    "clean",
    "decode",
    "digest",
    "graph_hash",
    "is_true",
]

Value: TypeAlias = Any
"""None, bool, int, float, str, bytes, list, or dict with str keys; plus MISSING where no value was given."""


class Missing:
    """The type of `MISSING`; there is one instance. JavaScript calls it undefined. It is not null."""

    __slots__ = ()
    _only: Missing | None = None

    def __new__(cls) -> Missing:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

EXT_BLOBREF: Final = 1
EXT_UNDEFINED: Final = 5
EXT_HANDLE: Final = 7

MAX_DEPTH: Final = 512
"""Nesting a local value may have; the link's limit for inline values is lower (docs/protocol.md §17)."""

_EXACT_INTEGRAL = 2.0**53


def is_true(value: Value) -> bool:
    """Whether a condition holds (graph-spec §6.3).

    False for missing, null, false, 0, NaN, "" and the empty list; empty maps and "0" are true.
    """
    if isinstance(value, float):
        return value != 0 and not math.isnan(value)
    if isinstance(value, dict):
        return True
    return bool(value)


def clean(value: Value) -> Value:
    """The value as JSON sees it: a missing entry of a map is left out, of a list becomes null.

    Returns the same object where nothing had to change.
    """
    if isinstance(value, dict):
        entries: dict[str, Value] = {}
        for key, item in value.items():  # no comprehension: that would take two places on the stack a level
            if item is not MISSING:
                entries[key] = clean(item)
        same = len(entries) == len(value) and all(map(is_, entries.values(), value.values()))
        return value if same else entries
    if isinstance(value, (list, tuple)):
        items: list[Value] = []
        for item in value:
            items.append(None if item is MISSING else clean(item))  # noqa: PERF401 - as above
        return value if isinstance(value, list) and all(map(is_, items, value)) else items
    return value


def canonical(value: Value, *, strict: bool = False) -> bytes:
    """The canonical bytes of `value`.

    `strict` is for graphs, where neither NaN nor infinity, bytes, extensions nor MISSING may occur.
    Raises ValueUnsupported for anything that is not a value: other types, keys that are not text, integers beyond 64 bits,
    text with lone surrogates, or nesting beyond `MAX_DEPTH`.
    """
    try:
        return msgpack.packb(_normal(value, strict, 0), use_bin_type=True)  # type: ignore[no-any-return]
    except (OverflowError, UnicodeEncodeError, ValueError, TypeError, RecursionError) as error:
        raise ValueUnsupported(str(error)) from error


def _normal(value: Value, strict: bool, depth: int) -> Value:
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return _normal_float(value, strict)
    if depth > MAX_DEPTH:
        raise ValueUnsupported(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise ValueUnsupported(f"a map's keys are text, got {type(key).__name__} {key!r}")
        entries: dict[str, Value] = {}
        for key, item in value.items():  # no comprehension: that would take two places on the stack a level
            entries[key] = _normal(item, strict, depth + 1)
        return entries
    if kind is list or kind is tuple:
        items: list[Value] = []
        for item in value:
            items.append(_normal(item, strict, depth + 1))  # noqa: PERF401 - as above
        return items
    if not strict:
        if kind is bytes:
            return value
        if value is MISSING:
            return as_extension(value)
        if kind is msgpack.ExtType:
            return value
    if isinstance(value, (str, int, float)):  # a subclass (an enum, a numpy scalar's cousin): its plain value counts
        plain = str(value) if isinstance(value, str) else float(value) if isinstance(value, float) else int(value)
        return _normal(plain, strict, depth)
    raise ValueUnsupported(f"{type(value).__name__} is not data: use text, numbers, booleans, null, bytes, lists and maps")


def _normal_float(value: float, strict: bool) -> float:
    if value == value and abs(value) < _EXACT_INTEGRAL and value == int(value):
        return int(value)
    if strict and not math.isfinite(value):
        raise ValueUnsupported(f"{value} cannot be part of a graph")
    return value


def as_extension(value: object) -> msgpack.ExtType:
    """What `MISSING` is in msgpack: for `default` of its packer. Raises TypeError for anything else."""
    if value is MISSING:
        return msgpack.ExtType(EXT_UNDEFINED, b"")
    raise TypeError(f"{type(value).__name__} is not data")


def decode(data: bytes) -> Value:
    """The value whose canonical bytes are `data`. Raises ValueUnsupported if they are not one well-formed value."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=True, ext_hook=_ext)
    except Exception as error:  # msgpack raises many kinds; all mean the same here
        raise ValueUnsupported(f"not a value: {error}") from error


def _ext(code: int, data: bytes) -> Value:
    if code == EXT_UNDEFINED and not data:
        return MISSING
    return msgpack.ExtType(code, data)


def digest(data: bytes) -> bytes:
    """SHA-256 of `data`, 32 bytes."""
    return hashlib.sha256(data).digest()


def graph_hash(document: Mapping[str, Value]) -> bytes:
    """The address of a graph: SHA-256 over its canonical form, 32 bytes (docs/protocol.md §7)."""
    return digest(b"graphferry.graph.1\n" + canonical(document, strict=True))
