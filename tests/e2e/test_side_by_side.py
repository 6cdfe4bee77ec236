"""Several processes of one device at one worker at the same time: each has its own connection, and a run is one process's.

Nothing here looks at a clock: that nobody was cut off is counted by the connections that were made and by what was said over them.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from conftest import impatient
from gates import Gates
from logbook import made, runs, until
from processes import graphferry, serve, start
from protocol.handshake import DeviceHello
from protocol.messages import Fault, Hello, Welcome
from wiretap import Tap, tap

AGENTS = ("--agents", "gate_agents.py")
GRAPH = """\
version: 0.5
nodes:
  here: {{agent: gateAgent, params: {{port: {port}}}, place: edge, inputs: {{}}}}
  there: {{agent: {agent}, place: cloud, params: {{port: {port}, words: [a, b]}}, inputs: {{of: :here}}}}
  last: {{agent: gateAgent, place: cloud, params: {{port: {port}}}, isResult: true, inputs: {{of: :there}}}}
"""


@pytest.fixture
def home(own_home: Path) -> Path:
    impatient(own_home, 30)
    return own_home


def write_graph(folder: Path, port: int, agent: str = "gateAgent") -> None:
    (folder / "g.yaml").write_text(GRAPH.format(port=port, agent=agent), encoding="utf-8")


def sessions(line: Tap) -> list[tuple[int, int]]:
    """(session, connection) of each HELLO, in the order of the connections."""
    said = [DeviceHello.read(each) for connection in line.connections for each in connection.sent() if isinstance(each, Hello)]
    return [(each.session, each.conn) for each in said]


def answered(line: Tap) -> list[Welcome]:
    """The connections that both sides have greeted each other on."""
    return [each for connection in line.connections for each in connection.received() if isinstance(each, Welcome)]


def faults(line: Tap) -> list[str]:
    """What the worker refused."""
    return [each.code for connection in line.connections for each in connection.received() if isinstance(each, Fault)]


@pytest.mark.parametrize("count", [2, 4])
def test_runs_at_once_do_not_cut_each_other_off(home: Path, tmp_path: Path, gate: Gates, count: int) -> None:
    write_graph(tmp_path, gate.port)
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker, tap(worker.url) as line, ExitStack() as stack:
        devices = [
            stack.enter_context(start("run", "g.yaml", "--cloud", line.url, "--json", *AGENTS, home=home, cwd=tmp_path))
            for _ in range(count)
        ]
        for path in ("here", "there", "last"):
            held = [gate.next() for _ in devices]  # all of them are at this node at the same time
            assert [each.path for each in held] == [path] * count
            for each in held:
                each.release(path)
        for device in devices:
            outcome = device.outcome()
            assert outcome.status == 0, outcome.stderr
        gate.nobody_else()
    assert len(line.connections) == count, "none was made anew"
    assert len(set(sessions(line))) == count
    assert faults(line) == []


def test_a_sync_beside_a_run_leaves_it_alone(home: Path, tmp_path: Path, gate: Gates) -> None:
    write_graph(tmp_path, gate.port)
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        tap(worker.url) as line,
        start("run", "g.yaml", "--cloud", line.url, "--sync", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        gate.next().release("here")
        there = gate.next()
        synced = graphferry("sync", "--cloud", worker.url, home=home, cwd=tmp_path)
        assert synced.status == 0, synced.stderr
        there.release("there")
        gate.next().release("last")
        outcome = device.outcome()
        assert outcome.status == 0, outcome.stderr
    assert len(line.connections) == 1
    assert faults(line) == []


@pytest.mark.parametrize("agent", ["gateAgent", "onceAgent", "singAgent"])
def test_a_run_that_another_process_goes_on_with_comes_to_its_session(
    home: Path, tmp_path: Path, gate: Gates, agent: str
) -> None:
    """Beside another run of the same device, which that does not concern."""
    write_graph(tmp_path, gate.port, agent)
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker, tap(worker.url) as line, tap(worker.url) as beside:
        with start("run", "g.yaml", "--cloud", line.url, *AGENTS, home=home, cwd=tmp_path) as device:
            gate.next().release("left")
            there = gate.next()
            device.kill()
        (left,) = (row.run for row in runs(home, "edge") if row.role == "root")
        with start("run", "g.yaml", "--cloud", beside.url, *AGENTS, home=home, cwd=tmp_path) as other:
            gate.next().release("beside")
            gate.next().release("beside")
            waits = gate.next()
            with start("resume", left.hex(), "--cloud", line.url, *AGENTS, home=home, cwd=tmp_path) as resumed:
                until(lambda: len(answered(line)) == 2)
                there.release("left")
                last = gate.next()
                assert last.who["inputs"] == {"of": "left"}
                last.release("left")
                outcome = resumed.outcome()
                assert outcome.status == 0, outcome.stderr
            waits.release("beside")
            outcome = other.outcome()
            assert outcome.status == 0, outcome.stderr
        gate.nobody_else()
    assert (len(line.connections), len(beside.connections)) == (2, 1)
    assert faults(line) == faults(beside) == []
    assert sorted(path for path, _ in made(home, "edge")) == sorted(["here", "there", "last"] * 2)
