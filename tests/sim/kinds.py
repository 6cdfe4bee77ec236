"""Kinds of schedules, by name: what a seed stands for in each, and how it is played."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

from sim.fleet import fleet_of, play_fleet
from sim.labelled import labelled_of, play_labelled
from sim.large import large_of, play_large
from sim.limited import limited_of, play_limited
from sim.paired import paired_of, play_paired
from sim.people import people_of, play_with_people
from sim.play import Outcome, Scenario, play, scenario_of
from sim.side_by_side import play_side_by_side, side_by_side_of
from sim.taken import play_run_taken, run_taken_of
from sim.workers import play_taken_over, play_two_stores, taken_over_of, two_stores_of

__all__ = ["EVERY", "KINDS", "Kind", "Playing", "kind_of"]

EVERY: Final = "every"
"""Of as many seeds as there are kinds, and one, each kind once, and plain ones twice."""


class Playing(Protocol):
    """Plays a schedule to its end, and raises AssertionError where something does not hold."""

    def __call__(self, scenario: Scenario, outcome: Outcome | None = None) -> Outcome: ...


class Kind(NamedTuple):
    """A kind of schedules."""

    draw: Callable[[int], Scenario]
    play: Playing


KINDS: Final[Mapping[str, Kind]] = {
    "plain": Kind(scenario_of, play),
    "large": Kind(large_of, play_large),
    "limited": Kind(limited_of, play_limited),
    "people": Kind(people_of, play_with_people),
    "paired": Kind(paired_of, play_paired),
    "taken-over": Kind(taken_over_of, play_taken_over),
    "two-stores": Kind(two_stores_of, play_two_stores),
    "side-by-side": Kind(side_by_side_of, play_side_by_side),
    "run-taken": Kind(run_taken_of, play_run_taken),
    "fleet": Kind(fleet_of, play_fleet),
    "forks": Kind(fleet_of, partial(play_fleet, forks=True)),
    "labelled": Kind(labelled_of, play_labelled),
}
_IN_TURN: Final = ("plain", *KINDS)


def kind_of(name: str, seed: int) -> str:
    """The name of the kind that this seed is played as."""
    return _IN_TURN[seed % len(_IN_TURN)] if name == EVERY else name
