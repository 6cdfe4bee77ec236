"""A worker that holds a run is killed and started anew: the run comes to its end, once, and no effect happens twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import impatient
from gates import Gates, gates
from graphs.engine.holding import holding
from graphs.records import Error, Result
from logbook import begun, entries, made, of, runs, store, until, until_made
from processes import Worker, graphferry, serve, start

AGENTS = ("--agents", "gate_agents.py")
GRAPH = """\
version: 0.5
nodes:
  first: {{agent: gateAgent, place: cloud, params: {{port: {port}}}, inputs: {{}}}}
  pay: {{agent: onceAgent, place: cloud, params: {{port: {port}}}, inputs: {{of: :first}}}}
  then: {{agent: gateAgent, place: cloud, params: {{port: {port}}}, inputs: {{of: :pay}}}}
  end: {{agent: gateAgent, place: edge, isResult: true, params: {{port: {port}}}, inputs: {{of: :then}}}}
"""


@pytest.fixture
def home(own_home: Path) -> Path:
    impatient(own_home, 30)
    return own_home


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gates]:
    with gates(tmp_path) as open_gates:
        (tmp_path / "g.yaml").write_text(GRAPH.format(port=open_gates.port), encoding="utf-8")
        yield open_gates


def handed_over(home: Path, folder: Path, worker: Worker) -> str:
    """A run of the device that the worker holds; its id."""
    told = graphferry("run", "g.yaml", "--offline", "--json", *AGENTS, home=home, cwd=folder)
    run = str(json.loads(told.stdout)["run"])
    pushed = graphferry("runs", "push", run, "--continue", "--cloud", worker.url, home=home, cwd=folder)
    assert pushed.status == 0, pushed.stderr
    return run


def let_go(gate: Gates, path: str, worker: Worker) -> None:
    held = gate.next()
    assert (held.path, held.who["pid"]) == (path, worker.pid)
    held.release(f"from {path}")


def brought_back(home: Path, folder: Path, run: str, worker: Worker) -> None:
    pulled = graphferry("runs", "pull", run, "--cloud", worker.url, home=home, cwd=folder)
    assert pulled.status == 0, pulled.stderr
    root = bytes.fromhex(run.replace("-", ""))
    found = holding((writer, record) for row, writer, record in entries(home, "edge") if row.run == root)
    assert found is not None
    assert found.holder == store(home, "edge")


def until_it_rests(home: Path) -> None:
    """Look until the worker has done all that it can."""
    until(lambda: [row.status for row in runs(home, "cloud") if row.role == "root"] == ["suspended"])


def test_what_it_had_finished_is_kept_and_what_was_in_flight_is_done_again(home: Path, tmp_path: Path, gate: Gates) -> None:
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        run = handed_over(home, tmp_path, worker)
        let_go(gate, "first", worker)
        let_go(gate, "pay", worker)
        held = gate.next()
        assert held.path == "then"
        until_made(home, "cloud", "pay")  # a kill before that leaves it in doubt, and the run waits for a word
        worker.kill()
        held.gone()
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        let_go(gate, "then", worker)
        until_it_rests(home)
        brought_back(home, tmp_path, run, worker)
        with start("resume", run, "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device:
            end = gate.next()
            assert (end.path, end.who["inputs"]) == ("end", {"of": "from then"})
            end.release("from end")
            done = device.outcome()
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["results"] == {"end": "from end"}
    gate.nobody_else()
    assert sorted(path for path, _ in made(home, "edge")) == ["end", "first", "pay", "then"]
    assert [each.path for each in begun(home, "edge")] == ["pay"]


def test_what_reads_a_value_that_only_the_worker_has_is_kept_in_a_fork_by_the_hash_of_that(
    home: Path, tmp_path: Path, gate: Gates
) -> None:
    """The device that made the fork knew the name of the large value, the worker that goes on with it has the value."""
    at_worker = f"place: cloud, params: {{port: {gate.port}"
    text = f"""\
version: 0.5
nodes:
  first: {{agent: gateAgent, {at_worker}}}}}
  large: {{agent: bigAgent, {at_worker}, bytes: 300000}}, inputs: {{of: :first}}}}
  reads: {{agent: gateAgent, {at_worker}}}, inputs: {{of: :large, first: :first}}}}
  end: {{agent: gateAgent, isResult: true, {at_worker}}}, inputs: {{of: :reads}}}}
"""
    (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            for path in ("first", "reads", "end"):
                let_go(gate, path, worker)
            run = json.loads(device.outcome().stdout)["run"]
        told = graphferry("runs", "replay", run, "--from", "first", "--offline", "--json", *AGENTS, home=home, cwd=tmp_path)
        fork = str(json.loads(told.stdout)["run"])
        pushed = graphferry("runs", "push", fork, "--continue", "--cloud", worker.url, home=home, cwd=tmp_path)
        assert pushed.status == 0, pushed.stderr
        let_go(gate, "first", worker)  # which comes to the same
        root = bytes.fromhex(fork.replace("-", ""))
        until(lambda: next(row.status for row in runs(home, "cloud") if row.run == root) == "completed")
    gate.nobody_else()
    made_anew = [
        each.path
        for row, _, each in entries(home, "cloud")
        if row.run == root and isinstance(each, Result) and "from" not in each.by
    ]
    assert made_anew == ["first"]


def test_an_effect_that_was_in_flight_waits_for_a_word(home: Path, tmp_path: Path, gate: Gates) -> None:
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        run = handed_over(home, tmp_path, worker)
        let_go(gate, "first", worker)
        pay = gate.next()
        assert pay.path == "pay"
        worker.kill()
        pay.gone()
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        until_it_rests(home)
        brought_back(home, tmp_path, run, worker)
        asked = graphferry("resume", run, "--offline", "--json", home=home, cwd=tmp_path)
        assert asked.status == 3
        assert json.loads(asked.stdout)["errors"]["pay"]["code"] == "NODE_INDETERMINATE"
        word = ("--assume", "pay=done:paid")
        with start("resume", run, *word, "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device:
            let_go(gate, "then", worker)
            end = gate.next()
            end.release("from end")
            done = device.outcome()
    assert done.status == 0, done.stderr
    gate.nobody_else()
    assert sorted(path for path, _ in made(home, "edge")) == ["end", "first", "pay", "then"]
    assert [each.path for each in begun(home, "edge")] == ["pay"]
    assert [each for each in of(home, "edge", Error) if each.code != "NODE_INDETERMINATE"] == []
