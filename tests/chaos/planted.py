"""Bugs that are planted in the processes of a schedule: the test of the test. Each has to be found within a few schedules."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

__all__ = ["PLANTED", "plant"]


def plant(name: str) -> None:
    """From now on this process has that bug."""
    PLANTED[name]()


def _put(thing: object, *places: str) -> None:
    for place in places:
        module, _, name = place.rpartition(".")
        setattr(importlib.import_module(module), name, thing)


def _who_gave_a_run_away_goes_on_with_it() -> None:
    """A push does not give up holding: the device does not ask whether it still holds the run."""
    from edge.syncing.held import holding_of

    _put(holding_of, "edge.runs.resuming.require_held", "edge.commands.resume.require_held")


def _an_effect_is_repeated() -> None:
    """Whoever takes a run over forgets which nodes with effects were in flight."""
    from graphs.engine.outcomes import Known, known_outcomes

    def careless(records: Iterable[Any]) -> Known:
        known = known_outcomes(records)
        known.indeterminate.clear()
        return known

    _put(careless, "cloud.keeper.known_outcomes", "cloud.revival.known_outcomes", "edge.ferrying.earlier.known_outcomes")


def _a_fork_forgets_what_its_holder_may_have_begun() -> None:
    """Nodes with effects run in a fork without a word."""
    _put(lambda *_: iter(()), "edge.runs.past.acting")


PLANTED: Final[Mapping[str, Callable[[], None]]] = {
    make.__name__.strip("_"): make
    for make in (
        _who_gave_a_run_away_goes_on_with_it,
        _an_effect_is_repeated,
        _a_fork_forgets_what_its_holder_may_have_begun,
    )
}
