"""Why a node is where figures put it, in a sentence. Pure."""

from __future__ import annotations

from edge.placing.facts import Way
from edge.placing.wishes import Minimise

__all__ = ["briefly", "follows", "reason", "seconds"]

_WHERE = {"edge": "here", "cloud": "at the worker"}

_GOES_WITH = "goes with the nodes around it"

_ALIKE = 0.02
"""Two figures that differ by less than this part are said to be alike."""


def reason(ways: tuple[Way, ...], minimise: Minimise) -> str:
    """Why the first of these ways, by what it would be the other way: the node's own figures where they say it, else the whole run's."""
    own, other = ways[0], min(ways[1:], key=lambda way: way.run_seconds)
    where = f"by {own.model} " if own.model != other.model and own.model is not None else ""
    where += _WHERE[own.place]
    if minimise == "cost" and not _alike(own.usd, other.usd):
        return f"cheaper {where}: {money(own.usd)} vs {money(other.usd)}"
    if minimise == "energy" and not _alike(own.joules, other.joules):
        return f"takes less energy {where}: {own.joules:.3g} J vs {other.joules:.3g} J"
    mine, its = own.seconds + own.moving, other.seconds + other.moving
    if mine < its and not _alike(mine, its):
        moved = max(own, other, key=lambda way: way.moving)
        transfer = f" incl. {seconds(moved.moving)} transfer" if moved.moving > 0.05 * max(mine, its) else ""
        first = transfer if moved is own else ""
        return f"quicker {where}: {seconds(mine)}{first} vs {seconds(its)}{transfer if moved is other else ''}"
    if own.run_seconds < other.run_seconds and not _alike(own.run_seconds, other.run_seconds):
        return f"the run is quicker with it {where}: {seconds(own.run_seconds)} vs {seconds(other.run_seconds)}"
    return "as quick here" if own.place == "edge" else _GOES_WITH


def briefly(place: str, own: float, other: float) -> str:
    """Why a node of a large graph is at a place, from the seconds of its work there and elsewhere alone."""
    if own < other and not _alike(own, other):
        return f"quicker {_WHERE[place]}: {seconds(own)} vs {seconds(other)}"
    return "as quick here" if place == "edge" else _GOES_WITH


def follows(source: str) -> str:
    """Why a node that takes no time is at the worker."""
    return f"follows {source}, saves a round trip"


def seconds(value: float) -> str:
    """A duration as people say it."""
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 99.5 else f"{value / 60:.1f} min"


def money(value: float) -> str:
    """An amount of money."""
    return f"{value:.2g} USD" if value else "nothing"


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= _ALIKE * max(abs(one), abs(other))
