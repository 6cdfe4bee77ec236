"""Several devices of one account, each a command line with a home of its own, and what their journals say."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloud.accounts import Account
from conftest import CommandLine, impatient
from edge.config import load_config
from edge.device import worker_connector
from edge.syncing.sync import converge
from graphs.environment import Environment, ExitStatus
from graphs.journal import Journal
from workers import ServedWorker

__all__ = ["edge", "full", "logs", "move", "new_device", "run", "status", "sync"]


def new_device(home: Path, cwd: Path) -> CommandLine:
    """A device with its files in `home`."""
    impatient(home)
    return CommandLine({"GRAPHFERRY_HOME": str(home)}, cwd)


def run(cli: CommandLine, text: str, *words: str, status: int = 0) -> dict[str, Any]:
    (cli.cwd / "g.yaml").write_text(text, encoding="utf-8")
    outcome = cli("run", "g.yaml", "--json", *words)
    assert outcome.status == status, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def sync(cli: CommandLine, served: ServedWorker) -> dict[str, Any]:
    outcome = cli("sync", "--cloud", served.url, "--json")
    assert outcome.status == ExitStatus.COMPLETED, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def status(cli: CommandLine, served: ServedWorker) -> dict[str, Any]:
    outcome = cli("sync", "--cloud", served.url, "--status", "--json")
    assert outcome.status == ExitStatus.COMPLETED, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def logs(home: Path, run_id: str) -> dict[tuple[bytes, bytes], tuple[int, int]]:
    """The heads of a run's logs, its child runs included, and so all of their records."""
    with Journal.open(home / "journal.db") as journal:
        root = journal.run(run_id).run
        heads = [head for each in (root, *(child.run for child in journal.children(root))) for head in journal.heads(each)]
        return {(head.run, head.writer): (head.last, head.chk) for head in heads}


def move(cli: CommandLine, served: ServedWorker) -> None:
    """One round, in which nothing that waits goes on."""
    config = load_config(Environment(io.StringIO(), io.StringIO(), io.StringIO(), cli.environ, cli.cwd))
    connect = worker_connector(config)
    with Journal.open(config.journal) as journal:
        asyncio.run(converge(journal, lambda runs: connect(served.url, None, journal, runs)))


def edge(cli: CommandLine) -> Path:
    return Path(cli.environ["GRAPHFERRY_HOME"]) / "edge"


@contextmanager
def full(served: ServedWorker, room: int) -> Iterator[None]:
    """The account has room for so many bytes more, while the block runs."""
    books, account = served.server._holdings, Account()
    taken = account.disk - served.call(lambda: books.stored(account.name)) - room
    served.call(lambda: books.wrote(account, taken))
    yield
    served.call(lambda: books.wrote(account, -taken))
