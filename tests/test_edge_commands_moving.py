"""`runs push` and `pull` as a person and a script use them; and `--force`, which takes nothing from anybody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from fleet import edge, move, new_device, run
from graphs.engine.holding import holding
from graphs.environment import ExitStatus
from graphs.journal import Journal
from graphs.records import Handover, Result
from workers import ServedWorker, worker

AGENTS = """\
from pathlib import Path

from graphferry import agent


@agent("payAgent", effect="once")
def pay(context):
    with Path(__file__).with_name("paid.txt").open("a") as file:
        file.write(context.path + "\\n")
    return {"paid": context.inputs["text"]}
"""
GRAPH = """\
version: 0.5
nodes:
  topic: {value: the tide}
  there: {agent: llmAgent, model: large, inputs: {prompt: :topic}}
  near: {agent: llmAgent, model: scripted, place: edge, inputs: {prompt: :topic}}
  paid: {agent: payAgent, place: edge, inputs: {text: :there.text}}
  last: {agent: llmAgent, model: scripted, place: edge, isResult: true, inputs: {prompt: "${:paid.paid} ${:near.text}"}}
"""


@pytest.fixture
def served(own_home: Path) -> Iterator[ServedWorker]:
    with worker(own_home) as found:
        yield found


@pytest.fixture
def device(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], CommandLine]:
    """Another device each time; all of them are impatient."""
    monkeypatch.setattr("edge.syncing.handover._PATIENCE", 0.3)
    (tmp_path / "pay_agents.py").write_text(AGENTS, encoding="utf-8")
    return lambda: new_device(tmp_path_factory.mktemp("device"), tmp_path)


def begun(cli: CommandLine, *words: str) -> str:
    """A run of that device that has done what it can without a worker."""
    told = run(cli, GRAPH, "--agents", "pay_agents.py", "--offline", *words, status=ExitStatus.SUSPENDED)
    return str(told["run"])


def told(cli: CommandLine, *words: str, status: int = 0) -> dict[str, Any]:
    outcome = cli("runs", *words, "--json")
    assert outcome.status == status, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def paid(folder: Path) -> list[str]:
    file = folder / "paid.txt"
    return file.read_text().splitlines() if file.exists() else []


def holds(cli: CommandLine, run_id: str) -> bool:
    """Whether this device holds the run, as far as it knows."""
    with Journal.open(edge(cli) / "journal.db") as journal:
        found = holding((logged.writer, logged.record) for logged in journal.records(journal.run(run_id).run))
        return found is not None and found.holder == journal.store_id


def test_what_moved_is_said_as_data(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    run_id = begun(laptop)
    assert told(laptop, "push", run_id, "--cloud", served.url) == {"holder": "device", "run": run_id}
    assert told(laptop, "push", run_id, "--continue", "--cloud", served.url) == {"holder": "worker", "run": run_id}
    assert not holds(laptop, run_id)
    assert told(laptop, "pull", run_id, "--cloud", served.url) == {"holder": "device", "run": run_id}
    assert holds(laptop, run_id)


def test_by_force_a_silent_device_keeps_its_run_and_another_goes_on_with_a_fork(
    served: ServedWorker, device: Callable[[], CommandLine], tmp_path: Path
) -> None:
    laptop, other = device(), device()
    run_id = begun(laptop, "--sync")
    move(laptop, served)
    assert laptop("resume", run_id, "--cloud", served.url).status == 0, "and nobody hears of it"
    assert paid(tmp_path) == ["paid"]

    silent = other("runs", "pull", run_id, "--cloud", served.url)
    assert silent.status == ExitStatus.USAGE
    assert "--force" in silent.stderr
    fork = told(other, "pull", run_id, "--force", "--cloud", served.url)
    assert (fork["fork_of"], fork["kept"], fork["asks"]) == (run_id, 2, ["paid"])
    assert fork["run"] != run_id
    assert not holds(other, run_id)
    assert holds(other, fork["run"])

    waits = other("resume", fork["run"], "--cloud", served.url, "--json")
    assert waits.status == ExitStatus.SUSPENDED
    error = json.loads(waits.stdout)["errors"]["paid"]
    assert error["code"] == "NODE_INDETERMINATE"
    assert "may have been begun elsewhere" in error["message"]
    assert paid(tmp_path) == ["paid"], "it is not paid twice"
    done = other("resume", fork["run"], "--assume", 'paid=done:{"paid": "by hand"}', "--cloud", served.url, "--json")
    assert done.status == 0, done.stderr
    assert "by hand" in json.dumps(json.loads(done.stdout)["results"])
    assert paid(tmp_path) == ["paid"]
    with Journal.open(edge(other) / "journal.db") as journal:
        records = [logged.record for logged in journal.records(journal.run(fork["run"]).run)]
    origins: dict[str, Any] = {each.path: each.by.get("from") for each in records if isinstance(each, Result)}
    assert origins["near"][0] == bytes.fromhex(run_id.replace("-", ""))


def test_by_force_a_worker_that_is_gone_keeps_its_run_too(
    own_home: Path, device: Callable[[], CommandLine], tmp_path: Path
) -> None:
    laptop = device()
    with worker(own_home) as served:
        run_id = begun(laptop)
        assert laptop("runs", "push", run_id, "--continue", "--cloud", served.url).status == 0
        url = served.url
    assert laptop("runs", "pull", run_id, "--cloud", url).status == ExitStatus.UNREACHABLE
    outcome = laptop("runs", "pull", run_id, "--force", "--cloud", url)
    assert outcome.status == 0, outcome.stderr
    assert f"Run {run_id} stays there" in outcome.stderr
    assert "will not run again without a word: paid" in outcome.stderr
    fork = outcome.stderr.split()[-1]
    assert laptop("resume", run_id, "--cloud", url).status == ExitStatus.USAGE
    assert not holds(laptop, run_id)
    assert holds(laptop, fork)
    assert paid(tmp_path) == []


def test_by_force_a_worker_goes_on_with_a_fork(
    served: ServedWorker, device: Callable[[], CommandLine], own_home: Path, tmp_path: Path
) -> None:
    laptop, other = device(), device()
    run_id = begun(laptop, "--sync")
    move(laptop, served)
    move(other, served)
    refused = other("runs", "push", run_id, "--continue", "--cloud", served.url)
    assert refused.status == ExitStatus.USAGE
    fork = told(other, "push", run_id, "--continue", "--force", "--cloud", served.url)
    assert (fork["holder"], fork["fork_of"]) == ("worker", run_id)
    assert holds(laptop, run_id)
    with Journal.open(edge(laptop) / "journal.db") as journal:
        records = journal.records(journal.run(run_id).run)
        assert not [each for each in records if isinstance(each.record, Handover)]
    assert paid(tmp_path) == []


def test_who_holds_a_run_forks_nothing_by_force(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    run_id = begun(laptop, "--sync")
    assert told(laptop, "pull", run_id, "--force", "--cloud", served.url)["run"] == run_id
    assert told(laptop, "pull", run_id, "--force", "--cloud", "ws://127.0.0.1:1/v1/link")["run"] == run_id
    assert told(laptop, "push", run_id, "--continue", "--force", "--cloud", served.url)["run"] == run_id


def test_what_cannot_be_moved_is_told(served: ServedWorker, device: Callable[[], CommandLine]) -> None:
    laptop = device()
    run_id = begun(laptop)
    assert "no worker is configured" in laptop("runs", "push", run_id).stderr
    assert "Say --continue as well" in laptop("runs", "push", run_id, "--force", "--cloud", served.url).stderr
    assert "there is no run 0123" in laptop("runs", "pull", "0123", "--force", "--cloud", served.url).stderr
    assert laptop("resume", run_id, "--cloud", served.url).status == 0
    for words in (("push", run_id, "--continue"), ("push", run_id, "--continue", "--force")):
        outcome = laptop("runs", *words, "--cloud", served.url)
        assert outcome.status == ExitStatus.USAGE
        assert "is completed: there is nothing to go on with" in outcome.stderr
    over = laptop("runs", "pull", run_id, "--force", "--cloud", served.url)
    assert over.status == ExitStatus.USAGE
    assert "is over" in over.stderr
