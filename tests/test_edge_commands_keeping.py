from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest

from conftest import CommandLine
from edge.runs.at_work import at_work
from gates import AGENTS
from workers import worker

GRAPH = """\
version: 0.5
nodes:
  big: {agent: bigAgent, place: edge, params: {bytes: 300000}}
  far: {agent: copyAgent, place: cloud, inputs: {of: :big}}
  end: {agent: lengthAgent, place: edge, isResult: true, inputs: {of: :far.of}}
"""
WAITING = "version: 0.5\nnodes:\n  far: {agent: copyAgent, place: cloud, isResult: true, inputs: {of: 1}}\n"


@pytest.fixture
def run(cli: CommandLine, own_home: Path, tmp_path: Path) -> str:
    """A run that is over, with a large value and a child run."""
    (tmp_path / "gate_agents.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    with worker(own_home) as served:
        outcome = cli("run", "g.yaml", "--cloud", served.url, "--agents", "gate_agents.py", "--json")
    assert outcome.status == 0, outcome.stderr
    return str(json.loads(outcome.stdout)["run"])


def test_a_run_goes_into_a_file_away_and_back(cli: CommandLine, run: str, tmp_path: Path, own_home: Path) -> None:
    before = cli("runs", "show", run, "--json").stdout
    outcome = cli("runs", "export", run, "--out", "kept.gfrun")
    assert outcome.status == 0, outcome.stderr
    assert "kept.gfrun: run " in outcome.stdout
    assert "1 child run" in outcome.stdout, outcome.stdout
    assert stat.S_IMODE((tmp_path / "kept.gfrun").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir() if "kept" in each.name] == ["kept.gfrun"]
    assert "is there already" in cli("runs", "export", run, "--out", "kept.gfrun").stderr
    assert "is here already" in cli("runs", "import", "kept.gfrun").stderr

    assert cli("runs", "rm", run).status == 0
    assert cli("runs").stdout == "no runs yet\n"
    assert cli("runs", "import", "kept.gfrun").status == 0
    assert cli("runs", "show", run, "--json").stdout == before


def test_what_is_no_archive_is_told(cli: CommandLine, tmp_path: Path) -> None:
    assert "cannot be read" in cli("runs", "import", "nothing.gfrun").stderr
    (tmp_path / "letter.txt").write_text("Dear all")
    outcome = cli("runs", "import", "letter.txt")
    assert outcome.status == 2
    assert "no file that `graphferry runs export` wrote" in outcome.stderr


def test_a_run_that_is_not_over_is_removed_only_by_force(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(WAITING, encoding="utf-8")
    one, two = (json.loads(cli("run", "g.yaml", "--offline", "--json").stdout)["run"] for _ in range(2))
    cli("runs", "cancel", two)
    outcome = cli("runs", "rm", two, one)
    assert outcome.status == 2
    assert "is not over: it is suspended" in outcome.stderr
    assert len(json.loads(cli("runs", "--json").stdout)) == 2, "all or none"
    assert cli("runs", "rm", two, one, "--force").status == 0
    assert cli("runs").stdout == "no runs yet\n"


def test_a_run_that_a_process_works_on_is_not_removed(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(WAITING, encoding="utf-8")
    one, two = (json.loads(cli("run", "g.yaml", "--offline", "--json").stdout)["run"] for _ in range(2))
    with at_work(own_home / "edge" / "journal.db", bytes.fromhex(two.replace("-", ""))):
        outcome = cli("runs", "rm", one, two, "--force")
    assert outcome.status == 2
    assert "another process works on run" in outcome.stderr
    assert len(json.loads(cli("runs", "--json").stdout)) == 2, "all or none"
    assert cli("runs", "rm", one, two, "--force").status == 0


# -- what has been over for long

DONE = "version: 0.5\nnodes:\n  end: {agent: copyAgent, isResult: true, inputs: {of: 1}}\n"


def ended(cli: CommandLine, own_home: Path, days: int, *more: str) -> str:
    """A run that ended so many days ago."""
    (cli.cwd / "done.yaml").write_text(DONE, encoding="utf-8")
    outcome = cli("run", "done.yaml", "--offline", "--json", *more)
    assert outcome.status == 0, outcome.stderr
    run = str(json.loads(outcome.stdout)["run"])
    aged(own_home, run, days)
    return run


def aged(own_home: Path, run: str, days: int) -> None:
    with sqlite3.connect(own_home / "edge" / "journal.db") as db:
        span = days * 86_400_000
        db.execute(
            "UPDATE runs SET started = started - ?, ended = ended - ? WHERE run = ?",
            (span, span, bytes.fromhex(run.replace("-", ""))),
        )
    db.close()


def left(cli: CommandLine) -> set[str]:
    return {each["run"] for each in json.loads(cli("runs", "--json").stdout)}


def test_what_has_been_over_for_long_is_pruned(cli: CommandLine, own_home: Path) -> None:
    runs = {days: ended(cli, own_home, days) for days in (1, 10, 31, 40)}
    looked = cli("runs", "prune", "--dry-run")
    assert [line.split()[1] for line in looked.stdout.splitlines()] == [runs[40], runs[31]]
    assert "would be removed: done.yaml, completed" in looked.stdout
    assert left(cli) == set(runs.values())

    pruned = cli("runs", "prune")
    assert pruned.status == 0
    assert [line.split()[1] for line in pruned.stdout.splitlines()] == [runs[40], runs[31]]
    assert left(cli) == {runs[1], runs[10]}
    assert cli("runs", "prune").stdout == "no run that can be removed has been over for 30d\n"
    cli("runs", "prune", "--older-than", "2d")
    assert left(cli) == {runs[1]}


def test_the_newest_stay_however_old(cli: CommandLine, own_home: Path) -> None:
    runs = {days: ended(cli, own_home, days) for days in (50, 40, 60)}
    cli("runs", "prune", "--keep", "4")
    assert left(cli) == set(runs.values())
    cli("runs", "prune", "--keep", "2")
    assert left(cli) == {runs[40], runs[50]}


def test_what_is_not_over_or_waits_to_go_out_or_is_worked_on_is_not_pruned(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "g.yaml").write_text(WAITING, encoding="utf-8")
    rests = json.loads(cli("run", "g.yaml", "--offline", "--json").stdout)["run"]
    aged(own_home, rests, 100)
    marked = ended(cli, own_home, 100, "--sync")
    worked_on = ended(cli, own_home, 100)
    with at_work(own_home / "edge" / "journal.db", bytes.fromhex(worked_on.replace("-", ""))):
        outcome = cli("runs", "prune")
    assert outcome.status == 0
    assert left(cli) == {rests, marked, worked_on}
    assert f"run {marked} is kept: " in outcome.stderr
    assert "wait to go out (graphferry sync)" in outcome.stderr
    assert f"run {worked_on} is kept: another process works on" in outcome.stderr
    assert rests not in outcome.stderr, "it is not over"
    with worker(own_home) as served:
        cli("sync", "--cloud", served.url)
    cli("runs", "prune")
    assert left(cli) == {rests}


def test_a_part_of_which_its_worker_has_not_said_how_it_ended_is_not_pruned(cli: CommandLine, run: str, own_home: Path) -> None:
    aged(own_home, run, 100)
    with sqlite3.connect(own_home / "edge" / "journal.db") as db:
        db.execute("UPDATE runs SET status = 'running', ended = NULL WHERE role = 'child'")
    db.close()
    assert "its worker has not said how its part ended" in cli("runs", "prune").stderr
    assert left(cli) == {run}
    assert cli("runs", "rm", run).status == 0, "who names it means it"


ONCE = """\
version: 0.5
nodes:
  ok: {agent: humanAgent, params: {mode: approve, prompt: Send it?}}
  sent: {agent: onceAgent, params: {log: LOG}, inputs: {x: :ok.approved}}
  far: {agent: copyAgent, place: cloud, isResult: true, inputs: {of: :sent}}
"""
EFFECTS = """\
from graphferry import agent


@agent("onceAgent", effect="once")
def once(context):
    with open(context.params["log"], "a") as file:
        file.write("sent ")
    return 1
"""


def test_a_file_from_before_a_run_went_on_does_not_bring_it_back(cli: CommandLine, tmp_path: Path) -> None:
    """What it did since, letters sent and all, would be done again, and another store might hold it by now."""
    (tmp_path / "effects.py").write_text(EFFECTS, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(ONCE.replace("LOG", str(tmp_path / "sent.txt")), encoding="utf-8")
    run = json.loads(cli("run", "g.yaml", "--offline", "--json", "--agents", "effects.py").stdout)["run"]
    cli("runs", "export", run, "--out", "early.gfrun")
    assert cli("answer", run, "ok", "yes", "--resume", "--offline").status == 3
    assert (tmp_path / "sent.txt").read_text() == "sent "
    cli("runs", "export", run, "--out", "late.gfrun")
    cli("runs", "rm", run, "--force")

    outcome = cli("runs", "import", "early.gfrun")
    assert outcome.status == 2
    assert "had come further when it was removed here" in outcome.stderr
    assert cli("runs").stdout == "no runs yet\n"
    assert cli("runs", "import", "late.gfrun").status == 0
    assert cli("resume", run, "--offline").status == 3, "it still waits for a worker"
    assert (tmp_path / "sent.txt").read_text() == "sent "

    cli("runs", "cancel", run)
    cli("runs", "export", run, "--out", "over.gfrun")
    cli("runs", "rm", run)
    assert cli("runs", "import", "late.gfrun").status == 2, "what is over does not begin again"
    assert cli("runs", "import", "over.gfrun").status == 0


def test_what_came_back_from_a_file_can_be_synced_again(cli: CommandLine, run: str, own_home: Path) -> None:
    cli("runs", "mark", run)
    cli("runs", "export", run, "--out", "kept.gfrun")
    cli("runs", "rm", run)
    cli("runs", "import", "kept.gfrun")
    with worker(own_home) as served:
        assert json.loads(cli("sync", "--status", "--json", "--cloud", served.url).stdout)["ahead"] == 0, "it was taken away once"
        cli("runs", "mark", run)
        assert json.loads(cli("sync", "--status", "--json", "--cloud", served.url).stdout)["ahead"] > 0
        cli("sync", "--cloud", served.url)
        assert json.loads(cli("sync", "--status", "--json", "--cloud", served.url).stdout)["ahead"] == 0
