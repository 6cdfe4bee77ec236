from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge.placement import NoPlace, place_nodes
from edge.placing.askings import why_asked
from graphs.agents import standard
from graphs.language.cascade import expanded
from graphs.language.spec import Graph
from graphs.registry import Registry
from placing import AGENTS, facts

KNOWN = Registry([*standard().values(), *(each for name, each in AGENTS.items() if name not in standard())])


def reasons(said: dict[str, Any]) -> dict[str, tuple[str, str]]:
    document = {
        "version": 0.5,
        "nodes": {"t": {"value": "hi"}, "x": {"agent": "llmAgent", "model": "small", "inputs": {"prompt": ":t"}, **said}},
    }
    here = replace(facts(), agents=KNOWN)
    graph = expanded(Graph.of(document, set(KNOWN)), lambda _agent, model: "cloud" if model == "large" else "edge")
    return {path: (each.place, each.reason) for path, each in place_nodes(graph, here).items()}


@pytest.mark.parametrize(
    ("said", "second"),
    [
        ({"escalate": {"below": 0.8}}, "asked where first is less than 0.8 sure"),
        ({"escalate": {}}, "asked whatever first says: there is no bar"),
        ({"escalate": {"below": 0.7, "samples": 3}}, "asked where first is less than 0.7 sure"),
        ({"hedge": {"after": "2s", "to": "large"}}, "asked where first takes longer than 2 s"),
        ({"hedge": {"after": 250}}, "asked where first takes longer than 0.25 s"),
    ],
)
def test_both_askings_say_why_they_are_asked(said: dict[str, Any], second: str) -> None:
    found = reasons(said)
    assert found["x/first"] == ("edge", "asked first")
    assert found["x/second"] == ("cloud", second)


def test_what_the_author_placed_is_said_to_be_so() -> None:
    found = reasons({"hedge": {"after": 250, "to": {"model": "large"}}, "place": "cloud"})
    assert {reason for _, reason in found.values()} == {"placed in the graph"}


@pytest.mark.parametrize(
    "spec", [{"agent": "nestedAgent", "graph": {"nodes": {"a": {"agent": "copyAgent"}}}}, {"agent": "copyAgent"}]
)
def test_other_graphs_have_no_askings(spec: dict[str, Any]) -> None:
    assert why_asked(spec) == {}


def test_an_asking_that_may_not_be_at_its_place_is_named_by_its_path() -> None:
    document = {
        "version": 0.5,
        "nodes": {
            "t": {"value": "hi", "sensitivity": "private"},
            "x": {"agent": "llmAgent", "model": "small", "inputs": {"prompt": ":t"}, "hedge": {"after": 1, "to": "large"}},
        },
    }
    graph = expanded(Graph.of(document, set(KNOWN)), lambda _agent, model: "cloud" if model == "large" else "edge")
    with pytest.raises(NoPlace, match="node 'x/second' is placed at cloud") as caught:
        place_nodes(graph, replace(facts(), agents=KNOWN))
    assert (caught.value.node, caught.value.by_label) == ("x/second", True)
