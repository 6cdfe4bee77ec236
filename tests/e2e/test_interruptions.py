"""Device and worker as real processes that are killed, interrupted and ended: what was finished stays, what was not goes on."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from conftest import impatient
from gates import Gates
from graphs.journal.ids import run_id_text
from graphs.records import Event, Result, State
from logbook import made, nodes, of, runs, until_made
from processes import Process, graphferry, serve, start

AGENTS = ("--agents", "gate_agents.py")


@pytest.fixture
def home(own_home: Path) -> Path:
    impatient(own_home)
    return own_home


def write_graph(folder: Path, port: int, *, agent: str = "gateAgent") -> None:
    """`here`, `first`, `between`, `second` and `end`, one after the other, on device and worker by turns.

    A node that stands at its gate says that the results before it are durable where it runs.
    """
    text = f"""\
version: 0.5
nodes:
  here: {{agent: gateAgent, params: {{port: {port}}}, place: edge, inputs: {{}}}}
  first: {{agent: gateAgent, params: {{port: {port}}}, place: cloud, inputs: {{of: :here}}}}
  between: {{agent: gateAgent, params: {{port: {port}}}, place: edge, inputs: {{of: :first}}}}
  second: {{agent: {agent}, params: {{port: {port}}}, place: cloud, inputs: {{of: :between}}}}
  end: {{agent: gateAgent, params: {{port: {port}}}, place: edge, isResult: true, inputs: {{of: :second}}}}
"""
    (folder / "g.yaml").write_text(text, encoding="utf-8")


def told_run(stderr: str) -> str:
    """The run of the command that a message tells people to go on with."""
    found = re.search(r"graphferry resume (\S+)", stderr)
    assert found is not None, stderr
    return found[1]


def finish(process: Process) -> dict[str, Any]:
    outcome = process.outcome()
    assert outcome.status == 0, outcome.stderr
    report: dict[str, Any] = json.loads(outcome.stdout)
    return report


FILLING = """\
version: 0.5
nodes:
  one: {{agent: gateAgent, params: {{port: {port}}}, inputs: {{}}}}
  two: {{agent: gateAgent, params: {{port: {port}}}, inputs: {{of: :one}}}}
  big: {{agent: bigAgent, params: {{bytes: 9000000}}, inputs: {{of: :two}}}}
  long: {{agent: lengthAgent, inputs: {{of: :big}}}}
  sent: {{agent: onceAgent, params: {{port: {port}}}, isResult: true, inputs: {{of: :long}}}}
"""


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system cannot make a disk full for one process")
def test_a_device_whose_disk_is_full_says_how_to_go_on_and_has_begun_no_effect(home: Path, tmp_path: Path, gate: Gates) -> None:
    (tmp_path / "g.yaml").write_text(FILLING.format(port=gate.port), encoding="utf-8")
    with start("run", "g.yaml", "--offline", *AGENTS, home=home, cwd=tmp_path) as device:
        gate.next().release("one")
        held = gate.next()
        until_made(home, "edge", "one")
        size = (home / "edge" / "journal.db-wal").stat().st_size
        resource.prlimit(device.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        held.release("two")
        outcome = device.outcome()
    assert outcome.status == 1
    assert "journal.db could not be written" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    (row,) = runs(home, "edge")
    assert told_run(outcome.stderr) == run_id_text(row.run)
    with start("resume", told_run(outcome.stderr), "--offline", "--json", *AGENTS, home=home, cwd=tmp_path) as device:
        while (effect := gate.next()).path != "sent":
            assert effect.path == "two", "what came before it was durable"
            effect.release("two")
        effect.release("sent")
        assert finish(device)["results"] == {"sent": "sent"}
    gate.nobody_else()


def test_a_worker_killed_in_the_middle_costs_only_what_it_was_doing(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        gate.next().release("from here")
        gate.next().release("from first")
        gate.next().release("from between")
        held = gate.next()
        assert (held.path, held.who["pid"]) == ("second", worker.pid)
        worker.kill()
        held.gone()
        outcome = device.outcome()
    assert outcome.status == 3
    assert worker.url in outcome.stderr
    assert "Traceback" not in outcome.stderr
    run = told_run(outcome.stderr)
    assert [row.status for row in runs(home, "edge") if row.role == "root"] == ["suspended"]
    other = home / "another worker"
    other.mkdir()
    with (
        serve(*AGENTS, home=other, cwd=tmp_path) as worker,
        start("resume", run, "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device,
    ):
        second = gate.next()
        assert (second.path, second.who["pid"], second.who["inputs"]) == ("second", worker.pid, {"of": "from between"})
        second.release("from second")
        end = gate.next()
        assert (end.path, end.who["inputs"]) == ("end", {"of": "from second"})
        end.release("done")
        report = finish(device)
    gate.nobody_else()
    assert report["results"] == {"end": "done"}
    assert sorted(path for path, _ in made(home, "edge")) == ["between", "end", "first", "here", "second"]


def test_a_device_killed_in_the_middle_goes_on_where_it_was(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device:
            gate.next().release("from here")
            gate.next().release("from first")
            gate.next().release("from between")
            gate.next().release("from second")
            held = gate.next()
            assert (held.path, held.who["pid"]) == ("end", device.pid)
            device.kill()
            held.gone()
        (row,) = (row for row in runs(home, "edge") if row.role == "root")
        assert row.status == "running"
        with start("resume", row.run.hex(), "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device:
            end = gate.next()
            assert (end.path, end.who["inputs"]) == ("end", {"of": "from second"})
            end.release("done")
            report = finish(device)
    gate.nobody_else()
    assert report["results"] == {"end": "done"}
    assert report["nodes"]["first"]["place"] == "cloud"
    assert report["nodes"]["first"]["by"]["agent"] == "gateAgent"
    assert sorted(path for path, _ in made(home, "edge")) == ["between", "end", "first", "here", "second"]


def test_ctrl_c_suspends_and_says_how_to_go_on(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device:
            gate.next().release("from here")
            held = gate.next()
            assert held.path == "first"
            device.send(signal.SIGINT)
            outcome = device.outcome()
        assert outcome.status == 130
        assert "Traceback" not in outcome.stderr
        run = told_run(outcome.stderr)
        assert [row.status for row in runs(home, "edge") if row.role == "root"] == ["suspended"]
        held.release("from first")  # what the worker was doing it went on with
        with start("resume", run, "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device:
            for path in ("between", "second", "end"):
                held = gate.next()
                assert held.path == path
                held.release(path)
            assert finish(device)["results"] == {"end": "end"}
    gate.nobody_else()


@pytest.mark.parametrize("side", ["worker", "device"])
def test_what_must_not_be_repeated_is_not(home: Path, tmp_path: Path, gate: Gates, side: str) -> None:
    write_graph(tmp_path, gate.port, agent="onceAgent")
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        gate.next().release("from here")
        gate.next().release("from first")
        gate.next().release("from between")
        held = gate.next()
        assert held.path == "second"
        begun = [record.path for record in of(home, "edge", Event) if record.state == State.EXECUTING]
        assert begun == ["second"], "the device must know that it began before it begins"
        if side == "worker":
            worker.kill()
            held.gone()
            assert device.outcome().status == 3
        else:
            device.kill()
    (row,) = (row for row in runs(home, "edge") if row.role == "root")
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("resume", row.run.hex(), "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device,
    ):
        outcome = device.outcome()
    report = json.loads(outcome.stdout)
    assert (outcome.status, report["status"]) == (3, "suspended")
    assert report["errors"]["second"]["code"] == "NODE_INDETERMINATE"
    shipped = [nodes(home, "edge", row).get("second", {}) for row in runs(home, "edge") if row.role == "child"]
    assert [each.get("agent") for each in shipped] == ["onceAgent", *[None] * (len(shipped) - 1)], "no worker is handed it again"
    gate.nobody_else()
    assert sorted(path for path, _ in made(home, "edge")) == ["between", "first", "here"]
    if side == "device":
        held.release("too late")


def test_a_worker_that_is_told_to_end_ends_well(home: Path, tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with serve(home=home, cwd=tmp_path) as worker:
            assert re.fullmatch(r"ws://127\.0\.0\.1:\d+/v1/link", worker.url)
            worker.send(number)
            outcome = worker.outcome()
        assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "", "")


def test_a_worker_that_is_told_to_end_in_the_middle_lets_the_run_go_on_elsewhere(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        gate.next().release("from here")
        held = gate.next()
        assert held.path == "first"
        worker.send(signal.SIGTERM)
        outcome = device.outcome()
        assert outcome.status == 3
        assert worker.outcome().status == 0
        held.gone()
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("resume", told_run(outcome.stderr), "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device,
    ):
        for path in ("first", "between", "second", "end"):
            held = gate.next()
            assert held.path == path
            held.release(path)
        assert finish(device)["results"] == {"end": "end"}
    gate.nobody_else()


def test_the_worker_away_at_first_and_there_at_last(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        url, port = worker.url, worker.port
    with start("run", "g.yaml", "--cloud", url, *AGENTS, home=home, cwd=tmp_path) as device:
        gate.next().release("from here")
        outcome = device.outcome()
    assert outcome.status == 3
    assert f"the worker at {url} cannot be reached" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    with (
        serve(*AGENTS, "--port", str(port), home=home, cwd=tmp_path),
        start("resume", told_run(outcome.stderr), "--cloud", url, "--json", home=home, cwd=tmp_path) as device,
    ):
        first = gate.next()
        assert (first.path, first.who["inputs"]) == ("first", {"of": "from here"})
        first.release("from first")
        gate.next().release("from between")
        gate.next().release("from second")
        gate.next().release("done")
        assert finish(device)["results"] == {"end": "done"}
    gate.nobody_else()
    assert [record.path for record in of(home, "edge", Result)].count("here") == 1


def test_an_agent_sees_one_key_for_all_its_executions(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    keys: list[str] = []
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device:
            gate.next().release("from here")
            first = gate.next()
            keys.append(first.who["key"])
            device.kill()
            worker.kill()
            first.gone()
        (row,) = (row for row in runs(home, "edge") if row.role == "root")
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("resume", row.run.hex(), "--cloud", worker.url, home=home, cwd=tmp_path) as device,
    ):
        again = gate.next()
        keys.append(again.who["key"])
        again.release("1")
        gate.next().release("2")
        gate.next().release("3")
        gate.next().release("4")
        assert device.outcome().status == 0
    assert keys[0] == keys[1]
    assert len(bytes.fromhex(keys[0])) == 16


def test_a_node_that_is_placed_elsewhere_keeps_its_key(home: Path, tmp_path: Path, gate: Gates) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n"
        f"  far: {{agent: gateAgent, params: {{port: {gate.port}}}, place: {{at: cloud, offline: local}}, isResult: true}}\n",
        encoding="utf-8",
    )
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        there = gate.next()
        assert there.who["pid"] == worker.pid
        worker.kill()
        there.gone()
        here = gate.next()
        assert here.who["pid"] == device.pid
        assert here.who["key"] == there.who["key"]
        here.release("done")
        assert finish(device)["results"] == {"far": "done"}


def test_a_port_that_is_taken_is_said_in_a_sentence(home: Path, tmp_path: Path) -> None:
    with serve(home=home, cwd=tmp_path) as worker:
        other = home / "other"
        outcome = graphferry("serve", "--port", str(worker.port), home=other, cwd=tmp_path)
    assert outcome.status == 2
    assert f"cannot listen on 127.0.0.1:{worker.port}" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert os.environ["GRAPHFERRY_HOME"] == str(home)
