"""Schedules in which a process of a device loses its run while it lives."""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

import pytest

from sim.kinds import KINDS
from sim.mutants import RUN_TAKEN_MUTANTS
from sim.play import Outcome

SEED = int(os.environ.get("SIM_SEED") or 0)
SCHEDULES = int(os.environ.get("RUN_TAKEN") or 160)
PARTS = 4
FOUND_WITHIN: Final = 600
"""Schedules within which a planted bug has to be found; all are found within 10."""

_DRAW, _PLAY = KINDS["run-taken"]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_who_lost_his_run_records_nothing_more(part: int) -> None:
    told = Counter[str]()
    for seed in range(SEED + part * SCHEDULES // PARTS, SEED + (part + 1) * SCHEDULES // PARTS):
        outcome = Outcome()
        try:
            _PLAY(_DRAW(seed), outcome)
        except AssertionError:
            print(f"SIM_SEED={seed} RUN_TAKEN=4 pytest tests/sim/test_taken.py -k lost, of which the first")
            raise
        told.update(str(words[1]) for words in outcome.told)
        told.update(outcome.statuses.values())
    assert (told["completed"] and told["lost while alive"]) or SCHEDULES < 10


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN_TAKEN_MUTANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    with RUN_TAKEN_MUTANTS[name]():
        for seed in range(FOUND_WITHIN):
            try:
                _PLAY(_DRAW(seed))
            except AssertionError:
                return
    raise AssertionError("nobody noticed")
