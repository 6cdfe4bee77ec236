"""Timers: the time that an attempt may take, and what becomes of it when that is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from graphs.engine.events import Failed, Start
from graphs.errors import LimitReached, NodeTimeout
from graphs.running.attempt import Attempt

__all__ = ["Timers"]


class Timers:
    """The timers of one run's attempts; `feed` takes the event that one's time is over, at `clock`'s time."""

    def __init__(self, feed: Callable[[Failed], None], clock: Callable[[], float]) -> None:
        self._feed = feed
        self._clock = clock

    def arm(self, start: Start, limit: float | None = None) -> None:
        """Start the timer of an attempt: its node's `timeout`, or `limit` seconds where that is less or there is none."""
        assert isinstance(start, Attempt)
        seconds, error = start.node.timeout / 1000, None
        if limit is not None and not 0 < seconds <= limit:
            seconds, error = limit, LimitReached("seconds", limit, f"the graph made for node {start.node.id!r} still runs")
        start.alive.timer = asyncio.get_running_loop().call_later(seconds, self._over, start, error)

    def disarm(self, start: Attempt) -> None:
        """Stop its timer, if it has one."""
        if start.live is not None and start.live.timer is not None:
            start.live.timer.cancel()
            start.live.timer = None

    def _over(self, start: Attempt, error: LimitReached | None) -> None:
        start.alive.timer = None
        start.over = True
        self._feed(Failed(start, error or NodeTimeout("Timeout"), self._clock()))
