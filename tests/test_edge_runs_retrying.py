"""Runs with a budget whose nodes fail at the worker: a person is asked before it tries again, and what they say is what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from graphs.journal import Journal
from graphs.records import Cancel, Start
from workers import worker

AGENTS = """\
from pathlib import Path

from graphferry import agent


@agent("failsAgent", version="1", effect="none")
async def fails(context):
    with Path(__file__).with_name("ran.txt").open("a") as file:
        file.write(f"{context.node_id}{context.retry}\\n")
    context.used(prompt_tokens=60, completion_tokens=40)
    if context.retry < 3:
        raise ValueError("not what was asked for")
    return {"v": context.retry}
"""

GRAPH = """\
version: 0.5
budget: {tokens: 150}
nodes:
  a: {agent: failsAgent, retry: 3, place: PLACE, isResult: true}
"""


class World:
    """A folder with a graph, and the command line."""

    def __init__(self, cli: CommandLine, home: Path, folder: Path, place: str = "cloud") -> None:
        self.cli, self.home, self.folder = cli, home, folder
        (folder / "costs.py").write_text(AGENTS, encoding="utf-8")
        (folder / "g.yaml").write_text(GRAPH.replace("PLACE", place), encoding="utf-8")

    def say(self, *words: str, status: int = 0) -> dict[str, Any]:
        done = self.cli(*words, "--json", "--agents", "costs.py")
        assert done.status == status, done.stderr
        return json.loads(done.stdout) if done.stdout else {}

    def tries(self) -> list[str]:
        path = self.folder / "ran.txt"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def records(self, *kinds: type) -> list[Any]:
        """Of all child runs, as the device has them."""
        with Journal.open(self.home / "edge" / "journal.db") as journal:
            (run,) = journal.runs(role="root")
            return [
                logged.record
                for child in journal.children(run.run)
                for logged in journal.records(child.run)
                if isinstance(logged.record, kinds)
            ]


@pytest.fixture
def world(cli: CommandLine, own_home: Path, tmp_path: Path) -> World:
    return World(cli, own_home, tmp_path)


def test_a_person_is_asked_between_attempts_at_the_worker(world: World) -> None:
    with worker(world.home, agents=["costs.py"], folder=world.folder) as served:
        url = ("--cloud", served.url)
        asked = world.say("run", "g.yaml", *url, status=3)
        assert world.tries() == ["a0", "a1"]
        assert asked["questions"][0]["prompt"] == "This run has used 200 of 150 tokens. Go on, with as much again?"
        again = world.say("resume", asked["run"], *url, status=3)
        assert again["questions"][0]["prompt"] == asked["questions"][0]["prompt"]
        assert world.tries() == ["a0", "a1"], "nobody has said anything yet"
        assert world.cli("answer", asked["run"], "a", "yes").status == 0
        more = world.say("resume", asked["run"], *url, status=3)
        assert more["questions"][0]["prompt"] == "This run has used 300 of 300 tokens. Go on, with as much again?"
        assert world.tries() == ["a0", "a1", "a2"]
        assert world.cli("answer", asked["run"], "a", "yes").status == 0
        assert world.say("resume", asked["run"], *url)["results"] == {"a": {"v": 3}}
        assert world.tries() == ["a0", "a1", "a2", "a3"]
    assert [each.at for each in world.records(Start)] == [1, 2, 3, 4]


def test_a_no_fails_the_node_and_the_worker_waits_no_longer(world: World) -> None:
    with worker(world.home, agents=["costs.py"], folder=world.folder) as served:
        url = ("--cloud", served.url)
        asked = world.say("run", "g.yaml", *url, status=3)
        assert world.cli("answer", asked["run"], "a", "no").status == 0
        ended = world.say("resume", asked["run"], *url, status=1)
        assert ended["errors"]["a"]["code"] == "BUDGET_EXCEEDED"
        assert world.tries() == ["a0", "a1"]
    assert [each.paths for each in world.records(Cancel)] == [["a"]]


def test_a_worker_that_starts_anew_still_waits_to_be_told(world: World) -> None:
    with worker(world.home, agents=["costs.py"], folder=world.folder) as served:
        asked = world.say("run", "g.yaml", "--cloud", served.url, status=3)
    with worker(world.home, agents=["costs.py"], folder=world.folder) as served:
        url = ("--cloud", served.url)
        world.say("resume", asked["run"], *url, status=3)
        assert world.tries() == ["a0", "a1"]
        assert world.cli("answer", asked["run"], "a", "yes").status == 0
        world.say("resume", asked["run"], *url, status=3)
        assert world.tries() == ["a0", "a1", "a2"]


def test_more_room_lets_it_go_on_without_a_question(world: World) -> None:
    with worker(world.home, agents=["costs.py"], folder=world.folder) as served:
        url = ("--cloud", served.url)
        asked = world.say("run", "g.yaml", *url, status=3)
        assert world.say("resume", asked["run"], *url, "--budget", "tokens=10000")["results"] == {"a": {"v": 3}}


def test_it_is_as_on_the_device(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    world = World(cli, own_home, tmp_path, "edge")
    asked = world.say("run", "g.yaml", status=3)
    assert world.tries() == ["a0", "a1"]
    assert asked["questions"][0]["prompt"] == "This run has used 200 of 150 tokens. Go on, with as much again?"
