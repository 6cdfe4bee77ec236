"""JavaScript's conversions: what graphs written for GraphAI expect of text, numbers, truth and JSON (graph-spec §4.4, §4.6, §13).

What makes text of whole values stays within what the run may have (graphs.budget), and raises LimitReached where it cannot. Values become
text as `String()` does, except that maps, and lists that hold maps, become compact JSON instead of
`[object Object]`. Numbers read from text are integers where JavaScript's number is integral, as values are in canonical form.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from json.encoder import encode_basestring
from typing import Final, TypeAlias

from graphs.budget import ITEM, Room, spend
from graphs.errors import NodeError
from graphs.values import MISSING, Value

__all__ = [
    "WHITE_SPACE",
    "Number",
    "entries",
    "identical",
    "is_number",
    "join",
    "js_add",
    "json_text",
    "number_text",
    "parse_json",
    "text",
    "tidy",
    "to_number",
    "truthy",
]

Number: TypeAlias = int | float

WHITE_SPACE: Final = "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
"""What JavaScript trims and its `\\s` matches; Python's own idea of white space differs in nine characters."""

_EXACT = 2**53
_PLAIN_DIGITS = 21

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_PREFIXED = r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)"  # compiled when first used: few texts get that far
_INFINITIES: Final = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_number(value: Value) -> bool:
    """Whether `value` is what JavaScript calls a number: not a boolean."""
    return type(value) is int or type(value) is float


def truthy(value: Value) -> bool:
    """JavaScript's `!!value`: unlike a graph's conditions it holds for the empty list (see `graphs.values.is_true`)."""
    if is_number(value):
        return bool(value != 0 and value == value)
    if isinstance(value, str):
        return value != ""
    return value is not None and value is not MISSING and value is not False


def identical(a: Value, b: Value) -> bool:
    """JavaScript's `===`: 1 is 1.0 but neither true nor "1"; lists, maps and bytes equal nothing, not even themselves."""
    if is_number(a) and is_number(b):
        return bool(a == b)
    if isinstance(a, (dict, list, bytes)) or type(a) is not type(b):
        return False
    return bool(a == b)


def tidy(number: Number) -> Number:
    """The number as an integer where it is integral and exact, as canonical values are; otherwise as a float.

    Integers that fit no 64 bits become the nearest float, because values hold no larger ones.
    """
    if isinstance(number, float):
        return int(number) if number == number and abs(number) < _EXACT and number == int(number) else number
    return number if -(2**63) <= number < 2**64 else _float(number)


def _float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def number_text(number: Number) -> str:
    """`number` as JavaScript writes it: the shortest digits that read back the same (graph-spec §4.6).

    Integers that no float holds exactly keep all their digits.
    """
    if isinstance(number, int):
        if abs(number) < 10**_PLAIN_DIGITS:
            return str(int(number))
        number = _float(number)
    if number != number:
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    written = repr(float(number))
    if "e" not in written:
        return written.removesuffix(".0")
    return _exponent_form(written)


def _exponent_form(written: str) -> str:
    """JavaScript's text of a number that Python writes with an exponent; JavaScript does so later and with fewer zeros."""
    mantissa, _, exponent = written.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "").rstrip("0")
    point = int(exponent) + 1  # the decimal point stands behind so many digits; Python writes d.ddd
    if 0 < point <= _PLAIN_DIGITS:  # from 1e16 on there is nothing behind the point: floats have 17 digits at most
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def text(value: Value) -> str:
    """`value` as it stands in a template: `String()`, but maps and lists that hold maps as compact JSON. Bytes are read as UTF-8."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return json_text(value) if _holds_map(value) else _joined(value, ",", plain=True)
    if isinstance(value, dict):
        return json_text(value)
    return _scalar_text(value)


def _scalar_text(value: Value) -> str:
    if value is None:
        return "null"
    if value is MISSING:
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return str(value)


def _holds_map(values: list[Value]) -> bool:
    """Whether a map stands anywhere in the list; level by level, for values may be nested deeply and share their parts."""
    level: list[list[Value]] = [values]
    while level:
        below: dict[int, list[Value]] = {}
        for each in level:
            for item in each:
                if isinstance(item, dict):
                    return True
                if isinstance(item, list):
                    below[id(item)] = item
        level = list(below.values())
    return False


def join(values: Iterable[Value], separator: str) -> str:
    """The elements' texts with `separator` between them; null and missing elements are empty, lists inside joined by comma."""
    return _joined(values, separator, plain=False)


def _joined(values: Iterable[Value], separator: str, *, plain: bool) -> str:
    try:
        made = _join(values, separator, plain, Room())
    except RecursionError as error:
        raise _too_deep() from error
    spend(len(made))
    return made


def _join(values: Iterable[Value], separator: str, plain: bool, room: Room) -> str:
    """One room for all of it, and each element takes some, however short its text is. In a `plain` list stands no map, however deep."""
    pieces: list[str] = []
    for item in values:
        if isinstance(item, list) and (plain or not _holds_map(item)):
            room.take(ITEM)
            piece = _join(item, ",", True, room)
        else:
            piece = "" if item is None or item is MISSING else item if isinstance(item, str) else text(item)
            room.take(ITEM + len(separator) + len(piece))
        pieces.append(piece)
    return separator.join(pieces)


def to_number(value: Value) -> Number:
    """JavaScript's `Number(value)`: null, false, "" and [] are 0, missing and what is no number NaN."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return value
    if value is None:
        return 0
    if isinstance(value, (str, list)):
        return _number_of_text(text(value).strip(WHITE_SPACE))
    return math.nan


def _too_deep() -> NodeError:
    return NodeError("this value is nested too deeply to be written as text", retryable=False)


def _number_of_text(trimmed: str) -> Number:
    if not trimmed:
        return 0
    if _DECIMAL.fullmatch(trimmed):
        return tidy(float(trimmed))
    if re.fullmatch(_PREFIXED, trimmed):
        return tidy(_float(int(trimmed, 0)))
    return _INFINITIES.get(trimmed, math.nan)


def js_add(a: Value, b: Value) -> Value:
    """JavaScript's `a + b`: text if either is text, a list, a map or bytes, otherwise the sum of both as numbers."""
    if _adds_as_text(a) or _adds_as_text(b):
        left, right = text(a), text(b)
        spend(len(left) + len(right))
        return left + right
    return tidy(to_number(a) + to_number(b))


def _adds_as_text(value: Value) -> bool:
    return isinstance(value, (str, list, dict, bytes))


def entries(value: Value) -> Iterator[tuple[str, Value]]:
    """What `Object.entries` gives: keys and values of a map, positions (as text) and elements of a list or text, else nothing."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, str)):
        spend(2 * ITEM * len(value))
        for position, item in enumerate(value):
            yield str(position), item


def json_text(value: Value, indent: int | None = None) -> str:
    """`JSON.stringify(value)`: keys in written order, non-ASCII plain, NaN and infinities null; bytes are base64 text.

    A missing entry is left out of a map and is null in a list; a missing `value` itself gives `undefined`. `indent` is in spaces.
    """
    if value is MISSING:
        return "undefined"
    pieces: list[str] = []
    room = Room()

    def put(piece: str) -> None:
        room.take(len(piece))
        pieces.append(piece)

    try:
        _write(value, put, "\n" if indent else "", " " * (indent or 0))
    except RecursionError as error:
        raise _too_deep() from error
    made = "".join(pieces)
    spend(len(made))
    return made


def _write(value: Value, put: Callable[[str], None], line: str, step: str) -> None:
    if isinstance(value, dict):
        present = [(key, item) for key, item in value.items() if item is not MISSING]
        colon = ": " if step else ":"
        _write_block("{}", [(_quoted(key) + colon, item) for key, item in present], put, line, step)
    elif isinstance(value, (list, tuple)):
        _write_block("[]", [("", None if item is MISSING else item) for item in value], put, line, step)
    else:
        put(_json_scalar(value))


def _write_block(brackets: str, items: list[tuple[str, Value]], put: Callable[[str], None], line: str, step: str) -> None:
    if not items:
        put(brackets)
        return
    inner = line + step
    put(brackets[0])
    for position, (label, item) in enumerate(items):
        put(f",{inner}{label}" if position else f"{inner}{label}")
        _write(item, put, inner, step)
    put(line + brackets[1])


def _json_scalar(value: Value) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    if isinstance(value, bytes):
        return _quoted(base64.b64encode(value).decode("ascii"))
    return _scalar_text(value)


def _quoted(value: str) -> str:
    quoted = encode_basestring(value)
    return quoted if quoted.isascii() else _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def parse_json(source: str) -> Value:
    """`JSON.parse(source)`. Raises NodeError with the place of the first mistake; NaN and Infinity are mistakes."""
    try:
        spend(ITEM * (source.count(",") + source.count("[") + source.count("{")))  # what it can amount to as data
        return json.loads(source, parse_constant=_refuse_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NodeError(f"this text is not JSON: {error.msg} ({where})") from error
    except ValueError as error:
        raise NodeError(f"this text is not JSON: {error}") from error
    except RecursionError as error:
        raise NodeError("this JSON is nested too deeply to be read") from error


def _refuse_constant(word: str) -> Value:
    raise ValueError(f"{word} is no JSON number")


def _integer(digits: str) -> Number:
    # Python refuses to read integers of thousands of digits; a number that long is no exact value anyway.
    return tidy(int(digits)) if len(digits) < 25 else float(digits)
