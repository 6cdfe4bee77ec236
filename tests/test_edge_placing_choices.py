from __future__ import annotations

from typing import Any

import pytest

from edge.placement import SPLIT, place_nodes
from edge.placing.choices import choices_of, could_move, model_size
from edge.placing.tasks import CLOUD, EDGE
from graphs.registry import Agent, Registry
from placing import AGENTS, OFFER, facts, graph


def places(nodes: str, **different: Any) -> dict[str, list[int]]:
    made, known = graph(nodes), facts(**different)
    found = choices_of(made, place_nodes(made, known), known)
    return {path: [each.place for each in ways] for path, ways in found.units.items()}


def test_the_place_by_the_rules_comes_first() -> None:
    nodes = "  a: {agent: llmAgent, model: small, inputs: {p: :text}}\n  b: {agent: llmAgent, model: large, inputs: {p: :a}}\n"
    assert places(nodes) == {"a": [EDGE, CLOUD], "b": [CLOUD]}
    between = "  c: {agent: copyAgent, inputs: {v: :b}}\n  d: {agent: llmAgent, model: large, inputs: {p: :c}}\n"
    assert places(nodes + between)["c"] == [CLOUD, EDGE]


def test_a_nested_graph_is_opened_here_and_its_nodes_have_choices() -> None:
    inside = "      nodes:\n        x: {agent: workAgent, inputs: {v: :t}}\n        y: {agent: postAgent, inputs: {v: :x}}\n"
    nodes = "  n:\n    agent: nestedAgent\n    inputs: {t: :text}\n    graph:\n" + inside
    made, known = graph(nodes), facts()
    found = choices_of(made, place_nodes(made, known), known)
    assert {path: [each.place for each in ways] for path, ways in found.units.items()} == {"n/x": [EDGE, CLOUD], "n/y": [EDGE]}
    assert found.opened == {"n"}
    assert found.placed["n"] is not SPLIT


@pytest.mark.parametrize(
    ("spec", "moves"),
    [
        ({"agent": "workAgent"}, True),
        ({"agent": "postAgent"}, False),
        ({"agent": "postAgent", "effect": "none"}, True),
        ({"agent": "strangeAgent"}, False),
        ({"agent": ":text"}, False),
        ({"agent": "nestedAgent", "graph": {"nodes": {}}}, False),
        ({"agent": "workAgent", "anyInput": True, "if": ":text"}, False),
        ({"agent": "llmAgent", "model": "small"}, True),
        ({"agent": "llmAgent"}, True),
        ({"agent": "llmAgent", "model": ":text"}, False),
    ],
)
def test_only_what_the_worker_does_alike_and_can_be_done_again_could_move(spec: dict[str, Any], moves: bool) -> None:
    assert could_move(spec, facts()) is moves


def test_nothing_moves_without_a_worker() -> None:
    assert places("  a: {agent: workAgent, inputs: {v: :text}}\n", offer=None) == {"a": [EDGE]}


def test_an_agent_that_needs_this_devices_network_stays() -> None:
    agents = Registry([*AGENTS.values(), Agent("fetchAgent", lambda context: None, effect="none", needs=frozenset({"network"}))])
    offer = {**OFFER, "agents": dict.fromkeys(agents, "1")}
    assert not could_move({"agent": "fetchAgent"}, facts(agents=agents, offer=offer))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("smollm2-135m", 135e6),
        ("qwen2.5-32b", 32e9),
        ("qwen-0.5b-q4", 0.5e9),
        ("mixtral-8x7b", 1.0),
        ("large", 2.0),
        ("big", 2.0),
        ("tiny", 1.0),
        (None, 0.0),
    ],
)
def test_a_models_name_says_how_large_it_is(name: str | None, size: float) -> None:
    assert model_size(name, facts(tiers={"small": "tiny", "large": "big"})) == size
