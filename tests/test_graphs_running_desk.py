"""The desk of whoever holds a run: a question is on record before anybody can answer it, and the first answer that comes wakes its node, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphs.engine.events import Wake
from graphs.errors import AnswerNeeded, NodeError
from graphs.journal import Journal, new_run_id
from graphs.journal.reader import graph_address
from graphs.questions import Question
from graphs.records import Answer, Event, State, Submit, encode
from graphs.running.desk import Desk

BODY = b"\x80"
ASK = Question("ask", 1, "approve", "Send it?")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


@pytest.fixture
def run(journal: Journal) -> bytes:
    made, address = new_run_id(), graph_address(BODY)
    first = encode(Submit("", address, {}, {"parent": None}))
    journal.create_run(made, role="root", graph_hash=address, graph=BODY, name="g", started=1, first=first)
    return made


class Seen:
    """A desk, and what it woke."""

    def __init__(self, journal: Journal, run: bytes) -> None:
        self.woke: list[str] = []
        self.desk = Desk(journal, run, lambda record: journal.append(run, encode(record)), labels={"ask": {"private"}})
        self.desk.feed, self.desk.clock = self._woken, lambda: 0.0
        journal.flush()
        self.desk.know(journal.records(run))

    def _woken(self, event: Any) -> None:
        assert isinstance(event, Wake)
        self.woke.append(event.path)

    def ask(self) -> Any:
        return asyncio.run(self.desk.answer(ASK))


def come(journal: Journal, run: bytes, writer: bytes, value: Any) -> None:
    journal.accept(run, writer, 1, encode(Answer("ask", 1, value)))
    journal.flush()


def questions(journal: Journal, run: bytes) -> list[Question]:
    return [found for each in journal.records(run) if isinstance(each.record, Event) and (found := Question.of(each.record))]


def test_a_question_is_put_on_record_once_with_its_labels_and_is_not_waited_for(journal: Journal, run: bytes) -> None:
    for _ in range(2):
        seen = Seen(journal, run)
        with pytest.raises(AnswerNeeded) as needed:
            seen.ask()
        assert not needed.value.awaited
        assert seen.desk.open == ["ask"]
        (question,) = questions(journal, run)
        assert question.labels == ("private",)


def test_the_first_answer_that_fits_wakes_its_node_once_and_is_given(journal: Journal, run: bytes) -> None:
    seen = Seen(journal, run)
    with pytest.raises(AnswerNeeded):
        seen.ask()
    seen.desk.look()
    come(journal, run, b"unfitone", "perhaps")
    seen.desk.look()
    assert seen.woke == []
    come(journal, run, b"firstone", {"approved": True})
    come(journal, run, b"otherone", {"approved": False})
    seen.desk.look()
    seen.desk.look()
    assert seen.woke == ["ask"]
    assert seen.desk.open == []
    for each in (seen, Seen(journal, run)):
        assert each.ask() == ({"approved": True}, {"answer": [b"firstone", 1]})


def test_what_a_run_that_is_gone_on_with_still_asks_is_open_until_its_node_comes_to_it(journal: Journal, run: bytes) -> None:
    journal.append(run, encode(Event("ask", 1, State.SUSPENDED, 5, ASK.as_info())))
    seen = Seen(journal, run)
    assert seen.desk.open == ["ask"]
    come(journal, run, b"firstone", True)
    assert seen.ask()[0] == {"approved": True}
    assert seen.desk.open == []
    assert Seen(journal, run).desk.open == []


def test_what_a_node_waited_for_may_come_otherwise(journal: Journal, run: bytes) -> None:
    seen = Seen(journal, run)
    with pytest.raises(AnswerNeeded):
        seen.ask()
    seen.desk.wake("another")
    seen.desk.wake("ask")
    assert seen.woke == ["ask"]


def test_nobody_is_here_to_be_asked_at_once(journal: Journal, run: bytes) -> None:
    with pytest.raises(NodeError, match="nobody gives it"):
        asyncio.run(Seen(journal, run).desk.ask_now(ASK))
