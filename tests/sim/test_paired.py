"""Schedules in which devices are paired, lose their access, and are paired again."""

from __future__ import annotations

import os

import pytest

from sim.paired import paired_of, play_paired
from sim.play import Outcome

SEED = int(os.environ.get("SIM_SEED") or 0)
SCHEDULES = int(os.environ.get("PAIRED") or 80)
PARTS = 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_whoever_may_come_again_goes_on_where_it_was(part: int) -> None:
    revoked = paired = 0
    for seed in range(SEED + part * SCHEDULES // PARTS, SEED + (part + 1) * SCHEDULES // PARTS):
        outcome = Outcome()
        try:
            play_paired(paired_of(seed), outcome)
        except AssertionError:
            print(f"SIM_SEED={seed} PAIRED=4 pytest tests/sim/test_paired.py, of which the first")
            raise
        revoked += sum(fault.kind == "revoke" for fault in outcome.struck)
        paired += any(
            words[1] == "paired" for words in outcome.told
        )  # not where the line is cut before, or the graph fails at once
    assert (revoked and paired >= SCHEDULES // PARTS // 2) or SCHEDULES < 10
