"""Answers on record: each in a log of its own, whoever else writes; the runs that ask; who holds a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest

from edge.people.answers import asked_in, asking_runs, give, is_held_here, note, overtaken, refuse_second
from graphs.errors import UsageError
from graphs.journal import Journal, new_run_id
from graphs.journal.reader import graph_address
from graphs.questions import Question
from graphs.records import Answer, Event, Handover, Result, State, Submit, encode

ASK = Question("ask", 1, "text", "Well?")
BODY = b"\x80"
OTHER = b"otherone"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def run_that_asks(journal: Journal, *, status: str | None = "suspended", questions: bool = True) -> bytes:
    run, address = new_run_id(), graph_address(BODY)
    first = encode(Submit("", address, {}, {"parent": None}))
    journal.create_run(run, role="root", graph_hash=address, graph=BODY, name="g", started=1, first=first)
    journal.append(run, encode(Event("ask", 1, State.SUSPENDED, 5, ASK.as_info())))
    if status is not None:
        journal.finish_run(
            run, status, ended=2, exit_info={"why": "x", "waits": False, **({"questions": ["ask"]} if questions else {})}
        )
    journal.flush()
    return run


def test_an_answer_is_a_log_of_its_own_so_that_it_never_meets_whoever_works_on_the_run(journal: Journal) -> None:
    run = run_that_asks(journal, status=None)
    with Journal.open(journal.path) as other:  # as another process has it
        give(other, run, ASK, "hello")
    journal.append(run, encode(Event(None, 0, State.SUSPENDED, 6)))
    journal.flush()
    own, answered = journal.writers(run)
    assert own == journal.store_id
    assert [each.record for each in journal.records(run, answered)] == [Answer("ask", 1, "hello")]


def test_of_many_answers_at_once_one_counts_and_all_others_are_told(journal: Journal) -> None:
    run, start = run_that_asks(journal), Barrier(4)
    outcomes: list[str] = []

    def answer(text: str) -> None:
        with Journal.open(journal.path) as mine:
            start.wait()
            try:
                give(mine, run, ASK, text)
                outcomes.append(f"{text} counts")
            except UsageError as error:
                outcomes.append(error.message)

    threads = [Thread(target=answer, args=(f"no {number}",)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found = asked_in(journal, run)["ask"].answer
    assert found is not None
    assert sorted(outcomes) == sorted([f"{found.value} counts", *[f"'ask' is answered: {found.value}"] * 3])


def test_a_question_that_is_over_takes_no_answer(journal: Journal) -> None:
    run = run_that_asks(journal)
    journal.append(run, encode(Result("ask", 1, 0, "by itself", 5, {})))
    journal.flush()
    with pytest.raises(UsageError, match="is not asked any more"):
        give(journal, run, ASK, "hello")
    with pytest.raises(UsageError, match="is not asked any more"):
        refuse_second(journal, run_that_asks(journal, questions=False), replace(ASK, path="another"))


def test_the_runs_that_ask_are_those_that_may_go_on_and_have_an_open_question(journal: Journal) -> None:
    cut_off, suspended, failed = (run_that_asks(journal, status=status) for status in (None, "suspended", "failed"))
    for status in ("completed", "cancelled"):
        run_that_asks(journal, status=status)
    run_that_asks(journal, questions=False)
    answered = run_that_asks(journal)
    give(journal, answered, ASK, "hello")
    found = {row.run: [each.question.path for each in asked] for row, asked in asking_runs(journal)}
    assert found == {cut_off: ["ask"], suspended: ["ask"], failed: ["ask"]}
    assert list(asking_runs(journal, [])) == []


def test_a_run_whose_records_are_damaged_hides_no_other(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged, sound = run_that_asks(journal), run_that_asks(journal)
    import sqlite3

    with sqlite3.connect(journal.path) as db:
        db.execute("UPDATE records SET tail = x'00' WHERE id >> 32 = (SELECT id FROM logs WHERE run = ?)", (damaged,))
    db.close()
    assert [row.run for row, _ in asking_runs(journal)] == [sound]


def test_who_holds_a_run_takes_its_answers(journal: Journal) -> None:
    run = run_that_asks(journal)
    assert is_held_here(journal, run)
    journal.accept(run, OTHER, 1, encode(Handover(OTHER, 2)))  # asks for it
    journal.flush()
    assert is_held_here(journal, run)
    journal.append(run, encode(Handover(OTHER, 2)))
    journal.flush()
    assert not is_held_here(journal, run)
    journal.accept(run, OTHER, 2, encode(Handover(journal.store_id, 3)))
    journal.flush()
    assert is_held_here(journal, run)


def test_what_is_noted_counts_once_it_is_durable(journal: Journal) -> None:
    run = run_that_asks(journal)
    writer = note(journal, run, ASK, "hello")
    journal.flush()
    found = asked_in(journal, run)["ask"]
    assert found.answer is not None
    assert found.answer.writer == writer


def test_a_node_that_went_on_with_another_answer_says_so(journal: Journal) -> None:
    run = run_that_asks(journal)
    ours = give(journal, run, ASK, "hello")
    assert overtaken(journal, run, ["ask", "other"]) == {}, "nobody has gone on"
    journal.accept(run, OTHER, 1, encode(Result("ask", 1, 0, {"text": "hello"}, 7, {"answer": [ours, 1]})))
    journal.flush()
    assert overtaken(journal, run, ["ask"]) == {}

    run = run_that_asks(journal)
    give(journal, run, ASK, "hello")
    journal.accept(run, OTHER, 1, encode(Result("ask", 1, 0, {"text": "bye"}, 7, {"answer": [b"12345678", 1]})))
    journal.flush()
    assert overtaken(journal, run, ["ask"]) == {"ask": {"text": "bye"}}
    assert overtaken(journal, run, []) == {}
    journal.accept(run, b"12345678", 1, encode(Answer("ask", 1, "bye")))
    journal.flush()
    assert overtaken(journal, run, ["ask"]) == {"ask": "bye"}
    with pytest.raises(UsageError, match="'ask' is answered: bye"):
        give(journal, run, ASK, "hello again")
