"""Where a cascade's bar lies: the confidence below which the second model is asked, found from answers of both. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from graphs.language.cascade import ALWAYS

__all__ = ["LEAST", "Bar", "Pair", "bars", "for_quality", "for_share"]

LEAST: Final = 20
"""Pairs below which no bar is set: with fewer, chance says more than the models do."""


class Pair(NamedTuple):
    """One question that both models answered: how sure the first was, from 0 to 1, and whether the second said the same."""

    confidence: float
    same: bool


class Bar(NamedTuple):
    """A bar, and what it would have meant for the pairs it was found from.

    `share` of the questions go to the second model, and of all answers `quality` are what that would say, as far as so few can tell: of n kept
    answers with k wrong ones, (k + 1) / (n + 2) count as wrong (the rule of succession), or k / n where that is more, so that no handful of lucky
    ones sets a bar.
    """

    below: float
    share: float
    quality: float


def bars(pairs: Sequence[Pair]) -> list[Bar]:
    """Every bar that makes a difference, from the one that always asks the second model to the one that never does."""
    if not pairs:
        return []
    found = [Bar(ALWAYS, 1.0, 1.0)]
    kept = wrong = 0
    ordered = sorted(pairs, reverse=True)
    for number, pair in enumerate(ordered, 1):
        kept += 1
        wrong += not pair.same
        if number < len(ordered) and ordered[number].confidence == pair.confidence:
            continue  # a bar cannot part them
        expected = max(wrong, kept * (wrong + 1) / (kept + 2))
        found.append(Bar(pair.confidence, (len(ordered) - kept) / len(ordered), max(0.0, 1 - expected / len(ordered))))
    return found


def for_quality(pairs: Sequence[Pair], quality: float) -> Bar | None:
    """The bar that asks the second model least often among those that reach this quality, from 0 to 1; None without pairs."""
    return min((bar for bar in bars(pairs) if bar.quality >= quality), key=lambda bar: bar.share, default=None)


def for_share(pairs: Sequence[Pair], share: float) -> Bar | None:
    """The best bar among those that send at most this share, from 0 to 1, of the questions to the second model; None without pairs."""
    return max((bar for bar in bars(pairs) if bar.share <= share), key=lambda bar: (bar.quality, -bar.share), default=None)
