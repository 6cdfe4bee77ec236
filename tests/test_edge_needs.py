"""Whose values the device reads itself: in doubt, it does."""

from __future__ import annotations

from typing import Any

import pytest

from edge.needs import read_here
from graphs.load import load
from graphs.loadagents import known_agents
from graphs.paths import escape
from graphs.plan import Compiler
from graphs.spec import Graph

AGENTS = known_agents(())


def needed(text: str, *, everything: bool = False) -> set[str]:
    """Of the nodes in `text`; those with `place: cloud` run at the worker."""
    document: Any = load("version: 0.5\n" + text).data
    places = {escape(name): "cloud" for name, spec in document["nodes"].items() if spec.get("place") == "cloud"}
    plan = Compiler(AGENTS, places=places).plan(Graph.of(document, AGENTS.keys()))
    return set(read_here(plan, everything=everything)) & set(places)


BIG = "big: {agent: copyAgent, place: cloud, inputs: {x: 1}}"


@pytest.mark.parametrize(
    ("reader", "reads"),
    [
        ("{agent: copyAgent, place: cloud, inputs: {x: :big}}", False),
        ("{agent: copyAgent, place: cloud, inputs: {x: :big.x.y}}", False),
        ('{agent: stringTemplateAgent, place: cloud, params: {template: "${t}"}, inputs: {t: "so: ${:big.x}"}}', False),
        ('{agent: copyAgent, place: cloud, inputs: {x: ":big.x.length()"}}', True),
        ("{agent: copyAgent, place: cloud, if: :big, inputs: {x: 1}}", True),
        ("{agent: copyAgent, place: cloud, unless: :big.x, inputs: {x: 1}}", True),
        ("{agent: copyAgent, place: cloud, anyInput: true, if: :big, inputs: {x: :big}}", False),
        ("{agent: :big.agent, place: cloud, inputs: {x: 1}}", True),
        ("{agent: copyAgent, place: cloud, passThrough: {x: :big}, inputs: {x: 1}}", False),
        ("{agent: stringTemplateAgent, inputs: {x: :big}}", True),
        ("{agent: stringTemplateAgent, passThrough: {x: :big}, inputs: {x: 1}}", True),
        ("{agent: stringTemplateAgent, if: :big, inputs: {x: 1}}", True),
        ("{agent: copyAgent, inputs: {x: :big}}", False),
        ("{agent: copyAgent, inputs: {x: :big}, isResult: true}", True),
        ("{agent: copyAgent, inputs: {x: :big.x}}", True),
        ("{agent: copyAgent, inputs: {x: [:big]}}", True),
        ("{agent: copyAgent, if: :big, inputs: {x: :big}}", True),
        ("{agent: copyAgent, output: {y: .x}, inputs: {x: :big}}", True),
        ('{value: 1, update: ":big"}', False),
        ('{value: 1, update: ":big.x"}', True),
    ],
)
def test_a_reader_decides(reader: str, reads: bool) -> None:
    assert ("big" in needed(f"loop: {{count: 2}}\nnodes:\n  {BIG}\n  reader: {reader}\n")) is reads


def test_what_is_handed_on_is_needed_where_it_ends() -> None:
    text = f"""
loop: {{count: 2}}
nodes:
  kept: {{value: 1, update: ":copy"}}
  {BIG}
  copy: {{agent: copyAgent, inputs: {{x: :big}}}}
  end: {{agent: stringTemplateAgent, inputs: {{x: :kept}}}}
"""
    assert needed(text) == {"big"}
    assert needed(text.replace("agent: stringTemplateAgent,", "agent: copyAgent, place: cloud,")) == set()


def test_results_and_conditions_of_loops_are_read() -> None:
    assert needed(f"nodes:\n  {BIG.replace('inputs', 'isResult: true, inputs')}\n") == {"big"}
    assert needed(f'loop: {{while: ":big"}}\nnodes:\n  {BIG}\n') == {"big"}
    assert needed(f"nodes:\n  {BIG}\n") == set()
    assert needed(f"nodes:\n  {BIG}\n", everything=True) == {"big"}
