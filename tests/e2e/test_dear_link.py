"""What `sync` does while the network is metered or the battery drained: what is small goes, what is large waits, and nothing is lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from fleet import edge, logs, new_device, run, sync
from graphs.environment import ExitStatus
from graphs.journal import Journal
from processes import start
from workers import ServedWorker, worker

AGENTS = """\
from graphferry import agent


@agent("bulkAgent", effect="none")
def bulk(context):
    return "x" * context.inputs["bytes"]


@agent("lengthAgent", effect="none")
def length(context):
    return len(context.inputs["of"])
"""
OUT = """\
version: 0.5
nodes:
  word: {value: abc}
  near: {agent: stringTemplateAgent, place: edge, params: {template: "${t}"}, inputs: {t: :word}}
  far: {agent: lengthAgent, place: cloud, isResult: true, inputs: {of: :near}}
  small: {agent: lengthAgent, place: cloud, isResult: true, inputs: {of: abc}}
"""
BACK = """\
version: 0.5
nodes:
  far: {agent: bulkAgent, place: cloud, inputs: {bytes: 300000}}
  near: {agent: lengthAgent, place: edge, isResult: true, inputs: {of: :far}}
"""
MINE = "version: 0.5\nnodes:\n  a: {agent: copyAgent, isResult: true, inputs: {t: 1}}\n"
METERED: Any = {"GRAPHFERRY_CONDITIONS": "metered"}


@pytest.fixture
def served(own_home: Path, tmp_path: Path) -> Iterator[ServedWorker]:
    (tmp_path / "my_agents.py").write_text(AGENTS, encoding="utf-8")
    with worker(own_home, agents=["my_agents.py"], folder=tmp_path) as found:
        yield found


@pytest.fixture
def laptop(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return new_device(tmp_path_factory.mktemp("device"), tmp_path)


def synced(cli: CommandLine, served: ServedWorker, *words: str, status: int = 0, **variables: str) -> dict[str, Any]:
    outcome = cli("sync", "--cloud", served.url, "--json", *words, **variables)
    assert outcome.status == status, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def configured(cli: CommandLine, text: str) -> None:
    (edge(cli) / "config.yaml").write_text(f"cloud: {{grace: 0.2}}\n{text}", encoding="utf-8")


@pytest.mark.parametrize("conditions", ["metered", "battery 10%"])
def test_marked_runs_wait_and_then_go(served: ServedWorker, laptop: CommandLine, own_home: Path, conditions: str) -> None:
    begun = run(laptop, MINE, "--sync")["run"]
    held = synced(laptop, served, GRAPHFERRY_CONDITIONS=conditions)
    assert held["spool"]["records"] > 0
    assert held["held"]
    with Journal.open(own_home / "cloud" / "journal.db") as journal:
        assert not journal.knows(bytes.fromhex(begun.replace("-", "")))
    text = laptop("sync", "--cloud", served.url, GRAPHFERRY_CONDITIONS=conditions).stdout
    assert f"{held['spool']['records']} records of marked runs" in text
    assert "sync --now" in text
    done = synced(laptop, served)
    assert (done["held"], done["spool"]["records"], done["spool"]["bytes"]) == (None, 0, 0)
    assert logs(edge(laptop), begun) == logs(own_home / "cloud", begun)


def test_now_is_now(served: ServedWorker, laptop: CommandLine, own_home: Path) -> None:
    begun = run(laptop, MINE, "--sync")["run"]
    assert synced(laptop, served, "--now", **METERED)["held"] is None
    assert logs(edge(laptop), begun) == logs(own_home / "cloud", begun)


def test_the_configuration_may_say_that_it_does_not_matter(served: ServedWorker, laptop: CommandLine) -> None:
    run(laptop, MINE, "--sync")
    configured(laptop, "link: {metered: go}\n")
    assert synced(laptop, served, **METERED)["spool"]["records"] == 0


def test_a_command_of_the_configuration_tells(served: ServedWorker, laptop: CommandLine) -> None:
    run(laptop, MINE, "--sync")
    configured(laptop, "link: {conditions: echo metered}\n")
    held = synced(laptop, served, GRAPHFERRY_CONDITIONS="")
    assert held["held"] == "the network is metered (command)"
    status = json.loads(laptop("sync", "--status", "--cloud", served.url, "--json", GRAPHFERRY_CONDITIONS="").stdout)
    assert status["held"] == held["held"]
    assert (status["conditions"]["metered"], status["bytes"]) == (True, held["spool"]["bytes"])


def test_a_command_that_cannot_tell_is_named(served: ServedWorker, laptop: CommandLine) -> None:
    configured(laptop, "link: {conditions: sh -c 'exit 7'}\n")
    for words in ((), ("--status",)):
        outcome = laptop("sync", *words, "--cloud", served.url, GRAPHFERRY_CONDITIONS="")
        assert outcome.status == 0
        assert "warning: \"sh -c 'exit 7'\" did not tell: it ended with status 7; so nothing is held back" in outcome.stderr


def test_a_large_value_that_is_to_go_out_waits(served: ServedWorker, laptop: CommandLine) -> None:
    begun = run(
        laptop, OUT, "--offline", "--set", f"word={'x' * 300_000}", "--agents", "my_agents.py", status=ExitStatus.SUSPENDED
    )
    held = synced(laptop, served, status=ExitStatus.SUSPENDED, **METERED)
    assert held["went_on"] == [{"run": begun["run"], "status": "suspended"}]
    shown = json.loads(laptop("runs", "show", begun["run"], "--json").stdout)
    assert "small" in {each["path"] for each in shown["records"] if each["type"] == "result"}, "what is small went"
    assert synced(laptop, served)["went_on"] == [{"run": begun["run"], "status": "completed"}]
    done = [
        each for each in json.loads(laptop("runs", "show", begun["run"], "--json").stdout)["records"] if each["type"] == "result"
    ]
    assert {each["path"]: each["value"] for each in done if each["path"] in ("far", "small")} == {"far": 300_000, "small": 3}


def test_a_large_value_that_is_to_come_in_waits_and_is_not_made_twice(served: ServedWorker, laptop: CommandLine) -> None:
    begun = run(laptop, BACK, "--offline", "--agents", "my_agents.py", status=ExitStatus.UNREACHABLE)
    for _ in range(2):
        held = synced(laptop, served, status=ExitStatus.SUSPENDED, **METERED)
        assert held["went_on"] == [{"run": begun["run"], "status": "suspended"}]
    assert synced(laptop, served)["went_on"] == [{"run": begun["run"], "status": "completed"}]
    records = json.loads(laptop("runs", "show", begun["run"], "--json").stdout)["records"]
    assert [each["path"] for each in records if each["type"] == "result"].count("far") == 1
    assert {each["path"]: each["value"] for each in records if each["type"] == "result"}["near"] == 300_000


def test_a_run_that_somebody_begins_is_not_held_back(served: ServedWorker, laptop: CommandLine) -> None:
    (laptop.cwd / "g.yaml").write_text(BACK, encoding="utf-8")
    outcome = laptop("run", "g.yaml", "--cloud", served.url, "--agents", "my_agents.py", "--json", **METERED)
    assert outcome.status == 0, outcome.stderr


def test_a_rate_changes_nothing_but_time(served: ServedWorker, laptop: CommandLine, own_home: Path) -> None:
    configured(laptop, "link: {rate: 10 MB}\n")
    begun = run(laptop, OUT, "--cloud", served.url, "--sync", "--set", f"word={'x' * 900_000}", "--agents", "my_agents.py")
    assert begun["results"] == {"far": 900_000, "small": 3}
    sync(laptop, served)
    assert logs(edge(laptop), begun["run"]) == logs(own_home / "cloud", begun["run"])


def test_too_much_that_waits_is_said_aloud_and_drains(served: ServedWorker, laptop: CommandLine) -> None:
    configured(laptop, "sync: true\nlink: {spool: 5 kB}\n")
    first = run(laptop, OUT, "--offline", "--set", f"word={'x' * 9_000}", "--agents", "my_agents.py", status=ExitStatus.SUSPENDED)
    (laptop.cwd / "g.yaml").write_text(MINE, encoding="utf-8")
    second = laptop("run", "g.yaml", "--json")
    assert "more than the 5,000 of `link: {spool}`" in second.stderr
    assert "This run is not marked for sync" in second.stderr
    listed = {each["run"]: each["marked"] for each in json.loads(laptop("runs", "--json").stdout)}
    assert listed == {first["run"]: True, json.loads(second.stdout)["run"]: False}
    asked = laptop("run", "g.yaml", "--json", "--sync")
    assert "warning" in asked.stderr
    assert "not marked" not in asked.stderr
    assert "warning" in laptop("runs", "mark", json.loads(second.stdout)["run"]).stderr
    status = json.loads(laptop("sync", "--status", "--json").stdout)
    assert status["spool"] == {"bound": 5_000, "over": True}
    drained = laptop("sync", "--cloud", served.url, "--json")
    assert json.loads(drained.stdout)["spool"] == {"records": 0, "bytes": 0, "bound": 5_000}
    assert "warning" not in drained.stderr
    assert "warning" not in laptop("run", "g.yaml").stderr


def test_who_watches_looks_each_time(served: ServedWorker, laptop: CommandLine, tmp_path: Path, own_home: Path) -> None:
    begun = run(laptop, MINE, "--sync")["run"]
    configured(laptop, "link: {conditions: cat conditions.txt}\n")
    says = tmp_path / "conditions.txt"
    says.write_text("metered mains")
    words = ("sync", "--watch", "--every", "50ms", "--cloud", served.url, "--json")
    with start(*words, home=edge(laptop).parent, cwd=tmp_path, GRAPHFERRY_CONDITIONS="") as watching:
        for _ in range(2):
            assert json.loads(watching.line())["held"] == "the network is metered (command)"
        says.write_text("unmetered mains")
        while (told := json.loads(watching.line()))["held"] is not None:
            continue
        assert told["spool"]["records"] == 0
        watching.send(signal.SIGINT)
        assert watching.outcome().status == ExitStatus.INTERRUPTED
    assert logs(edge(laptop), begun) == logs(own_home / "cloud", begun)
