"""The places that were found for a run's nodes, with the figures that decided where any did. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from edge.placing.facts import Placement

if TYPE_CHECKING:
    from edge.placing.schedule import Schedule
    from edge.placing.search import Found
    from edge.placing.tasks import Choice, Problem

__all__ = ["NAMES", "Placed", "decided"]

NAMES: Final[tuple[Literal["edge"], Literal["cloud"]]] = ("edge", "cloud")
"""The places of `edge.placing.tasks` in words."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Places for all nodes of a graph, as `edge.placement.place_nodes` gives them. `problem` and `found` are what was searched and found, where
    there was anything to be known: the times and totals of the whole run are in them.
    """

    nodes: dict[str, Placement]
    problem: Problem | None = None
    found: Found | None = None

    @property
    def schedule(self) -> Schedule | None:
        return self.found.schedule if self.found is not None else None


def decided(way: Choice | Placement) -> str:
    """A way to do a node in a word, for the record: its place, and the number of its implementation if it has several."""
    where = way.place if isinstance(way, Placement) else NAMES[way.place]
    return where if way.implementation is None else f"{where} {way.implementation}"
