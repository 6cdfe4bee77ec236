"""Schedules of two or three devices and a worker between which one run moves."""

from __future__ import annotations

import os

import pytest

from sim.fleet import fleet_of, play_fleet
from sim.mutants import FLEET_MUTANTS

SEED = int(os.environ.get("SIM_SEED") or 0)
SCHEDULES = int(os.environ.get("FLEETS") or 100)
PARTS = 10


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_that_moves_comes_to_the_same_and_is_the_same_everywhere(part: int) -> None:
    for seed in range(SEED + part * SCHEDULES // PARTS, SEED + (part + 1) * SCHEDULES // PARTS):
        try:
            play_fleet(fleet_of(seed))
        except AssertionError:
            print(f"SIM_SEED={seed} FLEETS=10 pytest tests/sim/test_fleet.py, of which the first")
            raise


FOUND_WITHIN = 600
"""Schedules within which a planted bug has to be found; all are found within 23."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FLEET_MUTANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    with FLEET_MUTANTS[name]():
        for seed in range(FOUND_WITHIN):
            try:
                play_fleet(fleet_of(seed))
            except AssertionError:
                return
    raise AssertionError("nobody noticed")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_by_force_nothing_is_robbed_and_no_effect_happens_a_second_time(part: int) -> None:
    for seed in range(SEED + part * SCHEDULES // PARTS, SEED + (part + 1) * SCHEDULES // PARTS):
        try:
            play_fleet(fleet_of(seed), forks=True)
        except AssertionError:
            print(f"SIM_SEED={seed} FLEETS=10 pytest tests/sim/test_fleet.py -k force, of which the first")
            raise


@pytest.mark.slow
def test_a_fork_that_forgets_what_its_holder_may_have_begun_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test."""
    monkeypatch.setattr("edge.runs.past.acting", lambda *_: iter(()))
    said = []
    for seed in range(205, 214):
        try:
            play_fleet(fleet_of(seed), forks=True)
        except AssertionError as error:
            said.append(str(error))
    assert said
    assert all("nodes with effects ran again" in each for each in said)
