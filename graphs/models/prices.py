"""What models cost: prices that whoever runs them has written down, and what tokens come to by them. Pure.

Nobody's price is known here by itself: a model without one costs an unknown amount, never nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, TypeGuard

from graphs.errors import UsageError

__all__ = ["Price", "read_price"]

_PER: Final = 1_000_000
_KEYS: Final = frozenset({"input", "output"})
_EXAMPLE: Final = "price: {input: 0.15, output: 0.60}"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens: of prompts and of answers."""

    usd_in: float
    usd_out: float

    def of(self, prompt: float, completion: float) -> float:
        """Dollars for so many tokens."""
        return (prompt * self.usd_in + completion * self.usd_out) / _PER

    def as_offer(self) -> dict[str, float]:
        """As an offer says it (docs/protocol.md §6)."""
        return {"usd_in": self.usd_in, "usd_out": self.usd_out}

    @classmethod
    def of_offer(cls, about: Mapping[str, Any]) -> Price | None:
        """The price in an offer's entry of a model; None where it names none that can be one."""
        usd_in, usd_out = about.get("usd_in"), about.get("usd_out")
        return cls(float(usd_in), float(usd_out)) if _is_price(usd_in) and _is_price(usd_out) else None


def read_price(entry: Mapping[str, Any], where: str) -> Price | None:
    """The price in a model's entry of a configuration: `price: {input, output}`, dollars for a million tokens each. Raises UsageError, saying
    `where`, for one that cannot be.
    """
    said = entry.get("price")
    if said is None:
        return None
    if not isinstance(said, Mapping) or set(said) != _KEYS or not all(map(_is_price, said.values())):
        raise UsageError(f"{where}: `price` is dollars for a million tokens of prompts and of answers, for instance\n{_EXAMPLE}")
    return Price(float(said["input"]), float(said["output"]))


def _is_price(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) and value >= 0
