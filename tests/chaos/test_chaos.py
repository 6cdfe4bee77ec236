"""Real processes, real sockets, a link that is cut and delayed, and kill -9 on either side: nothing is lost, doubled or done twice."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from chaos.proxy import Fault
from chaos.schedule import Outcome, faults_of, play
from chaos.seeds import check, undisturbed

SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randint(1, 1_000_000))
"""Where the random schedules begin; printed, so that a failing one can be played again."""
SCHEDULES = int(os.environ.get("CHAOS_SCHEDULES") or 3)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return undisturbed(tmp_path_factory.mktemp("quiet"))


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", range(SCHEDULES))
def test_a_random_schedule_changes_nothing(quiet: Outcome, number: int, tmp_path: Path) -> None:
    seed = SEED + number
    print(f"make chaos SEED={seed} SCHEDULES=1    # {faults_of(seed)}")
    check(play(seed, tmp_path), quiet)


DIRECTED: dict[str, list[Fault]] = {
    "the worker dies while it works, the link is cut while it is told": [
        Fault(0, "up", 1_356, "worker"),
        Fault(1, "down", 555, "cut"),
    ],
    "the device dies when the rows of the map are done": [Fault(0, "down", 4_625, "device")],
    "both die": [Fault(0, "up", 1_500, "device"), Fault(1, "down", 300, "worker")],
    "half a connection": [Fault(0, "down", 900, "half")],
}


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", DIRECTED)
def test_a_directed_schedule_changes_nothing(quiet: Outcome, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaos.schedule.faults_of", lambda _: DIRECTED[name])
    check(play(1, tmp_path), quiet)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("node", ["paid", "sent"])
def test_a_process_that_dies_in_the_middle_of_a_deed_leads_to_a_question(
    quiet: Outcome, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaos.schedule.faults_of", lambda _: [])
    monkeypatch.setattr("chaos.schedule.doomed_of", lambda _: [node])
    outcome = play(1, tmp_path)
    check(outcome, quiet)
    assert outcome.asked == (node,)


def test_a_seed_draws_the_same_faults_every_time() -> None:
    assert [faults_of(seed) for seed in range(50)] == [faults_of(seed) for seed in range(50)]
    kinds: set[Any] = {fault.kind for seed in range(50) for fault in faults_of(seed)}
    assert kinds == {"cut", "close", "half", "delay", "throttle", "worker", "device"}
