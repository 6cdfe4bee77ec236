"""The stop clock: ends a run whose time is up (graphs.bounds `seconds`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from graphs.budget import Budget
from graphs.errors import LimitReached
from graphs.events import Abort

__all__ = ["set_clock"]


def set_clock(budget: Budget, clock: Callable[[], float], feed: Callable[[Abort], None]) -> asyncio.TimerHandle | None:
    """The timer that feeds the run its end; None if its time is not limited. Runs that share a budget share its time."""
    seconds = budget.bounds.seconds
    if seconds is None:
        return None
    if budget.until is None:
        budget.until = clock() + seconds
    error = LimitReached("seconds", seconds, "the run did not end within them")
    left = max(0.0, budget.until - clock())
    return asyncio.get_running_loop().call_later(left, lambda: feed(Abort(clock(), error.message, error)))
