"""Why a run is suspended: what is said where none of its nodes waits for anything, and what the journal notes for those who go on with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from edge.syncing.waiting import waits
from graphs.errors import LinkCondition, RunSuspended

__all__ = ["DIVERGED", "asked_for", "noted", "too_late"]

DIVERGED: Final = "diverged"
"""What the journal notes of a run whose copy at a worker contradicts the one here."""


def asked_for(run: str) -> RunSuspended:
    """Another process asked for the run (edge.runs.resting)."""
    return RunSuspended(run, "handed over", "this run was asked for, to be handed over: nothing more was begun here")


def too_late(run: str, deadline: float | None) -> RunSuspended:
    """The run's deadline, in seconds from its beginning, is over."""
    return RunSuspended(run, "deadline", f"the deadline of {deadline:g} s passed before the run was complete")


def noted(errors: Iterable[BaseException], *, rests: bool) -> dict[str, Any]:
    """For the journal's table of runs: whether it goes on by itself once a worker is there, which one that `rests` for a person does not, and
    whether the worker's copy contradicts this one.
    """
    found = list(errors)
    diverged = any(isinstance(each, LinkCondition) and each.condition == "RUN_DIVERGED" for each in found)
    return {"waits": not rests and any(map(waits, found)), **({DIVERGED: True} if diverged else {})}
