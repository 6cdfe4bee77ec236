"""The stop clock: ends a run whose time is up (graphs.bounds `seconds`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from graphs.budget import Budget
from graphs.engine.engine import Engine
from graphs.engine.events import Abort
from graphs.errors import LimitReached

__all__ = ["StopClock", "is_busy"]

_STEPS: Final = 60
"""How often the clock is looked at in the time that a run has: it is that exact."""


def is_busy(engine: Engine, *, open: bool) -> bool:
    """Whether something runs. Where the other side may have more to say (`open`), or a person is being asked, waiting for them is not running."""
    return not ((open or engine.awaited) and engine.queue.resting)


class StopClock:
    """Counts the time of a run and feeds it its end. Runs that share a budget share its time.

    Time counts only while `busy` says that something runs: a part of a run that waits for the other side, which may sleep for a day, uses
    up nothing.
    """

    def __init__(
        self, budget: Budget, clock: Callable[[], float], feed: Callable[[Abort], None], busy: Callable[[], bool]
    ) -> None:
        self._budget = budget
        self._clock = clock
        self._feed = feed
        self._busy = busy
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Count from now on, if the budget limits time."""
        seconds = self._budget.bounds.seconds
        if seconds is not None:
            self._arm(seconds / _STEPS)

    def cancel(self) -> None:
        """The run is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, step: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(step, self._tick, step)

    def _tick(self, step: float) -> None:
        budget, now, seconds = self._budget, self._clock(), self._budget.bounds.seconds
        assert seconds is not None
        if self._busy():
            budget.seconds += now - max(budget.counted, now - step)
            budget.counted = now
        if budget.seconds >= seconds * (1 - 0.5 / _STEPS):
            error = LimitReached("seconds", seconds, "the run did not end within them")
            self._feed(Abort(now, error.message, error))
        else:
            self._arm(step)
