"""Patching: what `diff` finds makes the new graph of the old one, to the last position; what does not fit is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from graphs.errors import GraphInvalid, UsageError
from graphs.language.patch import Change, apply, changes_from, diff, patch
from graphs.language.spec import Graph
from graphs.values import canonical

AGENTS = ("copyAgent", "mapAgent", "llmAgent")
A: dict[str, Any] = {
    "version": 0.5,
    "nodes": {
        "topic": {"value": "tide"},
        "draft": {"agent": "llmAgent", "model": "small", "inputs": {"prompt": ":topic"}},
        "out": {"agent": "copyAgent", "inputs": {"text": ":draft.text"}, "isResult": True},
    },
}


def nodes(**changed: Any) -> dict[str, Any]:
    """The graph above with other nodes; None takes one away."""
    merged = {**A["nodes"], **changed}
    return {**A, "nodes": {name: spec for name, spec in merged.items() if spec is not None}}


def told(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [str(change) for change in diff(before, after)]


def test_equal_graphs_have_no_changes() -> None:
    assert diff(A, json.loads(json.dumps(A))) == []


def test_each_kind_of_change_is_named_as_such() -> None:
    assert told(A, nodes(draft={**A["nodes"]["draft"], "model": "large"})) == ['set draft.model "large"']
    assert told(A, nodes(out={"agent": "copyAgent", "inputs": {"text": ":draft.text"}})) == ["unset out.isResult"]
    assert told(A, nodes(more={"value": 1})) == ['add more {"value":1}']
    assert told(A, nodes(out=None)) == ["remove out"]
    assert told(A, nodes(topic={"agent": "copyAgent"})) == ['replace topic {"agent":"copyAgent"}']
    assert told(A, {**A, "concurrency": 2}) == ["set concurrency 2"]
    assert told(A, {"concurrency": 2, **A}) == ["set concurrency 2 before version"]
    assert told(A, {"nodes": A["nodes"], "version": 0.5}) == ["shift nodes before version"]


def test_only_what_really_moved_moves() -> None:
    many: dict[str, Any] = {"nodes": {str(number): {"value": number} for number in range(30)}}
    order = ["17", *(str(number) for number in range(30) if number != 17)]
    assert told(many, {"nodes": {name: many["nodes"][name] for name in order}}) == ["move 17 before 0"]


def test_nested_graphs_change_node_by_node() -> None:
    inner: dict[str, Any] = {"nodes": {"x": {"agent": "copyAgent", "inputs": {"v": ":row"}, "isResult": True}}}
    before = {"nodes": {"m": {"agent": "mapAgent", "inputs": {"rows": [1]}, "graph": inner}}}
    after = json.loads(json.dumps(before))
    after["nodes"]["m"]["graph"]["nodes"]["x"]["inputs"]["v"] = ":row.name"
    (change,) = diff(before, after)
    assert change == Change("set", "x", "inputs", {"v": ":row.name"}, inside=("m",))
    assert apply(before, [change]) == after
    assert before["nodes"]["m"]["graph"] is inner
    assert inner["nodes"]["x"]["inputs"] == {"v": ":row"}


def test_the_order_of_keys_inside_a_value_and_the_kind_of_a_number_count() -> None:
    assert told({"nodes": {"a": {"value": {"x": 1, "y": 2}}}}, {"nodes": {"a": {"value": {"y": 2, "x": 1}}}})
    assert told({"nodes": {"a": {"value": 1}}}, {"nodes": {"a": {"value": True}}}) == ["set a.value true"]


def test_what_comes_of_it_is_checked() -> None:
    graph = Graph.of(A, AGENTS)
    large = patch(graph, [Change("set", "draft", "model", "large")], AGENTS)
    assert large.nodes["draft"]["model"] == "large"
    assert graph.nodes["draft"]["model"] == "small"
    with pytest.raises(GraphInvalid, match='reads from "draft", which does not exist'):
        patch(graph, [Change("remove", "draft")], AGENTS)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Change("remove", "ghost"), "there is no node 'ghost'"),
        (Change("add", "topic", value={"value": 1}), "there is a node 'topic' already"),
        (Change("move", "topic", before="ghost"), "there is no node 'ghost' to stand before"),
        (Change("unset", "topic", "update"), "there is no attribute 'update'"),
        (Change("set", "ghost", "value", 1), "there is no node 'ghost'"),
        (Change("set", "x", "value", 1, inside=("topic",)), "node 'topic' holds no graph of its own"),
        (Change("set", None, "nodes", {}), "nodes are added and removed one by one"),
    ],
)
def test_a_change_that_does_not_fit_is_named(change: Change, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        apply(A, [Change("set", None, "concurrency", 1), change])
    assert str(raised.value).startswith(f"change 2 ({change}) does not fit: ")
    assert why in str(raised.value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "changes are a list"),
        ([1], "change 1: `op` is one of"),
        ([{"op": "explode"}], "`op` is one of"),
        ([{"op": "add", "node": "a"}], "add needs `value`"),
        ([{"op": "add", "node": "a", "value": 1}], "add needs a node as `value`"),
        ([{"op": "set", "node": "a", "value": 1}], "set needs `key`"),
        ([{"op": "remove"}], "remove needs `node`"),
        ([{"op": "remove", "node": "a", "key": "value"}], "it has no `key`"),
        ([{"op": "remove", "node": "a", "before": "b"}], "remove has no `before`"),
        ([{"op": "unset", "node": "a", "key": "x", "value": 1}], "unset has no `value`"),
        ([{"op": "set", "node": 1, "key": "x", "value": 1}], "`node` is a name"),
        ([{"op": "set", "inside": "m", "key": "x", "value": 1}], "`inside` is a list"),
        ([{"op": "remove", "node": "a", "nodes": "b"}], "a change has no 'nodes'"),
    ],
)
def test_changes_from_anybody_are_read_with_care(data: Any, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        changes_from(data)
    assert why in str(raised.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab:", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=4,
)
NAMES = st.sampled_from("abcdefgh")


def graphs_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from(["inputs", "params", "if", "model", "value"])
    attributes = st.lists(st.tuples(keys, VALUES), max_size=4).map(dict)
    computed = st.builds(lambda extra, graph: {**extra, "agent": "x", **({"graph": graph} if graph else {})}, attributes, inner)
    all_nodes = st.lists(st.tuples(NAMES, attributes | computed), max_size=8).map(dict)
    others = st.lists(st.tuples(st.sampled_from(["version", "loop", "concurrency"]), VALUES), max_size=3).map(dict)
    return st.builds(
        lambda before, nodes, after: {**before, "nodes": nodes, **{key: after[key] for key in after if key not in before}},
        others,
        all_nodes,
        others,
    )


GRAPHS = graphs_of(st.none() | graphs_of(st.none()))


@given(GRAPHS, GRAPHS)
def test_the_changes_found_make_the_one_of_the_other(before: Any, after: Any) -> None:
    untouched = canonical(before)
    changes = diff(before, after)
    travelled = changes_from(json.loads(json.dumps([change.as_data() for change in changes])))
    made = apply(before, travelled)
    assert made == after
    assert canonical(made) == canonical(after)
    assert canonical(before) == untouched
