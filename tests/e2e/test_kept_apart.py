"""What a worker may not have is nowhere on its side: in no file of it, no line of its log, nothing that it says, whatever fails; real processes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from graphs.environment import ExitStatus
from processes import graphferry, serve

SECRET, CLEARED = "Jx7kQpLm2RtVw9ZsYb4NcD6F", "Hq3TzWn8BvXk5MfGy2LdRs9P"
AGENTS = """\
from graphferry import agent


@agent("failAgent", effect="none")
def fail(context):
    raise RuntimeError(f"cannot do that with {context.inputs} and {context.params}")
"""
GRAPH = f"""\
version: 0.5
nodes:
  letter: {{value: "dear {SECRET}", sensitivity: private}}
  memo: {{value: "to all: {CLEARED}", sensitivity: internal}}
  near: {{agent: failAgent, inputs: {{t: ":letter"}}, retry: 1, defaultValue: {{t: gone}}}}
  told: {{agent: copyAgent, sensitivity: private, params: {{note: "about {SECRET}"}}, inputs: {{t: 1}}, isResult: true}}
  far: {{agent: failAgent, place: cloud, inputs: {{t: ":memo"}}, retry: 1}}
  also: {{agent: llmAgent, model: large, isResult: true, inputs: {{prompt: "say ${{:memo}}"}}}}
  kept: {{agent: copyAgent, isResult: true, anyInput: true, inputs: {{a: ":letter", b: ":far"}}}}
"""


@pytest.mark.slow
def test_what_the_worker_may_not_have_is_nowhere_on_its_side(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "fail_agents.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    (own_home / "edge").mkdir(exist_ok=True)
    agents = ("--agents", "fail_agents")
    with serve(*agents, home=own_home, cwd=tmp_path, accounts="{default: {clearance: [internal, private]}}") as worker:
        config = f"cloud: {{url: '{worker.url}', grace: 0.2}}\nsensitivity: {{private: edge, internal: [edge, cloud]}}\n"
        (own_home / "edge" / "config.yaml").write_text(config, encoding="utf-8")
        ran = graphferry(
            "--debug", "run", "g.yaml", *agents, "--sync", "--progress", "json", "--json", home=own_home, cwd=tmp_path
        )
        assert ran.status == ExitStatus.FAILED, ran.stderr
        run = json.loads(ran.stdout)["run"]
        pushed = graphferry("--debug", "runs", "push", run, home=own_home, cwd=tmp_path)
        synced = graphferry("--debug", "sync", home=own_home, cwd=tmp_path)
        graphferry("runs", "cancel", run, home=own_home, cwd=tmp_path)
        worker.send(signal.SIGTERM)
        said = worker.outcome()
    assert "private" in pushed.stderr
    assert "private" in synced.stdout + synced.stderr
    there = [path for path in (own_home / "cloud").rglob("*") if path.is_file()]
    assert any(CLEARED.encode() in path.read_bytes() for path in there), "what it may have is there, and found"
    for path in there:
        assert SECRET.encode() not in path.read_bytes(), path
    for text in (said.stdout, said.stderr, pushed.stdout + pushed.stderr, synced.stdout + synced.stderr):
        assert SECRET not in text
        assert CLEARED not in text, "no value belongs into a log, cleared or not"
