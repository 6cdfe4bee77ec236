"""An answer to a run that is held elsewhere is told at once, where it may be, and `answer` says so. At a worker: e2e/test_answers_at_a_worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from conftest import CommandLine, Outcome
from edge.syncing.alone import alone
from edge.syncing.telling import tell
from fleet import edge, run, status, sync
from graphs.environment import ExitStatus
from graphs.errors import WorkerUnreachable
from graphs.journal import Journal
from workers import ServedWorker

ASKS = "version: 0.5\nnodes:\n  ok: {agent: humanAgent, isResult: true, params: {mode: approve, prompt: Send it?}}\n"


@pytest.fixture
def two(served: ServedWorker, device: Callable[[], CommandLine]) -> tuple[CommandLine, CommandLine, str]:
    """The device that holds a run that asks, another one that has it, too, and the run."""
    holder, other = device(), device()
    asked = run(holder, ASKS, "--offline", "--sync", status=ExitStatus.SUSPENDED)["run"]
    sync(holder, served)
    sync(other, served)
    return holder, other, str(asked)


def answer(cli: CommandLine, run: str, *words: str) -> Outcome:
    return cli("answer", run, "ok", "yes", *words)


def test_the_worker_has_it_at_once_and_the_holder_goes_on_with_its_next_sync(
    served: ServedWorker, two: tuple[CommandLine, CommandLine, str]
) -> None:
    holder, other, asked = two
    said = answer(other, asked, "--cloud", served.url)
    assert (said.status, "The worker has the answer; the device that holds this run" in said.stderr) == (0, True), said.stderr
    assert status(other, served)["ahead"] == 0
    assert status(holder, served)["behind"] == 1
    assert sync(holder, served)["went_on"] == [{"run": asked, "status": "completed"}]


@pytest.mark.parametrize(
    ("words", "environ", "why"),
    [
        ((), {}, "no worker is configured"),
        (("--offline",), {"GRAPHFERRY_CLOUD": "ws://127.0.0.1:1/v1/link"}, "this device is offline"),
        ((), {"GRAPHFERRY_CLOUD": "ws://127.0.0.1:1/v1/link"}, "cannot be reached"),
        ((), {"GRAPHFERRY_CLOUD": "ws://127.0.0.1:1/v1/link", "GRAPHFERRY_CONDITIONS": "metered"}, "the network is metered"),
    ],
)
def test_where_it_cannot_be_told_it_is_kept_and_that_is_said(
    served: ServedWorker, two: tuple[CommandLine, CommandLine, str], words: tuple[str, ...], environ: dict[str, str], why: str
) -> None:
    _, other, asked = two
    there = CommandLine({**other.environ, **environ}, other.cwd)
    said = json.loads(answer(there, asked, "--json", *words).stdout)
    assert (said["answers"], said["told"], said["holder"]) == ({"ok": {"approved": True}}, False, None)
    assert why in said["why"]
    assert "The first answer counts" in answer(there, asked).stderr, "it is given all the same"
    sync(other, served)
    assert status(other, served)["ahead"] == 0


def test_of_a_run_that_is_not_synced_any_more_it_says_what_to_do(
    served: ServedWorker, two: tuple[CommandLine, CommandLine, str]
) -> None:
    _, other, asked = two
    other("runs", "mark", asked, "--off")
    said = answer(other, asked, "--cloud", served.url)
    assert "is not marked for sync.\n  graphferry runs mark " in said.stderr


def test_while_another_process_syncs_it_is_not_waited_for_long(
    served: ServedWorker, two: tuple[CommandLine, CommandLine, str]
) -> None:
    _, other, asked = two

    async def busy(journal: Journal, root: bytes) -> None:
        async with alone(journal.path):
            with pytest.raises(WorkerUnreachable, match=r"within 0\.1 s"):
                await tell(journal, root, _nobody, 0.1)

    with Journal.open(edge(other) / "journal.db") as journal:
        asyncio.run(busy(journal, journal.run(asked).run))


async def _nobody(_runs: object) -> None:
    raise AssertionError("it connected")
