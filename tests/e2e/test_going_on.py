"""Connections that break, devices that die and workers that start anew: a run goes on, and nothing is done twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import impatient
from gates import Gates
from graphs.records import Event, Result, State
from logbook import made, of, runs
from processes import Process, graphferry, serve, start
from wiretap import tap

AGENTS = ("--agents", "gate_agents.py")


@pytest.fixture
def home(own_home: Path) -> Path:
    impatient(own_home, 30)
    return own_home


def write_graph(folder: Path, port: int, *, agent: str = "gateAgent") -> None:
    """`here` on the device, `first` at the worker, `between` on the device, `second` and `third` at the worker, `end` on the device.

    That `between` runs says that the result of `first` is durable on both sides.
    """
    at_worker = f"place: cloud, params: {{port: {port}, words: [a, b]}}"
    text = f"""\
version: 0.5
nodes:
  here: {{agent: gateAgent, params: {{port: {port}}}, place: edge, inputs: {{}}}}
  first: {{agent: gateAgent, {at_worker}, inputs: {{of: :here}}}}
  between: {{agent: gateAgent, params: {{port: {port}}}, place: edge, inputs: {{of: :first}}}}
  second: {{agent: {agent}, {at_worker}, inputs: {{of: :between}}, isResult: true}}
  third: {{agent: gateAgent, {at_worker}, inputs: {{of: :second}}}}
  end: {{agent: gateAgent, params: {{port: {port}}}, place: edge, isResult: true, inputs: {{of: :third}}}}
"""
    (folder / "g.yaml").write_text(text, encoding="utf-8")


def let_go(gate: Gates, *paths: str) -> None:
    for path in paths:
        held = gate.next()
        assert held.path == path
        held.release(f"from {path}")


def finish(process: Process) -> dict[str, Any]:
    outcome = process.outcome()
    assert outcome.status == 0, outcome.stderr
    report: dict[str, Any] = json.loads(outcome.stdout)
    return report


def root_run(home: Path) -> str:
    (row,) = (row for row in runs(home, "edge") if row.role == "root")
    return row.run.hex()


def each_once(home: Path) -> bool:
    """Whether each node has one result on the device, in whatever log."""
    return sorted(path for path, _ in made(home, "edge")) == ["between", "end", "first", "here", "second", "third"]


@pytest.mark.parametrize("agent", ["gateAgent", "onceAgent", "singAgent"])
def test_a_connection_that_breaks_costs_nothing_but_time(home: Path, tmp_path: Path, gate: Gates, agent: str) -> None:
    write_graph(tmp_path, gate.port, agent=agent)
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        tap(worker.url) as line,
        start("run", "g.yaml", "--cloud", line.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        let_go(gate, "here")
        first = gate.next()
        line.cut()
        first.release("from first")
        let_go(gate, "between")
        second = gate.next()
        assert second.path == "second"
        line.cut()
        line.cut()
        second.release("from second")
        third = gate.next()
        line.cut()
        third.release("from third")
        let_go(gate, "end")
        report = finish(device)
    gate.nobody_else()
    assert report["results"] == {"second": "from second", "end": "from end"}
    assert each_once(home)
    assert len([row for row in runs(home, "edge") if row.role == "child"]) == 1


def test_what_a_worker_does_while_the_device_is_dead_is_not_done_again(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port, agent="onceAgent")
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device:
            let_go(gate, "here", "first", "between")
            second = gate.next()
            assert second.path == "second"
            device.kill()
        second.release("from second")
        third = gate.next()  # the worker runs ahead, with nobody there
        assert third.path == "third"
        with start("resume", root_run(home), "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device:
            third.release("from third")
            let_go(gate, "end")
            report = finish(device)
    gate.nobody_else()
    assert report["results"] == {"second": "from second", "end": "from end"}
    assert each_once(home)


def test_a_worker_that_starts_anew_goes_on_and_the_run_does_not_notice(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        port = str(worker.port)
        with start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            let_go(gate, "here", "first", "between")
            second = gate.next()
            worker.kill()
            second.gone()
            with serve(*AGENTS, "--port", port, home=home, cwd=tmp_path):
                let_go(gate, "second", "third", "end")
                report = finish(device)
    gate.nobody_else()
    assert report["results"] == {"second": "from second", "end": "from end"}
    assert each_once(home)


def test_a_worker_that_starts_anew_goes_on_before_the_device_is_back(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device:
            let_go(gate, "here", "first", "between")
            held = gate.next()
            device.kill()
        worker.kill()
        held.gone()
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        let_go(gate, "second", "third")
        with start("resume", root_run(home), "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device:
            let_go(gate, "end")
            assert finish(device)["results"] == {"second": "from second", "end": "from end"}
    gate.nobody_else()
    assert each_once(home)


def test_an_effect_in_flight_when_its_worker_died_asks_in_the_middle_of_the_run(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port, agent="onceAgent")
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        port = str(worker.port)
        with start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            let_go(gate, "here", "first", "between")
            second = gate.next()
            worker.kill()
            second.gone()
            with serve(*AGENTS, "--port", port, home=home, cwd=tmp_path):
                outcome = device.outcome()
    gate.nobody_else()
    assert outcome.status == 3
    assert json.loads(outcome.stdout)["errors"]["second"]["code"] == "NODE_INDETERMINATE"
    assert [record.path for record in of(home, "edge", Event) if record.state == State.EXECUTING] == ["second"]
    assert "second" not in [record.path for record in of(home, "edge", Result)]


def test_a_cancelled_run_is_over_on_both_sides(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device:
            let_go(gate, "here", "first", "between")
            second = gate.next()
            device.kill()
        run = root_run(home)
        outcome = graphferry("runs", "cancel", run, "--cloud", worker.url, home=home, cwd=tmp_path)
        assert (outcome.status, outcome.stderr) == (0, "")
        second.gone()
        assert graphferry("resume", run, "--cloud", worker.url, home=home, cwd=tmp_path).status == 2
        assert graphferry("runs", "cancel", run, home=home, cwd=tmp_path).status == 2
    assert [row.status for row in runs(home, "edge") if row.role == "root"] == ["cancelled"]
    assert [row.status for row in runs(home, "cloud")] == ["cancelled"]
    gate.nobody_else()


def test_a_run_is_cancelled_although_its_worker_cannot_be_told(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device:
            let_go(gate, "here")
            first = gate.next()
            device.kill()
        worker.kill()
        first.gone()
    outcome = graphferry("runs", "cancel", root_run(home), "--cloud", worker.url, home=home, cwd=tmp_path)
    assert outcome.status == 0
    assert "could not be told" in outcome.stderr
    assert [row.status for row in runs(home, "edge") if row.role == "root"] == ["cancelled"]


def test_one_process_works_with_a_store(home: Path, tmp_path: Path) -> None:
    with serve(home=home, cwd=tmp_path) as worker:
        outcome = graphferry("serve", "--port", "0", home=home, cwd=tmp_path)
    assert outcome.status == 2
    assert f"process {worker.pid}" in outcome.stderr


NESTED = """\
version: 0.5
nodes:
  around:
    agent: nestedAgent
    isResult: true
    inputs: {{}}
    graph:
      nodes:
        far: {{agent: gateAgent, place: cloud, params: {{port: {port}}}, inputs: {{}}}}
        ask: {{agent: humanAgent, inputs: {{prompt: Go on?}}}}
        near: {{agent: copyAgent, isResult: true, inputs: {{far: :far, word: :ask.text}}}}
"""


def test_what_is_done_inside_a_node_needs_no_worker(home: Path, tmp_path: Path, gate: Gates) -> None:
    (tmp_path / "g.yaml").write_text(NESTED.format(port=gate.port), encoding="utf-8")
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        let_go(gate, "around/far")
        assert device.outcome().status == 3
    assert graphferry("answer", root_run(home), "around/ask", "yes", home=home, cwd=tmp_path).status == 0
    with start("resume", root_run(home), "--local-only", "--json", *AGENTS, home=home, cwd=tmp_path) as device:
        assert finish(device)["results"] == {"around": {"near": {"far": "from around/far", "word": "yes"}}}
    gate.nobody_else()
