"""What is wanted of the places of a run's nodes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["MINIMISED", "Minimise", "Wishes"]

Minimise: TypeAlias = Literal["latency", "cost", "energy"]

MINIMISED: Final[tuple[Minimise, ...]] = ("latency", "cost", "energy")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the best is: the least of what, by when (seconds), for how much (USD). Where nobody said of what it is of time."""

    minimise: Minimise | None = None
    deadline: float | None = None
    budget: float | None = None
