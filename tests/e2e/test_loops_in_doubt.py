"""A node with effects in a loop that was in flight when its side died: its turn waits for a word, and what does not depend on it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import impatient
from gates import Gates
from logbook import begun, made, runs
from processes import Process, graphferry, serve, start

AGENTS = ("--agents", "gate_agents.py")
LOOP = """\
version: 0.5
loop: {{count: 3}}
nodes:
  said: {{value: nothing, update: :side}}
  pay: {{agent: onceAgent, place: {place}, params: {{port: {port}}}, inputs: {{of: :said}}}}
  side: {{agent: gateAgent, place: cloud, isResult: true, params: {{port: {port}}}, inputs: {{of: :said}}}}
"""


@pytest.fixture
def home(own_home: Path) -> Path:
    impatient(own_home, 30)
    return own_home


def turn(gate: Gates, number: int, *nodes: str) -> dict[str, Any]:
    """The nodes of that turn that wait at the gate."""
    held = {each.path: each for each in (gate.next() for _ in nodes)}
    assert set(held) == {f"{node}#{number}" if number else node for node in nodes}
    return held


def release(held: dict[str, Any]) -> None:
    for path, each in held.items():
        each.release(f"from {path}")


def errors(process: Process) -> dict[str, str]:
    told = process.outcome()
    assert told.status == 3, told
    return {path: each["code"] for path, each in json.loads(told.stdout)["errors"].items()}


def test_what_does_not_depend_on_a_node_in_doubt_goes_on_in_its_turn(home: Path, tmp_path: Path, gate: Gates) -> None:
    (tmp_path / "g.yaml").write_text(LOOP.format(port=gate.port, place="edge"), encoding="utf-8")
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        release(turn(gate, 0, "pay", "side"))
        held = turn(gate, 1, "pay", "side")
        device.kill()
        worker.kill()
        for each in held.values():
            each.gone()
    run = runs(home, "edge")[0].run.hex()
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        again = ("resume", run, "--json", "--cloud", worker.url)
        side = turn(gate, 1, "side")["side#1"]  # the worker goes on by itself
        with start(*again, "--progress", "plain", home=home, cwd=tmp_path) as device:
            while not device.error_line().startswith("suspended pay#1"):
                pass
            side.release("from side#1")
            assert errors(device) == {"pay#1": "NODE_INDETERMINATE"}
        shown = json.loads(graphferry("runs", "show", run, "--json", home=home, cwd=tmp_path).stdout)
        assert shown["status"] == "suspended"
        with start(*again, "--assume", "pay#1=done:paid", home=home, cwd=tmp_path) as device:
            release(turn(gate, 2, "pay", "side"))
            done = device.outcome()
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["results"] == {"side": "from side#2"}
    gate.nobody_else()
    assert [each.path for each in begun(home, "edge")] == ["pay", "pay#1", "pay#2"]
    assert sorted(path for path, _ in made(home, "edge")) == ["pay", "pay#1", "pay#2", "side", "side#1", "side#2"]


def test_it_does_so_as_well_where_the_part_at_the_worker_is_begun_anew(home: Path, tmp_path: Path, gate: Gates) -> None:
    """The worker that told of the doubt does not try again in that part of the run; another part goes on with the rest of the turn, and no turn
    of the loop begins there in which somebody has to be asked.
    """
    (tmp_path / "g.yaml").write_text(LOOP.format(port=gate.port, place="cloud"), encoding="utf-8")
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        release(turn(gate, 0, "pay", "side"))
        held = turn(gate, 1, "pay", "side")
        device.kill()
        worker.kill()
        for each in held.values():
            each.gone()
    run = runs(home, "edge")[0].run.hex()
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        again = ("resume", run, "--json", "--cloud", worker.url)
        first = turn(gate, 1, "side")["side#1"]
        with start(*again, "--progress", "plain", home=home, cwd=tmp_path) as device:
            while not device.error_line().startswith("suspended pay#1"):
                pass
            device.kill()
        with start(*again, home=home, cwd=tmp_path) as device:
            first.gone()
            second = turn(gate, 1, "side")["side#1"]
            second.release("from side#1")
            assert errors(device) == {"pay#1": "NODE_INDETERMINATE"}
        offline = ("resume", run, "--json", "--offline", "--assume", "pay#1=rerun")  # which counts, although it does not begin
        told = json.loads(graphferry(*offline, home=home, cwd=tmp_path).stdout)
        assert {path: each["code"] for path, each in told["errors"].items()} == {"pay#1": "UNREACHABLE"}
        with start(*again, home=home, cwd=tmp_path) as device:
            release(turn(gate, 1, "pay"))
            release(turn(gate, 2, "pay", "side"))
            done = device.outcome()
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["results"] == {"side": "from side#2"}
    gate.nobody_else()
    assert sorted(path for path, _ in made(home, "edge")) == ["pay", "pay#1", "pay#2", "side", "side#1", "side#2"]
