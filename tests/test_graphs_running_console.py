"""What `console` prints."""

from __future__ import annotations

import asyncio
from typing import Any

from graphs.agents import standard
from graphs.engine.plan import Compiler
from graphs.language.spec import Graph
from graphs.running.console import Console, prints
from graphs.running.runtime import Runtime


def printed(nodes: dict[str, Any]) -> list[str]:
    """The lines a graph of these nodes prints."""
    agents = standard()
    compiler = Compiler(agents)
    lines: list[str] = []
    runtime = Runtime(
        compiler.plan(Graph.of({"version": 0.5, "nodes": nodes}, set(agents))), compiler, observers=[Console(lines.append)]
    )
    asyncio.run(runtime.run())
    return lines


def test_true_prints_the_inputs_before_and_the_value_after() -> None:
    assert printed({"a": {"agent": "copyAgent", "inputs": {"x": 1}, "console": True}}) == ['{"x":1}', '{"x":1}']


def test_a_map_after_is_filled_like_output_and_other_values_are_printed_as_they_are() -> None:
    node = {"agent": "copyAgent", "inputs": {"x": "hi"}, "console": {"before": "now", "after": {"said": ".x"}}}
    assert printed({"a": node}) == ["now", '{"said":"hi"}']


def test_nothing_is_printed_without_it_or_of_a_skipped_node() -> None:
    nodes = {
        "off": {"value": False},
        "a": {"agent": "copyAgent", "inputs": {"x": 1}},
        "b": {"agent": "copyAgent", "if": ":off", "inputs": {"x": 1}, "console": True},
    }
    assert printed(nodes) == []


def test_a_graph_says_whether_it_prints_however_deep() -> None:
    inner = {"nodes": {"i": {"agent": "copyAgent", "inputs": {}, "console": True}}}
    assert prints({"n": {"agent": "nestedAgent", "graph": inner}})
    assert not prints({"n": {"agent": "nestedAgent", "graph": ":made"}, "s": {"value": 1}})
