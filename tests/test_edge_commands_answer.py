"""`graphferry answer`: what it lists, what it refuses, what it says to do next. At terminals and beside live runs: e2e/test_people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import CommandLine
from edge.runs.at_work import at_work
from graphs.journal import Journal
from graphs.journal.ids import parse_run_id
from graphs.records import Handover, encode

GRAPH = """\
version: 0.5
nodes:
  approve: {agent: humanAgent, params: {mode: approve, prompt: Send it?}}
  colour: {agent: humanAgent, params: {choices: [red, blue], prompt: Which?}}
  end: {agent: copyAgent, isResult: true, inputs: {ok: :approve.approved, colour: :colour.choice}}
"""


@pytest.fixture
def run(cli: CommandLine, tmp_path: Path) -> str:
    """A run that asks both."""
    (tmp_path / "g.yaml").write_text(GRAPH)
    outcome = cli("run", "g.yaml", "--json")
    assert outcome.status == 3
    return str(json.loads(outcome.stdout)["run"])


def test_without_runs_there_are_no_questions(cli: CommandLine) -> None:
    assert cli("answer").stdout == "no questions\n"
    assert cli("answer", "--json").stdout == "[]\n"
    assert cli("answer", "abc").status == 2


def test_it_lists_the_open_questions_of_all_runs(cli: CommandLine, run: str) -> None:
    other = json.loads(cli("run", "g.yaml", "--json").stdout)["run"]
    assert cli("answer", other, "approve", "yes").status == 0
    listed = cli("answer").stdout.splitlines()
    assert listed[:2] == [f"run {other} of g.yaml, suspended", "  colour: Which?"]
    assert f"run {run} of g.yaml, suspended" in listed
    assert f"    graphferry answer {run} approve yes" in listed
    entries = json.loads(cli("answer", "--json").stdout)
    assert [(each["run"], each["path"]) for each in entries] == [(other, "colour"), (run, "approve"), (run, "colour")]
    assert entries[0]["choices"] == ["red", "blue"]


def test_runs_say_what_they_ask(cli: CommandLine, run: str) -> None:
    assert "(asks: approve, colour)" in cli("runs").stdout
    assert json.loads(cli("runs", "--json").stdout)[0]["questions"] == ["approve", "colour"]
    shown = cli("runs", "show", run).stdout
    assert "waits for you: approve: Send it?" in shown
    assert [each["path"] for each in json.loads(cli("runs", "show", run, "--json").stdout)["questions"]] == ["approve", "colour"]
    cli("answer", run, "approve", "yes")
    records = json.loads(cli("runs", "show", run, "--json").stdout)["records"]
    assert [each["value"] for each in records if each["type"] == "answer"] == [{"approved": True}]
    assert "(has an answer; asks: colour)" in cli("runs").stdout


def test_a_suspended_run_says_what_it_asks_and_how_to_answer(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(GRAPH)
    outcome = cli("run", "g.yaml", "--progress", "quiet")
    said = outcome.stderr
    assert "waits for you: approve: Send it?" in said
    assert "Once answered, go on with:\n  graphferry resume" in said
    assert outcome.status == 3


def test_an_answer_says_what_is_still_asked_and_what_to_do(cli: CommandLine, run: str) -> None:
    outcome = cli("answer", run, "approve", "no, too long")
    assert outcome.status == 0
    assert outcome.stderr.splitlines() == [
        'approve is answered: {"approved": false, "comment": "too long"}',
        "Still asked: colour: Which?",
        "The run waits. Go on with:",
        f"  graphferry resume {run}",
    ]
    said = json.loads(cli("answer", run[:13], "colour", "2", "--json").stdout)
    assert said == {"run": run, "answers": {"colour": {"choice": "blue"}}, "questions": []}


def test_resume_goes_on_at_once(cli: CommandLine, run: str) -> None:
    cli("answer", run, "approve", "yes")
    outcome = cli("answer", run, "colour", "red", "--resume", "--progress", "quiet")
    assert (outcome.status, json.loads(outcome.stdout)) == (0, {"end": {"ok": True, "colour": "red"}})
    assert outcome.stderr.startswith('colour is answered: {"choice": "red"}\n')


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("aprove", "yes"), "Did you mean 'approve'?"),
        (("end", "yes"), "Asked are: approve, colour."),
        (("approve", "perhaps"), "perhaps is no answer to 'approve'"),
        (("colour", "green"), "It wants one of red, blue."),
        ((), "nobody can be asked here: this is no terminal"),
        (("colour",), "Give the answer: graphferry answer"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_can(cli: CommandLine, run: str, words: tuple[str, ...], what: str) -> None:
    outcome = cli("answer", run, *words)
    assert outcome.status == 2
    assert what in outcome.stderr


def test_a_second_answer_names_the_first_also_when_the_run_is_over(cli: CommandLine, run: str) -> None:
    cli("answer", run, "approve", "yes")
    again = cli("answer", run, "approve", "no")
    assert (again.status, again.stderr.splitlines()) == (
        2,
        ["error: 'approve' is answered: {\"approved\": true}", "  The first answer counts; nothing was changed."],
    )
    cli("answer", run, "colour", "red", "--resume")
    assert "'approve' is answered" in cli("answer", run, "approve", "no").stderr
    assert f"run {run} is over: it is completed" in cli("answer", run).stderr


def test_a_run_without_open_questions_asks_nothing(cli: CommandLine, run: str) -> None:
    cli("answer", run, "approve", "yes")
    cli("answer", run, "colour", "red")
    outcome = cli("answer", run)
    assert outcome.status == 0
    assert f"run {run} asks nothing" in outcome.stderr


def test_a_run_that_a_process_works_on_is_not_resumed_by_another(cli: CommandLine, run: str, own_home: Path) -> None:
    with at_work(own_home / "edge" / "journal.db", parse_run_id(run)):
        outcome = cli("answer", run, "approve", "yes", "--resume")
        assert outcome.status == 0
        assert "A process works on this run: it takes the answer by itself." in outcome.stderr
        refused = cli("resume", run)
        assert (refused.status, "another process works on run" in refused.stderr) == (2, True)
    assert cli("answer", run, "colour", "red", "--resume").status == 0


def test_a_run_that_another_device_holds_is_answered_here_and_goes_on_there(cli: CommandLine, run: str, own_home: Path) -> None:
    with Journal.open(own_home / "edge" / "journal.db") as journal:
        journal.append(parse_run_id(run), encode(Handover(b"otherone", 2)))
    outcome = cli("answer", run, "approve", "yes", "--resume")
    assert outcome.status == 0
    assert "holds this run, and was not told yet: no worker is configured" in outcome.stderr
    assert "The answer goes there with the next `graphferry sync`" in outcome.stderr


def test_a_part_that_a_worker_ran_has_no_questions(cli: CommandLine, run: str, own_home: Path) -> None:
    from graphs.journal.ids import new_run_id, run_id_text

    child = new_run_id()
    with Journal.open(own_home / "edge" / "journal.db") as journal:
        row = journal.run(run)
        journal.create_run(child, role="child", parent=row.run, graph_hash=row.graph, name="g", started=1)
    assert "the run itself has the questions" in cli("answer", run_id_text(child)).stderr
