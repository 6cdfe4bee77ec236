"""A graph: checked, addressed by its content, with the static nodes that its inputs declare."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.errors import GraphInvalid
from graphs.language.spec import Graph, is_boundary, is_computed, reads, words, written_inside
from graphs.values import graph_hash

AGENTS = ("copyAgent",)
NODES = {"a": {"value": 1}, "b": {"agent": "copyAgent", "inputs": {"x": ":a"}}}
DOCUMENT = {"version": 0.5, "nodes": NODES}


def test_a_graph_is_addressed_by_its_document() -> None:
    graph = Graph.of(DOCUMENT, AGENTS)
    assert graph.hash == graph_hash(DOCUMENT)
    assert graph == Graph.of({**DOCUMENT}, AGENTS)
    assert len({graph, Graph.of({**DOCUMENT}, AGENTS)}) == 1
    assert graph != Graph.of({**DOCUMENT, "concurrency": 2}, AGENTS)
    assert graph != "a graph"
    assert graph.hash.hex()[:8] in repr(graph)


def test_a_wrong_graph_is_refused_with_all_its_problems() -> None:
    document = {"version": 0.5, "nodes": {"a": {"agent": "nobody"}, "b": {"agent": "copyAgent", "inputs": {"x": ":c"}}}}
    with pytest.raises(GraphInvalid) as caught:
        Graph.of(document, AGENTS)
    assert [problem.code for problem in caught.value.problems] == ["GF105", "GF103"]


def test_warnings_refuse_nothing_and_are_kept() -> None:
    assert [problem.code for problem in Graph.of({"nodes": DOCUMENT["nodes"]}, AGENTS).warnings] == ["GF154"]


def test_declared_inputs_are_static_nodes_in_front_with_their_default() -> None:
    graph = Graph.of(
        {
            **DOCUMENT,
            "inputs": {"topic": {"default": "bees"}, "open": {}, "bare": None, "a": {"default": 5}},
            "nodes": {**NODES, "c": {"agent": "copyAgent", "inputs": {"t": ":topic", "o": ":open", "b": ":bare"}}},
        },
        AGENTS,
    )
    assert list(graph.nodes) == ["topic", "open", "bare", "a", "b", "c"]
    assert graph.nodes["topic"] == {"value": "bees"}
    assert graph.nodes["open"] == graph.nodes["bare"] == {}
    assert graph.nodes["a"] == {"value": 1}


def test_declared_sensitivity_is_the_nodes() -> None:
    inputs = {"secret": {"default": 1, "sensitivity": "private"}, "a": {"sensitivity": ["pii"]}}
    own = {"value": 1, "sensitivity": ["private"]}
    nodes = {"a": own, "b": {"agent": "copyAgent", "inputs": {"x": ":secret"}}}
    graph = Graph.of({"version": 0.5, "inputs": inputs, "nodes": nodes}, AGENTS)
    assert graph.nodes["secret"] == {"value": 1, "sensitivity": ["private"]}
    assert graph.nodes["a"]["sensitivity"] == ["private", "pii"]
    assert own["sensitivity"] == ["private"]


def test_what_kind_of_node_it_is() -> None:
    assert is_computed({"agent": None})
    assert not is_computed({"value": 1})
    assert is_boundary({"boundary": True})
    assert not is_boundary({"boundary": False})


def test_what_a_node_reads_is_all_it_waits_for() -> None:
    node = {
        "agent": ":which",
        "inputs": {"x": [":a", {"y": "${:b.c} ${:__loopIndex}"}], "z": "literal"},
        "params": {"p": ":not read"},
        "passThrough": {"q": ":d"},
        "graph": ":e.f",
        "if": ":g",
        "unless": ":a",
        "output": {"o": ":neither"},
    }
    assert list(reads(node)) == ["a", "b", "d", "which", "e", "g", "a"]
    assert list(reads({"value": ":not read", "update": ":n.next"})) == ["n"]
    assert list(reads({"agent": "x", "graph": {"nodes": {"i": {"agent": "y", "inputs": {"z": ":inner"}}}}})) == []


@pytest.mark.parametrize(
    "document",
    [
        None,
        ":made",
        [],
        {},
        {"nodes": []},
        {"nodes": {"a": 5}},
        {"nodes": {"a": {"agent": "x", "inputs": "y"}}},
        {"nodes": {}, "inputs": 1},
    ],
)
def test_what_is_no_graph_inside_a_node_is_none_to_those_who_look_before_it_is_checked(document: Any) -> None:
    assert written_inside({"agent": "nestedAgent", "graph": document}) is None


def test_a_graph_inside_a_node_is_one() -> None:
    inner = written_inside({"agent": "nestedAgent", "graph": {"nodes": {"a": {"agent": "x", "inputs": {"y": 1}}}}})
    assert inner is not None
    assert list(inner.nodes) == ["a"]


@pytest.mark.parametrize(("said", "meant"), [(None, ()), ("a", ("a",)), (["a", 5, "b"], ("a", "b")), (5, ()), ({"a": 1}, ())])
def test_only_words_are_labels(said: Any, meant: tuple[str, ...]) -> None:
    assert words(said) == meant
