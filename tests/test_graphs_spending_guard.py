"""Runs with a budget as people see them: a question instead of the next node, and what yes and no make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from graphs.models.prices import Price
from workers import worker

AGENTS = """\
from pathlib import Path

from graphferry import agent


@agent("costAgent", effect="none", version="1")
def cost(context):
    with Path(__file__).with_name("ran.txt").open("a") as file:
        file.write(context.node_id + "\\n")
    context.used(prompt_tokens=60, completion_tokens=40)
    return {"v": context.node_id}


@agent("payAgent", effect="once", version="1")
def pay(context):
    with Path(__file__).with_name("ran.txt").open("a") as file:
        file.write(context.node_id + "\\n")
    return {"v": "paid"}
"""


class World:
    """A folder with a graph, and the command line."""

    def __init__(self, cli: CommandLine, folder: Path) -> None:
        self.cli, self.folder = cli, folder
        (folder / "costs.py").write_text(AGENTS, encoding="utf-8")

    def graph(self, text: str) -> None:
        (self.folder / "g.yaml").write_text(f"version: 0.5\n{text}", encoding="utf-8")

    def say(self, *words: str, status: int = 0) -> dict[str, Any]:
        done = self.cli(*words, "--json", *(("--agents", "costs.py") if words[0] in ("run", "resume") else ()))
        assert done.status == status, done.stderr
        return json.loads(done.stdout) if done.stdout else {}

    @property
    def ran(self) -> list[str]:
        path = self.folder / "ran.txt"
        return path.read_text(encoding="utf-8").split() if path.exists() else []


@pytest.fixture
def world(cli: CommandLine, tmp_path: Path) -> World:
    return World(cli, tmp_path)


CHAIN = """\
budget: {tokens: 150}
nodes:
  a: {agent: costAgent}
  b: {agent: costAgent, inputs: {v: ":a.v"}}
  c: {agent: costAgent, inputs: {v: ":b.v"}, isResult: true}
"""


def test_a_budget_that_is_reached_asks_and_keeps_what_is_done(world: World) -> None:
    world.graph(CHAIN)
    report = world.say("run", "g.yaml", status=3)
    assert world.ran == ["a", "b"]
    (question,) = report["questions"]
    assert question["path"] == "c"
    assert question["prompt"] == "This run has used 200 of 150 tokens. Go on, with as much again?"
    assert world.cli("answer", report["run"], "c", "yes").status == 0
    done = world.say("resume", report["run"])
    assert done["results"] == {"c": {"v": "c"}}
    assert world.ran == ["a", "b", "c"]


FAILS = """

@agent("failsAgent", version="1", effect="none")
async def fails(context):
    context.made_by(model="large")
    context.used(prompt_tokens=60, completion_tokens=40)
    if context.retry < 2:
        raise ValueError("not what was asked for")
    return {"v": 1}
"""


def test_what_failed_attempts_used_up_counts_and_stands_beside_the_plan(world: World) -> None:
    once = FAILS.replace("context.retry < 2", "context.retry < 1")
    (world.folder / "costs.py").write_text(AGENTS + once, encoding="utf-8")
    world.graph(CHAIN.replace("a: {agent: costAgent}", "a: {agent: failsAgent, retry: 1}"))
    found = world.say("run", "g.yaml", status=3)
    fact = world.say("runs", "show", found["run"])["fact"]["nodes"]["a"]
    assert (fact["prompt_tokens"], fact["completion_tokens"], fact["runs"], fact["failed_attempts"]) == (120, 80, 1, 1)
    assert "b" not in world.ran, "200 tokens were spent, and the budget is 150"


@pytest.mark.parametrize("scope", ["run", "node"])
def test_what_attempts_used_up_that_failed_at_the_worker_counts_here(world: World, scope: str) -> None:
    """300 tokens of three attempts, of which two failed: before the next node begins, a person is asked; a later process knows of them, too."""
    (world.folder / "costs.py").write_text(AGENTS + FAILS, encoding="utf-8")
    world.graph(
        ("budget: {tokens: 250}\n" if scope == "run" else "")
        + "nodes:\n  m:\n    agent: nestedAgent\n    isResult: true\n"
        + ("    budget: {tokens: 250}\n" if scope == "node" else "")
        + """\
    graph:
      nodes:
        a: {agent: failsAgent, retry: 2, place: cloud}
        b: {agent: costAgent, place: cloud, inputs: {v: ":a.v"}, isResult: true}
"""
    )
    with worker(world.folder / "home", agents=["costs.py"], folder=world.folder) as served:
        report = world.say("run", "g.yaml", "--cloud", served.url, status=3)
        assert [each["path"] for each in report["questions"]] == ["m/b"]
        whose = "This run" if scope == "run" else "Node 'm'"
        assert report["questions"][0]["prompt"] == f"{whose} has used 300 of 250 tokens. Go on, with as much again?"
        again = world.say("resume", report["run"], "--cloud", served.url, status=3)
        assert [each["path"] for each in again["questions"]] == ["m/b"]
        assert world.ran == []
        assert world.cli("answer", report["run"], "m/b", "yes").status == 0
        assert world.say("resume", report["run"], "--cloud", served.url)["results"] == {"m": {"b": {"v": "b"}}}


@pytest.mark.parametrize("scope", ["run", "node"])
@pytest.mark.parametrize("graph", ["written", "a value", "a map"])
def test_what_labelled_nodes_inside_a_graph_used_at_the_worker_counts(
    world: World, own_home: Path, graph: str, scope: str
) -> None:
    """Their values stay there, and their counts would with them: 100 tokens of the attempt that gave a result, besides 200 of those that failed."""
    (world.folder / "costs.py").write_text(AGENTS + FAILS, encoding="utf-8")
    inner = """{version: 0.5, nodes: {a: {agent: failsAgent, retry: 2, inputs: {v: ":t"}},
      b: {agent: costAgent, inputs: {v: ":a.v"}, isResult: true}}}"""
    opens = f"agent: {'mapAgent' if graph == 'a map' else 'nestedAgent'}, inputs: {{{'rows: [1], ' if graph == 'a map' else ''}t: ':t'}}"
    opened, given = (":g", f"  g: {{value: {inner}}}\n") if graph == "a value" else (inner, "")
    limit = "budget: {tokens: 250}"
    world.graph(
        f"{limit if scope == 'run' else ''}\nnodes:\n  t: {{value: some words, sensitivity: internal}}\n{given}"
        f"  m: {{{opens}, place: cloud, graph: {opened!r}{', ' + limit if scope == 'node' else ''}}}\n".replace(
            f"{inner!r}", inner
        )
        + "  z: {agent: costAgent, place: cloud, inputs: {v: ':m'}, isResult: true}\n"
    )
    with worker(own_home, agents=["costs.py"], folder=world.folder, clearance=["internal"]) as served:
        (own_home / "edge").mkdir(exist_ok=True)
        config = f"cloud: {{url: '{served.url}'}}\nsensitivity: {{internal: [edge, cloud]}}\n"
        (own_home / "edge" / "config.yaml").write_text(config, encoding="utf-8")
        report = world.say("run", "g.yaml", status=3)
        again = world.say("resume", report["run"], status=3)
    whose = "This run" if scope == "run" else "Node 'm'"
    for each in (report, again):
        assert [asked["prompt"] for asked in each["questions"]] == [
            f"{whose} has used 300 of 250 tokens. Go on, with as much again?"
        ]
    assert world.ran == []


def test_money_that_was_spent_at_the_worker_is_spent_in_later_processes_too(world: World) -> None:
    (world.folder / "costs.py").write_text(AGENTS + FAILS, encoding="utf-8")
    world.graph("""\
budget: {usd: 0.25}
nodes:
  a: {agent: failsAgent, retry: 2, place: cloud}
  b: {agent: costAgent, place: cloud, inputs: {v: ":a.v"}, isResult: true}
""")
    with worker(world.folder / "home", agents=["costs.py"], folder=world.folder) as served:
        served.worker.prices = {"large": Price(1000.0, 1000.0)}
        report = world.say("run", "g.yaml", "--cloud", served.url, status=3)
        assert report["questions"][0]["prompt"].startswith("This run has used 0.3 of 0.25 dollars.")
        again = world.say("resume", report["run"], "--cloud", served.url, status=3)
        assert again["questions"] == report["questions"]


def test_no_is_an_answer_and_fails_the_node(world: World) -> None:
    world.graph(CHAIN)
    report = world.say("run", "g.yaml", status=3)
    assert world.cli("answer", report["run"], "c", "no").status == 0
    done = world.say("resume", report["run"], status=1)
    assert done["errors"]["c"]["code"] == "BUDGET_EXCEEDED"
    assert world.ran == ["a", "b"]


def test_the_command_line_says_how_much_and_more_later(world: World) -> None:
    world.graph(CHAIN)
    report = world.say("run", "g.yaml", "--budget", "tokens=100", status=3)
    assert world.ran == ["a"]
    assert world.say("resume", report["run"], "--budget", "tokens=1000")["status"] == "completed"


def test_one_yes_is_enough_for_all_that_wait(world: World) -> None:
    nodes = "".join(f"  n{each}: {{agent: costAgent, inputs: {{v: ':a.v'}}, isResult: true}}\n" for each in range(3))
    world.graph("budget: {tokens: 100}\nnodes:\n  a: {agent: costAgent}\n" + nodes)
    report = world.say("run", "g.yaml", status=3)
    assert sorted(each["path"] for each in report["questions"]) == ["n0", "n1", "n2"]
    assert world.cli("answer", report["run"], "n1", "yes").status == 0
    again = world.say("resume", report["run"], status=3)
    assert len(world.ran) == 2, "as much again is one node more"
    assert len(again["questions"]) == 2


def test_a_budget_of_one_node_holds_back_no_other(world: World) -> None:
    world.graph("""\
nodes:
  rows: {value: [1, 2, 3, 4]}
  m:
    agent: mapAgent
    inputs: {rows: ":rows"}
    budget: {tokens: 200}
    graph: {concurrency: 1, nodes: {x: {agent: costAgent, isResult: true}}}
    isResult: true
  other: {agent: costAgent, isResult: true}
""")
    report = world.say("run", "g.yaml", status=3)
    assert world.ran.count("other") == 1
    assert {each["path"].split("[")[0] for each in report["questions"]} <= {"m"}


def test_what_has_effects_is_asked_about_before_it_begins(world: World) -> None:
    world.graph(
        "budget: {tokens: 100}\nnodes:\n  a: {agent: costAgent}\n  p: {agent: payAgent, inputs: {v: ':a.v'}, isResult: true}\n"
    )
    report = world.say("run", "g.yaml", status=3)
    assert world.cli("answer", report["run"], "p", "yes").status == 0
    assert world.say("resume", report["run"])["results"] == {"p": {"v": "paid"}}
    assert world.ran == ["a", "p"]


FAR = """\
budget: {tokens: 100}
place: cloud
nodes:
  a: {agent: costAgent}
  b: {agent: costAgent, inputs: {v: ":a.v"}, isResult: true%s}
"""


def test_a_worker_does_not_run_ahead_of_a_budget(world: World) -> None:
    world.graph(FAR % "")
    with worker(world.folder / "home", agents=["costs.py"], folder=world.folder) as served:
        report = world.say("run", "g.yaml", "--cloud", served.url, status=3)
        assert world.ran == ["a"]
        assert [each["path"] for each in report["questions"]] == ["b"]
        assert world.cli("answer", report["run"], "b", "yes").status == 0
        assert world.say("resume", report["run"], "--cloud", served.url)["results"] == {"b": {"v": "b"}}
    assert world.ran == ["a", "b"]


def test_where_there_is_a_local_alternative_that_runs_instead(world: World) -> None:
    world.graph(FAR % ", place: {at: cloud, offline: local, local: {agent: echoAgent, params: {v: small}}}")
    with worker(world.folder / "home", agents=["costs.py"], folder=world.folder) as served:
        report = world.say("run", "g.yaml", "--cloud", served.url)
    assert report["results"] == {"b": {"v": "small"}}
    assert report["nodes"]["b"]["degraded"] == "budget"
