from __future__ import annotations

import json
from pathlib import Path

from conftest import CommandLine
from edge.runs.at_work import at_work
from gates import AGENTS
from graphs.journal.ids import parse_run_id
from logbook import until_made
from processes import start
from workers import worker

GRAPH = """\
version: 0.5
nodes:
  a: {agent: whereAgent, place: edge, inputs: {t: 1}}
  b: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: "said ${:a.t}"}}
  c: {agent: failAgent, place: edge, params: {text: no luck}, inputs: {t: :a.t}}
"""


def test_without_runs_it_says_so(cli: CommandLine) -> None:
    assert cli("runs").stdout == "no runs yet\n"
    assert json.loads(cli("runs", "--json").stdout) == []
    outcome = cli("runs", "show", "0123")
    assert outcome.status == 2
    assert "no journal" in outcome.stderr


def test_a_run_whose_process_was_killed_is_cut_off_and_one_that_goes_on_is_not(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: sleeperAgent, inputs: {t: 1}}\n  b: {agent: sleeperAgent, params: {duration: 600000}, inputs: {t: :a}}\n",
        encoding="utf-8",
    )
    with start("run", "g.yaml", home=own_home, cwd=tmp_path, PYTHONUNBUFFERED="1") as process:
        run = process.error_line().split()[1]
        while "started   b" not in process.error_line():
            pass
        assert f"{run}  " in cli("runs").stdout
        assert "  running    g.yaml\n" in cli("runs").stdout
        until_made(own_home, "edge", "a")
        process.kill()
    assert "  cut off    g.yaml\n" in cli("runs").stdout
    assert json.loads(cli("runs", "--json").stdout)[0]["cut_off"] is True
    assert f"cut off: its process ended before it did; graphferry resume {run}\n" in cli("runs", "show", run).stdout
    resumed = cli("resume", run, "--deadline", "1ms")
    assert "kept      a on edge\n" in resumed.stderr


def test_runs_are_listed_newest_first_and_shown_record_by_record(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "gate_agents.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    with worker(own_home) as served:
        words = ("run", "g.yaml", "--cloud", served.url, "--agents", "gate_agents.py", "--json")
        first, second = cli(*words), cli(*words)
    assert (first.status, second.status) == (1, 1)
    listed = json.loads(cli("runs", "--json").stdout)
    assert [(each["graph"], each["status"]) for each in listed] == [("g.yaml", "failed")] * 2
    assert listed[0]["run"] == json.loads(second.stdout)["run"] > listed[1]["run"]
    assert listed[0]["started"] >= listed[1]["started"]
    assert len(json.loads(cli("runs", "--json", "--limit", "1").stdout)) == 1
    lines = cli("runs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [each["run"] for each in listed]

    shown = json.loads(cli("runs", "show", listed[0]["run"], "--json").stdout)
    made = {each["path"]: each["place"] for each in shown["records"] if each["type"] == "result"}
    assert made == {"a": "edge", "b": "cloud"}
    assert [each["text"] for each in shown["records"] if each["type"] == "error"] == ["no luck"]
    text = cli("runs", "show", listed[0]["run"]).stdout
    for part in (listed[0]["run"], "g.yaml", "failed", "edge: c: NODE_FAILED: no luck", "large"):
        assert part in text

    unknown = cli("runs", "show", "ffff")
    assert unknown.status == 2
    assert "there is no run ffff" in unknown.stderr


def test_resume_refuses_what_cannot_go_on(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    assert cli("resume", "0123").status == 2
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: copyAgent, isResult: true, inputs: {t: 1}}\n", encoding="utf-8"
    )
    run = json.loads(cli("run", "g.yaml", "--json").stdout)["run"]
    outcome = cli("resume", run)
    assert outcome.status == 2
    assert f"run {run} is complete" in outcome.stderr
    assert f"graphferry runs show {run}" in outcome.stderr
    assert cli("resume", "ffff").status == 2


def test_a_run_that_a_process_works_on_is_not_cancelled_behind_its_back(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes:\n  a: {agent: textInputAgent}\n", encoding="utf-8")
    run = json.loads(cli("run", "g.yaml", "--json").stdout)["run"]
    with at_work(own_home / "edge" / "journal.db", parse_run_id(run)):
        refused = cli("runs", "cancel", run)
        assert (refused.status, "another process works on run" in refused.stderr) == (2, True)
    assert cli("runs", "cancel", run).status == 0
