"""Which runs go on by themselves, and who may go on with one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.people.answers import give
from edge.runs.at_work import at_work
from edge.syncing.held import holding_of, require_held
from edge.syncing.waiting import INTERRUPTED, waiting_runs, waits
from graphs.errors import JournalError, LinkCondition, NodeError, RunSuspended, UsageError, WorkerUnreachable
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.questions import Question
from graphs.records import Event, Handover, Result, State, Submit, encode

OTHER = b"device-2"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def root(journal: Journal, status: str | None = None, **info: object) -> bytes:
    run = new_run_id()
    first = encode(Submit("", bytes(32), {}, {"parent": None}))
    journal.create_run(run, role="root", graph_hash=bytes(32), name="g.yaml", started=1, first=first)
    if status is not None:
        journal.finish_run(run, status, ended=2, exit_info=dict(info))
    journal.flush()
    return run


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (WorkerUnreachable("", "x"), True),
        (LinkCondition("BUSY", "x"), True),
        (LinkCondition("NODE_INDETERMINATE", "x"), False),
        (LinkCondition("LABEL_WITHHELD", "x"), False),
        (RunSuspended("r", "deadline", "x"), False),
        (NodeError("x"), False),
    ],
)
def test_what_another_try_may_change(error: BaseException, found: bool) -> None:
    assert waits(error) is found


def test_a_run_that_has_an_answer_goes_on_unless_a_person_stopped_it(journal: Journal) -> None:
    question = Question("ask", 1, "text", "Well?")
    stopped, asks, answered = (
        root(journal, "suspended", why=why, waits=False, questions=["ask"]) for why in (INTERRUPTED, "it asks", "it asks")
    )
    for run in (stopped, asks, answered):
        journal.append(run, encode(Event("ask", 1, State.SUSPENDED, 5, question.as_info())))
    journal.flush()
    assert list(waiting_runs(journal)) == []
    for run in (stopped, answered):
        give(journal, run, question, "hello")
    assert [row.run for row in waiting_runs(journal)] == [answered]
    journal.append(answered, encode(Result("ask", 1, 0, "hello", 6, {})))
    journal.flush()
    assert list(waiting_runs(journal)) == []


def test_runs_that_wait_are_those_that_nobody_stopped(journal: Journal) -> None:
    cut_off, waiting = root(journal), root(journal, "suspended", waits=True)
    root(journal, "suspended", why="interrupted")
    root(journal, "completed")
    given = root(journal, "suspended", waits=True)
    journal.append(given, encode(Handover(OTHER, 2)))
    journal.flush()
    assert [row.run for row in waiting_runs(journal)] == [cut_off, waiting]
    with at_work(journal.path, cut_off):
        assert [row.run for row in waiting_runs(journal)] == [waiting]


def test_only_the_holder_may_go_on(journal: Journal) -> None:
    run = root(journal)
    assert require_held(journal, run).epoch == 1
    journal.append(run, encode(Handover(OTHER, 2)))
    journal.flush()
    with pytest.raises(UsageError, match=OTHER.hex()) as refused:
        require_held(journal, run)
    assert "runs pull" in (refused.value.hint or "")


def test_a_run_without_its_beginning_is_nobodys(journal: Journal) -> None:
    run = new_run_id()
    journal.create_run(run, role="root", graph_hash=bytes(32), name="g.yaml", started=1)
    journal.flush()
    with pytest.raises(JournalError, match="beginning"):
        holding_of(journal, run)
    with pytest.raises(UsageError, match="beginning") as refused:  # a command cannot do that yet; the journal is sound
        require_held(journal, run)
    assert "graphferry sync" in (refused.value.hint or "")
