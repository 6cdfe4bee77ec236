"""Shortcuts: for each type of record, how one whose values are all plain is written and read in a single step.

Nearly all records are of that kind: text and numbers, or one flat map of them. Every record crosses these lines four times on its way (written and
read, on both sides), and the checks of graphs.record_fields, one call a field, cost more than all else. So they are compiled here into one
function a type, from the same table of fields, as `dataclasses` does it with `__init__`. What a shortcut does not like it leaves to the long way,
which says what is wrong; so a shortcut decides nothing, it only saves time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from graphs.packing import is_flat
from graphs.paths import MAX_PATH
from graphs.record_fields import MAX_UINT
from graphs.values import Value

__all__ = ["flat_reader", "reader", "writer"]

Pack: TypeAlias = Callable[[Sequence[Value]], bytes]

_PATH: Final = "{0}.__class__ is str and 0 < len({0}) <= MAX_PATH and {0}.isascii()"
_UINT: Final = "0 <= {0} <= MAX_UINT"
_WRITTEN: Final[Mapping[str, str]] = {
    "str": "{0}.__class__ is str",
    "bool": "{0}.__class__ is bool",
    "int": "{0}.__class__ in INTS and " + _UINT,
    "int | None": "({0} is None or ({0}.__class__ is int and " + _UINT + "))",
    "Mapping[str, Value]": "is_flat({0}, PLAIN)",
    "Mapping[str, Value] | None": "({0} is None or is_flat({0}, PLAIN))",
    "Value": "({0}.__class__ in PLAIN or is_flat({0}, PLAIN))",
}
"""By the annotation of a field: whether it is plain, and msgpack's own bytes of it are the canonical ones."""
_READ: Final[Mapping[str, str]] = {
    **_WRITTEN,
    "int": "{0}.__class__ is int and " + _UINT,
    "Mapping[str, Value]": "{0}.__class__ is dict",
    "Mapping[str, Value] | None": "({0} is None or {0}.__class__ is dict)",
    "Value": "",
}
"""The same for what msgpack gave: a value may be anything, its depth was looked at before."""


_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})
_FLAT: Final[Mapping[str, str]] = {
    **_READ,
    "Mapping[str, Value]": "is_flat({0}, SCALARS)",
    "Mapping[str, Value] | None": "({0} is None or is_flat({0}, SCALARS))",
    "Value": "({0}.__class__ in SCALARS or is_flat({0}, SCALARS))",
}
"""The same, and none of it is deep."""


def writer(
    type_: int, names: Mapping[str, str], plain: frozenset[Any], ints: frozenset[Any], pack: Pack
) -> Callable[[Any], tuple[int, int, bytes] | None]:
    """`write(record)`: the type, how many fields, and their bytes, of a record with these fields, by name and annotation; None if they are not
    all plain, or msgpack cannot say one of them.

    Nil fields at the end are left out. `pack` writes an array of at most 15 entries.
    """
    last = list(names)[-1]
    trim = f"""
    if {last} is None:
        count -= 1
        while count and items[count - 1] is None:
            count -= 1
        items = items[:count]"""
    source = f"""
def write(record):
    {"; ".join(f"{name} = record.{name}" for name in names)}
    if not ({_all(_WRITTEN, names)}):
        return None
    items = ({", ".join(names)},)
    count = {len(names)}{trim if _may_be_nil(names[last]) else ""}
    try:
        return {type_}, count, pack(items)[1:]
    except (OverflowError, UnicodeEncodeError):
        return None
"""
    write: Callable[[Any], tuple[int, int, bytes] | None] = _compiled(source, "write", PLAIN=plain, INTS=ints, pack=pack)
    return write


def reader(cls: type, names: Mapping[str, str]) -> Callable[..., Any]:
    """`read(*fields)`: the record of that class, or None if the fields are not surely right. Missing ones are nil."""
    source = f"""
def read({", ".join(f"{name}=None" for name in names)}):
    return cls({", ".join(names)}) if {_all(_READ, names)} else None
"""
    read: Callable[..., Any] = _compiled(source, "read", cls=cls)
    return read


def flat_reader(cls: type, names: Mapping[str, str], before: int) -> Callable[[Sequence[Any]], Any]:
    """`read(items)`: the record of that class whose fields follow the first `before` items. None if there are more or fewer than are usual, if they
    are not surely right, or if any is more than a scalar or a flat map of them: such a record may be too deep.
    """
    skipped, count, last = "_, " * before, before + len(names), list(names)[-1]
    fewer = f"""
    elif len(items) == {count - 1}:
        {skipped}{", ".join(list(names)[:-1])}{"," if count - 1 == 1 else ""} = items
        {last} = None""" if _may_be_nil(names[last]) else ""  # fmt: skip
    source = f"""
def read(items):
    if len(items) == {count}:
        {skipped}{", ".join(names)} = items{fewer}
    else:
        return None
    return cls({", ".join(names)}) if {_all(_FLAT, names)} else None
"""
    read: Callable[[Sequence[Any]], Any] = _compiled(source, "read", cls=cls, SCALARS=_SCALARS)
    return read


def _all(tests: Mapping[str, str], names: Mapping[str, str]) -> str:
    found = [_PATH if name == "path" else tests[annotation] for name, annotation in names.items()]
    return " and ".join(test.format(name) for name, test in zip(names, found, strict=True) if test)


def _may_be_nil(annotation: str) -> bool:
    return annotation == "Value" or annotation.endswith("None")


def _compiled(source: str, name: str, **known: Any) -> Any:
    space = {"is_flat": is_flat, "MAX_PATH": MAX_PATH, "MAX_UINT": MAX_UINT, **known}
    exec(source, space)  # noqa: S102 - the source is made of the names of our own fields
    return space[name]
