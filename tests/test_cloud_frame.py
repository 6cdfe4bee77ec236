"""A frame at the worker: what a stop leaves of it. What it does while it runs: tests/test_cloud_child.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from child_runs import AGENTS, Log, ran, shipped, with_child
from cloud.child import ChildRun
from graphs.language.cut import cut
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import Cancel, EndStatus, Frame, Start, State, Submit

LOOP = """\
version: 0.5
loop: {count: 3}
nodes:
  t: {value: 0, update: :step.t}
  step: {agent: countAgent, inputs: {t: :t}}
"""
WAITS = "nodes:\n  here: {agent: countAgent, inputs: {t: 1}}\n  far: {agent: countAgent, inputs: {t: :here}}\n"


@pytest.mark.parametrize("turns", range(4))
def test_a_worker_that_stops_leaves_no_frame_behind_however_far_it_had_come(tmp_path: Path, turns: int) -> None:
    graph = shipped(WAITS, "far")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        before = asyncio.all_tasks()
        child.begin(order, graph)
        for _ in range(turns):
            await asyncio.sleep(0)
        await child.stop()
        assert asyncio.all_tasks() <= before

    assert with_child(tmp_path, graph, use).records == []


def test_a_frame_that_is_ordered_after_all_was_cancelled_is_not_begun(tmp_path: Path) -> None:
    """Nobody gives it orders, so there would never be an END."""
    graph = shipped(WAITS, "far")

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        await asyncio.sleep(0)
        child.order(Cancel(None, "the run goes on elsewhere"))
        late = Frame("late/", graph.hash, {}, {"demand": True})
        child.park(late)
        child.begin(late, graph)
        await log.ended.wait()

    assert with_child(tmp_path, graph, use).end == EndStatus.CANCELLED


def test_a_loop_that_is_here_from_a_later_turn_on_hears_what_is_said_of_the_turns_after_it(tmp_path: Path) -> None:
    graph = cut(Graph.of(load_text(LOOP).data, AGENTS), ("step",))

    async def use(child: ChildRun, order: Submit, log: Log) -> None:
        child.begin(order, graph)
        later = Frame("#1", graph.hash, {"t": [int(State.INJECTED), 1]}, {"demand": ["step"]})
        child.park(later)
        child.begin(later, graph)
        for turn in (1, 2):
            child.order(Start(f"step#{turn}", 1))
            await ran.reach(turn)
        child.order(Cancel(["#1"], "enough"))

    log = with_child(tmp_path, graph, use, demand=["step"])
    assert list(log.results()) == ["step#1", "step#2"]
