"""Budgets and the account's limits in a run that a worker holds: a question instead of the next node, wherever the run is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.accounts import Account
from cloud.holdings import Holdings
from cloud.upkeep import Upkeep
from conftest import CommandLine
from fleet import new_device, sync
from graphs.agents import standard
from graphs.engine.plan import Compiler
from graphs.environment import ExitStatus
from graphs.journal import Journal
from graphs.language.spec import Graph
from graphs.models.prices import Price
from graphs.registry import agent
from graphs.running.runtime import Runtime
from logbook import until
from protocol.payload import Body
from workers import ServedWorker, worker

FREE = agent("freeAgent", effect="none")(lambda _: 1)

AGENTS = """\
from pathlib import Path

from graphferry import NodeError, agent


@agent("costAgent", effect="none", version="1")
def cost(context):
    with Path(__file__).with_name("ran.txt").open("a") as file:
        file.write(context.node_id + "\\n")
    context.made_by(model="large")
    context.used(prompt_tokens=60, completion_tokens=40)
    return {"v": context.node_id}


@agent("failsAgent", version="1", effect="none")
async def fails(context):
    context.made_by(model="large")
    context.used(prompt_tokens=60, completion_tokens=40)
    if context.retry < 1:
        raise ValueError("not what was asked for")
    return {"v": 1}
"""

CHAIN = """\
version: 0.5
sync: true
budget: {%s}
nodes:
  a: {agent: costAgent, place: edge}
  b: {agent: %s, place: cloud, inputs: {v: ":a.v"}}
  c: {agent: costAgent, place: cloud, inputs: {v: ":b.v"}}
  d: {agent: costAgent, place: cloud, inputs: {v: ":c.v"}, isResult: true}
"""


class World:
    """A worker with agents that cost something, and devices of one account."""

    def __init__(self, served: ServedWorker, folder: Path, device: CommandLine) -> None:
        self.served, self.folder, self.device = served, folder, device

    def handed_over(self, graph: str) -> str:
        (self.folder / "g.yaml").write_text(graph, encoding="utf-8")
        told = self.device("run", "g.yaml", "--offline", "--json", "--agents", "costs.py")
        assert told.status in (ExitStatus.SUSPENDED, ExitStatus.UNREACHABLE), told.stderr
        run = str(json.loads(told.stdout)["run"])
        pushed = self.device("runs", "push", run, "--continue", "--cloud", self.served.url)
        assert pushed.status == ExitStatus.COMPLETED, pushed.stderr
        return run

    def asked(self, run: str) -> dict[str, str]:
        """The questions of the run, as the device knows them once the worker rests."""
        rests(self, run)
        sync(self.device, self.served)
        shown = json.loads(self.device("runs", "show", run, "--json").stdout)
        return {each["path"]: each["prompt"] for each in shown.get("questions", ())}

    @property
    def ran(self) -> list[str]:
        path = self.folder / "ran.txt"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def status(self, run: str) -> str:
        with Journal.open(self.served.worker.journal.path) as journal:
            return str(journal.run(run).status)


def rests(world: World, run: str) -> None:
    """Look until the worker has done all of the run that it can."""
    keeper, root = world.served.server._keeper, bytes.fromhex(run.replace("-", ""))
    until(lambda: world.served.call(lambda: keeper._has_paused(root) and not keeper._going))


@pytest.fixture
def world(own_home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    (tmp_path / "costs.py").write_text(AGENTS, encoding="utf-8")
    with worker(own_home, agents=["costs.py"], folder=tmp_path) as served:
        yield World(served, tmp_path, new_device(tmp_path_factory.mktemp("device"), tmp_path))


def test_what_was_spent_wherever_counts_and_a_person_is_asked(world: World) -> None:
    run = world.handed_over(CHAIN % ("tokens: 200", "costAgent"))
    assert world.asked(run) == {"c": "This run has used 200 of 200 tokens. Go on, with as much again?"}
    assert world.ran == ["a", "b"]
    assert world.device("answer", run, "c", "yes").status == ExitStatus.COMPLETED
    sync(world.device, world.served)
    until(lambda: world.status(run) == "completed")
    assert world.ran == ["a", "b", "c", "d"], "nothing ran twice"


def test_what_failed_attempts_used_up_counts(world: World) -> None:
    run = world.handed_over((CHAIN % ("tokens: 250", "failsAgent")).replace("failsAgent,", "failsAgent, retry: 1,"))
    assert world.asked(run) == {"c": "This run has used 300 of 250 tokens. Go on, with as much again?"}


def test_a_budget_of_bytes_has_what_crossed_the_link_before_in_it(world: World) -> None:
    """The first part runs at the worker as a part of the device's run, then the worker holds it."""
    (world.folder / "g.yaml").write_text(
        (CHAIN % ("bytes: 20", "costAgent")).replace("agent: costAgent, place: edge", "agent: costAgent, place: cloud"),
        encoding="utf-8",
    )
    told = world.device("run", "g.yaml", "--cloud", world.served.url, "--json", "--agents", "costs.py")
    assert told.status == ExitStatus.SUSPENDED, told.stderr
    report = json.loads(told.stdout)
    (question,) = report["questions"]
    pushed = world.device("runs", "push", report["run"], "--continue", "--cloud", world.served.url)
    assert pushed.status == ExitStatus.COMPLETED, pushed.stderr
    done = list(world.ran)
    assert list(world.asked(report["run"])) == [question["path"]]
    assert world.ran == done


def test_no_fails_the_node_and_the_run_rests(world: World) -> None:
    run = world.handed_over(CHAIN % ("tokens: 200", "costAgent"))
    assert list(world.asked(run)) == ["c"]
    assert world.device("answer", run, "c", "no").status == ExitStatus.COMPLETED
    sync(world.device, world.served)
    until(lambda: world.status(run) == "failed")
    assert world.asked(run) == {}, "it was answered"
    assert world.ran == ["a", "b"]


def test_dollars_are_counted_by_the_worker_s_prices_and_by_those_when_it_came_back(world: World) -> None:
    world.served.worker.prices = {"large": Price(1000.0, 1000.0)}
    world.served.server._shares.clear()
    run = world.handed_over((CHAIN % ("usd: 0.15", "costAgent")).replace("agent: costAgent, place: edge", "value: {v: 1}"))
    assert world.asked(run) == {"d": "This run has used 0.2 of 0.15 dollars. Go on, with as much again?"}
    pulled = world.device("runs", "pull", run, "--cloud", world.served.url)
    assert pulled.status == ExitStatus.COMPLETED, pulled.stderr
    told = world.device("resume", run, "--cloud", world.served.url, "--json", "--agents", "costs.py")
    assert told.status == ExitStatus.SUSPENDED, told.stderr
    questions: list[dict[str, Any]] = json.loads(told.stdout)["questions"]
    assert [each["path"] for each in questions] == ["d"]
    assert world.ran == ["b", "c"]


def test_a_run_that_was_left_off_for_want_of_room_goes_on_by_itself_once_there_is_some(world: World) -> None:
    run = world.handed_over(CHAIN % ("tokens: 200", "costAgent"))
    assert list(world.asked(run)) == ["c"]
    books, call = world.served.server._holdings, world.served.call
    call(lambda: books.wrote(Account(), Account().disk - books.stored("default") - 10))  # the answer just comes in
    assert world.device("answer", run, "c", "yes").status == ExitStatus.COMPLETED
    sync(world.device, world.served)
    until(lambda: _why(world, run).endswith("of the account"))
    rests(world, run)
    assert world.ran == ["a", "b"]
    call(books.pruned)
    rests(world, run)
    assert world.ran == ["a", "b"], "there is no more room than before"
    call(books.prune)
    until(lambda: world.status(run) == "completed")
    assert world.ran == ["a", "b", "c", "d"], "nothing ran twice"


def _why(world: World, run: str) -> str:
    with Journal.open(world.served.worker.journal.path) as journal:
        return str((journal.run(run).exit_info or {}).get("why"))


def test_an_account_with_no_room_begins_nothing_more_but_what_costs_nothing(tmp_path: Path) -> None:
    async def begin(upkeep: Upkeep, name: str) -> str:
        plan = Compiler(standard().with_agents([FREE])).plan(
            Graph.of({"version": 0.5, "nodes": {"x": {"agent": name}}}, {"freeAgent", *standard()})
        )
        compiler = Compiler(standard().with_agents([FREE]))
        runtime = Runtime(plan, compiler, before=upkeep.before)
        await runtime.run()
        return ",".join(str(getattr(each, "condition", each)) for each in runtime.engine.suspended.values())

    with Journal.open(tmp_path / "journal.db") as journal:
        full = Account("full", disk=1)
        upkeep = Upkeep(Holdings(journal, {"full": full}), full, "held")
        upkeep.kept(1, [])
        assert asyncio.run(begin(upkeep, "freeAgent")) == "QUOTA"
        assert asyncio.run(begin(upkeep, "echoAgent")) == ""
        assert asyncio.run(begin(upkeep, "humanAgent")) != "QUOTA", "a question is asked"


def test_what_a_held_run_writes_counts_for_its_account(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        account = Account("alice")
        holdings = Holdings(journal, {"alice": account})
        upkeep = Upkeep(holdings, account, "held")
        body = Body(bytes(32), b"large", (), 0)
        upkeep.kept(10, [body])
        upkeep.kept(7, [body])
        assert holdings.stored("alice") == 10 + 7 + 5, "a body counts once, whatever refers to it"
