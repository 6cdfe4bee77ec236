"""A run that goes on is handed over while it does, by real processes: what runs finishes, nothing runs twice, and one store holds the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import impatient
from gates import Gates, gates
from graphs.engine.holding import holding
from graphs.records import End, EndStatus, Handover
from logbook import begun, entries, made, of, runs, store, until_made
from processes import Process, graphferry, serve, start

AGENTS = ("--agents", "gate_agents.py")
GRAPH = """\
version: 0.5
nodes:
  one: {{agent: gateAgent, params: {{port: {port}}}, place: edge, inputs: {{}}}}
  act: {{agent: onceAgent, params: {{port: {port}}}, place: edge, inputs: {{}}}}
  two: {{agent: gateAgent, params: {{port: {port}}}, place: edge, inputs: {{of: :one}}}}
  far: {{agent: gateAgent, params: {{port: {port}}}, inputs: {{of: :act}}, place: cloud}}
  end: {{agent: gateAgent, params: {{port: {port}}}, isResult: true, inputs: {{of: :far}}, place: cloud}}
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


def root_run(home: Path) -> str:
    (row,) = (row for row in runs(home, "edge") if row.role == "root")
    return row.run.hex()


def holder(home: Path, side: str) -> bytes:
    """Who holds the run, as that side sees it."""
    root = bytes.fromhex(root_run(home))
    found = holding((writer, record) for row, writer, record in entries(home, side) if row.run == root)
    assert found is not None
    return found.holder


def test_a_live_run_is_handed_over_when_what_runs_here_has_finished(home: Path, tmp_path: Path, gate: Gates) -> None:
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device:
            held = {each.path: each for each in (gate.next(), gate.next())}
            assert set(held) == {"one", "act"}
            with start("runs", "push", root_run(home), "--continue", "--cloud", worker.url, home=home, cwd=tmp_path) as pushes:
                assert "it finishes what it has begun" in pushes.error_line()
                held["one"].release(1)
                held["act"].release(2)
                outcome = device.outcome()
                pushed = pushes.outcome()
        assert outcome.status == 3, outcome.stderr
        assert "to be handed over" in outcome.stderr
        assert "graphferry resume" not in outcome.stderr
        assert "Who holds the run now" in outcome.stderr
        assert pushed.status == 0, pushed.stderr
        assert holder(home, "edge") == store(home, "cloud")
        assert graphferry("resume", root_run(home), "--cloud", worker.url, home=home, cwd=tmp_path).status == 2
        for path in ("far", "end"):  # the worker goes on, and `two` waits for a device
            there = gate.next()
            assert (there.path, there.who["pid"]) == (path, worker.pid)
            there.release(path)
        until_made(home, "cloud", "end")
        pulled = graphferry("runs", "pull", root_run(home), "--cloud", worker.url, home=home, cwd=tmp_path)
        assert pulled.status == 0, pulled.stderr
        with start("resume", root_run(home), "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as device:
            two = gate.next()
            assert (two.path, two.who["pid"]) == ("two", device.pid)
            two.release("two")
            done = device.outcome()
        assert done.status == 0, done.stderr
        assert '"end": "end"' in done.stdout
    gate.nobody_else()
    assert sorted(path for path, _ in made(home, "edge")) == ["act", "end", "far", "one", "two"]
    assert [each.path for each in begun(home, "edge")] == ["act"]


DIARY = """\
  diary: {{value: a secret, sensitivity: private}}
  read: {{agent: copyAgent, place: edge, inputs: {{x: :diary}}}}
"""


@pytest.mark.parametrize(("why", "status"), [("its values carry private", 1), ("cannot be reached", 4)])
def test_a_live_run_that_the_worker_does_not_get_goes_on_here(
    home: Path, tmp_path: Path, gate: Gates, why: str, status: int
) -> None:
    text = (GRAPH.replace("place: cloud", "place: edge") + DIARY * ("private" in why)).format(port=gate.port)
    (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker, start("run", "g.yaml", *AGENTS, home=home, cwd=tmp_path) as device:
        held = [gate.next(), gate.next()]
        url = worker.url if "private" in why else "ws://127.0.0.1:1/v1/link"
        pushed = graphferry("runs", "push", root_run(home), "--continue", "--cloud", url, home=home, cwd=tmp_path)
        assert (pushed.status, why in pushed.stderr) == (status, True), pushed.stderr
        for each in held:
            each.release(each.path)
        for _ in range(3):  # it begins what follows
            here = gate.next()
            here.release(here.path)
        assert device.outcome().status == 0
    gate.nobody_else()


@pytest.mark.parametrize("reached", [True, False])
def test_a_live_run_is_cancelled_where_it_is(home: Path, tmp_path: Path, gate: Gates, reached: bool) -> None:
    """The process that works on it ends it at once, whatever it has begun, and what runs at the worker ends, too."""
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        where = ("--cloud", worker.url) if reached else ("--offline",)
        with start("run", "g.yaml", *where, *AGENTS, "--json", home=home, cwd=tmp_path) as device:
            held = {each.path: each for each in (gate.next(), gate.next())}
            held["act"].release(2)
            if reached:
                held["far"] = gate.next()
            until_made(home, "edge", "act")
            cancelled = graphferry("runs", "cancel", root_run(home), "--cloud", worker.url, home=home, cwd=tmp_path)
            assert cancelled.status == 0, cancelled.stderr
            assert "is told to end it" in cancelled.stderr
            ended = device.outcome()
            for path in held.keys() - {"act"}:
                held[path].gone()
        assert ended.status == 130, ended.stderr
        assert json.loads(ended.stdout)["status"] == "cancelled"
        assert "was cancelled by another process" in ended.stderr
        gate.nobody_else()
        again = graphferry("resume", root_run(home), "--cloud", worker.url, home=home, cwd=tmp_path)
        assert (again.status, "is cancelled" in again.stderr) == (2, True)
        (end,) = [each for row, _, each in entries(home, "edge") if row.role == "root" and isinstance(each, End)]
        assert end.status == EndStatus.CANCELLED
    assert sorted(path for path, _ in made(home, "edge")) == ["act"]


def test_of_two_that_hand_a_live_run_over_one_does(home: Path, tmp_path: Path, gate: Gates) -> None:
    push = ("--continue", "--cloud")
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=home, cwd=tmp_path) as device:
            held = [gate.next(), gate.next()]
            run = root_run(home)
            with (
                start("runs", "push", run, *push, worker.url, home=home, cwd=tmp_path) as first,
                start("runs", "push", run, *push, worker.url, home=home, cwd=tmp_path) as second,
            ):
                asked: list[Process] = [first, second]
                for process in asked:
                    assert "it finishes what it has begun" in process.error_line()
                for each in held:
                    each.release(each.path)
                outcomes = [process.outcome() for process in asked]
                assert device.outcome().status == 3
        assert sorted(each.status for each in outcomes) == [0, 2], [each.stderr for each in outcomes]
        assert "is held by the store" in next(each.stderr for each in outcomes if each.status)
        given = [each for each in of(home, "edge", Handover) if each.to != store(home, "edge")]
        assert [(each.to, each.epoch) for each in given] == [(store(home, "cloud"), 2)]
        for _ in range(2):
            there = gate.next()
            there.release(there.path)
        until_made(home, "cloud", "end")
    gate.nobody_else()


def test_a_live_run_that_nobody_takes_rests_here_and_goes_on(home: Path, tmp_path: Path, gate: Gates) -> None:
    text = GRAPH.replace("place: cloud", "place: edge").format(port=gate.port)
    (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        held = [gate.next(), gate.next()]
        run = root_run(home)
        with start("runs", "push", run, "--continue", "--cloud", worker.url, home=home, cwd=tmp_path) as pushes:
            assert "it finishes what it has begun" in pushes.error_line()
            worker.kill()  # it has a copy, and is gone before it could have the run
            for each in held:
                each.release(each.path)
            assert device.outcome().status == 3
            assert pushes.outcome().status == 4
    with start("resume", run, "--json", home=home, cwd=tmp_path) as device:
        for _ in range(3):
            here = gate.next()
            here.release(here.path)
        assert device.outcome().status == 0
    gate.nobody_else()
    assert of(home, "edge", Handover) == []
