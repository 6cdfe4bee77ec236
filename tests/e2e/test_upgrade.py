"""Upgrades where the worker had the better result already: it is used, and nothing is computed for it again; processes and sockets are real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import impatient
from gates import Gates
from graphs.records import Result
from logbook import of, until_made
from processes import Process, graphferry, serve, start
from wiretap import tap

AGENTS = ("--agents", "gate_agents.py")
LOCAL = ", place: {at: cloud, offline: local}"
WAIT = ", place: {at: cloud, offline: wait}"


@pytest.fixture
def home(own_home: Path) -> Path:
    impatient(own_home)
    return own_home


def write(folder: Path, port: int, **nodes: tuple[str, str]) -> None:
    lines = [
        f"  {name}: {{agent: gateAgent, params: {{port: {port}}}, inputs: {{of: {of}}}{more}}}\n"
        for name, (of, more) in nodes.items()
    ]
    (folder / "g.yaml").write_text("version: 0.5\nnodes:\n" + "".join(lines), encoding="utf-8")


def report(process: Process) -> dict[str, Any]:
    outcome = process.outcome()
    assert outcome.status == 0, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def values(home: Path, tmp_path: Path, run: str) -> dict[str, Any]:
    shown = json.loads(graphferry("runs", "show", run, "--json", home=home, cwd=tmp_path).stdout)
    return {each["path"]: each["value"] for each in shown["records"] if each["type"] == "result"}


def test_what_came_too_late_is_used_and_not_made_again(home: Path, tmp_path: Path, gate: Gates) -> None:
    write(
        tmp_path,
        gate.port,
        far=("1", LOCAL),
        other=("2", WAIT),
        end=(":far", ", place: edge, isResult: true"),
        after=(":other", ", place: edge, isResult: true"),
    )
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker, tap(worker.url) as line:
        with start("run", "g.yaml", "--cloud", line.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            held = {each.path: each for each in (gate.next(), gate.next())}
            line.part()
            gate.next().release("made here")
            end = gate.next()
            held["far"].release("made there")
            until_made(home, "cloud", "far")
            held["other"].release("made there, too")
            line.join()
            after = gate.next()  # what came before in the worker's log has come, too
            end.release("from here")
            after.release("done")
            first = report(device)
        assert first["results"] == {"end": "from here", "after": "done"}
        with start("sync", "--upgrade", "--cloud", line.url, "--json", home=home, cwd=tmp_path) as syncing:
            again = gate.next()
            assert (again.path, again.who["inputs"], again.who["pid"]) == ("end", {"of": "made there"}, syncing.pid)
            again.release("from there")
            (done,) = report(syncing)["upgraded"]
        gate.nobody_else()
        assert (done["status"], done["again"], done["late"]) == ("completed", [], ["far"])
        assert values(home, tmp_path, done["fork"]) == {
            "far": "made there",
            "other": "made there, too",
            "end": "from there",
            "after": "done",
        }
        (far,) = [each for each in of(home, "edge", Result) if each.path == "far" and "from" in each.by]
        assert "degraded" not in far.by
        assert values(home, tmp_path, first["run"])["end"] == "from here"


def test_so_is_what_the_worker_made_of_it(home: Path, tmp_path: Path, gate: Gates) -> None:
    """It went on from its own value, in a course of things that did not become the run's; in the upgrade that is how it was."""
    write(tmp_path, gate.port, far=("1", LOCAL), last=(":far", LOCAL + ", isResult: true"))
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker, tap(worker.url) as line:
        with start("run", "g.yaml", "--cloud", line.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            far = gate.next()
            line.part()
            here = gate.next()
            far.release("far there")
            last = gate.next()
            assert last.who["inputs"] == {"of": "far there"}
            last.release("last there")
            until_made(home, "cloud", "last")
            here.release("far here")
            last_here = gate.next()
            assert last_here.who["inputs"] == {"of": "far here"}
            last_here.release("last here")
            first = report(device)
        line.join()
        assert first["results"] == {"last": "last here"}
        with start("sync", "--upgrade", "--cloud", line.url, "--json", home=home, cwd=tmp_path) as syncing:
            (done,) = report(syncing)["upgraded"]
        gate.nobody_else()
        assert (done["status"], done["again"], done["late"]) == ("completed", [], ["far", "last"])
        assert values(home, tmp_path, done["fork"]) == {"far": "far there", "last": "last there"}


def test_a_large_value_that_came_too_late_and_is_only_handed_on_is_not_fetched(home: Path, tmp_path: Path, gate: Gates) -> None:
    """Nor is it made again: its hash says what the worker made of it."""
    write(tmp_path, gate.port, last=(":far", LOCAL), after=(":last", ", place: edge, isResult: true"))
    with (tmp_path / "g.yaml").open("a") as file:
        file.write(f"  far: {{agent: swellAgent, params: {{port: {gate.port}}}{LOCAL}}}\n")
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        with tap(worker.url) as line:
            with start("run", "g.yaml", "--cloud", line.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
                there = gate.next()
                line.part()
                gate.next().release(3)
                gate.next().release("of xxx")
                after = gate.next()
                assert after.who["inputs"] == {"of": "of xxx"}
                there.release(200_000)
                last = gate.next()
                assert last.who["inputs"] == {"of": "x" * 200_000}
                last.release("of many")
                until_made(home, "cloud", "last")
                line.join()
                after.release("done")
                first = report(device)["run"]
            assert graphferry("sync", "--cloud", line.url, home=home, cwd=tmp_path).status == 0
        with tap(worker.url) as line:
            with start("sync", "--upgrade", "--cloud", line.url, "--json", home=home, cwd=tmp_path) as syncing:
                again = gate.next()
                assert (again.path, again.who["inputs"]) == ("after", {"of": "of many"})
                again.release("done again")
                (done,) = report(syncing)["upgraded"]
            moved = sum(len(each.down) for each in line.connections)
        gate.nobody_else()
    assert (done["run"], done["status"], done["again"], done["late"]) == (first, "completed", [], ["far", "last"])
    assert moved < 20_000
    assert values(home, tmp_path, done["fork"])["after"] == "done again"


def test_a_large_value_that_is_still_at_the_worker_is_fetched_and_not_made_again(home: Path, tmp_path: Path, gate: Gates) -> None:
    write(tmp_path, gate.port, far=("1", LOCAL), reads=(":large", WAIT), end=(":far", ", place: edge, isResult: true"))
    with (tmp_path / "g.yaml").open("a") as file:
        file.write("  large: {agent: bigAgent, params: {bytes: 200000}, place: cloud}\n")
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker, tap(worker.url) as line:
        with start("run", "g.yaml", "--cloud", line.url, "--json", *AGENTS, home=home, cwd=tmp_path) as device:
            held = {each.path: each for each in (gate.next(), gate.next())}
            assert held["reads"].who["inputs"] == {"of": "x" * 200_000}
            line.part()
            gate.next().release("made here")
            end = gate.next()
            assert end.who["inputs"] == {"of": "made here"}
            held["far"].release("made there")
            until_made(home, "cloud", "far")
            held["reads"].release("read")
            until_made(home, "cloud", "reads")
            line.join()
            end.release("from here")
            outcome = device.outcome()
        first = json.loads(outcome.stdout)["run"]
        if outcome.status:  # it was over before what the worker made had come
            assert graphferry("sync", "--cloud", line.url, home=home, cwd=tmp_path).status == 0
        with start("sync", "--upgrade", "--cloud", line.url, "--json", home=home, cwd=tmp_path) as syncing:
            again = gate.next()
            assert (again.path, again.who["inputs"]) == ("end", {"of": "made there"})
            again.release("from there")
            (done,) = report(syncing)["upgraded"]
        gate.nobody_else()
    assert (done["run"], done["status"], done["late"]) == (first, "completed", ["far"])
    made = values(home, tmp_path, done["fork"])
    assert (made["far"], made["end"], made["reads"]) == ("made there", "from there", "read")
    assert [each.path for each in of(home, "cloud", Result)].count("large") == 1


def test_an_upgrade_that_was_cut_off_goes_on_and_repeats_no_effect(home: Path, tmp_path: Path, gate: Gates) -> None:
    """What the worker makes comes to the same as what stood in: so an effect that followed counts, also for the process that goes on."""
    write(tmp_path, gate.port, far=("1", LOCAL), reads=(":far", ", place: edge"))
    with (tmp_path / "g.yaml").open("a") as file:
        file.write(
            f"  deed: {{agent: onceAgent, params: {{port: {gate.port}}}, inputs: {{of: :reads}}, place: edge, isResult: true}}\n"
        )
    with start("run", "g.yaml", "--offline", "--json", *AGENTS, home=home, cwd=tmp_path) as device:
        for value in ("the same", "read", "done"):
            gate.next().release(value)
        assert report(device)["results"] == {"deed": "done"}
    with serve(*AGENTS, home=home, cwd=tmp_path) as worker:
        port = str(worker.port)
        with start("sync", "--upgrade", "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as syncing:
            far = gate.next()
            assert (far.path, far.who["pid"]) == ("far", worker.pid)
            worker.kill()
            far.gone()
            outcome = syncing.outcome()
    assert outcome.status != 0, "the worker went away in the middle"
    with serve(*AGENTS, "--port", port, home=home, cwd=tmp_path) as worker:
        with start("sync", "--cloud", worker.url, "--json", home=home, cwd=tmp_path) as syncing:
            again = gate.next()
            assert (again.path, again.who["pid"]) == ("far", worker.pid)
            again.release("the same")
            found = report(syncing)
        assert [each["status"] for each in found["went_on"]] == ["completed"]
        assert (
            json.loads(graphferry("sync", "--upgrade", "--cloud", worker.url, "--json", home=home, cwd=tmp_path).stdout)[
                "upgraded"
            ]
            == []
        )
    gate.nobody_else()
