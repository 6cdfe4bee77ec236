"""The desk of a run: questions go on record once, whatever answer is durable first counts, and no crash loses one or counts two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.config import EdgeConfig
from edge.device import open_device
from edge.people.answers import asked_in, give, note
from edge.runs.resuming import resume_run
from edge.runs.runner import Device, RunOptions, run_graph
from edge.showing.report import RunReport
from graphs.environment import Environment
from graphs.errors import AnswerNeeded, JournalError, UsageError
from graphs.journal import Journal
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.questions import Question
from graphs.records import Answer, End, Error, Event, Record, Result, Submit, encode
from graphs.registry import Agent
from graphs.values import Value

ASKS = """\
version: 0.5
nodes:
  draft: {agent: countAgent, inputs: {t: hello}}
  ok: {agent: humanAgent, inputs: {draft: :draft.t}, params: {mode: approve, prompt: Send it?}}
  sent: {agent: countAgent, isResult: true, inputs: {ok: :ok.approved}}
  beside: {agent: countAgent, inputs: {t: 1}}
"""


@contextmanager
def device(home: Path, ran: list[str], person: Any = None) -> Iterator[Device]:
    async def count(context: Any) -> Any:
        ran.append(context.path)
        return dict(context.inputs)

    with open_device(Environment.current(), EdgeConfig(home=home / "edge")) as opened:
        opened.agents.add(Agent("countAgent", count, effect="none"))
        opened.person = person
        yield opened


def graph(of: Device, text: str = ASKS) -> Graph:
    return Graph.of(load_text(text).data, of.agents)


def begin(of: Device, text: str = ASKS, **options: Any) -> RunReport:
    return asyncio.run(run_graph(of, graph(of, text), RunOptions(**options), name="g"))


def go_on(of: Device, run: bytes, text: str = ASKS) -> RunReport:
    return asyncio.run(resume_run(of, graph(of, text), RunOptions(), run, name="g"))


def the_run(of: Device) -> bytes:
    (row,) = of.journal.runs(role="root")
    return row.run


def kinds(journal: Journal, run: bytes) -> list[str]:
    """The records about `ok`, by type."""
    journal.flush()
    return [type(each.record).__name__ for each in journal.records(run) if getattr(each.record, "path", None) == "ok"]


class Somebody:
    """A person at the terminal: `say(question)` is the answer; None is none. Waits for `ready` if that is set."""

    def __init__(self, say: Callable[[Question], Value | None], ready: asyncio.Event | None = None) -> None:
        self.say = say
        self.ready = ready
        self.begun = asyncio.Event()
        self.asked: list[str] = []
        self.told: list[str] = []
        self.cancelled = False

    async def ask(self, question: Question) -> Value | None:
        self.asked.append(question.path)
        self.begun.set()
        try:
            if self.ready is not None:
                await self.ready.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return self.say(question)

    def tell(self, text: str) -> None:
        self.told.append(text)


def test_without_a_person_everything_else_goes_on_and_the_run_is_suspended(own_home: Path) -> None:
    ran: list[str] = []
    with device(own_home, ran) as opened:
        report = begin(opened)
        assert (report.status, ran) == ("suspended", ["draft", "beside"])
        (question,) = report.questions
        assert question == Question("ok", 1, "approve", "Send it?", {"draft": "hello"})
        assert isinstance(report.errors["ok"], AnswerNeeded)
        assert report.as_json()["questions"] == [question.as_json()]
        (row,) = opened.journal.runs()
        assert (row.exit_info or {})["questions"] == ["ok"]


def test_a_question_is_on_record_once_however_often_the_run_goes_on_without_an_answer(own_home: Path) -> None:
    with device(own_home, []) as opened:
        begin(opened)
        run = the_run(opened)
        for _ in range(2):
            assert go_on(opened, run).status == "suspended"
        assert kinds(opened.journal, run) == ["Event"]
        found = asked_in(opened.journal, run)["ok"]
        give(opened.journal, run, found.question, {"approved": True})
        assert go_on(opened, run).results == {"sent": {"ok": True}}
        assert kinds(opened.journal, run) == ["Event", "Result", "Answer"]


@pytest.mark.parametrize("at_the_terminal", [False, True])
def test_an_answer_has_the_labels_of_what_was_asked_about(own_home: Path, at_the_terminal: bool) -> None:
    text = ASKS.replace("nodes:", "nodes:\n  diary: {value: dear me, sensitivity: [private, health]}").replace(
        "t: hello", "t: :diary"
    )
    with device(own_home, []) as opened:
        begin(opened, text)
        run = the_run(opened)
        found = asked_in(opened.journal, run)["ok"]
        assert found.question.labels == ("health", "private")
        if at_the_terminal:
            opened.person = Somebody(lambda _question: {"approved": True})
        else:
            give(opened.journal, run, found.question, {"approved": True})
        assert go_on(opened, run, text).status == "completed"
        (answer,) = [each.record for each in opened.journal.records(run) if isinstance(each.record, Answer)]
        assert answer == Answer("ok", 1, {"approved": True}, ["health", "private"])


def test_a_person_at_the_terminal_is_asked_while_the_rest_goes_on(own_home: Path) -> None:
    person = Somebody(lambda _question: {"approved": True})
    with device(own_home, [], person) as opened:
        report = begin(opened)
        assert (report.status, report.results) == ("completed", {"sent": {"ok": True}})
        assert report.errors == {}
        assert report.nodes["ok"].by["agent"] == "humanAgent"
        assert kinds(opened.journal, the_run(opened)) == ["Event", "Result", "Answer"]
    assert person.asked == ["ok"]


def test_who_leaves_is_not_asked_again_and_every_question_waits(own_home: Path) -> None:
    text = ASKS.replace("  beside:", "  other: {agent: textInputAgent}\n  beside:")
    person = Somebody(lambda _question: None)
    with device(own_home, [], person) as opened:
        report = begin(opened, text)
        assert (report.status, {each.path for each in report.questions}) == ("suspended", {"ok", "other"})
    assert person.asked == ["ok"] or person.asked == ["other"]


def test_what_was_answered_elsewhere_meanwhile_takes_the_question_from_the_terminal(own_home: Path) -> None:
    async def main(opened: Device) -> tuple[RunReport, Somebody]:
        person = opened.person = Somebody(lambda _question: None, asyncio.Event())
        running = asyncio.create_task(run_graph(opened, graph(opened), RunOptions(), name="g"))
        await person.begun.wait()
        run = the_run(opened)
        with Journal.open(opened.journal.path) as other:
            give(other, run, asked_in(other, run)["ok"].question, {"approved": False})
        return await running, person

    with device(own_home, []) as opened:
        report, person = asyncio.run(main(opened))
    assert report.results == {"sent": {"ok": False}}
    assert person.cancelled
    assert "answered meanwhile" in person.told[0]


def test_of_two_answers_at_once_the_one_that_was_durable_first_counts_and_the_person_is_told(own_home: Path) -> None:
    def say(question: Question) -> Value:
        run = the_run(opened)
        with Journal.open(opened.journal.path) as other:  # in the moment before the person's own is written
            give(other, run, question, {"approved": False})
        return {"approved": True}

    person = Somebody(say)
    with device(own_home, [], person) as opened:
        report = begin(opened)
    assert report.results == {"sent": {"ok": False}}
    assert person.told == ['It was answered meanwhile: {"approved": false}']


def test_an_attempt_that_fails_by_its_answer_asks_once_more(own_home: Path) -> None:
    text = ASKS.replace("params: {mode: approve", "retry: 1, repeatUntil: {exists: .comment}, params: {mode: approve")
    answers = iter([{"approved": True}, {"approved": True, "comment": "fine"}])
    with device(own_home, [], Somebody(lambda _question: next(answers))) as opened:
        assert begin(opened, text).status == "completed"
        records = [each.record for each in opened.journal.records(the_run(opened))]
    assert [(each.at, each.value) for each in records if isinstance(each, Answer)] == [
        (1, {"approved": True}),
        (2, {"approved": True, "comment": "fine"}),
    ]
    assert [(each.at, each.retry) for each in records if isinstance(each, Result) and each.path == "ok"] == [(2, 1)]


def test_a_deadline_ends_the_asking_too(own_home: Path) -> None:
    person = Somebody(lambda _question: None, asyncio.Event())
    with device(own_home, [], person) as opened:
        report = begin(opened, deadline=3)
    assert (report.status, person.cancelled) == ("suspended", True)
    assert [each.path for each in report.questions] == ["ok"]


def test_a_run_that_fails_asks_nobody_any_more(own_home: Path) -> None:
    text = "version: 0.5\nnodes:\n  ok: {agent: humanAgent}\n"
    person = Somebody(lambda _question: None, asyncio.Event())

    async def main(opened: Device) -> None:
        running = asyncio.create_task(run_graph(opened, graph(opened, text), RunOptions(), name="g"))
        await person.begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with device(own_home, [], person) as opened:
        asyncio.run(main(opened))
        opened.journal.flush()
        (row,) = opened.journal.runs()
        assert (row.status, (row.exit_info or {}).get("questions")) == ("suspended", ["ok"])
    assert person.cancelled


def test_a_labelled_question_says_so_on_record(own_home: Path) -> None:
    text = ASKS.replace("nodes:\n", "nodes:\n  secret: {value: x, sensitivity: [private]}\n").replace(":draft.t", ":secret")
    with device(own_home, []) as opened:
        begin(opened, text)
        (event,) = [
            each.record for each in opened.journal.records(the_run(opened)) if isinstance(each.record, Event) and each.record.path
        ]
    assert (event.info or {})["labels"] == ["private"]


def test_an_answer_that_cannot_be_kept_does_not_count(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> bytes:
        raise JournalError("the disk is full")

    person = Somebody(lambda _question: {"approved": True})
    monkeypatch.setattr("edge.people.desk.note", fails)
    with device(own_home, [], person) as opened:
        assert begin(opened).status == "suspended"
    assert person.told == ["The answer is not kept: the disk is full"]


def test_a_graph_from_a_stranger_asks_nobody_unless_that_is_granted(own_home: Path) -> None:
    person = Somebody(lambda _question: {"approved": True})
    with device(own_home, [], person) as opened:
        text = ASKS.replace("countAgent", "copyAgent")
        report = begin(opened, text, untrusted=True, grants=("people",))
        assert report.status == "completed"


@pytest.mark.parametrize("answered", [True, False])
def test_a_crash_at_any_record_loses_no_answer_and_counts_none_twice(own_home: Path, tmp_path: Path, answered: bool) -> None:
    """The journal is cut off after each record in turn, as a crash may leave it, with the answer on record or not."""
    with device(own_home, []) as opened:
        begin(opened)
        run = the_run(opened)
        give(opened.journal, run, asked_in(opened.journal, run)["ok"].question, {"approved": True})
        go_on(opened, run)
        every = list(opened.journal.records(run))
        stored = opened.journal.graph(opened.journal.run(run).graph)
        own = [each.record for each in every if each.writer == opened.journal.store_id and not isinstance(each.record, End)]
        (answer,) = [each.record for each in every if isinstance(each.record, Answer)]
    assert stored is not None
    assert [type(each) for each in own if getattr(each, "path", None) == "ok"] == [Event, Result]
    for length in range(1, len(own) + 1):
        kept = own[:length]
        ran: list[str] = []
        with device(tmp_path / str(length), ran) as opened:
            write_down(opened.journal, run, stored.hash, stored.body, kept, answer if answered else None)
            report = go_on(opened, run)
            done = {each.path for each in kept if isinstance(each, Result)}
            assert not done & set(ran), length
            opened.journal.flush()
            records = [each.record for each in opened.journal.records(run)]
            results = [each for each in records if isinstance(each, Result) and each.path == "ok"]
            if answered or "ok" in done:
                assert (report.status, report.results) == ("completed", {"sent": {"ok": True}}), length
                assert len(results) == 1
            else:
                assert (report.status, results) == ("suspended", [])
                assert [each.path for each in report.questions] == ["ok"]
            asked = sum(isinstance(each, Event) and each.path == "ok" for each in records)
            assert asked == 1 or (
                asked == 0 and answered
            )  # an answer that is older than the question, which another device may have seen


def write_down(journal: Journal, run: bytes, address: bytes, body: bytes, own: Sequence[Record], answer: Record | None) -> None:
    """A run as a crash left it."""
    submit, *rest = own
    assert isinstance(submit, Submit)
    journal.create_run(run, role="root", graph_hash=address, graph=body, name="g", started=1, first=encode(submit))
    for record in rest:
        assert not isinstance(record, Error)
        journal.append(run, encode(record))
    if answer is not None:
        journal.accept(run, b"somebody", 1, encode(answer))
    journal.flush()


def test_a_second_answer_is_refused_and_the_first_is_named(own_home: Path) -> None:
    with device(own_home, []) as opened:
        begin(opened)
        run, journal = the_run(opened), opened.journal
        question = asked_in(journal, run)["ok"].question
        note(journal, run, question, {"approved": False})
        journal.flush()
        with pytest.raises(UsageError, match=r"'ok' is answered: .*false"):
            give(journal, run, question, {"approved": True})
        go_on(opened, run)
        with pytest.raises(UsageError, match="is answered"):
            give(journal, run, question, {"approved": True})


def test_a_person_may_stand_in_for_a_worker_that_is_away(own_home: Path) -> None:
    text = """\
version: 0.5
nodes:
  far:
    agent: llmAgent
    model: large
    isResult: true
    place: {at: cloud, offline: local, local: {agent: humanAgent, params: {mode: text}}}
    inputs: {prompt: hello}
"""
    with device(own_home, [], Somebody(lambda question: f"{question.prompt}, said by hand")) as opened:
        report = begin(opened, text, offline=True)
    assert (report.status, report.results["far"]["text"]) == ("completed", "hello, said by hand")
    assert report.nodes["far"].by["degraded"] == "unreachable"
