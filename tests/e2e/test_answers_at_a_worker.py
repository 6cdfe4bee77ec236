"""A run that a worker holds asks somebody: it takes the answer when that comes, from whatever device, and goes on at once; one answer counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Outcome, impatient
from gates import Gates
from graphs.records import Answer, Event, Result, State
from logbook import begun, entries, of, runs, store, until
from processes import Worker, graphferry, serve, start

AGENTS = ("--agents", "gate_agents.py")
ASKED_HERE = """\
version: 0.5
nodes:
  ok: {{agent: humanAgent, params: {{mode: approve, prompt: Send it?}}}}
  slow: {{agent: gateAgent, place: cloud, params: {{port: {port}}}}}
  pay: {{agent: onceAgent, place: cloud, isResult: true, params: {{port: {port}}}, inputs: {{said: :ok.approved}}}}
"""
ASKED_THERE = """\
version: 0.5
place: edge
nodes:
  draft: {{agent: gateAgent, place: cloud, params: {{port: {port}}}}}
  ok: {{agent: humanAgent, inputs: {{draft: :draft}}, params: {{mode: approve, prompt: Send it?}}}}
  pay: {{agent: onceAgent, place: cloud, isResult: true, params: {{port: {port}}}, inputs: {{said: :ok.approved}}}}
"""


@pytest.fixture
def home(own_home: Path) -> Path:
    impatient(own_home, 30)
    return own_home


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The home of another device."""
    found = tmp_path / "other"
    found.mkdir()
    impatient(found, 30)
    return found


def pushed(home: Path, folder: Path, worker: Worker, text: str) -> str:
    """A run of the device `home` that the worker holds; its id."""
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    told = graphferry("run", "g.yaml", "--offline", "--json", *AGENTS, home=home, cwd=folder)
    run = str(json.loads(told.stdout)["run"])
    gone = graphferry("runs", "push", run, "--continue", "--cloud", worker.url, home=home, cwd=folder)
    assert gone.status == 0, gone.stderr
    return run


def sync(home: Path, folder: Path, worker: Worker) -> None:
    outcome = graphferry("sync", "--cloud", worker.url, home=home, cwd=folder)
    assert outcome.status == 0, outcome.stderr


def answer(home: Path, folder: Path, run: str, text: str) -> Outcome:
    outcome = graphferry("answer", run, "ok", text, home=home, cwd=folder)
    assert outcome.status == 0, outcome.stderr
    return outcome


def asked(home: Path, folder: Path) -> list[Any]:
    found: list[Any] = json.loads(graphferry("answer", "--json", home=home, cwd=folder).stdout)
    return found


def until_there(home: Path, status: str) -> None:
    """Look until the worker says so of its root run."""
    until(lambda: [row.status for row in runs(home, "cloud") if row.role == "root"] == [status])


def until_it_asks(home: Path) -> None:
    """Look until the worker has asked and rests; the row of a run that was handed over says `suspended` before it goes on, too."""
    until(lambda: any(each.path == "ok" for each in of(home, "cloud", Event)))
    until_there(home, "suspended")


def taken(home: Path) -> Result:
    """What became of the question, of which there is one result."""
    (found,) = [each for each in of(home, "cloud", Result) if each.path == "ok"]
    return found


def test_what_the_worker_asks_another_device_answers_and_the_worker_finishes_it(
    home: Path, other: Path, tmp_path: Path, gate: Gates
) -> None:
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        run = pushed(home, tmp_path, worker, ASKED_THERE.format(port=gate.port))
        gate.next().release("Dear Ada")
        until_it_asks(home)
        assert asked(home, tmp_path) == asked(other, tmp_path) == []
        for device in (home, other):
            sync(device, tmp_path, worker)
            (question,) = asked(device, tmp_path)
            assert (question["run"], question["path"], question["inputs"]) == (run, "ok", {"draft": "Dear Ada"})
        said = answer(other, tmp_path, run, "yes")
        assert "was not told yet: no worker is configured.\nThe answer goes there with the next `graphferry sync`" in said.stderr
        sync(other, tmp_path, worker)
        pay = gate.next()
        assert (pay.path, pay.who["pid"], pay.who["inputs"]) == ("pay", worker.pid, {"said": True})
        pay.release("paid")
        until_there(home, "completed")
        sync(home, tmp_path, worker)
        shown = json.loads(graphferry("runs", "show", run, "--json", home=home, cwd=tmp_path).stdout)
        assert shown["status"] == "completed"
        assert asked(home, tmp_path) == []
    gate.nobody_else()
    assert [each.state for each in of(home, "cloud", Event) if each.path == "ok"] == [State.SUSPENDED], "it was asked once"
    assert [each.path for each in begun(home, "cloud")] == ["pay"]


def test_an_answer_reaches_the_worker_at_once_where_it_is_there(home: Path, other: Path, tmp_path: Path, gate: Gates) -> None:
    """Nobody has to sync for it, and who comes second is told so."""
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        run = pushed(home, tmp_path, worker, ASKED_THERE.format(port=gate.port))
        gate.next().release("Dear Ada")
        until_it_asks(home)
        for device in (home, other):
            sync(device, tmp_path, worker)
        said = graphferry("answer", run, "ok", "yes", "--cloud", worker.url, home=other, cwd=tmp_path)
        assert (said.status, "The worker holds this run, has the answer" in said.stderr) == (0, True), said.stderr
        pay = gate.next()
        assert (pay.path, pay.who["pid"], pay.who["inputs"]) == ("pay", worker.pid, {"said": True})
        second = graphferry("answer", run, "ok", "no", "--cloud", worker.url, home=home, cwd=tmp_path)
        assert second.status == 2
        assert "'ok' is answered: {\"approved\": true}" in second.stderr
        assert "yours came second" in second.stderr
        pay.release("paid")
        until_there(home, "completed")
    gate.nobody_else()
    assert taken(home).value == {"approved": True}


def test_of_two_devices_that_answer_the_first_to_come_counts_while_the_worker_goes_on(
    home: Path, other: Path, tmp_path: Path, gate: Gates
) -> None:
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        run = pushed(home, tmp_path, worker, ASKED_HERE.format(port=gate.port))
        slow = gate.next()
        assert (slow.path, slow.who["pid"]) == ("slow", worker.pid)
        sync(other, tmp_path, worker)
        for device, text in ((other, "no"), (home, "yes")):  # neither knows of the other's
            answer(device, tmp_path, run, text)
        sync(home, tmp_path, worker)
        pay = gate.next()  # `slow` still runs
        assert (pay.path, pay.who["inputs"]) == ("pay", {"said": True})
        sync(other, tmp_path, worker)
        pay.release("paid")
        slow.release(1)
        until_there(home, "completed")
    gate.nobody_else()
    first = next(writer for _, writer, record in entries(home, "edge") if isinstance(record, Answer))
    assert taken(home).by["answer"] == [first, 1]
    assert [each.value["approved"] for each in of(home, "cloud", Answer)] == [True, False]
    assert [each.path for each in begun(home, "cloud")] == ["pay"]


def test_an_answer_that_a_killed_worker_had_not_taken_counts_when_it_begins_anew(home: Path, tmp_path: Path, gate: Gates) -> None:
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        run = pushed(home, tmp_path, worker, ASKED_THERE.format(port=gate.port))
        gate.next().release("Dear Ada")
        until_it_asks(home)
        sync(home, tmp_path, worker)
        answer(home, tmp_path, run, "yes")
        sync(home, tmp_path, worker)
        pay = gate.next()
        worker.kill()
        pay.gone()
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        until_there(home, "suspended")
        pulled = graphferry("runs", "pull", run, "--cloud", worker.url, home=home, cwd=tmp_path)
        assert pulled.status == 0, pulled.stderr
        outcome = graphferry("resume", run, "--offline", "--json", home=home, cwd=tmp_path)
    assert json.loads(outcome.stdout)["errors"]["pay"]["code"] == "NODE_INDETERMINATE"
    gate.nobody_else()
    assert taken(home).value == {"approved": True}


def test_an_answer_given_before_the_run_was_handed_over_goes_along(home: Path, tmp_path: Path, gate: Gates) -> None:
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        (tmp_path / "g.yaml").write_text(ASKED_HERE.format(port=gate.port), encoding="utf-8")
        told = graphferry("run", "g.yaml", "--offline", "--json", *AGENTS, home=home, cwd=tmp_path)
        run = str(json.loads(told.stdout)["run"])
        answer(home, tmp_path, run, "no, too dear")
        gone = graphferry("runs", "push", run, "--continue", "--cloud", worker.url, home=home, cwd=tmp_path)
        assert gone.status == 0, gone.stderr
        for each in (gate.next(), gate.next()):
            assert each.path == "slow" or each.who["inputs"] == {"said": False}
            each.release(1)
        until_there(home, "completed")
    assert taken(home).value == {"approved": False, "comment": "too dear"}
    assert store(home, "cloud") in {writer for _, writer, record in entries(home, "cloud") if isinstance(record, Result)}


def test_a_device_takes_an_answer_from_another_one_with_its_next_sync(
    home: Path, other: Path, tmp_path: Path, gate: Gates
) -> None:
    """And says so of the run until then; large values that came are counted."""
    asks = ASKED_HERE.format(port=gate.port).replace("onceAgent, place: cloud", "onceAgent, place: edge")
    nodes = "  large: {agent: bigAgent, place: edge, params: {bytes: 300000}}\n  slow: {agent: gateAgent, place: edge"
    large = asks.replace("  slow: {agent: gateAgent, place: cloud", nodes)
    (tmp_path / "g.yaml").write_text(large, encoding="utf-8")
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--offline", "--sync", "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            gate.next().release(1)
            run = json.loads(device.outcome().stdout)["run"]
        sync(home, tmp_path, worker)
        came = json.loads(graphferry("sync", "--json", "--cloud", worker.url, home=other, cwd=tmp_path).stdout)
        assert (came["runs"], came["bodies"]) == ([run], 1)
        answer(other, tmp_path, run, "yes")
        ahead = json.loads(graphferry("sync", "--status", "--json", "--cloud", worker.url, home=other, cwd=tmp_path).stdout)
        assert (ahead["ahead"], ahead["behind"]) == (1, 0)
        sync(other, tmp_path, worker)
        behind = json.loads(graphferry("sync", "--status", "--json", "--cloud", worker.url, home=home, cwd=tmp_path).stdout)
        assert (behind["ahead"], behind["behind"], behind["asking"], behind["waiting"]) == (0, 1, [run], [])
        with start("sync", "--json", "--cloud", worker.url, home=home, cwd=tmp_path) as device:
            pay = gate.next()
            assert (pay.path, pay.who["inputs"]) == ("pay", {"said": True})
            listed = graphferry("answer", run, "ok", "no", home=home, cwd=tmp_path)
            assert listed.status == 2
            pay.release("paid")
            done = json.loads(device.outcome().stdout)
        assert done["went_on"] == [{"run": run, "status": "completed"}]
    gate.nobody_else()
