"""Why a run is suspended, and what is noted for those who go on with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from conftest import CommandLine
from edge.runs.pauses import asked_for, noted, too_late
from graphs.errors import LinkCondition, WorkerUnreachable
from test_edge_commands_forking import AGENTS
from workers import worker

GRAPH = """\
version: 0.5
nodes:
  first: {agent: thinkAgent, place: cloud, inputs: {a: 1}}
  name: {agent: textInputAgent, params: {message: "Who?"}, inputs: {after: :first.text}}
  deed: {agent: sendAgent, place: cloud, isResult: true, inputs: {text: :name.text}}
"""


def test_what_is_noted_says_whether_a_run_goes_on_by_itself() -> None:
    away = WorkerUnreachable("", "it is away")
    assert noted([away], rests=False) == {"waits": True}
    assert noted([away], rests=True) == {"waits": False}
    assert noted([LinkCondition("NODE_INDETERMINATE", "who knows")], rests=False) == {"waits": False}
    assert noted([LinkCondition("RUN_DIVERGED", "no")], rests=False) == {"waits": False, "diverged": True}
    assert noted([LinkCondition("ANSWER_NEEDED", "who?")], rests=False) == {"waits": False}
    assert noted([], rests=False) == {"waits": False}


def test_a_run_that_waits_for_nothing_says_why_it_stopped() -> None:
    assert asked_for("r").reason == "handed over"
    assert "the deadline of 2.5 s passed" in too_late("r", 2.5).message


def test_in_a_fork_of_a_run_that_was_lost_in_part_no_effect_happens_a_second_time(
    cli: CommandLine, tmp_path: Path, own_home: Path
) -> None:
    (tmp_path / "my_agents.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    ran = tmp_path / "ran.txt"
    with worker(own_home, agents=["my_agents.py"], folder=tmp_path) as served:
        began = cli("run", "g.yaml", "--agents", "my_agents.py", "--cloud", served.url, "--json")
        run = json.loads(began.stdout)["run"]
        shutil.copytree(own_home / "edge", tmp_path / "backup")
        assert cli("answer", run, "name", "Ada").status == 0
        assert cli("resume", run, "--cloud", served.url).status == 0
        assert ran.read_text().split() == ["first", "deed"]
        shutil.rmtree(own_home / "edge")
        shutil.copytree(tmp_path / "backup", own_home / "edge")

        assert cli("answer", run, "name", "Ada").status == 0
        cli("resume", run, "--cloud", served.url)  # the number of its connection went back, too
        lost = cli("resume", run, "--cloud", served.url, "--json")
        assert json.loads(lost.stdout)["errors"]["deed"]["code"] == "RUN_DIVERGED", lost.stdout
        forked = cli("runs", "fork", run)
        assert "will not run again without a word: deed" in forked.stdout
        fork = forked.stderr.split()[-1]
        waits = cli("resume", fork, "--cloud", served.url, "--json")
        assert json.loads(waits.stdout)["errors"]["deed"]["code"] == "NODE_INDETERMINATE"
        done = cli("resume", fork, "--assume", 'deed=done:{"sent": "once"}', "--cloud", served.url, "--json")
        assert json.loads(done.stdout)["results"] == {"deed": {"sent": "once"}}
        assert ran.read_text().split() == ["first", "deed"]
