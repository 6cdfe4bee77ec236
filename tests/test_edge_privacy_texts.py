"""Which texts of a graph are looked for in what leaves: those that are written where labels are, and nowhere without."""

from __future__ import annotations

from typing import Any

from edge.privacy.texts import labelled_texts

TEXT = "My left knee hurts again."
OTHER = "And so does the right one."


def found(nodes: dict[str, Any], *opened: Any, inject: Any = None, opens: bool = False) -> dict[str, set[str]]:
    told = labelled_texts(nodes, inject or {}, opened, opens_values=opens)
    return {text.decode(): set(labels) for text, labels in told}


def test_texts_of_labelled_values_are_looked_for() -> None:
    nodes = {"a": {"value": {"deep": [TEXT, "short"]}, "sensitivity": "private"}, "b": {"value": OTHER}}
    assert found(nodes) == {TEXT: {"private"}}
    assert found(nodes, inject={"a": OTHER}) == {}, "it is said openly in b"
    assert found({"a": nodes["a"], "b": {"value": 1}}, inject={"a": OTHER, "b": TEXT}) == {OTHER: {"private"}}
    assert found({"a": nodes["a"], "b": {"value": TEXT}}, inject={"b": 1}) == {}, "it stands in the graph"


def test_so_is_what_a_labelled_node_is_told() -> None:
    node = {
        "agent": "stringTemplateAgent",
        "sensitivity": ["private", "untrusted"],
        "params": {"template": {"t": [TEXT]}},
        "inputs": {"x": ":a.text.of.a.long.name", "y": "${:a} and then: ${:a.b}and so forth and so on"},
    }
    assert found({"n": node}) == {TEXT: {"private"}, "and so forth and so on": {"private"}}
    ways = {"any": [{"agent": "llmAgent", "params": {"system": TEXT}}, {"agent": "copyAgent"}], "agent": "llmAgent"}
    assert found({"n": {**ways, "sensitivity": "pii"}}) == {TEXT: {"pii"}}
    assert found({"n": {**node, "sensitivity": "untrusted"}}) == {}, "that confines nothing"
    assert found({"n": node, "m": {"agent": "copyAgent", "inputs": {"t": f"openly: {TEXT}"}}}).keys() == {
        "and so forth and so on"
    }


def test_all_that_is_written_in_a_labelled_node_is_labelled() -> None:
    inner = {"nodes": {"v": {"value": TEXT}, "n": {"agent": "copyAgent", "params": {"p": OTHER}, "sensitivity": "pii"}}}
    nest = {"agent": "nestedAgent", "graph": inner}
    assert found({"nest": nest}) == {OTHER: {"pii"}}
    assert found({"nest": {**nest, "sensitivity": "private"}}) == {TEXT: {"private"}, OTHER: {"private", "pii"}}


def test_graphs_that_are_values_are_read_where_there_may_be_some() -> None:
    graph = {"nodes": {"v": {"value": TEXT, "sensitivity": "private"}, "w": {"value": OTHER}}}
    assert found({}, graph) == {TEXT: {"private"}}
    assert found({"s": {"value": graph}}) == {}, "nobody opens it"
    assert found({"s": {"value": graph}}, opens=True) == {TEXT: {"private"}}
    assert found({"s": {"value": [graph]}}, graph, opens=True) == {TEXT: {"private"}}, "it does not say it openly"
