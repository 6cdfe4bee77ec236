"""The rules of bounded numbers, read as regular expressions and tried with numbers around the bounds."""

from __future__ import annotations

import random
import re
from decimal import Decimal

import pytest

from graphs.models.llama.number_rules import real_rule, whole_rule

SEED = random.SystemRandom().randrange(2**32)


def expression(rule: str) -> re.Pattern[str]:
    """The rule as an expression: it uses what both languages have, but for blanks and quotation marks."""
    parts = re.findall(r'"[^"]*"|\[[^]]*\]|[^" ]', rule)
    return re.compile(
        "".join(f"(?:{re.escape(part[1:-1])})" if part[0] == '"' else "(?:" if part == "(" else part for part in parts)
    )


def inside(value: Decimal, low: Decimal | None, high: Decimal | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def perhaps(chance: random.Random, bound: Decimal) -> Decimal | None:
    return None if chance.random() < 0.15 else bound


def test_whole_numbers_keep_their_bounds() -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for _ in range(500):
        one, other = sorted(chance.choice([chance.randrange(-30, 30), chance.randrange(-5000, 10**6)]) for _ in range(2))
        low, high = perhaps(chance, Decimal(one)), perhaps(chance, Decimal(other))
        rule = expression(whole_rule(low, high))
        for value in (one - 1, one, one + 1, other - 1, other, other + 1, 0, 1, -1, 9, 10, 99, 100, (one + other) // 2):
            assert bool(rule.fullmatch(str(value))) is inside(Decimal(value), low, high), (low, high, value)


def test_numbers_with_a_point_keep_their_bounds() -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    step = Decimal("0.001")
    for _ in range(800):
        one, other = sorted(Decimal(chance.randrange(-3000, 3000)).scaleb(-chance.randrange(4)) for _ in range(2))
        low, high = perhaps(chance, one), perhaps(chance, other)
        rule = expression(real_rule(low, high))
        near = [one, one - step, one + step, other, other - step, other + step, (one + other) / 2]
        for value in [*near, Decimal(0), Decimal("0.5"), Decimal(chance.randrange(-3000, 3000)).scaleb(-chance.randrange(5))]:
            written = f"{value:f}" if value else "0"
            for text in (written, written + ("0" if "." in written else ".0")):
                assert bool(rule.fullmatch(text)) is inside(value, low, high), (low, high, text)


@pytest.mark.parametrize(("low", "high"), [("2.1", "2.9"), ("5", "4"), ("1e20", None)])
def test_whole_numbers_that_do_not_exist_are_refused(low: str, high: str | None) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        whole_rule(Decimal(low), None if high is None else Decimal(high))


@pytest.mark.parametrize(("low", "high"), [("5", "4"), ("1e20", None), (None, "-1e20")])
def test_numbers_that_do_not_exist_are_refused(low: str | None, high: str | None) -> None:
    with pytest.raises(ValueError, match="no number"):
        real_rule(None if low is None else Decimal(low), None if high is None else Decimal(high))
