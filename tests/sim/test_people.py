"""Schedules in which people are asked: whatever dies, an answer of which somebody was told that it counts is the one that counts."""

from __future__ import annotations

import os

import pytest

from sim.people import people_of, play_with_people

SEED = int(os.environ.get("SIM_SEED") or 300_000)
SCHEDULES = int(os.environ.get("SIM_PEOPLE") or 60)
PARTS = 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_schedule_loses_an_answer_or_counts_two(part: int) -> None:
    statuses: set[str] = set()
    for seed in range(SEED + part * SCHEDULES // PARTS, SEED + (part + 1) * SCHEDULES // PARTS):
        print(f"seed {seed}")
        statuses.update(play_with_people(people_of(seed)).statuses.values())
    assert "completed" in statuses
