"""Runs on the device alone: what is on record, what resume does with it, and that a run remembers how it was begun."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from edge.device import open_device
from edge.runs.resuming import resume_run
from edge.runs.runner import Device, RunOptions, run_graph
from gates import AGENTS
from graphs.environment import Environment
from graphs.errors import UsageError
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import End, Event, Input, Result, State, Submit
from graphs.registry import Agent
from logbook import entries, made, of, runs

GRAPH = """\
version: 0.5
nodes:
  word: {value: tide}
  first: {agent: countAgent, inputs: {t: :word}}
  second: {agent: countAgent, inputs: {t: :first.t}}
  end: {agent: copyAgent, isResult: true, inputs: {t: :second.t}}
"""


class Counted:
    """Agents that count their executions; `break_at` fails the run there as if the process had died."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.interrupt_at: str | None = None

    def agents(self) -> list[Agent]:
        async def count(context: Any) -> Any:
            self.ran.append(context.path)
            if context.path == self.interrupt_at:
                task = asyncio.current_task()
                assert task is not None
                self.holding.set()
                await asyncio.Event().wait()
            return dict(context.inputs)

        return [Agent("countAgent", count, effect="none"), Agent("onceAgent", count, effect="once")]

    holding: asyncio.Event


@pytest.fixture
def device(own_home: Path, tmp_path: Path) -> Iterator[tuple[Device, Counted]]:
    from edge.config import EdgeConfig

    with open_device(Environment.current(), EdgeConfig(home=own_home / "edge")) as opened:
        counted = Counted()
        for each in counted.agents():
            opened.agents.add(each)
        yield opened, counted


def graph(device: Device, text: str = GRAPH) -> Graph:
    return Graph.of(load_text(text).data, device.agents)


def test_a_run_is_on_record_with_all_that_resume_needs(device: tuple[Device, Counted], own_home: Path) -> None:
    made_graph = graph(device[0])
    options = RunOptions(inject={"word": "ebb"}, max_turns=4, pinned={"first": "edge"}, all=True)
    report = asyncio.run(run_graph(device[0], made_graph, options, name="g.yaml"))
    assert report.status == "completed"
    assert report.results["end"] == {"t": "ebb"}
    (submit,) = of(own_home, "edge", Submit)
    assert (submit.graph, submit.opts["parent"]) == (made_graph.hash, None)
    assert submit.inputs == {"word": [State.INJECTED, "ebb"]}
    assert submit.opts["options"] == options.as_record()
    assert [type(record) for _, _, record in entries(own_home, "edge")] == [Submit, Result, Result, End]


def test_what_was_interrupted_goes_on_and_nothing_finished_is_done_again(device: tuple[Device, Counted], own_home: Path) -> None:
    opened, counted = device

    async def main() -> None:
        counted.holding = asyncio.Event()
        counted.interrupt_at = "second"
        running = asyncio.create_task(run_graph(opened, graph(opened), RunOptions(), name="g"))
        await counted.holding.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        opened.journal.flush()
        (row,) = opened.journal.runs()
        assert row.status == "suspended"
        counted.interrupt_at = None
        report = await resume_run(opened, graph(opened), RunOptions(), row.run, name="g")
        assert (report.status, report.results) == ("completed", {"end": {"t": "tide"}})
        assert report.nodes["first"].by["agent"] == "countAgent"

    asyncio.run(main())
    assert counted.ran == ["first", "second", "second"]
    assert made(own_home, "edge") == [("first", "root"), ("second", "root")]
    assert [row.status for row in runs(own_home, "edge")] == ["completed"]


def test_a_node_with_effects_that_was_interrupted_is_never_repeated_by_itself(
    device: tuple[Device, Counted], own_home: Path
) -> None:
    opened, counted = device
    text = GRAPH.replace("second: {agent: countAgent", "second: {agent: onceAgent")

    async def main() -> None:
        counted.holding = asyncio.Event()
        counted.interrupt_at = "second"
        running = asyncio.create_task(run_graph(opened, graph(opened, text), RunOptions(), name="g"))
        await counted.holding.wait()
        assert [record.path for record in of(own_home, "edge", Event) if record.state == State.EXECUTING] == ["second"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        counted.interrupt_at = None
        for _ in range(2):
            report = await resume_run(opened, graph(opened, text), RunOptions(), opened.journal.runs()[0].run, name="g")
            assert report.status == "suspended"
            assert report.as_json()["errors"]["second"]["code"] == "NODE_INDETERMINATE"

    asyncio.run(main())
    assert counted.ran == ["first", "second"]


def test_a_failed_run_can_be_resumed_and_runs_only_what_failed(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "gate_agents.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: bigAgent, params: {bytes: 3}}\n"
        "  b: {agent: failAgent, params: {text: no luck}, inputs: {t: :a}}\n"
        "  c: {agent: copyAgent, isResult: true, inputs: {t: :b}}\n",
        encoding="utf-8",
    )
    failed = cli("run", "g.yaml", "--agents", "gate_agents.py", "--json")
    assert failed.status == 1
    run = json.loads(failed.stdout)["run"]
    assert f"graphferry resume {run}" in failed.stderr
    again = cli("resume", run, "--json")
    assert (again.status, json.loads(again.stdout)["errors"]["b"]["message"]) == (1, "no luck")
    assert [path for path, _ in made(own_home, "edge")] == ["a"]
    assert of(own_home, "edge", Input) == []


def test_a_place_for_a_node_that_is_none_is_refused(device: tuple[Device, Counted], own_home: Path) -> None:
    opened, _ = device
    for name in ("word", "nobody"):
        with pytest.raises(UsageError, match=f"--place {name}: the graph has no computed node of that name"):
            asyncio.run(run_graph(opened, graph(opened), RunOptions(pinned={name: "edge"}), name="g"))
    assert runs(own_home, "edge") == []
