"""Fields: what each field of a record may hold, checked whenever a record is written or read.

Bytes from a peer decide nothing before they passed here: a field of the wrong type raises ValueUnsupported at once, never a TypeError later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, NoneType
from typing import Any, Final, TypeAlias

import msgpack

from graphs.errors import ValueUnsupported
from graphs.paths import MAX_PATH
from graphs.values import Missing, Value

__all__ = ["MAX_UINT", "RULES", "Rule", "check", "depth", "is_uint", "types_of"]

MAX_UINT: Final = 2**53 - 1
"""The largest unsigned number of a field: JavaScript clients hold it exactly."""

Rule: TypeAlias = Callable[[Sequence[Value]], str | None]
"""Looks at a record's fields, in wire order, and says what is wrong with them or None."""

_MAP = frozenset({dict, MappingProxyType})
_LIST = frozenset({list, tuple})
_NIL = frozenset({NoneType})
_TYPES: Mapping[str, frozenset[type]] = {
    "str": frozenset({str}),
    "str | None": frozenset({str}) | _NIL,
    "bytes": frozenset({bytes}),
    "int": frozenset({int}),
    "int | None": frozenset({int}) | _NIL,
    "bool": frozenset({bool}),
    "Mapping[str, Value]": _MAP,
    "Mapping[str, Value] | None": _MAP | _NIL,
    "Sequence[str] | None": _LIST | _NIL,
}


def types_of(annotations: Sequence[str]) -> tuple[tuple[int, frozenset[type]], ...]:
    """For each field that cannot hold every value: its position and the types it may have."""
    return tuple((index, _TYPES[each]) for index, each in enumerate(annotations) if each != "Value")


def check(types: Sequence[tuple[int, frozenset[type]]], rule: Rule | None, items: Sequence[Value]) -> str | None:
    """What is wrong with the fields of a record, or None."""
    for index, allowed in types:
        item = items[index]
        kind = type(item)
        if kind not in allowed and not _is_enum(kind, allowed):
            return f"field {index + 1} cannot be a {kind.__name__}"
        if kind is int and not 0 <= item <= MAX_UINT:
            return f"field {index + 1} cannot be {item}"
    return rule(items) if rule is not None else None


def _is_enum(kind: type, allowed: frozenset[type]) -> bool:
    return kind is not bool and issubclass(kind, int) and int in allowed


def depth(items: Sequence[Value], limit: int) -> int:
    """How deep lists and maps are nested in `items`; `limit` + 1 if deeper than that.

    Raises ValueUnsupported for a key that is not text and for what msgpack knows but a value cannot be. Without recursion: the nesting is
    the peer's choice.
    """
    found = 0
    level: list[Any] = [items]
    while level:
        inner: list[Any] = []
        for container in level:
            if type(container) is dict:
                for key in container:
                    if type(key) is not str:
                        raise ValueUnsupported(f"a map's keys are text, got a {type(key).__name__}")
                container = container.values()
            for item in container:
                kind = type(item)
                if kind is dict or kind is list:
                    inner.append(item)
                elif kind not in _LEAVES:
                    inner += _unusual(item)
        if not inner:
            break
        found += 1
        if found > limit:
            break
        level = inner
    return found


def _unusual(item: Any) -> list[Any]:
    """A container in the form `depth` walks, or nothing for a leaf, whose type is a relative of a usual one."""
    if isinstance(item, Mapping):
        return [dict(item)]
    if isinstance(item, (list, tuple)):
        return [list(item)]
    if isinstance(item, (str, int, float)):
        return []
    raise ValueUnsupported(f"{type(item).__name__} is not data")


_LEAVES = frozenset({str, int, bool, float, bytes, NoneType, Missing, msgpack.ExtType})


# -- rules of single types, where the types of the fields say too little


def _path(items: Sequence[Value]) -> str | None:
    path = items[0]
    if path is not None and not (
        0 < len(path) <= MAX_PATH and (path.isascii() or len(path.encode("utf-8", "replace")) <= MAX_PATH)
    ):
        return f"a path has 1 to {MAX_PATH} bytes, got {len(path)} characters"
    return None


def _paths(items: Sequence[Value]) -> str | None:
    for path in items[0] or ():
        if type(path) is not str:
            return f"paths are text, got a {type(path).__name__}"
        if problem := _path((path,)):
            return problem
    return None


def _answer(items: Sequence[Value]) -> str | None:
    for label in items[3] or ():
        if type(label) is not str:
            return f"labels are text, got a {type(label).__name__}"
    return _path(items)


def _opening(items: Sequence[Value]) -> str | None:
    frame, graph, inputs, opts = items
    if len(frame.encode("utf-8", "replace")) > MAX_PATH:
        return f"a frame's name has at most {MAX_PATH} bytes"
    if len(graph) != 32:
        return f"the graph's hash has 32 bytes, got {len(graph)}"
    for node, pair in inputs.items():
        if type(pair) not in _LIST or len(pair) != 2 or not is_uint(pair[0]):
            return f"input {node!r} is [state, value]"
    for name, fits in _OPTIONS.items():
        value = opts.get(name)
        if value is not None and not fits(value):
            return f"option {name!r} cannot be {value!r}"
    return None


def _handover(items: Sequence[Value]) -> str | None:
    return None if len(items[0]) == 8 else f"a store id has 8 bytes, got {len(items[0])}"


def is_uint(value: Value) -> bool:
    """Whether `value` is a number that the unsigned fields of the link can hold."""
    return type(value) is not bool and isinstance(value, int) and 0 <= value <= MAX_UINT


def _is_parent(value: Value) -> bool:
    return type(value) in _LIST and len(value) == 2 and type(value[0]) is bytes and is_uint(value[1])


def _is_gone(value: Value) -> bool:
    return value == "keep" or (type(value) in _LIST and len(value) == 2 and value[0] == "cancel" and is_uint(value[1]))


def _is_demand(value: Value) -> bool:
    return value is True or (type(value) in _LIST and all(type(node) is str for node in value))


def _is_begun(value: Value) -> bool:
    return type(value) in _MAP and all(is_uint(count) for count in value.values())


def _is_map(value: Value) -> bool:
    return type(value) in _MAP


_OPTIONS: Mapping[str, Callable[[Value], bool]] = {
    "parent": _is_parent,
    "options": _is_map,
    "budget_ms": is_uint,
    "expires_ms": is_uint,
    "gone": _is_gone,
    "limits": _is_map,
    "demand": _is_demand,
    "begun": _is_begun,
}

RULES: Mapping[int, Rule] = {
    0x20: _opening,
    0x21: _path,
    0x22: _paths,
    0x23: _path,
    0x25: _opening,
    0x26: _answer,
    0x27: _handover,
    0x30: _path,
    0x31: _path,
    0x33: _path,
}
"""By the record's type number."""
