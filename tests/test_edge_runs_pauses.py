"""Why a run is suspended, and what is noted for those who go on with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from conftest import CommandLine, Outcome
from edge.runs.pauses import asked_for, noted, too_late
from graphs.errors import AnswerNeeded, LinkCondition, WorkerUnreachable
from graphs.questions import Question
from processes import graphferry
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

    def said(*errors: BaseException, rests: bool = False) -> dict[str, Any]:
        found = noted({f"n{number}": error for number, error in enumerate(errors)}, rests=rests)
        return {name: value for name, value in found.items() if name != "suspended"}

    assert said(away) == {"waits": True}
    assert said(away, rests=True) == {"waits": False}
    assert said(LinkCondition("NODE_INDETERMINATE", "who knows")) == {"waits": False}
    assert said(LinkCondition("RUN_DIVERGED", "no")) == {"waits": False, "diverged": True}
    assert said(AnswerNeeded(Question("ask", 1, "text", "who?"))) == {"waits": False}
    assert said() == {"waits": False}


def test_what_is_noted_says_why_each_node_waits_the_one_that_asks_first_and_not_without_end() -> None:
    many = {f"far[{row}]/a": LinkCondition("UNREACHABLE", "x" * 10_000) for row in range(1000)}
    asks = {"ask": AnswerNeeded(Question("ask", 1, "text", "who?"))}
    found = noted({**many, **asks, "pay": LinkCondition("NODE_INDETERMINATE", "who knows", hint="say")}, rests=False)["suspended"]
    assert next(iter(found.items())) == ("pay", ["NODE_INDETERMINATE", "who knows", "say"])
    assert "ask" not in found, "that is a question of its own"
    assert len(json.dumps(found)) < 20_000


DIES = """
import os, signal
from graphferry import agent


@agent("dieAgent", effect="once")
def die(context):
    os.kill(os.getpid(), signal.SIGKILL)
"""
IN_DOUBT = """\
version: 0.5
nodes:
  pay: {agent: dieAgent}
  far: {agent: llmAgent, model: large, place: cloud, isResult: true, inputs: {prompt: hello}}
"""


def test_what_waits_and_why_is_said_wherever_runs_are_shown(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text(DIES, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(IN_DOUBT, encoding="utf-8")

    def call(*words: str) -> Outcome:
        return graphferry(*words, home=own_home, cwd=tmp_path)

    assert call("run", "g.yaml", "--offline", "--agents", "dies.py").status < 0
    assert "  cut off  " in call("runs").stdout
    assert call("resume", json.loads(call("runs", "--json").stdout)[0]["run"], "--offline").status != 0
    (listed,) = json.loads(call("runs", "--json").stdout)
    assert listed["in_doubt"] == ["pay"]
    assert "waits for a worker; asks what became of pay" in call("runs").stdout
    shown = call("runs", "show", listed["run"])
    assert "pay waits: node 'pay' was running when this run stopped" in shown.stdout
    assert f"graphferry resume {listed['run']} --assume pay=done:VALUE" in shown.stdout
    assert "far waits: " in shown.stdout
    as_json = json.loads(call("runs", "show", listed["run"], "--json").stdout)
    codes = {path: each["code"] for path, each in as_json["suspended"].items()}
    assert codes == {"pay": "NODE_INDETERMINATE", "far": "UNREACHABLE"}
    assert as_json["holder"] is None
    status = json.loads(call("sync", "--status", "--json").stdout)
    assert (status["asking"], status["waiting"]) == ([listed["run"]], [listed["run"]])
    assert f"asking    {listed['run']}" in call("sync", "--status").stdout
    assert call("resume", listed["run"], "--offline", "--assume", "pay=failed").status != 0
    assert json.loads(call("sync", "--status", "--json").stdout)["asking"] == []


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
