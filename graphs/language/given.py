"""Values that a program gives: whether each is one, told before anything starts and by its place. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphs.errors import UsageError, ValueUnsupported
from graphs.language.builder import unfit
from graphs.language.plain import is_plain
from graphs.values import MAX_DEPTH, MISSING, Value

__all__ = ["as_values"]

_SHOWN: Final = 8
"""Steps of a place that are worth showing when it is its depth that is wrong."""


def as_values(given: Any, what: str) -> dict[str, Value]:
    """Plain copies of the values that a program gives by name: tuples become lists, kinds of text and numbers these themselves.

    `what` is what they are, for the message. Raises UsageError if they have no names, ValueUnsupported for the first that is no value.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"{what} is {_kind(given)}; it has to be a map of names and values")
    return {_name(name, what): value if is_plain(value) else _copy(value, (name,), what, ()) for name, value in given.items()}


def _copy(value: Any, place: tuple[str | int, ...], what: str, above: tuple[int, ...]) -> Value:
    if isinstance(value, (Mapping, list, tuple)):
        if id(value) in above:
            raise ValueUnsupported(f"{what}: {_told(place)}: it contains itself")
        if len(place) > MAX_DEPTH:
            raise ValueUnsupported(f"{what}: {_told(place[:_SHOWN])}: nested deeper than {MAX_DEPTH} levels")
        inside = (*above, id(value))
        if not isinstance(value, Mapping):
            items: list[Value] = []
            for number, item in enumerate(value):  # no comprehension: that would take two places on the stack a level
                items.append(_copy(item, (*place, number), what, inside))
            return items
        for key in value:
            if not isinstance(key, str):
                raise ValueUnsupported(f"{what}: {_told(place)}: a map's keys are text, this one is {_kind(key)} {key!r}")
        entries: dict[str, Value] = {}
        for key, item in value.items():
            entries[_text(key, place, what)] = _copy(item, (*place, str(key)), what, inside)
        return entries
    if value is None or value is MISSING or isinstance(value, (bool, bytes)):
        return value
    if isinstance(value, str):
        return _text(value, place, what)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        if unfit(int(value)):
            raise ValueUnsupported(
                f"{what}: {_told(place)}: a whole number beyond 64 bits; give it as text, or with a decimal point"
            )
        return int(value)
    raise ValueUnsupported(
        f"{what}: {_told(place)}: {_kind(value)} is not data",
        hint="Use text, numbers, booleans, None, bytes, lists and maps with text as keys.",
    )


def _name(name: Any, what: str) -> str:
    if not isinstance(name, str):
        raise UsageError(f"{what}: names are text, this one is {_kind(name)} {name!r}")
    return str.__str__(name)


def _text(text: str, place: tuple[str | int, ...], what: str) -> str:
    plain = str.__str__(text)
    if reason := unfit(plain):
        raise ValueUnsupported(f"{what}: {_told(place)}: {reason}")
    return plain


def _kind(value: Any) -> str:
    return type(value).__name__


def _told(place: tuple[str | int, ...]) -> str:
    return "".join(_steps(place))


def _steps(place: tuple[str | int, ...]) -> Iterator[str]:
    for number, step in enumerate(place):
        yield f"[{step}]" if isinstance(step, int) else f".{step}" if number else step
