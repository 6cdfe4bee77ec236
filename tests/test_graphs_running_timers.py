"""The time an attempt may take, on the event loop's own clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from engines import in_a_loop
from graphs.errors import LimitReached, NodeTimeout
from graphs.running.attempt import Attempt
from graphs.running.timers import Timers


def attempt(timeout: float) -> Attempt:
    frame: Any = SimpleNamespace(turn=0)
    node: Any = SimpleNamespace(timeout=timeout, id="n")
    return Attempt(frame, node, None, {}, {}, 0, 1, 0.0)


class Told:
    """What the timers said, and when it came."""

    def __init__(self) -> None:
        import asyncio

        self.events: list[Any] = []
        self.came = asyncio.Event()

    def __call__(self, event: Any) -> None:
        self.events.append(event)
        self.came.set()


@in_a_loop
async def test_an_attempt_whose_time_is_over_has_failed() -> None:
    told, start = Told(), attempt(1)
    Timers(told, lambda: 7.0).arm(start)
    await told.came.wait()
    (event,) = told.events
    assert isinstance(event.error, NodeTimeout)
    assert (event.start, event.t, start.over) == (start, 7.0, True)


@in_a_loop
async def test_the_shorter_of_timeout_and_limit_counts() -> None:
    told = Told()
    Timers(told, lambda: 0.0).arm(attempt(60_000), 0.001)
    await told.came.wait()
    assert isinstance(told.events[0].error, LimitReached)


@in_a_loop
async def test_a_timer_that_is_stopped_says_nothing() -> None:
    told, start, other = Told(), attempt(1), attempt(2)
    timers = Timers(told, lambda: 0.0)
    timers.arm(start)
    timers.disarm(start)
    timers.disarm(start)
    timers.arm(other)
    await told.came.wait()
    assert [event.start for event in told.events] == [other]
