"""The cache and the check of inputs, as filters around agents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from graphs.engine.plan import Compiler
from graphs.language.spec import Graph
from graphs.registry import Agent, Registry, agent
from graphs.running.filters import cache_filter, input_validator
from graphs.running.ports import AgentFilter
from graphs.running.runtime import Runtime


def run(nodes: dict[str, Any], agents: list[Agent], filters: list[AgentFilter]) -> Runtime:
    """A graph of these nodes, run with these filters."""
    compiler = Compiler(Registry(agents))
    graph = Graph.of({"version": 0.5, "nodes": nodes}, {each.name for each in agents})
    runtime = Runtime(compiler.plan(graph), compiler, filters=filters)
    asyncio.run(runtime.run())
    return runtime


def test_a_pure_agent_runs_once_for_the_same_inputs_in_any_order() -> None:
    calls = []

    @agent("pure", effect="none")
    def pure(context: Any) -> Any:
        calls.append(context.node_id)
        return {"sum": context.inputs["a"] + context.inputs["b"]}

    nodes = {
        "one": {"agent": "pure", "inputs": {"a": 1, "b": 2}},
        "two": {"agent": "pure", "inputs": {"b": 2, "a": 1}},
        "three": {"agent": "pure", "inputs": {"a": 1, "b": 3}},
    }
    engine = run(nodes, [pure], [cache_filter()]).engine
    assert calls == ["one", "three"]
    assert engine.results()["two"] == {"sum": 3}


@pytest.mark.parametrize("more", [{"effect": "once"}, {"effect": "none", "needs": ["network"]}])
def test_an_agent_with_effects_or_needs_is_never_taken_from_the_cache(more: Any) -> None:
    calls = []

    @agent("act", **more)
    def act(context: Any) -> Any:
        calls.append(context.node_id)
        return {}

    run({"one": {"agent": "act", "inputs": {}}, "two": {"agent": "act", "inputs": {}}}, [act], [cache_filter()])
    assert calls == ["one", "two"]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"n": 1, "list": ["a"]}, None),
        ({"list": ["a"]}, "inputs.n is missing"),
        ({"n": True}, "inputs.n is not of type integer"),
        ({"n": 1, "list": ["a", 2]}, "inputs.list[1] is not of type string"),
        ({"n": 1, "mode": "fast"}, "inputs.mode is not one of"),
        ({"n": 1, "either": []}, "inputs.either is none of what it may be"),
    ],
)
def test_inputs_that_do_not_fit_the_agents_schema_fail_the_node(inputs: dict[str, Any], says: str | None) -> None:
    schema = {
        "type": "object",
        "required": ["n"],
        "properties": {
            "n": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "string"}},
            "mode": {"enum": ["slow"]},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
    }

    @agent("strict", effect="none", inputs=schema)
    def strict(_context: Any) -> Any:
        return {}

    errors = run({"one": {"agent": "strict", "inputs": inputs}}, [strict], [input_validator()]).engine.errors()
    if says is None:
        assert errors == {}
    else:
        assert str(errors["one"]).startswith(f"one(strict) schema not matched: {says}")
