"""Two devices and a worker, as real processes, between which a run moves while links are cut and processes killed; and bugs that this has to find."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.fleet import DEVICES, KINDS, MEANWHILE, QUIET, STEPS, Moved, Schedule, Step, play_fleet, schedule_of
from chaos.planted import PLANTED
from chaos.proxy import Fault
from chaos.said import wrong
from chaos.zygote import Zygote

WITHIN = 16
"""Schedules within which a planted bug has to be found; with seeds from 1 on each is found by one of the first two."""

AWAY = Schedule({"home": (Step("begin offline"), Step("push"), Step("go on")), "away": ()}, dict.fromkeys(DEVICES, ()))
"""A device goes on with a run as soon as it has given it to the worker, with nothing between them that fails."""

SHOWS = {"who_gave_a_run_away_goes_on_with_it": AWAY}
"""Where drawn schedules show a bug only if the processes happen to meet, one in which they always do: it is played instead."""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    each = Zygote()
    yield each
    each.close()


@pytest.fixture(scope="module")
def quiet(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Moved:
    return play_fleet(QUIET, 0, tmp_path_factory.mktemp("quiet"), zygote)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str, quiet: Moved, zygote: Zygote) -> None:
    schedules = {0: SHOWS[name]} if name in SHOWS else {seed: schedule_of(seed) for seed in range(1, 1 + WITHIN)}
    for seed, schedule in schedules.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                play_fleet(schedule, seed, Path(folder), zygote, quiet.results, name)
            except AssertionError as error:
                print(f"seed {seed}: {str(error)[:300]}")
                return
    raise AssertionError("nobody noticed")


@pytest.mark.slow
def test_without_the_bug_nothing_is_wrong_where_it_shows(quiet: Moved, zygote: Zygote, tmp_path: Path) -> None:
    moved = play_fleet(AWAY, 0, tmp_path, zygote, quiet.results)
    assert set(moved.statuses.values()) == {"completed"}


def test_a_seed_draws_the_same_schedule_every_time() -> None:
    drawn = [schedule_of(seed) for seed in range(300)]
    assert drawn == [schedule_of(seed) for seed in range(300)]
    assert {step.what for each in drawn for name in DEVICES for step in each.steps[name]} == {
        *STEPS,
        "begin",
        "begin offline",
        "cancel",
    }
    meanwhile = {f"{name} {what}" for name in DEVICES for what in MEANWHILE}
    assert {fault.kind for each in drawn for name in DEVICES for fault in each.faults[name]} == set(KINDS) | meanwhile


CANCELLED = Schedule({"home": (Step("begin"),), "away": ()}, {"home": (Fault(0, "down", 100_000, "home cancel"),), "away": ()})
"""A user cancels the run in the middle of a large value that the process which works on it waits for, so that this is always there."""


@pytest.mark.slow
def test_a_run_may_be_cancelled_by_another_process_of_its_device(quiet: Moved, zygote: Zygote, tmp_path: Path) -> None:
    moved = play_fleet(CANCELLED, 0, tmp_path, zygote, quiet.results)
    assert set(moved.statuses.values()) == {"cancelled"}
    did = (tmp_path / "did").read_text().splitlines()
    assert any(line.startswith("home: begin: 130:") for line in did)
    assert "a process works on it, and is told to end it" in did


def test_a_sync_tells_of_no_contradiction_and_no_failure_but_of_runs_that_wait() -> None:
    words = ["sync", "--json"]
    for status, fine in (("suspended", True), ("cancelled", True), ("failed", False)):
        said = json.dumps({"refused": {}, "went_on": [{"run": "1", "status": status}]})
        assert (wrong(words, 0, said, "") is None) == fine
    for code, fine in (("LABEL_WITHHELD", True), ("RUN_DIVERGED", False)):
        said = json.dumps({"refused": {"1": {"code": code, "message": ""}}, "went_on": []})
        assert (wrong(words, 0, said, "") is None) == fine


@pytest.mark.parametrize(
    ("words", "status", "stderr", "fine"),
    [
        ("sync --json", 4, "error: the connection to the worker was lost", True),
        ("sync --json", 1, "error: something", False),
        ("sync --json", 2, "error: another process works on run 1", False),
        ("resume 1 --json", 2, "error: another process works on run 1", True),
        ("runs push 1 --continue", 2, "error: another process works on run 1", True),
        ("runs push 1 --continue", 1, "error: the journal could not be written: another process works on the same run.", False),
        ("runs pull 1", 2, "error: run 1 is held by the store 2, which did not hand it over within 0.5 s", True),
        ("runs pull 1", 2, "usage: graphferry runs", False),
        ("run g.yaml --json", 130, "", False),
        ("runs cancel 1", 4, "", False),
    ],
)
def test_only_what_a_command_may_say_is_let_pass(words: str, status: int, stderr: str, *, fine: bool) -> None:
    assert (wrong(words.split(), status, "", stderr) is None) == fine
