"""`graphferry sync` where there is no worker; with one: tests/e2e/test_sync.py."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import CommandLine
from graphs.environment import ExitStatus
from graphs.journal import Journal
from graphs.journal.ids import parse_run_id
from protocol.marks import is_marked

WAITS = "version: 0.5\nnodes:\n  a: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hello}}\n"
NOWHERE = "ws://127.0.0.1:9/v1/link"


def test_without_a_worker_there_is_nothing_to_sync_with(cli: CommandLine) -> None:
    outcome = cli("sync")
    assert outcome.status == ExitStatus.USAGE
    assert "no worker is configured" in outcome.stderr


def test_a_worker_that_is_not_there_is_named_and_nothing_is_lost(cli: CommandLine) -> None:
    (cli.cwd / "g.yaml").write_text(WAITS)
    begun = json.loads(cli("run", "g.yaml", "--offline", "--json").stdout)["run"]
    outcome = cli("sync", "--cloud", NOWHERE)
    assert outcome.status != ExitStatus.COMPLETED
    assert NOWHERE in outcome.stderr
    assert json.loads(cli("sync", "--status", "--json").stdout)["waiting"] == [begun]


def test_status_is_there_without_a_worker(cli: CommandLine) -> None:
    outcome = cli("sync", "--status", "--cloud", NOWHERE)
    assert outcome.status == ExitStatus.COMPLETED
    assert "not known" in outcome.stdout
    assert NOWHERE in outcome.stdout


def test_a_graph_may_ask_for_it_itself(cli: CommandLine, own_home: Path) -> None:
    (cli.cwd / "g.yaml").write_text(WAITS + "sync: true\n")
    begun = json.loads(cli("run", "g.yaml", "--offline", "--json").stdout)["run"]
    with Journal.open(own_home / "edge" / "journal.db") as journal:
        assert is_marked(journal, parse_run_id(begun))


def test_marks_come_and_go(cli: CommandLine) -> None:
    (cli.cwd / "g.yaml").write_text(WAITS)
    begun = json.loads(cli("run", "g.yaml", "--offline", "--json").stdout)["run"]
    assert "next sync" in cli("runs", "mark", begun).stdout
    assert "not synced any more" in cli("runs", "mark", begun, "--off").stdout
    assert cli("runs", "push", begun).status == ExitStatus.USAGE
    assert cli("runs", "pull", begun).status == ExitStatus.USAGE
