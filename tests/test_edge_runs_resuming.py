"""Going on with a run: what is looked at once nobody else works on it any more."""

from __future__ import annotations

import asyncio
import io
from argparse import ArgumentParser

import pytest

from conftest import CommandLine
from edge.commands import resume
from edge.runs.resuming import resume_run
from fleet import edge, run
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal import Journal

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
