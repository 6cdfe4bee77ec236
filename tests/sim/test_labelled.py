"""Schedules of several devices and a worker whose run carries labels that may go there."""

from __future__ import annotations

import os

import pytest

from sim.labelled import labelled_of, play_labelled
from sim.mutants import LABELLED_MUTANTS

SEED = int(os.environ.get("SIM_SEED") or 0)
SCHEDULES = int(os.environ.get("LABELLED") or 30)
PARTS = 3
FOUND_WITHIN = 600
"""Schedules within which a planted bug has to be found; all are found within 8."""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_large_values_with_labels_are_the_same_everywhere(part: int) -> None:
    for seed in range(SEED + part * SCHEDULES // PARTS, SEED + (part + 1) * SCHEDULES // PARTS):
        try:
            play_labelled(labelled_of(seed))
        except AssertionError:
            print(f"python -m tests.sim --kind labelled --seed {seed}")
            raise


@pytest.mark.slow
@pytest.mark.parametrize("name", LABELLED_MUTANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    with LABELLED_MUTANTS[name]():
        for seed in range(FOUND_WITHIN):
            try:
                play_labelled(labelled_of(seed))
            except AssertionError:
                return
    raise AssertionError("nobody noticed")
