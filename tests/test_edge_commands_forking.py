"""`runs fork` and `runs replay` as a person uses them: what is kept, what runs again, and what is never done twice without a word."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from edge.commands.forking import make_fork
from edge.config import load_config
from graphs.environment import Environment
from graphs.records import Result, Submit
from logbook import of
from workers import worker

AGENTS = """\
from pathlib import Path

from graphferry import agent

VERSION = "1"


def note(context):
    with Path(__file__).with_name("ran.txt").open("a") as file:
        file.write(context.path + "\\n")


@agent("thinkAgent", effect="none", version=VERSION)
def think(context):
    note(context)
    return {"text": "|".join(str(value) for value in context.inputs.values())}


@agent("sendAgent", effect="once")
def send(context):
    note(context)
    return {"sent": context.inputs.get("text")}


@agent("putAgent", effect="idempotent")
def put(context):
    note(context)
    return {"put": context.inputs.get("text")}


@agent("failAgent", effect="none")
def fail(context):
    note(context)
    raise ValueError("no luck")
"""

GRAPH = """\
version: 0.5
nodes:
  topic: {value: tides}
  tone: {value: calm}
  facts: {agent: thinkAgent, inputs: {topic: :topic}}
  draft: {agent: thinkAgent, inputs: {facts: :facts.text, tone: :tone}}
  short: {agent: stringTemplateAgent, params: {template: "${text}!"}, inputs: {text: :draft.text}}
  other: {agent: thinkAgent, inputs: {tone: :tone}}
  send: {agent: sendAgent, inputs: {text: :short}}
  end: {agent: thinkAgent, isResult: true, inputs: {sent: :send.sent, other: :other.text}}
"""


class World:
    """A folder with agents that note where they ran."""

    def __init__(self, cli: CommandLine, folder: Path, home: Path) -> None:
        self.cli, self.folder, self.home = cli, folder, home
        (folder / "my_agents.py").write_text(AGENTS, encoding="utf-8")

    def ran(self) -> list[str]:
        file = self.folder / "ran.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return sorted(lines)

    def run(self, text: str, *words: str, status: int = 0) -> dict[str, Any]:
        (self.folder / "g.yaml").write_text(text, encoding="utf-8")
        return self.say("run", "g.yaml", "--agents", "my_agents.py", *words, status=status)

    def say(self, *words: str, status: int = 0) -> dict[str, Any]:
        outcome = self.cli(*words, "--json")
        assert outcome.status == status, outcome.stderr
        self.told = outcome.stderr
        return dict(json.loads(outcome.stdout))


@pytest.fixture
def world(cli: CommandLine, tmp_path: Path, own_home: Path) -> World:
    return World(cli, tmp_path, own_home)


def test_a_replay_runs_a_node_and_what_depends_on_it(world: World) -> None:
    first = world.run(GRAPH)
    assert world.ran() == ["draft", "end", "facts", "other", "send"]
    replay = ("runs", "replay", first["run"], "--from", "draft", "--set", "tone=wild")
    again = world.say(*replay, "--assume", "send=rerun")
    assert again["run"] != first["run"]
    assert again["results"] == {"end": {"text": "tides|wild!|wild"}}
    assert world.ran() == ["draft", "end", "other", "send"]
    assert "1 result kept" in world.told
    origins = {record.path: record.by.get("from") for record in of(world.home, "edge", Result)}
    assert {path for path, origin in origins.items() if origin} == {"facts"}


def test_effects_are_never_repeated_without_a_word(world: World) -> None:
    first = world.run(GRAPH)
    world.ran()
    again = world.say("runs", "replay", first["run"], "--set", "tone=wild", status=3)
    assert "will not run again without a word: send" in world.told
    assert world.ran() == ["draft", "other"]
    assert again["errors"]["send"]["code"] == "NODE_INDETERMINATE"
    assert "has done its work in the run that this one is a fork of" in again["errors"]["send"]["message"]
    waiting = world.say("resume", again["run"], status=3)
    assert waiting["errors"]["send"]["code"] == "NODE_INDETERMINATE"
    assert world.ran() == []
    done = world.say("resume", again["run"], "--assume", 'send=done:{"sent": "by hand"}')
    assert done["results"] == {"end": {"text": "by hand|wild"}}
    assert world.ran() == ["end"]


def test_a_replay_may_keep_what_an_effect_gave(world: World) -> None:
    first = world.run(GRAPH)
    world.ran()
    again = world.say("runs", "replay", first["run"], "--set", "tone=wild", "--assume", "send=done")
    assert again["results"] == {"end": {"text": "tides|calm!|wild"}}
    assert world.ran() == ["draft", "end", "other"]


def test_what_is_handed_the_same_is_kept_although_something_before_it_changed(world: World) -> None:
    text = """\
version: 0.5
nodes:
  item: {value: {name: a, price: 3}}
  named: {agent: thinkAgent, isResult: true, inputs: {name: :item.name}}
  priced: {agent: thinkAgent, isResult: true, inputs: {price: :item.price}}
  sent: {agent: sendAgent, isResult: true, inputs: {text: :named.text}}
"""
    first = world.run(text)
    world.ran()
    again = world.say("runs", "replay", first["run"], "--set", 'item={"name": "a", "price": 4}')
    assert world.ran() == ["priced"]
    assert again["results"]["priced"] == {"text": "4"}


def test_maps_nested_graphs_and_loops(world: World) -> None:
    text = """\
version: 0.5
loop: {count: 3}
nodes:
  rows: {value: [1, 2, 3]}
  state: {value: s, update: :turn.text}
  m:
    agent: mapAgent
    isResult: true
    inputs: {rows: :rows}
    graph:
      nodes:
        one: {agent: thinkAgent, inputs: {row: :row}}
        two: {agent: thinkAgent, isResult: true, inputs: {one: :one.text}}
  turn: {agent: thinkAgent, isResult: true, inputs: {state: :state}}
"""
    first = world.run(text)
    everything = world.ran()
    assert len(everything) == 3 * (6 + 1)
    # All turns of row 1 of the map, and nothing else: the rows give the same, and nothing reads them.
    again = world.say("runs", "replay", first["run"], "--from", "m[1]/two")
    assert again["results"] == first["results"]
    assert world.ran() == ["m[1]#1/two", "m[1]#2/two", "m[1]/two"]
    # The second turn comes to the same, so the third does, too.
    world.say("runs", "replay", first["run"], "--from", "turn#1")
    assert world.ran() == ["turn#1"]
    world.say("runs", "replay", first["run"], "--set", "rows=[1, 7, 3]")
    changed = [f"m[1]{turn}/{name}" for turn in ("", "#1", "#2") for name in ("one", "two")]
    assert world.ran() == sorted(changed)
    world.say("runs", "replay", first["run"], "--from", "m")
    assert world.ran() == [path for path in everything if path.startswith("m[")]


def test_what_comes_to_the_same_again_leaves_what_reads_it_alone(world: World) -> None:
    first = world.run(GRAPH)
    world.ran()
    again = world.say("runs", "replay", first["run"], "--from", "facts")
    assert again["results"] == first["results"]
    assert world.ran() == ["facts"]
    assert {record.path for record in of(world.home, "edge", Result) if "from" in record.by} == {"draft", "end", "other", "send"}
    shown = json.loads(world.cli("runs", "show", again["run"], "--json").stdout)
    assert sum(record["type"] == "result" for record in shown["records"]) == 5
    assert shown["records"][0]["fork"] == first["run"]


def test_a_fork_keeps_everything_and_leaves_the_other_run_alone(world: World) -> None:
    text = GRAPH.replace("end: {agent: thinkAgent", "end: {agent: failAgent")
    failed = world.run(text, status=1)
    assert world.ran() == ["draft", "end", "facts", "other", "send"]
    before = world.cli("runs", "show", failed["run"], "--json").stdout
    outcome = world.cli("runs", "fork", failed["run"])
    assert outcome.status == 0, outcome.stderr
    assert "4 results kept" in outcome.stdout
    fork = outcome.stderr.split()[-1]
    assert world.cli("runs", "show", failed["run"], "--json").stdout == before
    assert world.cli("runs", "rm", failed["run"]).status == 0
    report = world.say("resume", fork, status=1)
    assert world.ran() == ["end"]
    assert report["errors"]["end"]["message"] == "no luck"
    assert [bool(record.opts.get("fork")) for record in of(world.home, "edge", Submit)] == [True]


def test_a_new_version_of_an_agent_runs_again(world: World) -> None:
    first = world.run(GRAPH)
    world.ran()
    (world.folder / "newer_agents.py").write_text(AGENTS.replace('VERSION = "1"', 'VERSION = "2"'), encoding="utf-8")
    world.say("runs", "replay", first["run"], "--set", "tone=calm", "--agents", "newer_agents.py", "--assume", "send=done")
    assert world.ran() == ["draft", "end", "facts", "other"]


def test_idempotent_nodes_ask_too_since_a_fork_has_other_keys(world: World) -> None:
    text = """\
version: 0.5
nodes:
  text: {value: a}
  put: {agent: putAgent, isResult: true, inputs: {text: :text}}
"""
    first = world.run(text)
    world.ran()
    again = world.say("runs", "replay", first["run"], "--set", "text=b", status=3)
    assert world.ran() == []
    done = world.say("resume", again["run"], "--assume", "put=rerun")
    assert done["results"] == {"put": {"put": "b"}}
    assert world.ran() == ["put"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "what is to be done again?"),
        (("--from", "drafft"), "Did you mean 'draft'?"),
        (("--from", "topic"), "the graph has no computed node of that name"),
        (("--set", "draft=x"), "--set draft: that node is computed"),
        (("--set", "nobody=x"), "--set nobody: that node is not in the graph"),
        (("--from", "draft", "--assume", "facts=rerun"), "--assume facts: that node keeps what it gave"),
        (("--from", "draft", "--assume", "nobody=done"), "that run has no result of 'nobody'"),
        (("--from", "draft", "--assume", "send=perhaps"), "--assume send=perhaps: expected NODE=done:VALUE"),
    ],
)
def test_what_makes_no_sense_is_refused_and_makes_no_run(world: World, words: tuple[str, ...], message: str) -> None:
    first = world.run(GRAPH)
    world.ran()
    outcome = world.cli("runs", "replay", first["run"], *words)
    assert outcome.status == 2
    assert message in outcome.stderr
    assert world.ran() == []
    assert len(json.loads(world.cli("runs", "--json").stdout)) == 1


def test_a_fork_that_was_cut_off_is_not_gone_on_with(world: World) -> None:
    import sqlite3

    first = world.run(GRAPH)
    fork = world.cli("runs", "fork", first["run"]).stderr.split()[-1]
    world.ran()
    db = sqlite3.connect(world.home / "edge" / "journal.db")
    with db:
        db.execute("UPDATE logs SET noted = 0")
        db.execute("DELETE FROM records WHERE id = (SELECT max(id) FROM records)")
    db.close()
    outcome = world.cli("resume", fork)
    assert outcome.status != 0
    assert "was cut off" in outcome.stderr
    assert world.ran() == []


FERRIED = """\
version: 0.5
nodes:
  tone: {value: calm}
  far: {agent: thinkAgent, place: cloud, inputs: {a: 1}}
  big: {agent: bulkAgent, place: cloud, params: {bytes: 200000}}
  length: {agent: lengthAgent, place: cloud, inputs: {of: :big}}
  seen: {agent: bulkAgent, place: cloud, params: {bytes: 150000}}
  here: {agent: lengthAgent, place: edge, inputs: {of: :seen}}
  deed: {agent: sendAgent, place: cloud, inputs: {text: :far.text}}
  near: {agent: thinkAgent, place: edge, isResult: true, inputs: {far: :far.text, n: :length, m: :here, tone: :tone, deed: :deed.sent}}
"""
MORE_AGENTS = (
    AGENTS
    + """

@agent("bulkAgent", effect="none")
def bulk(context):
    note(context)
    return "x" * context.params["bytes"]


@agent("lengthAgent", effect="none")
def length(context):
    note(context)
    return len(context.inputs["of"])
"""
)


def test_what_a_worker_made_is_kept_too(world: World) -> None:
    (world.folder / "my_agents.py").write_text(MORE_AGENTS, encoding="utf-8")
    with worker(world.home, agents=["my_agents.py"], folder=world.folder) as served:
        first = world.run(FERRIED, "--cloud", served.url)
        assert world.ran() == ["big", "deed", "far", "here", "length", "near", "seen"]
        again = world.say("runs", "replay", first["run"], "--set", "tone=wild", "--cloud", served.url)
        assert again["results"]["near"]["text"] == first["results"]["near"]["text"].replace("calm", "wild")
        # Large values stay where they were made, which is a run of its own: they may be made again, what was made of them is kept.
        assert set(world.ran()) - {"big", "seen"} == {"near"}
        asked = world.say("runs", "replay", first["run"], "--from", "far", "--set", "tone=x", "--cloud", served.url)
        assert asked["status"] == "completed", "it came to the same, so the deed is not in question"
        assert "deed" not in world.ran()


WAITS = """\
version: 0.5
nodes:
  ok: {agent: humanAgent, params: {mode: approve, prompt: Send it?}}
  send: {agent: sendAgent, isResult: true, inputs: {text: :ok.approved}}
"""


def test_a_run_that_comes_while_it_is_forked_by_force_goes_on_by_itself_so_the_fork_asks(
    cli: CommandLine, tmp_path: Path
) -> None:
    """Its holder was silent when that was decided; by now it may be this device, and nothing is done in both."""
    (tmp_path / "my_agents.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(WAITS, encoding="utf-8")
    run = json.loads(cli("run", "g.yaml", "--agents", "my_agents.py", "--json").stdout)["run"]
    env = Environment(io.StringIO(), io.StringIO(), io.StringIO(), cli.environ, cli.cwd)
    assert make_fork(run, load_config(env), env).asked == []
    assert make_fork(run, load_config(env), env, forced=True).asked == ["send"]
