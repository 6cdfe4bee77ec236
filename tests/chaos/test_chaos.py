"""Real processes, real sockets, a link that is cut and delayed, and kill -9 on either side: nothing is lost, doubled or done twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.proxy import Fault
from chaos.schedule import KINDS, faults_of, play
from chaos.seeds import Quiet, check, play_all, undisturbed
from chaos.zygote import Zygote

SEED = int(os.environ.get("CHAOS_SEED") or 885_400)
"""Where the random schedules begin: always the same here, so that a change that breaks one is what broke it; `make chaos` looks further."""
SCHEDULES = int(os.environ.get("CHAOS_SCHEDULES") or 100)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    each = Zygote()
    yield each
    each.close()


@pytest.fixture(scope="module")
def quiet(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Quiet:
    return undisturbed(tmp_path_factory.mktemp("quiet"), zygote)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SCHEDULES, 20))
def test_random_schedules_change_nothing(first: int, quiet: Quiet, zygote: Zygote) -> None:
    seeds = range(SEED + first, SEED + min(first + 20, SCHEDULES))
    print(f"make chaos SEED={seeds[0]} SCHEDULES={len(seeds)}")
    counts = play_all(seeds, quiet, zygote, print)
    assert not counts["failed"]
    assert counts["the same answer"], "most disturbances cost nothing but time"


DIRECTED: dict[str, list[Fault]] = {
    "the worker dies while it works, the link is cut while it is told": [
        Fault(0, "up", 1_356, "worker"),
        Fault(1, "down", 555, "cut"),
    ],
    "the device dies when the rows of the map are done": [Fault(0, "down", 4_625, "device")],
    "both die": [Fault(0, "up", 1_500, "device"), Fault(1, "down", 300, "worker")],
    "half a connection": [Fault(0, "down", 900, "half")],
    "the worker's disk is full, and the next worker's is not": [Fault(0, "up", 2_600, "worker-full")],
    "the device's disk is full while the worker goes on": [Fault(0, "down", 1_200, "device-full")],
    "a commit of the worker is torn": [Fault(0, "up", 2_600, "worker-torn")],
    "commits of both are torn": [Fault(0, "down", 1_500, "device-torn"), Fault(1, "up", 1_000, "worker-torn")],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIRECTED)
def test_a_directed_schedule_changes_nothing(
    quiet: Quiet, zygote: Zygote, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaos.schedule.faults_of", lambda _: DIRECTED[name])
    monkeypatch.setattr("chaos.schedule.doomed_of", lambda _: [])
    outcome = play(1, tmp_path, zygote)
    check(outcome, quiet.one)
    assert len(outcome.happened) == len(DIRECTED[name])


@pytest.mark.slow
@pytest.mark.parametrize("side", ["worker", "device"])
def test_a_disk_that_lost_what_was_durable_is_noticed(
    quiet: Quiet, zygote: Zygote, side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was lost: the answer is the same, or it is said that the copies contradict each other, or what is damaged."""
    monkeypatch.setattr("chaos.schedule.faults_of", lambda _: [Fault(0, "down", 1_500, f"{side}-lost")])
    monkeypatch.setattr("chaos.schedule.doomed_of", lambda _: [])
    check(play(1, tmp_path, zygote), quiet.one)


@pytest.mark.slow
@pytest.mark.parametrize("node", ["paid", "sent"])
def test_a_process_that_dies_in_the_middle_of_a_deed_leads_to_a_question(
    quiet: Quiet, zygote: Zygote, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaos.schedule.faults_of", lambda _: [])
    monkeypatch.setattr("chaos.schedule.doomed_of", lambda _: [node])
    outcome = play(1, tmp_path, zygote)
    check(outcome, quiet.one)
    assert outcome.asked == (node,)


def test_a_seed_draws_the_same_faults_every_time() -> None:
    assert [faults_of(seed) for seed in range(50)] == [faults_of(seed) for seed in range(50)]
    assert {fault.kind for seed in range(200) for fault in faults_of(seed)} == set(KINDS)
