"""Sensitivity labels: how they spread over a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphs.agents import standard
from graphs.language.labels import UNSEEN, labels_by_node, own_labels
from graphs.language.spec import Graph


def labels(nodes: Mapping[str, Any], **more: Any) -> dict[str, set[str]]:
    graph = Graph.of({"version": 0.5, **more, "nodes": dict(nodes)}, set(standard()))
    return {name: set(found) for name, found in labels_by_node(graph).items()}


def copy(*sources: str, **more: Any) -> dict[str, Any]:
    return {"agent": "copyAgent", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


SECRET = {"value": 1, "sensitivity": "private"}


def test_a_value_has_the_labels_of_all_it_was_made_of_and_its_own() -> None:
    nodes = {
        "a": SECRET,
        "b": {"value": 2, "sensitivity": ["pii", "home"]},
        "free": {"value": 3},
        "both": copy("${:a} and ${:b.x}"),
        "adds": copy(":free", sensitivity=["added"]),
        "after": copy(":both", ":adds"),
        "clean": copy(":free"),
    }
    assert labels(nodes) == {
        "a": {"private"},
        "b": {"pii", "home"},
        "both": {"private", "pii", "home"},
        "adds": {"added"},
        "after": {"private", "pii", "home", "added"},
    }


def test_conditions_pass_through_and_names_of_agents_and_graphs_count_as_inputs() -> None:
    nodes = {
        "a": SECRET,
        "name": {"value": "copyAgent", "sensitivity": "named"},
        "if": copy("x", **{"if": ":a"}),
        "unless": copy("x", unless=":a.b"),
        "passes": copy("x", passThrough={"p": [":a"]}),
        "called": {"agent": ":name"},
        "opens": {"agent": "nestedAgent", "graph": ":a"},
    }
    found = labels(nodes)
    assert found.pop("called") == {"named"}
    assert found.pop("name") == {"named"}
    assert found.pop("opens") == {"private", UNSEEN}
    assert found == {name: {"private"} for name in ("a", "if", "unless", "passes")}


def test_labels_come_back_through_a_loop() -> None:
    nodes = {
        "memory": {"value": [], "update": ":more"},
        "more": copy(":memory", ":said"),
        "said": SECRET,
        "late": copy(":memory"),
    }
    assert labels(nodes, loop={"count": 2}) == {name: {"private"} for name in ("memory", "more", "said", "late")}


def test_a_nested_graphs_labels_are_its_nodes() -> None:
    inner: dict[str, Any] = {
        "version": 0.5,
        "inputs": {"topic": {"sensitivity": "declared"}},
        "nodes": {"s": SECRET, "x": copy(":s")},
    }
    outer: dict[str, Any] = {"version": 0.5, "nodes": {"deep": {"agent": "nestedAgent", "inputs": {"topic": 1}, "graph": inner}}}
    nodes = {"n": {"agent": "mapAgent", "inputs": {"rows": [1]}, "graph": outer}, "after": copy(":n")}
    assert labels(nodes) == {"n": {"private", "declared"}}, "no value inside is a result"
    inner["nodes"]["x"]["isResult"] = True
    assert labels(nodes) == {"n": {"private", "declared"}}
    outer["nodes"]["deep"]["isResult"] = True
    assert labels(nodes) == {"n": {"private", "declared"}, "after": {"private"}}


def test_declared_inputs_carry_their_labels() -> None:
    assert labels({"a": copy(":topic")}, inputs={"topic": {"default": 1, "sensitivity": ["private"]}}) == {
        "topic": {"private"},
        "a": {"private"},
    }


def test_one_word_is_a_list_of_one() -> None:
    assert own_labels({"sensitivity": "private"}) == own_labels({"sensitivity": ["private"]}) == {"private"}
    assert own_labels({}) == own_labels({"sensitivity": None}) == frozenset()


def test_what_is_no_graph_inside_a_node_has_no_labels_and_a_broken_one_those_that_can_be_read() -> None:
    broken = {"nodes": {"i": 5, "j": {"value": 1, "sensitivity": "private"}}, "inputs": []}
    nodes = {"a": {"agent": "nestedAgent", "graph": {"nodes": "x"}}, "b": {"agent": "nestedAgent", "graph": broken}}
    assert labels(nodes) == {"b": {"private"}}
