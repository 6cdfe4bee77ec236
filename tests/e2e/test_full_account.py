"""An account whose quota is full at its worker: what says how its runs go on, or that they end, comes through all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from conftest import CommandLine
from fleet import edge, full, run, sync
from graphs.environment import ExitStatus
from graphs.journal import Journal
from logbook import until
from workers import ServedWorker

ASKS = """\
version: 0.5
nodes:
  ok: {agent: humanAgent, params: {mode: approve, prompt: Send it?}}
  sent: {agent: stringTemplateAgent, isResult: true, params: {template: "sent: ${ok}"}, inputs: {ok: :ok.approved}}
"""


def held_there(laptop: CommandLine, other: CommandLine, served: ServedWorker) -> str:
    """A run that the worker holds, in which it asks, and of which the other device knows."""
    root = str(run(laptop, ASKS, "--offline", status=ExitStatus.SUSPENDED)["run"])
    assert laptop("runs", "push", root, "--continue", "--cloud", served.url).status == ExitStatus.COMPLETED

    def came() -> bool:
        sync(other, served)
        return bool(json.loads(other("answer", "--json").stdout or "[]"))

    until(came)
    return root


def until_there(served: ServedWorker, root: str, status: str) -> None:
    until(lambda: served.call(lambda: served.worker.journal.run(root).status) == status)


def test_an_answer_from_a_device_that_never_wrote_to_the_run_is_taken(
    served: ServedWorker, device: Callable[[], CommandLine]
) -> None:
    laptop, other = device(), device()
    root = held_there(laptop, other, served)
    with full(served, 0):
        said = other("answer", root, "ok", "yes", "--cloud", served.url)
        assert (said.status, "has the answer" in said.stderr) == (ExitStatus.COMPLETED, True), said.stderr
        until_there(served, root, "completed")
    sync(laptop, served)
    shown: Any = json.loads(laptop("runs", "show", root, "--json").stdout)
    assert shown["status"] == "completed"


def test_such_a_device_ends_the_run(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop, other = device(), device()
    root = held_there(laptop, other, served)
    with full(served, 0):
        said = other("runs", "cancel", root)
        assert said.status == ExitStatus.COMPLETED, said.stderr
        sync(other, served)
        until_there(served, root, "cancelled")


def test_such_a_device_gets_the_run(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop, other = device(), device()
    root = held_there(laptop, other, served)
    with full(served, 0):
        said = other("runs", "pull", root, "--cloud", served.url)
        assert said.status == ExitStatus.COMPLETED, said.stderr
    with Journal.open(edge(other) / "journal.db") as journal:
        assert journal.run(root).status == "suspended"
    assert other("answer", root, "ok", "yes", "--resume", "--local-only").status == ExitStatus.COMPLETED
