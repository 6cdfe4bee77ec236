"""`sync --upgrade` as a person uses it: what stood in is made again at a worker, with what depended on it, and nothing else is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine, impatient
from graphs.environment import ExitStatus
from graphs.records import Result, Submit
from logbook import entries, of
from workers import ServedWorker, worker

AGENTS = """\
from pathlib import Path

from graphferry import agent


def note(context):
    with Path(__file__).with_name("ran.txt").open("a") as file:
        file.write(f"{context.path} {context.inputs}\\n")


@agent("thinkAgent", effect="none")
def think(context):
    note(context)
    return {"text": "thought of " + "|".join(str(value) for value in context.inputs.values())}


@agent("guessAgent", effect="none")
def guess(context):
    note(context)
    return {"text": context.params.get("text", "a guess")}


@agent("sendAgent", effect="once")
def send(context):
    note(context)
    return {"sent": context.inputs.get("text")}


@agent("tellAgent", effect="once")
def tell(context):
    note(context)
    return {"text": "told " + str(context.inputs)}
"""
LOCAL = "place: {at: cloud, offline: local, local: {agent: guessAgent}}"
GRAPH = f"""\
version: 0.5
nodes:
  topic: {{value: tides}}
  facts: {{agent: thinkAgent, inputs: {{topic: :topic}}}}
  far: {{agent: thinkAgent, {LOCAL}, inputs: {{facts: :facts.text}}}}
  reads: {{agent: thinkAgent, place: edge, isResult: true, inputs: {{far: :far.text}}}}
  aside: {{agent: thinkAgent, place: edge, isResult: true, inputs: {{facts: :facts.text}}}}
"""


class World:
    """A device whose agents note what they were handed, and a worker with the same agents."""

    def __init__(self, cli: CommandLine, folder: Path, home: Path, served: ServedWorker) -> None:
        self.cli, self.folder, self.home, self.served = cli, folder, home, served

    def ran(self) -> list[str]:
        file = self.folder / "ran.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return sorted(line.split()[0] for line in lines)

    def offline(self, text: str, *words: str, status: int = 0) -> dict[str, Any]:
        (self.folder / "g.yaml").write_text(text, encoding="utf-8")
        outcome = self.cli("run", "g.yaml", "--agents", "my_agents.py", "--offline", "--json", *words)
        assert outcome.status == status, outcome.stderr
        found: dict[str, Any] = json.loads(outcome.stdout)
        return found

    def upgrade(self, *words: str, status: int = 0) -> list[dict[str, Any]]:
        outcome = self.cli("sync", "--upgrade", "--cloud", self.served.url, "--json", *words)
        assert outcome.status == status, outcome.stderr
        self.told = outcome.stderr
        found: list[dict[str, Any]] = json.loads(outcome.stdout)["upgraded"]
        return found

    def shown(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cli("runs", "show", run, "--json").stdout)
        return found

    def values(self, run: str) -> dict[str, Any]:
        return {each["path"]: each["value"]["text"] for each in self.shown(run)["records"] if each["type"] == "result"}


@pytest.fixture
def world(cli: CommandLine, tmp_path: Path, own_home: Path) -> Iterator[World]:
    impatient(own_home)
    (tmp_path / "my_agents.py").write_text(AGENTS, encoding="utf-8")
    with worker(own_home, agents=["my_agents.py"], folder=tmp_path) as served:
        yield World(cli, tmp_path, own_home, served)


def test_what_stood_in_is_made_again_and_what_depended_on_it(world: World) -> None:
    first = world.offline(GRAPH)
    assert world.ran() == ["aside", "facts", "far", "reads"]
    before = world.cli("runs", "show", first["run"], "--json").stdout
    (done,) = world.upgrade()
    assert (done["run"], done["status"], done["again"], done["late"], done["kept"], done["asks"]) == (
        first["run"], "completed", ["far"], [], [], [],
    )  # fmt: skip
    assert world.ran() == ["far", "reads"]
    assert world.values(first["run"])["far"] == "a guess"
    assert world.values(done["fork"]) == {
        "facts": "thought of tides",
        "far": "thought of thought of tides",
        "reads": "thought of thought of thought of tides",
        "aside": "thought of thought of tides",
    }
    assert json.loads(before)["records"] == world.shown(first["run"])["records"], "the run that was upgraded stays as it is"
    made = {record.path: record.by for row, _, record in entries(world.home, "edge") if isinstance(record, Result)}
    assert "degraded" not in made["far"]


def test_it_is_done_once(world: World) -> None:
    world.offline(GRAPH)
    (done,) = world.upgrade()
    world.ran()
    assert world.upgrade() == []
    assert world.ran() == []
    assert len(of(world.home, "edge", Submit)) == 3, "the run, its fork, and the fork's part at the worker"
    text = world.cli("sync", "--upgrade", "--cloud", world.served.url).stdout
    assert text == "everything is in sync\n"
    assert world.cli("runs", "rm", done["fork"]).status == 0
    assert len(world.upgrade()) == 1, "there is no upgrade of it any more"


def test_a_run_that_nothing_stood_in_for_is_let_alone(world: World) -> None:
    world.offline(GRAPH.replace(LOCAL, "place: edge"))
    world.ran()
    assert world.upgrade() == []
    assert world.ran() == []


def test_both_runs_say_what_they_are_to_each_other(world: World) -> None:
    first = world.offline(GRAPH)
    (done,) = world.upgrade()
    assert world.shown(done["fork"])["upgrade_of"] == first["run"]
    assert world.shown(first["run"])["upgraded_by"] == [done["fork"]]
    listed = {each["run"]: each for each in json.loads(world.cli("runs", "--json").stdout)}
    assert listed[first["run"]]["degraded"] == ["far"]
    assert listed[first["run"]]["upgraded_by"] == [done["fork"]]
    assert (listed[done["fork"]]["upgrade_of"], listed[done["fork"]]["degraded"]) == (first["run"], [])
    text = world.cli("runs").stdout
    assert "degraded: far; upgraded by" in text
    assert "upgrade of" in text
    assert "an upgrade of run" in world.cli("runs", "show", done["fork"]).stdout
    assert "upgraded by run" in world.cli("runs", "show", first["run"]).stdout


SENT = GRAPH.replace("isResult: true, inputs: {far: :far.text}", "inputs: {far: :far.text}") + (
    "  sent: {agent: sendAgent, place: edge, isResult: true, inputs: {text: :reads.text}}\n"
    "  end: {agent: thinkAgent, place: edge, isResult: true, inputs: {sent: :sent.sent}}\n"
)


def test_an_effect_is_never_repeated(world: World) -> None:
    first = world.offline(SENT)
    assert world.ran() == ["aside", "end", "facts", "far", "reads", "sent"]
    (done,) = world.upgrade(status=ExitStatus.SUSPENDED)
    assert (done["run"], done["status"], done["asks"]) == (first["run"], "suspended", ["sent"])
    assert world.ran() == ["far", "reads"], "not what has effects, nor what waits for it"
    assert world.upgrade() == [], "it asks, and is asked nothing"
    assert world.ran() == []
    resumed = world.cli("resume", done["fork"], "--cloud", world.served.url, "--assume", "sent=rerun", "--json")
    assert resumed.status == 0, resumed.stderr
    assert world.ran() == ["end", "sent"]


def test_where_it_comes_to_the_same_an_effect_counts_as_it_is(world: World) -> None:
    text = SENT.replace("local: {agent: guessAgent}", "local: {agent: guessAgent, params: {text: thought of thought of tides}}")
    world.offline(text)
    world.ran()
    (done,) = world.upgrade()
    assert (done["status"], done["asks"]) == ("completed", [])
    assert world.ran() == ["far"]


@pytest.mark.parametrize("more", ["", ", agent: guessAgent"])
def test_a_node_with_effects_stays_as_it_is(world: World, more: str) -> None:
    text = f"""\
version: 0.5
nodes:
  far: {{agent: sendAgent, place: {{at: cloud, offline: local, local: {{effect: once{more}}}}}, inputs: {{text: hi}}, isResult: true}}
"""
    first = world.offline(text)
    world.ran()
    assert world.upgrade() == [
        {"run": first["run"], "fork": None, "status": "completed", "again": [], "late": [], "kept": ["far"], "asks": []}
    ]
    assert world.ran() == []
    assert "stays as it is; far stays, as it has effects" in world.cli("sync", "--upgrade", "--cloud", world.served.url).stdout
    assert len(json.loads(world.cli("runs", "--json").stdout)) == 1


def test_of_a_map_only_the_rows_that_were_stood_in_for(world: World) -> None:
    text = f"""\
version: 0.5
nodes:
  rows: {{value: [1, 2]}}
  m:
    agent: mapAgent
    isResult: true
    inputs: {{rows: :rows}}
    graph:
      nodes:
        one: {{agent: thinkAgent, place: edge, inputs: {{row: :row}}}}
        two: {{agent: thinkAgent, {LOCAL}, isResult: true, inputs: {{one: :one.text}}}}
  after: {{agent: thinkAgent, place: edge, isResult: true, inputs: {{m: :m}}}}
"""
    world.offline(text)
    world.ran()
    (done,) = world.upgrade()
    assert (done["status"], done["again"]) == ("completed", ["m[0]/two", "m[1]/two"])
    assert world.ran() == ["after", "m[0]/two", "m[1]/two"]


def test_nothing_stands_in_for_a_second_time(world: World) -> None:
    world.offline(SENT + f"  more: {{agent: thinkAgent, {LOCAL}, inputs: {{sent: :sent.sent}}}}\n")
    world.ran()
    (done,) = world.upgrade(status=ExitStatus.SUSPENDED)
    assert world.ran() == ["far", "reads"]
    words = (
        "resume",
        done["fork"],
        "--assume",
        "sent=rerun",
        "--offline",
        "--when-offline",
        "local",
        "--when-offline",
        "more=local",
    )
    resumed = world.cli(*words, "--json")
    assert resumed.status == ExitStatus.SUSPENDED, resumed.stderr
    assert json.loads(resumed.stdout)["errors"]["more"]["code"] == "UNREACHABLE"
    assert world.ran() == ["end", "sent"]
    outcome = world.cli("sync", "--upgrade", "--cloud", world.served.url, "--json")
    assert json.loads(outcome.stdout)["went_on"] == [{"run": done["fork"], "status": "completed"}]
    assert world.ran() == ["more"]


def test_a_run_that_the_worker_cannot_upgrade_has_no_fork(world: World) -> None:
    text = GRAPH.replace("{agent: thinkAgent, " + LOCAL, "{agent: llmAgent, model: huge, " + LOCAL)
    world.offline(text)
    assert world.upgrade() == []
    assert "is not upgraded: node 'far' needs the model 'huge'" in world.told
    assert len(json.loads(world.cli("runs", "--json").stdout)) == 1


def test_a_fork_of_a_marked_run_is_marked(world: World) -> None:
    first = world.offline(GRAPH, "--sync")
    (done,) = world.upgrade()
    on_worker = {row.run.hex() for row, _, _ in entries(world.home, "cloud")}
    assert {run.replace("-", "") for run in (first["run"], done["fork"])} <= on_worker


def test_making_the_fork_was_cut_off(world: World) -> None:
    import sqlite3

    first = world.offline(GRAPH)
    (done,) = world.upgrade()
    fork = bytes.fromhex(done["fork"].replace("-", ""))
    db = sqlite3.connect(world.home / "edge" / "journal.db")
    with db:
        db.execute("UPDATE logs SET noted = 0")
        db.execute(
            "DELETE FROM records WHERE id > ((SELECT id FROM logs WHERE run = ?) << 32) + 1"
            " AND id < ((SELECT id FROM logs WHERE run = ?) + 1) << 32",
            (fork, fork),
        )
    db.close()
    world.ran()
    (again,) = world.upgrade(status=world.cli("sync", "--status").status)
    assert (again["run"], again["status"]) == (first["run"], "completed")
    assert world.cli("runs", "show", done["fork"]).status == ExitStatus.USAGE, "what was cut off is gone"


AGENT_OF = {"here": "thinkAgent, place: edge", "far": f"thinkAgent, {LOCAL}", "deed": "tellAgent, place: edge"}


def random_graph(dice: random.Random) -> tuple[str, dict[str, str], dict[str, set[str]]]:
    """A graph, the kind of each node, and the nodes that each depends on, itself among them."""
    kinds: dict[str, str] = {}
    above: dict[str, set[str]] = {}
    lines = ["version: 0.5", "nodes:", "  topic: {value: tides}"]
    for number in range(dice.randrange(3, 9)):
        name = f"n{number}"
        kinds[name] = dice.choice(["here", "here", "far", "far", "deed"])
        reads = dice.sample([*above], min(len(above), dice.randrange(3)))
        above[name] = {name}.union(*(above[each] for each in reads))
        inputs = ", ".join([f"t{number}: :topic", *(f"{each}: :{each}.text" for each in reads)])
        lines.append(f"  {name}: {{agent: {AGENT_OF[kinds[name]]}, isResult: true, inputs: {{{inputs}}}}}")
    return "\n".join(lines) + "\n", kinds, above


def test_an_upgrade_of_any_graph_comes_to_what_a_run_at_the_worker_comes_to(world: World) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    asked = completed = 0
    for _ in range(8):
        text, kinds, above = random_graph(dice)
        first = world.offline(text)
        world.ran()
        poor = {name for name, kind in kinds.items() if kind == "far"}
        touched = {name for name in kinds if above[name] & poor}
        acted = {name for name in touched if kinds[name] == "deed"}
        waits = {name for name in kinds if above[name] & acted}
        found = world.upgrade(status=ExitStatus.SUSPENDED if acted else 0)
        assert set(world.ran()) == touched - waits, text
        assert world.upgrade() == []
        assert world.ran() == []
        if not poor:
            assert found == [], text
            continue
        (done,) = found
        assert set(done["again"]) == poor
        assert set(done["asks"]) <= acted
        assert bool(done["asks"]) is bool(acted), text
        outcome = world.cli("run", "g.yaml", "--agents", "my_agents.py", "--cloud", world.served.url, "--json")
        fresh = {name: value["text"] for name, value in json.loads(outcome.stdout)["results"].items()}
        world.ran()
        made = world.values(done["fork"])
        assert made == {name: value for name, value in fresh.items() if name not in waits}, text
        assert {name for name, value in world.values(first["run"]).items() if value == "a guess"} == poor
        asked, completed = asked + bool(acted), completed + (not acted)
    assert asked + completed > 0
