"""What becomes of a run whose worker is not there, goes away in the middle, or comes back late; the processes and sockets are real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import impatient
from gates import Gates
from graphs.records import Input, Result
from logbook import entries, of, until, until_made
from processes import Process, graphferry, serve, start
from wiretap import tap

AGENTS = ("--agents", "gate_agents.py")


@pytest.fixture
def home(own_home: Path) -> Path:
    impatient(own_home)
    return own_home


def node(port: int, of: str, more: str = "", agent: str = "gateAgent") -> str:
    return f"{{agent: {agent}, params: {{port: {port}}}, inputs: {{of: {of}}}{more}}}"


def write(folder: Path, **nodes: str) -> None:
    lines = [f"  {name}: {text}\n" for name, text in nodes.items()]
    (folder / "g.yaml").write_text("version: 0.5\nnodes:\n" + "".join(lines), encoding="utf-8")


LOCAL = ", place: {at: cloud, offline: local}"
WAIT = ", place: {at: cloud, offline: wait}"


def report(process: Process, status: int = 0) -> dict[str, Any]:
    outcome = process.outcome()
    assert outcome.status == status, outcome.stderr
    assert "Traceback" not in outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def test_a_worker_killed_in_the_middle_is_stood_in_for_and_the_result_says_so(home: Path, tmp_path: Path, gate: Gates) -> None:
    write(tmp_path, far=node(gate.port, "1", LOCAL), end=node(gate.port, ":far", ", place: edge, isResult: true"))
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        held = gate.next()
        assert (held.path, held.who["pid"]) == ("far", worker.pid)
        worker.kill()
        held.gone()
        instead = gate.next()
        assert (instead.path, instead.who["pid"], instead.who["inputs"]) == ("far", device.pid, held.who["inputs"])
        assert instead.who["key"] == held.who["key"]
        instead.release("made here")
        gate.next().release("done")
        found = report(device)
    gate.nobody_else()
    assert found["results"] == {"end": "done"}
    far = found["nodes"]["far"]
    assert (far["place"], far["degraded"], far["by"]["degraded"]) == ("edge", "unreachable", "unreachable")
    assert "degraded" not in found["nodes"]["end"]
    (made,) = [record for record in of(home, "edge", Result) if record.path == "far"]
    assert (made.value, made.by["degraded"]) == ("made here", "unreachable")
    shown = graphferry("runs", "show", found["run"], home=home, cwd=tmp_path)
    assert "completed, degraded: unreachable" in shown.stdout


def test_a_worker_that_comes_back_first_is_taken_and_what_ran_here_is_stopped(home: Path, tmp_path: Path, gate: Gates) -> None:
    write(tmp_path, far=node(gate.port, "1", LOCAL), end=node(gate.port, ":far", ", place: edge, isResult: true"))
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        port = str(worker.port)
        with start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            held = gate.next()
            worker.kill()
            held.gone()
            instead = gate.next()
            assert instead.who["pid"] == device.pid
            with serve(*AGENTS, "--port", port, home=home, cwd=tmp_path) as again:
                late = gate.next()
                assert (late.path, late.who["pid"]) == ("far", again.pid)
                late.release("made there")
                instead.gone()
                end = gate.next()
                assert end.who["inputs"] == {"of": "made there"}
                end.release("done")
                found = report(device)
    gate.nobody_else()
    assert found["nodes"]["far"]["place"] == "cloud"
    assert "degraded" not in found["nodes"]["far"]
    assert [(row.role, record.path, record.value) for row, _, record in entries(home, "edge") if isinstance(record, Result)] == [
        ("root", "end", "done"),
        ("child", "far", "made there"),
    ]


def test_what_a_worker_makes_too_late_is_kept_and_what_still_waits_for_it_goes_on(
    home: Path, tmp_path: Path, gate: Gates
) -> None:
    write(
        tmp_path,
        far=node(gate.port, "1", LOCAL),
        other=node(gate.port, "2", WAIT),
        end=node(gate.port, ":far", ", place: edge, isResult: true"),
        after=node(gate.port, ":other", ", place: edge, isResult: true"),
    )
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        port = str(worker.port)
        with start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            held = [gate.next(), gate.next()]
            worker.kill()
            for each in held:
                each.gone()
            instead = gate.next()
            assert (instead.path, instead.who["pid"]) == ("far", device.pid)
            with serve(*AGENTS, "--port", port, home=home, cwd=tmp_path) as again:
                late = {each.path: each for each in (gate.next(), gate.next())}
                assert {each.who["pid"] for each in late.values()} == {again.pid}
                instead.release("made here")
                end = gate.next()
                assert (end.path, end.who["inputs"]) == ("end", {"of": "made here"})
                late["far"].gone()  # the worker was told that it need not any more
                late["other"].release("made there")
                after = gate.next()
                assert (after.path, after.who["inputs"]) == ("after", {"of": "made there"})
                end.release("done")
                after.release("done, too")
                found = report(device)
    gate.nobody_else()
    assert found["results"] == {"end": "done", "after": "done, too"}
    assert found["errors"] == {}
    assert {name: each.get("degraded") for name, each in found["nodes"].items()} == {
        "far": "unreachable",
        "other": None,
        "end": None,
        "after": None,
    }
    assert [record.value for record in of(home, "cloud", Input) if record.path == "far"] == ["made here"]


def test_a_node_that_must_not_happen_twice_is_left_to_the_worker(home: Path, tmp_path: Path, gate: Gates) -> None:
    write(tmp_path, far=node(gate.port, "1", LOCAL + ", isResult: true", agent="onceAgent"))
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        held = gate.next()
        worker.kill()
        held.gone()
        found = report(device, status=3)
    assert found["errors"]["far"]["code"] == "MAY_HAVE_BEGUN"
    outcome = graphferry("resume", found["run"], "--offline", "--json", *AGENTS, home=home, cwd=tmp_path)
    assert outcome.status == 3
    assert json.loads(outcome.stdout)["errors"]["far"]["code"] == "MAY_HAVE_BEGUN"
    gate.nobody_else()


def test_a_node_that_never_went_out_runs_here_whatever_it_does(home: Path, tmp_path: Path, gate: Gates) -> None:
    write(tmp_path, far=node(gate.port, "1", LOCAL + ", isResult: true", agent="onceAgent"))
    with start("run", "g.yaml", "--offline", "--json", *AGENTS, home=home, cwd=tmp_path) as device:
        gate.next().release("once")
        found = report(device)
    gate.nobody_else()
    assert (found["results"], found["nodes"]["far"]["degraded"]) == ({"far": "once"}, "unreachable")


def test_a_run_begun_offline_goes_on_at_the_worker_with_what_was_left(home: Path, tmp_path: Path, gate: Gates) -> None:
    write(
        tmp_path,
        far=node(gate.port, "1", LOCAL + ", isResult: true"),
        other=node(gate.port, ":far", WAIT + ", isResult: true"),
    )
    with start("run", "g.yaml", "--offline", "--json", *AGENTS, home=home, cwd=tmp_path) as device:
        gate.next().release("made here")
        found = report(device, status=3)
    assert found["errors"]["other"]["code"] == "UNREACHABLE"
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("resume", found["run"], "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        other = gate.next()
        assert (other.path, other.who["pid"], other.who["inputs"]) == ("other", worker.pid, {"of": "made here"})
        other.release("made there")
        found = report(device)
    gate.nobody_else()
    assert found["results"] == {"far": "made here", "other": "made there"}
    assert {name: each.get("degraded") for name, each in found["nodes"].items()} == {"far": "unreachable", "other": None}


def test_an_alternative_that_fails_leaves_the_node_to_the_worker(home: Path, tmp_path: Path, gate: Gates) -> None:
    local = ", isResult: true, place: {at: cloud, offline: local, local: {agent: failAgent, params: {text: no luck}}}"
    write(tmp_path, far=node(gate.port, "1", local))
    outcome = graphferry("run", "g.yaml", "--offline", "--json", *AGENTS, home=home, cwd=tmp_path)
    assert outcome.status == 3
    found = json.loads(outcome.stdout)
    assert found["errors"]["far"]["code"] == "ALTERNATIVE_FAILED"
    assert "no luck" in found["errors"]["far"]["message"]
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("resume", found["run"], "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        gate.next().release("made there")
        assert report(device)["results"] == {"far": "made there"}


def test_a_node_that_may_not_wait_fails_when_the_worker_goes_away(home: Path, tmp_path: Path, gate: Gates) -> None:
    write(tmp_path, far=node(gate.port, "1", ", retry: 3, isResult: true, place: cloud"))
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start(
            "run", "g.yaml", "--cloud", worker.url, "--when-offline", "fail", "--json", *AGENTS, home=home, cwd=tmp_path
        ) as device,
    ):
        held = gate.next()
        worker.kill()
        held.gone()
        found = report(device, status=1)
    assert (found["status"], found["errors"]["far"]["code"]) == ("failed", "WORKER_NEEDED")
    assert (found["nodes"]["far"]["retry"], found["nodes"]["far"]["by"]) == (0, {})
    gate.nobody_else()


def test_a_connection_is_not_waited_for_beyond_the_deadline(home: Path, tmp_path: Path, gate: Gates) -> None:
    impatient(home, grace=10_000)
    write(tmp_path, far=node(gate.port, "1", LOCAL + ", isResult: true"))
    words = ("run", "g.yaml", "--deadline", "2h", "--json", *AGENTS)
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start(*words, "--cloud", worker.url, home=home, cwd=tmp_path) as device,
    ):
        held = gate.next()
        worker.kill()
        held.gone()
        instead = gate.next()
        assert instead.who["pid"] == device.pid
        instead.release("made here")
        found = report(device)
    assert found["nodes"]["far"]["degraded"] == "deadline"
    gate.nobody_else()


def test_rows_of_a_map_run_here_where_the_worker_did_not_finish_them(home: Path, tmp_path: Path, gate: Gates) -> None:
    inner = f"{{nodes: {{in: {node(gate.port, ':row', ', isResult: true')}}}}}"
    write(
        tmp_path,
        rows="{value: [1, 2]}",
        far=f"{{agent: mapAgent, isResult: true, inputs: {{rows: :rows}}{LOCAL}, graph: {inner}}}",
    )
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        start("run", "g.yaml", "--cloud", worker.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        held = {each.path: each for each in (gate.next(), gate.next())}
        assert {each.who["pid"] for each in held.values()} == {worker.pid}
        worker.kill()
        for each in held.values():
            each.gone()
        for _ in held:
            row = gate.next()
            assert row.who["pid"] == device.pid
            row.release(row.who["inputs"]["of"] * 10)
        found = report(device)
    gate.nobody_else()
    assert found["results"] == {"far": [{"in": 10}, {"in": 20}]}
    assert {name: each.get("degraded") for name, each in found["nodes"].items()} == {
        "far": None,
        "far[0]/in": "unreachable",
        "far[1]/in": "unreachable",
    }


def test_what_the_worker_finished_while_nobody_reached_it_is_kept_beside_the_result(
    home: Path, tmp_path: Path, gate: Gates
) -> None:
    write(
        tmp_path,
        far=node(gate.port, "1", LOCAL),
        other=node(gate.port, "2", WAIT),
        end=node(gate.port, ":far", ", place: edge, isResult: true"),
        after=node(gate.port, ":other", ", place: edge, isResult: true"),
    )
    with (
        serve(*AGENTS, home=home, cwd=tmp_path) as worker,
        tap(worker.url) as line,
        start("run", "g.yaml", "--cloud", line.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device,
    ):
        held = {each.path: each for each in (gate.next(), gate.next())}
        line.part()
        instead = gate.next()
        assert (instead.path, instead.who["pid"]) == ("far", device.pid)
        instead.release("made here")
        end = gate.next()
        assert end.who["inputs"] == {"of": "made here"}
        held["far"].release("made there")
        until_made(home, "cloud", "far")
        held["other"].release("made there, too")
        line.join()
        after = gate.next()  # what came before in the worker's log has come, too
        assert after.who["inputs"] == {"of": "made there, too"}
        end.release("done")
        after.release("done, too")
        found = report(device)
    gate.nobody_else()
    assert found["nodes"]["far"]["degraded"] == "unreachable"
    results = [
        (row.role, record.value)
        for row, _, record in entries(home, "edge")
        if isinstance(record, Result) and record.path == "far"
    ]
    assert results == [("root", "made here"), ("child", "made there")]
    shown = graphferry("runs", "show", found["run"], home=home, cwd=tmp_path).stdout
    assert "far (kept)" in shown
    assert "completed too late" in shown


@pytest.mark.parametrize("comes_back", [False, True])
def test_nothing_follows_from_a_result_that_came_too_late(home: Path, tmp_path: Path, gate: Gates, comes_back: bool) -> None:
    write(
        tmp_path,
        far=node(gate.port, "1", LOCAL),
        last=node(gate.port, ":far", WAIT + ", isResult: true"),
        busy=node(gate.port, ":far", ", place: edge"),
    )
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker, tap(worker.url) as line:
        with start("run", "g.yaml", "--cloud", line.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            far = gate.next()
            line.part()
            instead = gate.next()
            assert (instead.path, instead.who["pid"]) == ("far", device.pid)
            far.release("made there")
            last = gate.next()
            assert (last.path, last.who["inputs"]) == ("last", {"of": "made there"})
            last.release("from there")
            instead.release("made here")
            busy = gate.next()
            assert busy.who["inputs"] == {"of": "made here"}
            if comes_back:
                line.join()
                wait_for_late(home)
            busy.release("done")
            found = report(device, status=3)
        line.join()
        assert found["results"] == {}
        with start("resume", found["run"], "--cloud", line.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            last = gate.next()
            assert (last.path, last.who["inputs"]) == ("last", {"of": "made here"})
            last.release("from here")
            found = report(device)
    gate.nobody_else()
    assert found["results"] == {"last": "from here"}
    assert found["nodes"]["far"]["degraded"] == "unreachable"


def wait_for_late(home: Path) -> None:
    """Returns when the worker's late results are in the device's journal."""
    until(lambda: any(record.value == "from there" for record in of(home, "edge", Result)))
