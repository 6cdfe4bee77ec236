"""A watch begins its next round as soon as there is something new to move; with a worker: e2e/test_sync."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.runs.at_work import at_work
from edge.syncing.waking import to_move, wait_for_more
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.records import Submit, encode
from protocol.marks import mark


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Journal.open(tmp_path / "journal.db").close()
    return tmp_path / "journal.db"


def begun(path: Path, status: str | None = None, *, marked: bool = False, **info: object) -> bytes:
    """A run of a process that is over."""
    run = new_run_id()
    with Journal.open(path) as journal:
        first = encode(Submit("", bytes(32), {}, {"parent": None}))
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g.yaml", started=1, first=first)
        if marked:
            mark(journal, run)
        if status is not None:
            journal.finish_run(run, status, ended=2, exit_info=dict(info))
    return run


class Time:
    """Seconds that pass when somebody sleeps; after so many naps something happens."""

    def __init__(self, **after: Callable[[], object]) -> None:
        self.now = 0.0
        self.naps = 0
        self._after = {int(name[1:]): what for name, what in after.items()}

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps += 1
        self._after.get(self.naps, lambda: None)()

    def clock(self) -> float:
        return self.now


def test_what_waits_and_what_is_to_go_out_is_to_move(path: Path) -> None:
    moves = {begun(path, "suspended", waits=True), begun(path, "completed", marked=True), begun(path)}
    begun(path, "completed")
    begun(path, "suspended", why="interrupted")
    assert to_move(path) == moves


def test_without_news_it_waits_to_the_end(path: Path) -> None:
    begun(path, "suspended", waits=True)
    time = Time(_3=lambda: begun(path, "completed"))
    wait_for_more(path, to_move(path), 10.5, sleep=time.sleep, clock=time.clock)
    assert time.now == 10.5


@pytest.mark.parametrize("status", ["suspended", "completed"])
def test_it_returns_as_soon_as_a_run_waits_or_can_go_out(path: Path, status: str) -> None:
    time = Time(_3=lambda: begun(path, status, marked=status == "completed", waits=status == "suspended"))
    wait_for_more(path, to_move(path), 100, sleep=time.sleep, clock=time.clock)
    assert time.now == 3


def test_what_came_up_during_the_round_is_not_waited_for(path: Path) -> None:
    before = to_move(path)
    begun(path, "suspended", waits=True)
    time = Time()
    wait_for_more(path, before, 100, sleep=time.sleep, clock=time.clock)
    assert time.now == 0


def test_a_run_that_a_process_works_on_moves_once_it_lets_go(path: Path) -> None:
    working = ExitStack()

    def begin() -> None:
        working.enter_context(at_work(path, begun(path, marked=True)))

    time = Time(_2=begin, _5=working.close)
    wait_for_more(path, to_move(path), 100, sleep=time.sleep, clock=time.clock)
    assert time.now == 5
