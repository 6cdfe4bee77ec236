"""A worker that holds a run is killed and started anew: the run comes to its end, once, and no effect happens twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import impatient
from gates import Gates, gates
from graphs.engine.holding import holding
from graphs.records import Error
from logbook import begun, entries, made, of, runs, store
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
    end = time.monotonic() + 30
    while [row.status for row in runs(home, "cloud") if row.role == "root"] != ["suspended"]:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_it_had_finished_is_kept_and_what_was_in_flight_is_done_again(home: Path, tmp_path: Path, gate: Gates) -> None:
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        run = handed_over(home, tmp_path, worker)
        let_go(gate, "first", worker)
        let_go(gate, "pay", worker)
        held = gate.next()
        assert held.path == "then"
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
