"""What was given to a worker and is then done in another way: the worker does not do it as well, however late it hears of that.

`paid` is about to begin at the worker, which waits for the device to hold that it does; the device is gone, and does it otherwise.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gates import Gates, Held
from graphs.environment import ExitStatus
from graphs.records import Cancel
from logbook import begun, of, runs, until, until_made
from processes import Process, Worker, serve, start

AGENTS = ("--agents", "gate_agents.py")


def write_graph(folder: Path, port: int) -> None:
    text = f"""\
version: 0.5
nodes:
  first: {{agent: gateAgent, params: {{port: {port}}}}}
  a: {{agent: gateAgent, params: {{port: {port}}}, inputs: {{of: :first}}}}
  paid: {{agent: onceAgent, params: {{port: {port}}}, inputs: {{of: :a}}}}
  near: {{agent: copyAgent, place: edge, inputs: {{of: :paid}}}}
  end: {{agent: gateAgent, place: cloud, isResult: true, params: {{port: {port}}}, inputs: {{of: :near}}}}
"""
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    (folder / "seen.yaml").write_text(
        "version: 0.5\nnodes:\n  n: {agent: copyAgent, place: cloud, inputs: {of: 1}}\n", encoding="utf-8"
    )


def left_about_to_begin(worker: Worker, home: Path, cwd: Path, gate: Gates) -> str:
    """A run whose device died before it held that `paid` begins. The device has not got its agents, so it is at the worker that they are."""
    write_graph(cwd, gate.port)
    with start("run", "seen.yaml", "--cloud", worker.url, home=home, cwd=cwd) as device:
        assert device.outcome().status == 0  # the device knows what the worker offers
    with start("run", "g.yaml", "--cloud", worker.url, home=home, cwd=cwd) as device:
        next_is(gate, "first", worker).release("from first")
        held = next_is(gate, "a", worker)
        until_made(home, "edge", "first")  # the device has heard of this worker
        device.kill()
    held.release("from a")
    until(lambda: bool(begun(home, "cloud")))
    (row,) = (row for row in runs(home, "edge") if row.role == "root" and row.status == "running")
    return row.run.hex()


def finish(device: Process) -> dict[str, Any]:
    outcome = device.outcome()
    assert outcome.status == 0, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def next_is(gate: Gates, path: str, process: Process) -> Held:
    held = gate.next()
    assert (held.path, held.who["pid"]) == (path, process.pid)
    return held


def test_a_node_that_ran_on_the_device_meanwhile_does_not_begin_at_the_worker(
    own_home: Path, tmp_path: Path, gate: Gates
) -> None:
    with serve(*AGENTS, home=own_home, cwd=tmp_path) as worker:
        run = left_about_to_begin(worker, own_home, tmp_path, gate)
        with start("resume", run, "--offline", *AGENTS, home=own_home, cwd=tmp_path) as device:
            next_is(gate, "a", device).release("from a")
            next_is(gate, "paid", device).release("paid")
            assert device.outcome().status == ExitStatus.SUSPENDED
        with start("resume", run, "--cloud", worker.url, "--json", *AGENTS, home=own_home, cwd=tmp_path) as device:
            next_is(gate, "end", worker).release("done")
            assert finish(device)["results"] == {"end": "done"}
        gate.nobody_else()
    assert of(own_home, "edge", Cancel)


def test_a_node_that_is_to_run_on_the_device_now_does_not_begin_at_the_worker(
    own_home: Path, tmp_path: Path, gate: Gates
) -> None:
    with serve(*AGENTS, home=own_home, cwd=tmp_path) as worker:
        run = left_about_to_begin(worker, own_home, tmp_path, gate)
        with start("resume", run, "--cloud", worker.url, "--json", *AGENTS, home=own_home, cwd=tmp_path) as device:
            next_is(gate, "paid", device).release("paid")
            next_is(gate, "end", worker).release("done")
            assert finish(device)["results"] == {"end": "done"}
        gate.nobody_else()


def test_a_node_that_ran_at_another_worker_meanwhile_does_not_begin_at_the_first(
    own_home: Path, tmp_path: Path, gate: Gates
) -> None:
    other = own_home / "another worker"
    other.mkdir()
    with serve(*AGENTS, home=own_home, cwd=tmp_path) as first, serve(*AGENTS, home=other, cwd=tmp_path) as second:
        run = left_about_to_begin(first, own_home, tmp_path, gate)
        with start("resume", run, "--cloud", second.url, home=own_home, cwd=tmp_path) as device:
            next_is(gate, "a", second).release("from a")
            next_is(gate, "paid", second).release("paid")
            held = next_is(gate, "end", second)
            until_made(own_home, "edge", "paid")  # `end` does not wait for that, and afterwards nobody could tell
            device.kill()
        second.kill()
        held.gone()
        with start("resume", run, "--cloud", first.url, "--json", home=own_home, cwd=tmp_path) as device:
            next_is(gate, "end", first).release("done")
            assert finish(device)["results"] == {"end": "done"}
        gate.nobody_else()
