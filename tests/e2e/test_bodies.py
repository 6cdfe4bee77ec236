"""Large values between device and worker: they cross when somebody reads them, once, and go on where they were when either side died."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ferry import Ferry
from gates import gates
from graphs.environment import ExitStatus
from graphs.journal import Journal
from graphs.records import Cancel, Result, encode
from logbook import made, of, runs
from processes import Process, Worker, serve, start
from wiretap import Tap, tap

AGENTS = ("--agents", "gate_agents.py")
SIZE = 5_000_000
HALF = SIZE // 2
PATIENCE = 120


def write_graph(folder: Path, places: tuple[str, str], size: int = SIZE) -> None:
    """`big` makes a large value, `end` reads it."""
    text = f"""\
version: 0.5
nodes:
  big: {{agent: bigAgent, place: {places[0]}, params: {{bytes: {size}}}}}
  end: {{agent: lengthAgent, place: {places[1]}, isResult: true, inputs: {{of: :big}}}}
"""
    (folder / "g.yaml").write_text(text, encoding="utf-8")


def moved(line: Tap, way: str) -> int:
    """Bytes that went that way."""
    return sum(len(getattr(each, way)) for each in line.connections)


def test_a_large_value_that_only_the_worker_reads_is_never_transferred(ferry: Ferry, home: Path) -> None:
    text = """\
version: 0.5
nodes:
  seed: {value: 50000000}
  big: {agent: bigAgent, place: cloud, params: {bytes: 50000000}, inputs: {of: :seed}}
  length: {agent: lengthAgent, place: cloud, inputs: {of: :big}}
  end: {agent: whereAgent, place: edge, isResult: true, inputs: {length: :length}}
"""
    found = ferry(text)
    assert found["results"]["end"]["length"] == 50_000_000, ferry.outcome.stderr
    assert sum(len(each.down) + len(each.up) for each in ferry.connections) < 20_000
    assert {result.path for result in of(home, "edge", Result)} >= {"big", "length"}


def test_it_is_transferred_if_all_values_are_asked_for(ferry: Ferry) -> None:
    found = ferry(
        """\
version: 0.5
nodes:
  big: {agent: bigAgent, place: cloud, params: {bytes: 300000}}
  length: {agent: lengthAgent, place: cloud, isResult: true, inputs: {of: :big}}
""",
        "--all",
    )
    assert len(found["results"]["big"]) == 300_000
    assert found["nodes"]["big"]["bytes"]["down"] >= 300_000


def test_a_loop_hands_a_large_value_on_without_having_it(ferry: Ferry) -> None:
    """The device turns the loop, and what it carries from turn to turn stays at the worker."""
    found = ferry(
        """\
version: 0.5
loop: {count: 3}
nodes:
  held: {value: "", update: ":big"}
  turn: {agent: whereAgent, place: edge, inputs: {t: 1}}
  was: {agent: lengthAgent, place: cloud, isResult: true, inputs: {of: :held}}
  big: {agent: bigAgent, place: cloud, params: {bytes: 200000}, inputs: {after: [:turn, :was]}}
"""
    )
    assert found["results"] == {"was": 200_000}, ferry.outcome.stderr
    assert sum(len(each.down) + len(each.up) for each in ferry.connections) < 30_000


def test_a_node_here_hands_a_large_value_on_without_having_it(ferry: Ferry) -> None:
    found = ferry(
        """\
version: 0.5
nodes:
  big: {agent: bigAgent, place: cloud, params: {bytes: 3000000}}
  copy: {agent: copyAgent, place: edge, inputs: {x: :big}}
  length: {agent: lengthAgent, place: cloud, isResult: true, inputs: {of: :copy.x}}
"""
    )
    assert found["results"] == {"length": 3_000_000}, ferry.outcome.stderr
    assert sum(len(each.down) + len(each.up) for each in ferry.connections) < 20_000


@pytest.mark.parametrize("again", [False, True])
def test_a_large_graph_crosses_once(ferry: Ferry, again: bool) -> None:
    words = random.Random(7).randbytes(400_000).hex()
    text = f"""\
version: 0.5
nodes:
  end: {{agent: lengthAgent, place: cloud, isResult: true, inputs: {{of: "{words}"}}}}
"""
    for _ in range(1 + again):
        assert ferry(text)["results"] == {"end": 800_000}, ferry.outcome.stderr
    up = sum(len(each.up) for each in ferry.connections)
    assert up < 20_000 if again else 400_000 < up < 600_000


def resume(worker: Worker, home: Path, cwd: Path, way: str) -> int:
    """Go on with the run to its end; the bytes that went over the wire then."""
    (row,) = (row for row in runs(home, "edge") if row.role == "root")
    with (
        tap(worker.url) as line,
        start("resume", row.run.hex(), "--cloud", line.url, "--json", home=home, cwd=cwd) as device,
    ):
        assert f'"end": {SIZE}' in told(device)
        return moved(line, way)


def told(device: Process) -> str:
    outcome = device.outcome()
    assert outcome.status == 0, outcome.stderr
    return outcome.stdout


@pytest.mark.parametrize("dies", ["device", "worker"])
@pytest.mark.parametrize(("places", "way"), [(("cloud", "edge"), "down"), (("edge", "cloud"), "up")], ids=["down", "up"])
def test_a_body_goes_on_from_where_it_was_when_either_side_is_killed(
    own_home: Path, tmp_path: Path, places: tuple[str, str], way: str, dies: str
) -> None:
    with gates(tmp_path):
        write_graph(tmp_path, places)
        with (
            serve(*AGENTS, home=own_home, cwd=tmp_path) as worker,
            tap(worker.url, stall=(way, HALF)) as line,
            start("run", "g.yaml", "--cloud", line.url, *AGENTS, home=own_home, cwd=tmp_path) as device,
        ):
            assert line.stalled.wait(PATIENCE)
            # the reader has kept what came: it asks for more only then
            if dies == "worker":
                worker.kill()
                assert device.outcome().status in (ExitStatus.SUSPENDED, ExitStatus.UNREACHABLE)
                with serve(*AGENTS, home=own_home, cwd=tmp_path) as again:
                    rest = resume(again, own_home, tmp_path, way)
            else:
                device.kill()
                rest = resume(worker, own_home, tmp_path, way)
        assert SIZE - HALF < rest < SIZE - HALF + 1_500_000


def test_bodies_are_where_their_journal_is_and_pinned_by_their_run(ferry: Ferry, home: Path) -> None:
    write_graph(ferry.cwd, ("cloud", "edge"))
    assert ferry((ferry.cwd / "g.yaml").read_text())["results"] == {"end": SIZE}
    for side in ("edge", "cloud"):
        with Journal.open(home / side / "journal.db") as journal:
            (row,) = journal.bodies()
            assert row.size == journal.body_files.held(row.scope, row.name)[0] > SIZE


WAITING = """\
version: 0.5
nodes:
  big: {{agent: bigAgent, place: cloud, params: {{bytes: {size}}}}}
  rows:
    agent: mapAgent
    place: cloud
    inputs: {{rows: [1, 2]}}
    graph:
      nodes:
        each: {{agent: bigAgent, params: {{bytes: {size}}}, inputs: {{of: :row}}}}
        length: {{agent: lengthAgent, isResult: true, inputs: {{of: :each}}}}
  length: {{agent: lengthAgent, place: cloud, inputs: {{of: :big}}}}
  wait: {{agent: gateAgent, place: edge, params: {{port: {port}}}, inputs: {{a: :length, b: :rows}}}}
  end: {{agent: lengthAgent, place: cloud, isResult: true, inputs: {{of: :big, after: :wait}}}}
"""


@pytest.mark.parametrize("left", ["open", "ended", "lost", "damaged"])
def test_a_resumed_run_does_not_fetch_what_nobody_here_reads(own_home: Path, tmp_path: Path, left: str) -> None:
    """`open`: its child run goes on; `ended`: what is left goes to another one; `lost`: there, and the worker has lost the value meanwhile;
    `damaged`: or cannot read it any more.
    """
    with gates(tmp_path) as gate, serve(*AGENTS, home=own_home, cwd=tmp_path) as worker:
        (tmp_path / "g.yaml").write_text(WAITING.format(size=SIZE, port=gate.port), encoding="utf-8")
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=own_home, cwd=tmp_path) as device:
            held = gate.next()
            device.kill()
            held.gone()
        (row,) = (row for row in runs(own_home, "edge") if row.role == "root")
        if left != "open":
            with Journal.open(own_home / "edge" / "journal.db") as journal:
                (child,) = journal.children(row.run)
                journal.append(child.run, encode(Cancel(None, "the test wants another one")))
        for path in (own_home / "cloud").glob("journal.db-bodies/*/*"):
            if left == "lost":
                path.unlink()
            elif left == "damaged":
                path.write_bytes(path.read_bytes()[:-1] + b"?")
        total, status = 0, -1
        for _ in range(3):
            with (
                tap(worker.url) as line,
                start("resume", row.run.hex(), "--cloud", line.url, "--json", *AGENTS, home=own_home, cwd=tmp_path) as device,
            ):
                if "wait" not in [path for path, _ in made(own_home, "edge")]:
                    gate.next().release("go on")
                outcome = device.outcome()
                total += moved(line, "down") + moved(line, "up")
                status = outcome.status
            assert left in ("lost", "damaged") or status == 0, outcome.stderr
            if status == 0:
                assert f'"end": {SIZE}' in outcome.stdout
                break
        assert status == 0
        gate.nobody_else()
    assert total < 40_000
    assert [result.path for result in of(own_home, "cloud", Result)].count("big") == (2 if left in ("lost", "damaged") else 1)


@pytest.mark.parametrize("words", [("fork", "RUN"), ("replay", "RUN", "--from", "length")], ids=["fork", "replay"])
def test_a_fork_leaves_a_value_that_nobody_here_reads_where_it_is(own_home: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    text = f"""\
version: 0.5
nodes:
  big: {{agent: bigAgent, place: cloud, params: {{bytes: {SIZE}}}}}
  length: {{agent: lengthAgent, place: cloud, inputs: {{of: :big}}}}
  end: {{agent: lengthAgent, place: cloud, isResult: true, inputs: {{of: :big, after: :length}}}}
"""
    with gates(tmp_path), serve(*AGENTS, home=own_home, cwd=tmp_path) as worker:
        (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
        with start("run", "g.yaml", "--cloud", worker.url, *AGENTS, home=own_home, cwd=tmp_path) as device:
            told(device)
        (row,) = (row for row in runs(own_home, "edge") if row.role == "root")
        with tap(worker.url) as line:
            cloud = ("--cloud", line.url) if words[0] == "replay" else ()
            more = ("--json", *AGENTS) if words[0] == "replay" else ()
            with start(
                "runs", *(row.run.hex() if word == "RUN" else word for word in words), *cloud, *more, home=own_home, cwd=tmp_path
            ) as device:
                told(device)
            if words[0] == "fork":
                *_, fork = (each for each in runs(own_home, "edge") if each.role == "root")
                with start(
                    "resume", fork.run.hex(), "--cloud", line.url, "--json", *AGENTS, home=own_home, cwd=tmp_path
                ) as device:
                    assert f'"end": {SIZE}' in told(device)
            assert moved(line, "down") + moved(line, "up") < 20_000
        made_there = [result.path for result in of(own_home, "cloud", Result)]
        assert made_there.count("big") == 1
        assert made_there.count("length") == (2 if words[0] == "replay" else 1)
