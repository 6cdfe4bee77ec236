"""Schedules in which a worker's store is taken over while the process that had it still lives, and schedules with two workers."""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

import pytest

from sim.kinds import KINDS, Kind
from sim.mutants import TAKEN_OVER_MUTANTS, TWO_STORES_MUTANTS
from sim.play import Outcome

SEED = int(os.environ.get("SIM_SEED") or 0)
SCHEDULES = int(os.environ.get("WORKERS") or 160)
PARTS = 4
FOUND_WITHIN = 600
"""Schedules within which a planted bug has to be found; a rare one shows in one of 100."""
_RARE: Final = 200
"""The schedule to begin with for a bug that shows in one of 100."""


def played(part: int, kind: Kind, word: str) -> Counter[str]:
    """Plays this part of the schedules; how often what happened."""
    told = Counter[str]()
    for seed in range(SEED + part * SCHEDULES // PARTS, SEED + (part + 1) * SCHEDULES // PARTS):
        outcome = Outcome()
        try:
            kind.play(kind.draw(seed), outcome)
        except AssertionError:
            print(f"SIM_SEED={seed} WORKERS=4 pytest tests/sim/test_workers.py -k {word}, of which the first")
            raise
        told.update(str(words[1]) for words in outcome.told)
        told.update(outcome.statuses.values())
    return told


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_who_takes_a_store_over_goes_on_and_who_had_it_writes_nothing(part: int) -> None:
    told = played(part, KINDS["taken-over"], "had_it")
    assert told["taken over"] >= SCHEDULES // PARTS // 4 or SCHEDULES < 10


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_may_go_on_at_another_worker_and_comes_to_the_same(part: int) -> None:
    told = played(part, KINDS["two-stores"], "another")
    assert told["completed"] or SCHEDULES < 10


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TAKEN_OVER_MUTANTS, *TWO_STORES_MUTANTS])
def test_a_planted_bug_is_found(name: str) -> None:
    kind, first = (KINDS["taken-over"], 0) if name in TAKEN_OVER_MUTANTS else (KINDS["two-stores"], _RARE)
    with {**TAKEN_OVER_MUTANTS, **TWO_STORES_MUTANTS}[name]():
        for seed in range(first, first + FOUND_WITHIN):
            try:
                kind.play(kind.draw(seed))
            except AssertionError:
                return
    raise AssertionError("nobody noticed")
