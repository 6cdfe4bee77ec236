"""The stop clock: time counts while something runs, and only then."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from graphferry.testing import fast_forward
from graphs.bounds import UNTRUSTED
from graphs.budget import Budget
from graphs.engine.events import Abort
from graphs.errors import LimitReached
from graphs.running.stopclock import StopClock, is_busy


def ended(seconds: float | None, *, waits: tuple[float, float] = (0, 0), clocks: int = 1) -> list[float]:
    """When the clocks of a run end it, within a day, if it waits in that part of it and is busy otherwise."""
    found: list[float] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        budget = Budget(replace(UNTRUSTED, seconds=seconds))

        def busy() -> bool:
            return not waits[0] < loop.time() - began <= waits[1]

        def feed(event: Abort) -> None:
            assert isinstance(event.error, LimitReached)
            assert event.error.limit == "seconds"
            found.append(loop.time() - began)

        several = [StopClock(budget, loop.time, feed, busy) for _ in range(clocks)]
        for each in several:
            each.start()
        await asyncio.sleep(86_400)
        for each in several:
            each.cancel()

    fast_forward(run())
    return found


def test_a_busy_run_ends_when_its_time_is_up() -> None:
    assert ended(600) == [pytest.approx(600, rel=1 / 60)]
    assert ended(None) == []


def test_waiting_for_the_other_side_uses_up_nothing() -> None:
    assert ended(600, waits=(100, 40_000)) == [pytest.approx(40_500, abs=20)]
    assert ended(600, waits=(0, 90_000)) == []


def test_frames_that_share_a_budget_share_its_time_and_count_it_once() -> None:
    assert ended(600, clocks=3) == [pytest.approx(600, rel=1 / 30)] * 3


@pytest.mark.parametrize(
    ("open", "awaited", "resting", "busy"),
    [
        (False, False, True, True),
        (False, False, False, True),
        (True, False, True, False),
        (True, False, False, True),
        (False, True, True, False),
        (False, True, False, True),
    ],
)
def test_waiting_for_the_other_side_or_a_person_is_not_running(open: bool, awaited: bool, resting: bool, busy: bool) -> None:
    engine: Any = SimpleNamespace(awaited={"ask"} if awaited else set(), queue=SimpleNamespace(resting=resting))
    assert is_busy(engine, open=open) is busy
