"""Schedules of two processes of one device at one worker."""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

import pytest

from sim.mutants import SIDE_BY_SIDE_MUTANTS
from sim.play import Outcome
from sim.side_by_side import play_side_by_side, side_by_side_of

SEED = int(os.environ.get("SIM_SEED") or 0)
SCHEDULES = int(os.environ.get("SIDE_BY_SIDE") or 160)
PARTS = 4
FOUND_WITHIN: Final = 600
"""Schedules within which a planted bug has to be found."""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_two_processes_of_a_device_have_a_run_each(part: int) -> None:
    ended = Counter[str]()
    for seed in range(SEED + part * SCHEDULES // PARTS, SEED + (part + 1) * SCHEDULES // PARTS):
        outcome = Outcome()
        try:
            play_side_by_side(side_by_side_of(seed), outcome)
        except AssertionError:
            print(f"SIM_SEED={seed} SIDE_BY_SIDE=4 pytest tests/sim/test_side_by_side.py -k each, of which the first")
            raise
        ended.update(outcome.statuses.values())
    assert ended["completed"] or SCHEDULES < 10


@pytest.mark.slow
@pytest.mark.parametrize("name", SIDE_BY_SIDE_MUTANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    with SIDE_BY_SIDE_MUTANTS[name]():
        for seed in range(FOUND_WITHIN):
            try:
                play_side_by_side(side_by_side_of(seed))
            except AssertionError:
                return
    raise AssertionError("nobody noticed")
