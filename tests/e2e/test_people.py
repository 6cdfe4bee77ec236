"""Runs that wait for people, as real processes: at a terminal, without one, answered by another process, killed in between."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conftest import Outcome, impatient
from gates import Gates
from graphs.journal import Journal
from graphs.records import Answer, Event, Result, State, encode
from logbook import made, of, runs
from processes import graphferry, serve, start
from terminals import at_terminal

AGENTS = ("--agents", "gate_agents.py")


@pytest.fixture
def home(own_home: Path) -> Path:
    impatient(own_home)
    return own_home


def write(folder: Path, nodes: str) -> None:
    (folder / "g.yaml").write_text(f"version: 0.5\nnodes:\n{nodes}", encoding="utf-8")


APPROVAL = """\
  letter: {value: Dear Ada}
  ok: {agent: humanAgent, inputs: {letter: :letter}, params: {mode: approve, prompt: Send it?}}
  sent: {agent: copyAgent, isResult: true, inputs: {text: "${:letter} ${:ok.approved}"}}
"""


def the_run(outcome: Outcome) -> str:
    """The run that a suspended run's message tells people to go on with."""
    assert outcome.status == 3, outcome
    found = re.search(r"graphferry resume (\S+)", outcome.stderr)
    assert found is not None, outcome.stderr
    return found[1]


def test_at_a_terminal_the_run_asks_and_goes_on(home: Path, tmp_path: Path) -> None:
    write(tmp_path, APPROVAL)
    with at_terminal("run", "g.yaml", home=home, cwd=tmp_path) as process:
        process.expect("Send it?")
        process.expect("letter: Dear Ada")
        process.expect("yes or no")
        process.type("perhaps")
        process.expect("is no answer to 'ok'")
        process.expect("yes or no")
        process.type("yes, with love")
        outcome = process.outcome()
    assert (outcome.status, outcome.stdout) == (0, "Dear Ada true\n")
    (answer,) = of(home, "edge", Answer)
    assert (answer.path, answer.at, answer.value) == ("ok", 1, {"approved": True, "comment": "with love"})


def test_who_does_not_answer_now_leaves_the_run_suspended(home: Path, tmp_path: Path) -> None:
    write(tmp_path, APPROVAL)
    with at_terminal("run", "g.yaml", home=home, cwd=tmp_path) as process:
        process.expect("yes or no")
        process.leave()
        run = the_run(process.outcome())
    with at_terminal("answer", run, home=home, cwd=tmp_path) as process:
        process.expect("yes or no")
        process.type("n")
        assert process.outcome().status == 0
    outcome = graphferry("resume", run, home=home, cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (0, "Dear Ada false\n")


LIVE = """\
  slow: {{agent: gateAgent, params: {{port: {port}}}}}
  ok: {{agent: humanAgent, params: {{mode: approve, prompt: Send it?}}}}
  effect: {{agent: onceAgent, params: {{port: {port}}}, inputs: {{said: :ok.approved}}}}
  end: {{agent: copyAgent, isResult: true, inputs: {{slow: :slow, effect: :effect}}}}
"""


def test_an_answer_reaches_a_run_that_another_process_works_on(home: Path, gate: Gates, tmp_path: Path) -> None:
    write(tmp_path, LIVE.format(port=gate.port))
    with start("run", "g.yaml", "--json", "--progress", "plain", *AGENTS, home=home, cwd=tmp_path) as process:
        while not process.error_line().startswith("suspended ok"):
            pass
        slow = gate.next()
        (row,) = runs(home, "edge")
        assert row.status == "running"
        outcome = graphferry("answer", row.run.hex(), "ok", "yes", home=home, cwd=tmp_path)
        assert outcome.status == 0
        assert "takes the answer by itself" in outcome.stderr
        effect = gate.next()
        assert effect.who["inputs"] == {"said": True}
        second = graphferry("answer", row.run.hex(), "ok", "no", home=home, cwd=tmp_path)
        assert (second.status, second.stderr.splitlines()[0]) == (2, "error: 'ok' is answered: {\"approved\": true}")
        effect.release("done")
        slow.release(1)
        report = json.loads(process.outcome().stdout)
    assert (report["status"], report["results"]) == ("completed", {"end": {"slow": 1, "effect": "done"}})
    assert [path for path, _ in made(home, "edge")].count("ok") == 1
    (answer,) = of(home, "edge", Answer)
    (result,) = [each for each in of(home, "edge", Result) if each.path == "ok"]
    assert result.value == answer.value == {"approved": True}


def test_a_run_killed_after_the_answer_takes_it_when_it_goes_on_and_effects_happen_once(
    home: Path, gate: Gates, tmp_path: Path
) -> None:
    write(tmp_path, LIVE.format(port=gate.port))
    with start("run", "g.yaml", "--progress", "plain", *AGENTS, home=home, cwd=tmp_path) as process:
        while not process.error_line().startswith("suspended ok"):
            pass
        slow = gate.next()
        process.kill()
        slow.gone()
    (row,) = runs(home, "edge")
    run = row.run.hex()
    assert graphferry("answer", run, "ok", "yes", home=home, cwd=tmp_path).status == 0
    with start("resume", run, "--progress", "plain", home=home, cwd=tmp_path) as process:
        waiting = {each.path: each for each in (gate.next(), gate.next())}
        process.kill()  # between the answer's result and the end of the effect
        for each in waiting.values():
            each.gone()
    assert graphferry("answer", run, "ok", "no", home=home, cwd=tmp_path).status == 2
    with start("resume", run, "--json", home=home, cwd=tmp_path) as process:
        gate.next().release(1)
        outcome = process.outcome()
    report = json.loads(outcome.stdout)
    assert report["errors"]["effect"]["code"] == "NODE_INDETERMINATE"
    assert report["nodes"]["ok"]["state"] == "completed"
    gate.nobody_else()
    assert [path for path, _ in made(home, "edge")].count("ok") == 1
    assert [event.state for event in of(home, "edge", Event) if event.path == "ok"] == [State.SUSPENDED]


def test_killed_while_it_asks_it_asks_again_and_the_question_is_on_record_once(home: Path, tmp_path: Path) -> None:
    write(tmp_path, APPROVAL)
    with at_terminal("run", "g.yaml", home=home, cwd=tmp_path) as process:
        process.expect("yes or no")
        process.kill()
    (row,) = runs(home, "edge")
    with at_terminal("resume", row.run.hex(), home=home, cwd=tmp_path) as process:
        process.expect("yes or no")
        process.kill()
    asks: list[Any] = json.loads(graphferry("answer", "--json", home=home, cwd=tmp_path).stdout)
    assert [(each["path"], each["kind"], each["prompt"]) for each in asks] == [("ok", "approve", "Send it?")]
    outcome = graphferry("answer", row.run.hex(), "ok", "yes", "--resume", home=home, cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (0, "Dear Ada true\n")
    assert [event.state for event in of(home, "edge", Event) if event.path == "ok"] == [State.SUSPENDED]


def test_an_answer_from_elsewhere_takes_the_question_off_the_terminal(home: Path, tmp_path: Path) -> None:
    write(tmp_path, APPROVAL)
    with at_terminal("run", "g.yaml", home=home, cwd=tmp_path) as process:
        process.expect("yes or no")
        (row,) = runs(home, "edge")
        assert graphferry("answer", row.run.hex(), "ok", "no", home=home, cwd=tmp_path).status == 0
        process.expect("It was answered meanwhile")
        outcome = process.outcome()
    assert (outcome.status, outcome.stdout) == (0, "Dear Ada false\n")


def test_questions_in_loops_maps_and_nested_graphs_are_named_by_their_paths(home: Path, tmp_path: Path) -> None:
    write(
        tmp_path,
        """\
  rows:
    agent: mapAgent
    inputs: {rows: [a, b]}
    params: {compositeResult: true}
    graph:
      nodes:
        pick: {agent: humanAgent, isResult: true, inputs: {row: :row}, params: {choices: [red, blue], prompt: "Which?"}}
  loops:
    agent: nestedAgent
    isResult: true
    inputs: {seed: 0}
    graph:
      loop: {count: 2}
      nodes:
        said: {value: [], update: :more.array}
        ask: {agent: textInputAgent, params: {message: "Say"}}
        more: {agent: pushAgent, isResult: true, inputs: {array: :said, item: :ask.text}}
  picked: {agent: copyAgent, isResult: true, inputs: {all: :rows.pick}}
""",
    )
    run = the_run(graphferry("run", "g.yaml", home=home, cwd=tmp_path))

    def answer(path: str, value: str, *more: str) -> Outcome:
        return graphferry("answer", run, path, value, *more, home=home, cwd=tmp_path)

    asks = json.loads(graphferry("answer", "--json", home=home, cwd=tmp_path).stdout)
    assert {each["path"]: each.get("inputs") for each in asks} == {
        "rows[0]/pick": {"row": "a"},
        "rows[1]/pick": {"row": "b"},
        "loops/ask": None,
    }
    assert answer("rows[1]/pick", "2").status == 0
    assert answer("loops/ask", "hello").status == 0
    outcome = answer("rows[0]/pick", "red", "--resume", "--json")
    report = json.loads(outcome.stdout)
    assert (outcome.status, [each["path"] for each in report["questions"]]) == (3, ["loops/ask#1"])
    assert answer("loops/ask", "hello again").status == 2
    outcome = answer("loops/ask#1", "42", "--resume", "--json")
    results = json.loads(outcome.stdout)["results"]
    assert results["picked"] == {"all": [{"choice": "red"}, {"choice": "blue"}]}
    assert results["loops"] == {"more": {"array": ["hello", "42"]}}


def test_a_graph_at_the_worker_in_which_people_are_asked_is_split(home: Path, tmp_path: Path) -> None:
    write(
        tmp_path,
        """\
  part:
    agent: nestedAgent
    place: cloud
    isResult: true
    inputs: {text: hello}
    graph:
      nodes:
        before: {agent: stringTemplateAgent, inputs: {text: :text}, params: {template: "${text} there"}}
        ok: {agent: humanAgent, inputs: {draft: :before}, params: {mode: approve, prompt: Send it?}}
        after: {agent: stringTemplateAgent, isResult: true, inputs: {text: :before, ok: :ok.approved}, params: {template: "${text} ${ok}"}}
""",
    )
    with serve(home=home, cwd=tmp_path) as worker:
        given = ("--cloud", worker.url, "--json")
        report = json.loads(graphferry("run", "g.yaml", *given, home=home, cwd=tmp_path).stdout)
        assert report["status"] == "suspended"
        assert {path: node["place"] for path, node in report["nodes"].items()} == {
            "part": "edge",
            "part/before": "cloud",
            "part/ok": "edge",
        }
        (question,) = report["questions"]
        assert (question["path"], question["inputs"]) == ("part/ok", {"draft": "hello there"})
        outcome = graphferry("answer", report["run"], "part/ok", "yes", "--resume", *given, home=home, cwd=tmp_path)
    report = json.loads(outcome.stdout)
    assert (report["status"], report["results"]) == ("completed", {"part": {"after": "hello there true"}})
    assert report["nodes"]["part/after"]["place"] == "cloud"


def test_forms_are_filled_in_field_by_field_at_a_terminal_or_at_once(home: Path, tmp_path: Path) -> None:
    write(
        tmp_path,
        """\
  form:
    agent: humanAgent
    isResult: true
    params:
      prompt: Where to?
      schema:
        type: object
        properties:
          city: {type: string, description: the town}
          nights: {type: integer, minimum: 1}
          seat: {enum: [window, aisle], default: window}
          note: {type: string}
        required: [city, nights]
        additionalProperties: false
""",
    )
    with at_terminal("run", "g.yaml", "--json", home=home, cwd=tmp_path) as process:
        process.expect("Where to?")
        for shown, typed in (("city, the town (string)", "London"), ("nights (integer)", "0"), ("seat", ""), ("note", "")):
            process.expect(shown)
            process.type(typed)
        process.expect("outside its bounds")
        for shown, typed in (("city", "London"), ("nights", "2"), ("seat", "aisle"), ("note", "late")):
            process.expect(shown)
            process.type(typed)
        report = json.loads(process.outcome().stdout)
    assert report["results"] == {"form": {"city": "London", "nights": 2, "seat": "aisle", "note": "late"}}
    outcome = graphferry("run", "g.yaml", home=home, cwd=tmp_path)
    run = the_run(outcome)
    assert f'graphferry answer {run} form \'{{"city": "...", "nights": 0}}\'' in outcome.stderr
    refused = graphferry("answer", run, "form", '{"city": "Rome"}', home=home, cwd=tmp_path)
    assert (refused.status, "form.nights is missing" in refused.stderr) == (2, True)
    outcome = graphferry("answer", run, "form", '{"city": "Rome", "nights": 3}', "--resume", home=home, cwd=tmp_path)
    assert (outcome.status, json.loads(outcome.stdout)) == (0, {"form": {"city": "Rome", "nights": 3}})


def test_an_answer_that_came_from_another_store_counts(home: Path, tmp_path: Path) -> None:
    write(tmp_path, APPROVAL)
    run = the_run(graphferry("run", "g.yaml", home=home, cwd=tmp_path))
    with Journal.open(home / "edge" / "journal.db") as journal:
        other = b"otherone"
        row = journal.run(run)
        journal.accept(row.run, other, 1, encode(Answer("ok", 1, "what?")))  # which does not fit
        journal.accept(row.run, other, 2, encode(Answer("ok", 2, {"approved": True})))  # to a question not asked yet
        journal.accept(row.run, other, 3, encode(Answer("ok", 1, {"approved": False})))
    late = graphferry("answer", run, "ok", "yes", home=home, cwd=tmp_path)
    assert (late.status, '"approved": false' in late.stderr) == (2, True)
    outcome = graphferry("resume", run, home=home, cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (0, "Dear Ada false\n")
    (result,) = [each for each in of(home, "edge", Result) if each.path == "ok"]
    assert result.by["answer"] == [other, 3]


def test_whenever_a_run_is_killed_after_an_answer_was_confirmed_that_answer_counts(
    home: Path, gate: Gates, tmp_path: Path
) -> None:
    write(tmp_path, LIVE.format(port=gate.port).replace("onceAgent", "gateAgent"))
    with start("run", "g.yaml", "--progress", "plain", *AGENTS, home=home, cwd=tmp_path) as process:
        while not process.error_line().startswith("suspended ok"):
            pass
        slow = gate.next()
        (row,) = runs(home, "edge")
        assert graphferry("answer", row.run.hex(), "ok", "no", home=home, cwd=tmp_path).status == 0
        process.kill()  # it may have taken the answer, or be about to, or have begun `effect`
        slow.gone()
    run = row.run.hex()
    assert graphferry("answer", run, "ok", "yes", home=home, cwd=tmp_path).status == 2
    with start("resume", run, "--json", home=home, cwd=tmp_path) as process:
        held = gate.next()
        while held.who["pid"] != process.pid:
            held.gone()
            held = gate.next()
        waiting = {each.path: each for each in (held, gate.next())}
        assert waiting["effect"].who["inputs"] == {"said": False}
        for each in waiting.values():
            each.release(1)
        assert json.loads(process.outcome().stdout)["status"] == "completed"
    assert [path for path, _ in made(home, "edge")].count("ok") == 1


def test_an_interrupted_question_stays_and_the_run_goes_on_with_its_answer(home: Path, tmp_path: Path) -> None:
    write(tmp_path, APPROVAL)
    with at_terminal("run", "g.yaml", home=home, cwd=tmp_path) as process:
        process.expect("yes or no")
        process.interrupt()
        outcome = process.outcome()
    assert (outcome.status, "interrupted; what is finished is kept" in outcome.stderr) == (130, True)
    (row,) = runs(home, "edge")
    assert "(asks: ok)" in graphferry("runs", home=home, cwd=tmp_path).stdout
    outcome = graphferry("answer", row.run.hex(), "ok", "yes", "--resume", home=home, cwd=tmp_path)
    assert (outcome.status, outcome.stdout) == (0, "Dear Ada true\n")


def test_two_processes_do_not_go_on_with_one_run(home: Path, tmp_path: Path) -> None:
    write(tmp_path, APPROVAL)
    with at_terminal("run", "g.yaml", home=home, cwd=tmp_path) as process:
        process.expect("yes or no")
        (row,) = runs(home, "edge")
        outcome = graphferry("resume", row.run.hex(), home=home, cwd=tmp_path)
        assert (outcome.status, "another process works on run" in outcome.stderr) == (2, True)
        process.type("yes")
        assert process.outcome().status == 0
