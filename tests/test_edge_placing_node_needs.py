"""What a node asks for; what follows from it: tests/test_edge_placement.py."""

from __future__ import annotations

from typing import Any

import pytest

from edge.placing.facts import Facts
from edge.placing.node_needs import how_to_get, kind_of, model_named, needs_of, said_place
from graphs.models.default import DEFAULT_MODEL
from graphs.registry import Agent, Registry

AGENTS = Registry(
    [
        Agent("llmAgent", lambda context: None, effect="none", needs=frozenset({"model"})),
        Agent("fileAgent", lambda context: None, needs=frozenset({"files"})),
        Agent("askAgent", lambda context: None, needs=frozenset({"people"})),
        Agent("mailAgent", lambda context: None, requires="trusted"),
        Agent("nestedAgent", lambda context: None, nests="nested"),
        Agent("toolLoopAgent", lambda context: None, needs=frozenset({"model"})),
    ]
)
FACTS = Facts(agents=AGENTS, models=["tiny"], tiers={"small": "tiny"}, default_model="tiny", offer=None)


def test_a_node_asks_for_what_is_nested_in_it_too() -> None:
    inner = {
        "nodes": {"a": {"agent": "fileAgent", "place": "edge"}, "b": {"agent": "llmAgent", "model": "large", "place": "cloud"}}
    }
    found = needs_of({"agent": "nestedAgent", "graph": inner}, FACTS)
    assert found.agents == {"nestedAgent", "fileAgent", "llmAgent"}
    assert [sorted(each) for each in (found.models, found.pins, found.here)] == [["large"], ["cloud", "edge"], ["files"]]
    assert not found.asks
    assert not found.dynamic


def test_a_tool_that_asks_people_makes_its_node_ask() -> None:
    assert needs_of({"agent": "toolLoopAgent", "params": {"tools": ["askAgent"]}}, FACTS).asks
    assert not needs_of({"agent": "llmAgent"}, FACTS).asks


def test_an_agent_that_requires_trusted_inputs_is_for_the_device_alone() -> None:
    assert needs_of({"agent": "mailAgent"}, FACTS).asks
    assert needs_of({"agent": "toolLoopAgent", "params": {"tools": ["mailAgent"]}}, FACTS).here == {"trust"}


@pytest.mark.parametrize(
    "spec",
    [{"agent": ":which"}, {"agent": "nestedAgent", "graph": ":made"}, {"agent": "llmAgent", "inputs": {"model": ":which"}}],
)
def test_what_is_known_only_when_it_runs_says_so(spec: dict[str, Any]) -> None:
    assert needs_of(spec, FACTS).dynamic


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        ({"agent": "llmAgent"}, "tiny"),
        ({"agent": "llmAgent", "model": "small"}, "tiny"),
        ({"agent": "llmAgent", "params": {"model": "large"}}, "large"),
        ({"agent": "llmAgent", "inputs": {"model": ":which"}}, None),
        ({"agent": "fileAgent"}, None),
    ],
)
def test_the_model_of_a_node_is_the_one_it_names_or_the_usual_one(spec: dict[str, Any], model: str | None) -> None:
    assert model_named(spec, FACTS) == model


@pytest.mark.parametrize(("said", "place"), [("edge", "edge"), ({"at": "cloud"}, "cloud"), ("near", None), (None, None)])
def test_a_place_is_a_word_or_stands_beside_others(said: Any, place: str | None) -> None:
    assert said_place(said) == place


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({"agent": "fileAgent", "inputs": {"path": "x"}}, ("fileAgent", None)),
        ({"agent": "llmAgent", "inputs": {"prompt": ":text"}}, ("llmAgent", None)),
        ({"agent": ["fileAgent"]}, None),
        ({"agent": "fileAgent", "place": "cloud"}, None),
        ({"agent": "llmAgent", "model": "large"}, ("llmAgent", "large")),
        ({"agent": "llmAgent", "model": ["large"]}, None),
        ({"agent": "llmAgent", "any": [{"model": "tiny"}, {"model": "large"}]}, None),
        ({"agent": "llmAgent", "inputs": {"model": "large"}}, None),
        ({"agent": "toolLoopAgent", "params": {"tools": ["askAgent"]}}, None),
        ({"agent": "nestedAgent", "graph": {"nodes": {}}}, None),
    ],
)
def test_nodes_are_of_a_kind_if_only_agent_and_model_decide(spec: dict[str, Any], kind: tuple[str, str | None] | None) -> None:
    assert kind_of(spec) == kind


def test_only_the_model_that_is_fetched_by_its_name_is_said_to_be() -> None:
    assert how_to_get(DEFAULT_MODEL) == f"`graphferry models get {DEFAULT_MODEL}`"
    assert "models get large" not in how_to_get("large"), "which the command refuses"
