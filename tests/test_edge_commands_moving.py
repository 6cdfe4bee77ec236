"""`runs push` and `pull` as a person and a script use them; and `--force`, which takes nothing from anybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from fleet import edge, move, run
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
def device(device: Callable[[], CommandLine], tmp_path: Path) -> Callable[[], CommandLine]:
    """Another device each time; all of them can pay."""
    (tmp_path / "pay_agents.py").write_text(AGENTS, encoding="utf-8")
    return device


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which a holder does not give its run: they wait for it in vain."""
    monkeypatch.setattr("edge.syncing.handover._PATIENCE", 0.3)


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


@pytest.mark.usefixtures("impatient")
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


@pytest.mark.usefixtures("impatient")
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


LETTER = """\
version: 0.5
nodes:
  letter: {value: dear diary, sensitivity: private}
  near: {agent: humanAgent, place: edge, inputs: {t: ":letter"}, params: {prompt: Send it?}}
  last: {agent: copyAgent, isResult: true, inputs: {t: ":near"}}
"""


def lets_go(cli: CommandLine, *places: str) -> None:
    file = Path(cli.environ["GRAPHFERRY_HOME"]) / "edge" / "config.yaml"
    file.write_text(f"cloud: {{grace: 0.2}}\nsensitivity: {{private: {json.dumps(['edge', *places])}}}\n", encoding="utf-8")


@pytest.mark.usefixtures("impatient")
def test_a_device_that_may_not_say_so_cannot_have_a_run(own_home: Path, device: Callable[[], CommandLine]) -> None:
    """What came of the run can be looked at, and a copy goes on; nothing is written that would ask for it later, all by itself."""
    laptop, phone = device(), device()
    with worker(own_home, clearance=["private"]) as served:
        lets_go(laptop, served.url)
        run_id = run(laptop, LETTER, "--sync", status=ExitStatus.SUSPENDED)["run"]
        move(laptop, served)
        outcome = phone("runs", "pull", run_id, "--cloud", served.url)
        assert outcome.status == ExitStatus.FAILED
        assert f"run {run_id} cannot be asked for: private is not cleared to leave this device for the worker" in outcome.stderr
        assert "runs show" in outcome.stderr
        assert "--force" in outcome.stderr
        assert run_id in phone("runs").stdout, "what the worker has is here"
        with Journal.open(edge(phone) / "journal.db") as journal:
            root = journal.run(run_id).run
            assert not any(isinstance(each.record, Handover) for each in journal.records(root))
        forced = phone("runs", "pull", run_id, "--cloud", served.url, "--force", "--json")
        assert forced.status == ExitStatus.COMPLETED, forced.stderr
        assert json.loads(forced.stdout)["fork_of"] == run_id
        unknown = phone("runs", "pull", "00ff", "--cloud", served.url)
        assert (
            "The worker gives none of that name: it has none, or one with labels; your account there is cleared for private."
            in unknown.stderr
        )
        lets_go(phone, served.url)
        assert "held by" in phone("runs", "pull", run_id, "--cloud", served.url).stderr, (
            "it was asked for, and is not given at once"
        )
        move(laptop, served)
        assert phone("runs", "pull", run_id, "--cloud", served.url).status == ExitStatus.COMPLETED


@pytest.mark.usefixtures("impatient")
def test_a_run_is_not_given_by_who_may_not_say_so(own_home: Path, device: Callable[[], CommandLine]) -> None:
    laptop, phone = device(), device()
    with worker(own_home, clearance=["private"]) as served:
        for each in (laptop, phone):
            lets_go(each, served.url)
        run_id = run(laptop, LETTER, "--sync", status=ExitStatus.SUSPENDED)["run"]
        move(laptop, served)
        assert "held by" in phone("runs", "pull", run_id, "--cloud", served.url).stderr
        lets_go(laptop)
        move(laptop, served)
        with Journal.open(edge(laptop) / "journal.db") as journal:
            root = journal.run(run_id).run
            standing = holding((each.writer, each.record) for each in journal.records(root))
            assert standing is not None
            assert standing.holder == journal.store_id, "it would hold nothing, and nobody would know who does"


HALF = """\
version: 0.5
nodes:
  letter: {value: dear diary, sensitivity: private}
  near: {agent: copyAgent, inputs: {t: ":letter"}}
  far: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hello}}
"""


def test_a_run_that_is_withheld_is_said_to_be_that_and_not_to_contradict_itself(
    own_home: Path, device: Callable[[], CommandLine]
) -> None:
    laptop = device()
    with worker(own_home) as served:
        run_id = run(laptop, HALF, "--sync", "--cloud", served.url)["run"]
        laptop("sync", "--cloud", served.url)
        outcome = laptop("sync", "--cloud", served.url)
        assert outcome.stdout == "everything else is in sync\n"
        assert "LABEL_WITHHELD: its values carry private" in outcome.stderr
        assert "DIVERGED" not in outcome.stderr, "the worker has a part of it, of which it says nothing"
        found = json.loads(laptop("sync", "--cloud", served.url, "--status", "--json").stdout)
        assert (found["withheld"], found["diverged"], found["ahead"]) == ([run_id], [], 0)
        assert f"withheld  {run_id}" in laptop("sync", "--cloud", served.url, "--status").stdout
        assert laptop("runs", "push", run_id, "--cloud", served.url).status == ExitStatus.FAILED
