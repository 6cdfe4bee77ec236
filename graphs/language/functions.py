"""Properties: one part of a path applied to a value, and the functions that can stand there (graph-spec §4.2, §4.3).

`compile_property` does all reading of the part's text once; what it returns only looks at the value's type. A function that does
not know the type it meets gives nothing: that is no error, the value is just missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from graphs.budget import ITEM, spend
from graphs.errors import LimitReached, NodeError
from graphs.language.jstext import (
    WHITE_SPACE,
    Number,
    entries,
    join,
    js_add,
    json_text,
    number_text,
    parse_json,
    tidy,
    to_number,
)
from graphs.values import MISSING, Missing, Value

__all__ = ["Property", "code_block", "compile_property", "is_plain_key"]

Property: TypeAlias = Callable[[Value], Value]
"""Gives the property's value, or MISSING."""

_ByType: TypeAlias = Mapping[type, Property]

# Patterns are compiled when they are first used, and re remembers them: most graphs need none of these.
_CALL = r"[a-zA-Z]+\([^)]*\)"
_POSITION = r"\$(?:([0-9]+)|last)"
_FENCE = "\n```"
_LETTERS = r"[a-zA-Z]*"

_SPACE = f"[{WHITE_SPACE}]"
_WORD = r"[A-Za-z0-9!#$%&(*+,\-/:;<=>?@]+"
_JOIN = rf"join\(((?:[,\-]|{_SPACE})?)\)"
_SPLIT = rf"split\(((?:[\-_:;.,]|{_SPACE})+)\)"
_SLICE = rf"slice\((-?[0-9]+)(?:,{_SPACE}*(-?[0-9]+))?\)"
_ADD = r"add\((-?[0-9]+)\)"
_EQUAL_TEXT = r"equal\(([A-Za-z0-9!#$%&(*+,\-./:;<=>?@]+)\)"
_EQUAL_NUMBER = rf"equal\(({_WORD})\)"
_DEFAULT = rf"default\(({_WORD})\)"
_DIGITS_AND_DASHES = r"[0-9-]+"


def compile_property(part: str) -> Property:
    """The function that applies one property to a value.

    Tried in this order: a function that knows the value's type, a list's position `$0` or `$last`, a map's key; else MISSING.
    `jsonParse()` raises NodeError for text that is not JSON; nothing else raises.
    """
    functions = _functions(part) if re.fullmatch(_CALL, part) else None
    if functions:
        return _call(part, functions)
    position = re.fullmatch(_POSITION, part)
    if position:
        return _at(part, int(position[1]) if position[1] else -1)
    return _key(part)


def is_plain_key(part: str) -> bool:
    """Whether the part can only be a map's key, so that a caller may look it up itself."""
    if part.isidentifier():
        return True
    return not re.fullmatch(_POSITION, part) and not (re.fullmatch(_CALL, part) and _functions(part))


def _key(part: str) -> Property:
    def key(value: Value) -> Value:
        return value.get(part, MISSING) if type(value) is dict else MISSING

    return key


def _at(part: str, index: int) -> Property:
    def at(value: Value) -> Value:
        if type(value) is list:
            return value[index] if -1 <= index < len(value) and value else MISSING
        return value.get(part, MISSING) if type(value) is dict else MISSING

    return at


def _call(part: str, functions: _ByType) -> Property:
    def call(value: Value) -> Value:
        kind = type(value)
        function = functions.get(kind)
        if function is not None:
            answer = function(value)
            if answer is not None and answer is not MISSING:
                return answer
        return value.get(part, MISSING) if kind is dict else MISSING

    return call


def _functions(part: str) -> _ByType:
    """The functions of that text by type of value; empty if there are none."""
    fixed = _FIXED.get(part)
    if fixed is not None:
        return fixed
    by_type: dict[type, Property] = {}
    for reader in (_read_list, _read_text, _read_number, _read_missing):
        by_type.update(reader(part))
    return by_type


def _read_list(part: str) -> _ByType:
    match = re.fullmatch(_JOIN, part)
    if not match:
        return {}
    separator = match[1]
    return {list: lambda value: join(value, separator)}


def _read_text(part: str) -> _ByType:
    if match := re.fullmatch(_EQUAL_TEXT, part):
        word = match[1]
        return {str: lambda value: value == word}
    if match := re.fullmatch(_SLICE, part):
        cut = slice(int(match[1]), int(match[2]) if match[2] is not None else None)
        return {str: _copying(lambda value: value[cut])}
    if match := re.fullmatch(_SPLIT, part):
        separator = match[1]
        return {str: lambda value: _pieces(value, separator)}
    return {}


def _pieces(source: str, separator: str) -> list[Value]:
    spend(len(source) + ITEM * source.count(separator))
    return [*source.split(separator)]


def _read_number(part: str) -> _ByType:
    if match := re.fullmatch(_ADD, part):
        amount = to_number(match[1])
        return _on_numbers(lambda value: tidy(value + amount))
    if match := re.fullmatch(_EQUAL_NUMBER, part):
        wanted = to_number(match[1])
        return _on_numbers(lambda value: value == wanted)
    return {}


def _read_missing(part: str) -> _ByType:
    match = re.fullmatch(_DEFAULT, part)
    if not match:
        return {}
    word = match[1]
    spare = to_number(word) if re.fullmatch(_DIGITS_AND_DASHES, word) else word
    return {Missing: lambda _: spare}


def _on_numbers(function: Property) -> _ByType:
    return {int: function, float: lambda value: function(value) if math.isfinite(value) else MISSING}


def code_block(source: str) -> str | None:
    """The inside of the first ``` fence that starts a line, with the line break that ends the fence's own line; None without one."""
    # Searched by hand: as one regular expression it would look for the end anew from each letter behind the fence.
    written = "\n" + source
    begin = written.find(_FENCE)
    if begin < 0:
        return None
    letters = re.compile(_LETTERS).match(written, begin + len(_FENCE))
    assert letters is not None
    end = written.find(_FENCE, letters.end())
    return written[letters.end() : end] if end >= 0 else None


def _parsed(value: Value) -> Value:
    try:
        return parse_json(value)
    except LimitReached:
        raise
    except NodeError as error:
        raise NodeError(f"jsonParse(): {error.message}") from error


def _number(value: Value) -> Value:
    number = to_number(value)
    return number if number == number else MISSING


def _sum(values: list[Value]) -> Value:
    total: Value = 0
    for value in values:
        total = js_add(total, value)
    return total


def _average(values: list[Value]) -> Value:
    return tidy(to_number(_sum(values)) / len(values)) if values else 0


def _greatest(values: list[Value]) -> Value:
    return _extreme(values, max)


def _smallest(values: list[Value]) -> Value:
    return _extreme(values, min)


def _extreme(values: list[Value], pick: Callable[[list[Number]], Number]) -> Number:
    numbers = [to_number(value) for value in values]
    if any(number != number for number in numbers):
        return math.nan
    return pick(numbers) if numbers else 0


def _flat(values: list[Value]) -> Value:
    spend(ITEM * sum(len(item) if type(item) is list else 1 for item in values))
    return [inner for item in values for inner in (item if type(item) is list else (item,))]


def _copying(function: Callable[[str], Value]) -> Property:
    """A function whose answer is about as long as the text it is given; upper case may make three letters of one."""

    def copy(value: str) -> Value:
        spend(len(value))
        return function(value)

    return copy


def _all_entries(value: Value) -> list[tuple[str, Value]]:
    spend(ITEM * len(value))
    return list(entries(value))


_KEYS: Final[Property] = lambda value: [key for key, _ in _all_entries(value)]  # noqa: E731 - a table of one-liners reads best
_VALUES: Final[Property] = lambda value: [item for _, item in _all_entries(value)]  # noqa: E731
_JSON: Final[Property] = lambda value: json_text(value, 2)  # noqa: E731

_FIXED: Final[Mapping[str, _ByType]] = {
    "length()": {list: len},
    "flat()": {list: _flat},
    "isEmpty()": {list: lambda value: not value},
    "sum()": {list: _sum},
    "average()": {list: _average},
    "mean()": {list: _average},
    "max()": {list: _greatest},
    "min()": {list: _smallest},
    "keys()": {dict: _KEYS, list: _KEYS},
    "values()": {dict: _VALUES, list: _VALUES},
    "toJSON()": {dict: _JSON, list: _JSON},
    "codeBlock()": {str: _copying(code_block)},
    "codeBlockOrRaw()": {str: _copying(lambda value: value if (block := code_block(value)) is None else block)},
    "jsonParse()": {str: _parsed},
    "toNumber()": {str: _number},
    "trim()": {str: _copying(lambda value: value.strip(WHITE_SPACE))},
    "toLowerCase()": {str: _copying(str.lower)},
    "toUpperCase()": {str: _copying(str.upper)},
    "toString()": _on_numbers(number_text),
    "not()": {bool: lambda value: not value},
}
