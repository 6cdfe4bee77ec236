"""Going on with a run: what is looked at once nobody else works on it any more."""

from __future__ import annotations

import asyncio
import io
import json
from argparse import ArgumentParser
from pathlib import Path

import pytest

from conftest import CommandLine
from edge.commands import resume
from edge.runs.resuming import resume_run
from fleet import edge, run
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal import Journal
from workers import ServedWorker, worker

ASKS = "version: 0.5\nnodes:\n  ok: {agent: humanAgent, isResult: true, params: {mode: approve, prompt: Send it?}}\n"


def test_a_run_that_is_cancelled_while_somebody_is_about_to_go_on_with_it_stays_over(cli: CommandLine) -> None:
    root = str(run(cli, ASKS, status=ExitStatus.SUSPENDED)["run"])
    parser = ArgumentParser()
    resume.add_arguments(parser)
    env = Environment(io.StringIO(), io.StringIO(), io.StringIO(), cli.environ, cli.cwd)
    with resume.open_resumed(parser.parse_args([root]), env) as (device, graph, options, row):
        assert cli("runs", "cancel", root).status == ExitStatus.COMPLETED
        with pytest.raises(UsageError, match=f"run {root} is cancelled"):
            asyncio.run(resume_run(device, graph, options, row.run, name=row.name))
    with Journal.open(edge(cli) / "journal.db") as journal:
        assert journal.run(root).status == "cancelled"


DONE = """\
version: 0.5
nodes:
  first: {agent: llmAgent, model: big, inputs: {prompt: once upon a time}}
  ok: {agent: humanAgent, params: {mode: approve, prompt: Go on?}, inputs: {of: :first.text}}
  second: {agent: AGENT, isResult: true, WITH, inputs: {prompt: "${:first.text} ${:ok.approved}"}}
"""
"""`first` is at the worker, and is done when the run is suspended."""
TELLS = "You said: once upon a time"


def waits_for_a_word(cli: CommandLine, served: ServedWorker, text: str) -> str:
    root = str(run(cli, text, "--cloud", served.url, status=ExitStatus.SUSPENDED)["run"])
    assert cli("answer", root, "ok", "yes").status == ExitStatus.COMPLETED
    return root


def test_a_node_that_is_done_needs_no_place_at_another_worker(cli: CommandLine, tmp_path: Path) -> None:
    text = DONE.replace("AGENT", "llmAgent").replace("WITH", "model: large")
    with worker(tmp_path / "one", models=("big", "large")) as one:
        root = waits_for_a_word(cli, one, text)
    with worker(tmp_path / "two", models=("large",)) as two:
        outcome = cli("resume", root, "--cloud", two.url, "--json")
    assert outcome.status == ExitStatus.COMPLETED, outcome.stderr
    report = json.loads(outcome.stdout)
    assert report["results"]["second"]["text"] == f"You said: {TELLS} true"
    first = report["nodes"]["first"]
    assert (first["place"], first["reason"], first["by"]["model"]) == ("cloud", "is done already", "big")


def test_a_node_that_is_not_done_needs_its_place_still(cli: CommandLine, tmp_path: Path) -> None:
    text = DONE.replace("AGENT", "llmAgent").replace("WITH", "model: big")
    with worker(tmp_path / "one", models=("big",)) as one:
        root = waits_for_a_word(cli, one, text)
    with worker(tmp_path / "two", models=("large",)) as two:
        outcome = cli("resume", root, "--cloud", two.url, "--json")
    assert outcome.status == ExitStatus.USAGE
    assert "node 'second' needs the model 'big'" in outcome.stderr
    assert "node 'second' needs 'big'" in cli("resume", root, "--local-only").stderr


@pytest.mark.parametrize("place", ["", ", place: cloud"], ids=["free", "placed"])
def test_a_node_that_is_done_is_no_reason_to_refuse_a_run_without_the_link(cli: CommandLine, tmp_path: Path, place: str) -> None:
    text = DONE.replace("AGENT", "stringTemplateAgent").replace("WITH", 'params: {template: "${prompt}"}')
    with worker(tmp_path / "one", models=("big",)) as one:
        root = waits_for_a_word(cli, one, text.replace("model: big", f"model: big{place}"))
    outcome = cli("resume", root, "--local-only", "--json")
    assert outcome.status == ExitStatus.COMPLETED, outcome.stderr
    assert json.loads(outcome.stdout)["results"] == {"second": f"{TELLS} true"}
