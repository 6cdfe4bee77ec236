"""Schedules with large values that are cut in their midst, and some of them at a worker that takes little."""

from __future__ import annotations

import os
from typing import Any

import pytest

from cloud.rates import Rates
from protocol.paced import Paced
from sim.kinds import KINDS
from sim.mutants import LARGE_MUTANTS, LIMITED_MUTANTS
from sim.play import Outcome
from sim.shrink import failure

SEED = int(os.environ.get("SIM_SEED") or 0)
SCHEDULES = int(os.environ.get("LARGE") or 30)
PARTS = 3
FOUND_WITHIN = 600
"""Schedules within which a planted bug has to be found; all are found within 4."""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", ["large", "limited"])
def test_what_is_here_of_a_large_value_is_not_fetched_again(name: str, part: int) -> None:
    kind, portions = KINDS[name], 0
    for seed in range(SEED + part * SCHEDULES // PARTS, SEED + (part + 1) * SCHEDULES // PARTS):
        outcome = Outcome()
        try:
            kind.play(kind.draw(seed), outcome)
        except AssertionError:
            print(f"python -m tests.sim --kind {name} --seed {seed}")
            raise
        portions += sum(words[1] == "chunk" and words[4] > 0 for words in outcome.told)
    assert portions > 0, "no body came in more than one portion"


def test_a_worker_that_takes_little_holds_devices_up_and_sends_them_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the schedules would show nothing."""
    held, sent_away = [], []
    go_on, hello = Paced._go_on, Rates.hello

    def goes_on(carrier: Paced) -> None:
        held.append(carrier)
        go_on(carrier)

    def may_come(rates: Rates, *given: Any) -> float:
        seconds = hello(rates, *given)
        sent_away.extend([seconds] if seconds else [])
        return seconds

    monkeypatch.setattr(Paced, "_go_on", goes_on)
    monkeypatch.setattr(Rates, "hello", may_come)
    kind = KINDS["limited"]
    for seed in range(6):
        kind.play(kind.draw(seed))
    assert held
    assert sent_away


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LARGE_MUTANTS, *LIMITED_MUTANTS])
def test_a_planted_bug_is_found(name: str) -> None:
    kind = KINDS["large" if name in LARGE_MUTANTS else "limited"]
    with {**LARGE_MUTANTS, **LIMITED_MUTANTS}[name]():
        assert any(failure(kind.draw(seed), kind.play) is not None for seed in range(FOUND_WITHIN)), "nobody noticed"
