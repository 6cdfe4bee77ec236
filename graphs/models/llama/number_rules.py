"""Bounds of numbers as rules of a grammar: which digits may follow which.

Pure. llama.cpp's conversion of JSON schemas for Python writes any number for one with bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

__all__ = ["MOST_DIGITS", "real_rule", "whole_rule"]

MOST_DIGITS: Final = 16
"""Digits a whole number may have, as in the rules of llama.cpp; and those behind a point."""

_LARGEST: Final = 10**MOST_DIGITS - 1


def whole_rule(low: Decimal | None, high: Decimal | None) -> str:
    """The whole numbers from `low` to `high`, either None for no bound. Raises ValueError if there is none of 16 digits."""
    least = max(-_LARGEST, int(low.to_integral_value(ROUND_CEILING))) if low is not None else -_LARGEST
    most = min(_LARGEST, int(high.to_integral_value(ROUND_FLOOR))) if high is not None else _LARGEST
    parts = list(_digits(max(least, 0), most)) if most >= 0 else []
    if least < 0:
        parts += [f'"-" ({" | ".join(_digits(max(-most, 1), -least))})']
    if least > most:
        raise ValueError(f"no whole number lies between {low} and {high}")
    return " | ".join(parts)


def real_rule(low: Decimal | None, high: Decimal | None) -> str:
    """The numbers from `low` to `high` in decimal notation, without exponents. Raises ValueError as `whole_rule` does."""
    least, most = (Decimal(-_LARGEST) if low is None else low), (Decimal(_LARGEST) if high is None else high)
    if least > most or least > _LARGEST or most < -_LARGEST:
        raise ValueError(f"no number of {MOST_DIGITS} digits lies between {low} and {high}")
    parts: list[str] = []
    if most >= 0:
        parts += _amounts(max(least, Decimal(0)), min(most, Decimal(_LARGEST)))
    if least < 0:
        parts.append(f'"-" ({" | ".join(_amounts(max(-most, Decimal(0)), min(-least, Decimal(_LARGEST))))})')
    return " | ".join(parts)


def _amounts(low: Decimal, high: Decimal) -> Iterator[str]:
    """The numbers between two that are not negative."""
    first, last = int(low), int(high)
    after_first, after_last = _fraction(low), _fraction(high)
    if first == last:
        upper = after_last.ljust(len(after_first), "0")
        fraction = _between(after_first.ljust(len(upper), "0"), upper)
        yield f'"{first}" "." {fraction}' if after_first else f'"{first}" ("." {fraction})?'
        return
    yield f'"{first}" "." {_at_least(after_first)}' if after_first else f'"{first}" ("." [0-9]{{1,{MOST_DIGITS}}})?'
    if last - first > 1:
        yield f'({" | ".join(_digits(first + 1, last - 1))}) ("." [0-9]{{1,{MOST_DIGITS}}})?'
    yield f'"{last}" ("." {_at_most(after_last)})?'


def _fraction(number: Decimal) -> str:
    """The digits behind the point, without zeros at their end."""
    return f"{number:f}".partition(".")[2].rstrip("0")


def _at_least(digits: str) -> str:
    if not digits:
        return f"[0-9]{{0,{MOST_DIGITS}}}"
    more = f" | {_one(int(digits[0]) + 1, 9)} [0-9]{{0,{MOST_DIGITS}}}" if digits[0] != "9" else ""
    return f'("{digits[0]}" {_at_least(digits[1:])}{more})'


def _at_most(digits: str) -> str:
    if not digits:
        return f'"0"{{1,{MOST_DIGITS}}}'
    less = f" | {_one(0, int(digits[0]) - 1)} [0-9]{{0,{MOST_DIGITS}}}" if digits[0] != "0" else ""
    return f'("{digits[0]}" ({_at_most(digits[1:])})?{less})'


def _between(low: str, high: str) -> str:
    """Digits behind the point from `low` to `high`, which have the same length."""
    if not high:
        return f'"0"{{1,{MOST_DIGITS}}}'
    if low[0] == high[0]:
        rest = _between(low[1:], high[1:])
        return f'("{low[0]}" {rest})' if low[1:].strip("0") else f'("{low[0]}" ({rest})?)'
    middle = f" | {_one(int(low[0]) + 1, int(high[0]) - 1)} [0-9]{{0,{MOST_DIGITS}}}" if int(high[0]) - int(low[0]) > 1 else ""
    return f'("{low[0]}" {_at_least(low[1:].rstrip("0"))}{middle} | "{high[0]}" ({_at_most(high[1:])})?)'


def _digits(low: int, high: int) -> Iterator[str]:
    """The whole numbers between two that are not negative, by their count of digits."""
    for count in range(len(str(low)), len(str(high)) + 1):
        least, most = max(low, 10 ** (count - 1) if count > 1 else 0), min(high, 10**count - 1)
        if least <= most:
            yield _alike(str(least), str(most))


def _alike(low: str, high: str) -> str:
    """The numbers between two with the same count of digits."""
    if len(low) == 1:
        return _one(int(low), int(high))
    if low[0] == high[0]:
        return f'"{low[0]}" ({_alike(low[1:], high[1:])})'
    first, last, rest = int(low[0]), int(high[0]), len(low) - 1
    parts: list[str] = []
    if low[1:].strip("0"):
        parts.append(f'"{first}" ({_alike(low[1:], "9" * rest)})')
        first += 1
    if high[1:].strip("9"):
        parts.append(f'"{last}" ({_alike("0" * rest, high[1:])})')
        last -= 1
    if first <= last:
        parts.append(f"{_one(first, last)} [0-9]{{{rest}}}")
    return " | ".join(parts)


def _one(low: int, high: int) -> str:
    return f"[{low}-{high}]" if low < high else f'"{low}"'
