"""The figures that placement works with: how long a node takes, what it makes and costs, what lies between the places. Pure.

Every number says where it comes from and how old it is: a plan that rests on guesses must look like one. Who finds the numbers is an
`Estimator`; placement only asks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from graphs.values import Value

__all__ = ["FREE", "Capacity", "Estimate", "Estimator", "Figure", "Link", "Source", "known"]

Source: TypeAlias = Literal["measured", "reported", "declared", "default"]
"""This device has seen it; the other side says so; somebody wrote it down; nobody knows, and it is assumed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and where it comes from: of `n` measurements, the newest `age` seconds old."""

    value: float
    source: Source
    n: int = 0
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a node of the document is expected to take at one place: all its `runs` (rows and turns) together, each figure a total.

    `seconds` are of work, as if one after the other with nothing else going on; waiting for inputs, for other nodes and for the link is not in
    them. None is unknown, and counts as nothing.
    """

    seconds: Figure
    tokens: Figure | None
    out_bytes: Figure
    usd: Figure | None
    joules: Figure | None
    runs: Figure


@dataclass(frozen=True, slots=True)
class Link:
    """What lies between this device and a place: seconds there and back, bytes a second each way, and the seconds that work waits there before
    it begins.
    """

    rtt: Figure
    up: Figure
    down: Figure
    metered: bool
    queue: Figure


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much a place does at once: `slots` executions in all, and of a model's generations as many as `models` says (1 unless it does)."""

    slots: int = 8
    models: Mapping[str, int] = field(default_factory=dict)


class Estimator(Protocol):
    """Whoever knows figures. The same question gets the same answer for as long as one plan is made."""

    def node(self, path: str, spec: Mapping[str, Value], place: str, model: str | None) -> Estimate:
        """Of the node at this place in the document (ids, escaped, joined by `/`), were it to run at `place`, asking `model`."""

    def link(self, place: str) -> Link:
        """Of the way to `place`, which is not this device."""

    def value_bytes(self, path: str) -> Figure:
        """The size of the value of a static node or an input, on the wire."""

    def capacity(self, place: str) -> Capacity:
        """How much `place` does at once."""


FREE: Final = Figure(0.0, "declared")
"""What costs nothing because of what it is."""


def known(*figures: Figure | None) -> bool:
    """Whether all of these are more than an assumption."""
    return not any([figure is None or figure.source == "default" for figure in figures])  # noqa: C419 - a generator takes twice as long
