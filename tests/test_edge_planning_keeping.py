"""Plans and history around real runs: they never stop one, they change where the next one runs, and every graph has a plan."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from edge.config import load_config
from edge.device import open_device
from edge.means import RunOptions
from edge.planning.keeping import Estimating, kept_plan
from edge.planning.plan import make_plan
from edge.runs.runner import Run
from graphs.engine.outcomes import Known
from graphs.environment import Environment
from graphs.errors import GraphferryError
from graphs.journal import Journal
from graphs.language.load import load_text
from graphs.language.spec import Graph
from workers import worker

HERE = Path(__file__).parent

FAST_THERE = """
import asyncio, threading
from graphferry import agent

@agent("nearAgent", effect="none")
async def near(context):
    '''Quick at the worker, which is a thread of the tests, and slow on the device.'''
    if threading.current_thread() is threading.main_thread():
        await asyncio.sleep(0.4)
    return context.inputs
"""

MOVES = """\
version: 0.5
nodes:
  text: {value: hi}
  work: {agent: nearAgent, inputs: {t: :text}}
  more: {agent: nearAgent, inputs: {t: :work.t}}
  end: {agent: copyAgent, isResult: true, inputs: {t: :more.t}}
"""


def test_a_run_is_not_stopped_by_an_estimate_that_cannot_be_made(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError("no figures today")

    monkeypatch.setattr("edge.planning.plan.make_plan", broken)
    monkeypatch.setattr("edge.planning.history.note_run", broken)
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: copyAgent, isResult: true, inputs: {t: 1}}\n", encoding="utf-8"
    )
    outcome = cli("run", "g.yaml", "--json")
    assert (outcome.status, json.loads(outcome.stdout)["results"]) == (0, {"a": {"t": 1}})
    assert [each.levelname for each in caplog.records if "could not be" in each.message] == ["ERROR", "ERROR"]


def test_without_estimates_the_rules_alone_place_nodes(
    cli: CommandLine, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError("no figures today")

    monkeypatch.setattr("edge.planning.estimates.Estimates", broken)
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hi}}\n", encoding="utf-8"
    )
    with worker(own_home) as served:
        outcome = cli("run", "g.yaml", "--json", "--cloud", served.url)
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["nodes"]["a"]["place"] == "cloud"
    assert "the rules alone place nodes" in caplog.text


def test_a_plan_is_kept_once_and_a_resumed_run_keeps_its_own(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hi}}\n", encoding="utf-8"
    )
    run = json.loads(cli("run", "g.yaml", "--offline", "--json").stdout)["run"]
    with worker(own_home) as served:
        assert cli("resume", run, "--cloud", served.url).status == 0
    with Journal.open(own_home / "edge" / "journal.db") as journal:
        plan = kept_plan(journal, journal.run(run).run)
        assert plan is not None
        assert plan["nodes"]["a"]["then"] == "waits"


def test_what_earlier_runs_took_moves_nodes_to_where_they_are_quicker(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text(FAST_THERE, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(MOVES, encoding="utf-8")
    with worker(own_home, agents=("near.py",), folder=tmp_path) as served:
        words = ("g.yaml", "--cloud", served.url, "--agents", "near.py", "--json")

        def places(outcome: Any) -> dict[str, str]:
            assert outcome.status == 0, outcome.stderr
            return {name: node["place"] for name, node in json.loads(outcome.stdout)["nodes"].items()}

        here = {"work": "edge", "more": "edge", "end": "edge"}
        assert places(cli("plan", *words)) == here, "nothing is known"
        assert places(cli("run", *words)) == here
        assert places(cli("plan", *words)) == here, "of the worker nothing is known"
        cli("run", *words, "--place", "work=cloud", "--place", "more=cloud")
        planned = cli("plan", *words)
        assert places(planned) | {"end": "?"} == {"work": "cloud", "more": "cloud", "end": "?"}
        told = json.loads(planned.stdout)["nodes"]["work"]
        assert told["reason"].startswith(("quicker at the worker", "the run is quicker with it at the worker"))
        assert [way["place"] for way in told["ways"]] == ["cloud", "edge"]
        assert told["ways"][1]["seconds"] > told["ways"][0]["seconds"]
        assert places(cli("run", *words)) == places(planned)
        assert places(cli("plan", *words, "--place", "work=edge"))["work"] == "edge"
        assert places(cli("plan", *words, "--policy", "energy"))["work"] in ("edge", "cloud")


def documents() -> Iterator[Any]:
    """Every graph in the conformance cases and examples, wherever it stands in its file."""
    files = [*(HERE / "conformance").rglob("*.yaml"), *(HERE.parent / "graphs" / "examples").glob("*.yaml")]
    todo = [load_text(file.read_text(encoding="utf-8")).data for file in sorted(files)]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            if isinstance(item.get("nodes"), dict) and "version" in item:
                yield item
            todo += item.values()
        elif isinstance(item, list):
            todo += item


def test_every_valid_graph_has_a_plan_with_a_worker_and_without(own_home: Path, tmp_path: Path) -> None:
    env = Environment(io.StringIO(), io.StringIO(), io.StringIO(), {"GRAPHFERRY_HOME": str(own_home)}, tmp_path)
    planned = 0
    with open_device(env, load_config(env)) as device:
        for document in documents():
            for why in (None, "nobody is there"):
                try:
                    graph = Graph.of(document, device.agents)
                    run = Run(device, graph, RunOptions(url="ws://127.0.0.1:1/v1/link"), bytes(16), Known())
                    run.place()
                except GraphferryError:
                    continue  # a case of what is refused
                estimates = Estimating(device)(graph, {}, None, {})
                plan = make_plan(graph, run.placed, run.facts(None), estimates, why)
                assert set(plan.nodes) == set(run.placed)
                assert json.dumps(plan.as_json())
                assert plan.seconds >= 0
                planned += 1
    assert planned > 200
