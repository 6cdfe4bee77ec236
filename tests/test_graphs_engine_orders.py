"""Who starts a shipped node: the worker by itself, or the holder's queue."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from hypothesis import given, settings

from graphs.agents import standard
from graphs.engine.orders import Orders, chains, orders
from graphs.language.spec import Graph
from reference.graphs import BYPASS, Case, cases

AGENTS = set(standard())
NESTS = {"nestedAgent": "nested", "mapAgent": "map"}


def graph(nodes: Mapping[str, Any], **more: Any) -> Graph:
    return Graph.of({"version": 0.5, **more, "nodes": dict(nodes)}, AGENTS)


def copy(*sources: str, **more: Any) -> dict[str, Any]:
    return {"agent": "copyAgent", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


def nested(nodes: Mapping[str, Any], agent: str = "nestedAgent", **more: Any) -> dict[str, Any]:
    return {"agent": agent, "graph": {"nodes": dict(nodes)}, **more}


def wide(count: int) -> dict[str, Any]:
    return {f"n{number}": copy("x") for number in range(count)}


def decided(nodes: Mapping[str, Any], there: Collection[str], **more: Any) -> Orders:
    return orders(graph(nodes, **more), dict.fromkeys(there, "cloud"), NESTS)


CHAIN = {"text": {"value": "hello"}, "a": copy(":text"), "b": copy(":a"), "c": copy(":b", ":text")}


# -- widths


def test_a_chain_needs_one_place_and_independent_nodes_one_each() -> None:
    assert chains(graph(CHAIN), ["a", "b", "c"]) == 1
    assert chains(graph(wide(5)), [f"n{i}" for i in range(5)]) == 5


def test_a_chain_may_go_through_nodes_that_are_not_counted() -> None:
    assert chains(graph(CHAIN), ["a", "c"]) == 1


def test_any_input_promises_no_order() -> None:
    nodes = {"a": copy("x"), "b": copy(":a"), "any": copy(":a", ":b", anyInput=True)}
    assert chains(graph(nodes), ["a", "b", "any"]) == 2


def test_long_and_wide_graphs_are_looked_at_in_time() -> None:
    nodes = {"n0": copy("x")} | {f"n{i}": copy(f":n{i - 1}") for i in range(1, 5000)}
    began = time.perf_counter()
    assert chains(graph(nodes), list(nodes)) == 1
    assert not decided(nodes, ["n17"], concurrency=1).opening
    assert len(decided(wide(5000), ["n17"], concurrency=1).opening) == 1
    print("seconds", time.perf_counter() - began)


# -- what starts on order


@pytest.mark.parametrize(("limit", "binds"), [(1, True), (2, False), ({"global": 1}, True), ({"global": 2}, False)])
def test_where_a_limit_below_the_width_could_bind_shipped_nodes_start_on_order(limit: Any, binds: bool) -> None:
    nodes = {"a": copy("x"), "b": copy(":a"), "c": copy("x"), "d": copy(":c")}
    assert decided(nodes, ["a", "b"], concurrency=limit).opening == ({"a", "b"} if binds else set())


def test_nothing_is_on_order_if_one_worker_has_all_nodes() -> None:
    assert not decided(wide(9), [f"n{i}" for i in range(9)], concurrency=1).opening


def test_eight_places_are_taken_where_the_graph_says_nothing() -> None:
    assert "more than the concurrency limit of 8" in str(decided(wide(9), ["n0"]).why)
    assert "limit of 8" in str(decided(wide(9), ["n0"], concurrency=None).why)
    assert decided(wide(8), ["n0"]).why is None


def test_a_labels_limit_binds_only_where_the_labelled_nodes_are_at_both_sides() -> None:
    nodes = {"a": copy("x", label="big"), "b": copy("x", label="big"), "c": copy("x")}
    limits = {"global": 8, "labels": {"big": 1}}
    assert "label 'big'" in str(decided(nodes, ["a"], concurrency=limits).why)
    assert decided(nodes, ["a", "b"], concurrency=limits).why is None
    assert decided(nodes, ["c"], concurrency=limits).why is None


def test_what_never_runs_at_the_same_time_as_a_node_here_keeps_the_limit_by_the_workers_queue() -> None:
    nodes = {"before": copy("x"), **{f"n{i}": copy(":before") for i in range(9)}, "after": copy(*(f":n{i}" for i in range(9)))}
    far = [f"n{i}" for i in range(9)]
    assert not decided(nodes, far, concurrency=1).opening
    assert decided({**nodes, "beside": copy("x")}, far, concurrency=1).opening == set(far)


def test_a_map_between_two_nodes_of_the_device_stays_whole() -> None:
    rows = nested({"x": copy(":row")}, "mapAgent", inputs={"rows": ":before.i0"})
    nodes = {"before": copy("x"), "m": rows, "after": copy(":m")}
    assert not decided(nodes, ["m"]).opening
    found = decided({**nodes, "beside": copy("x")}, ["m"])
    assert found.opening == {"m"}
    assert "more nodes than are known beforehand" in str(found.why)


@pytest.mark.parametrize(
    ("rows", "binds"), [({"params": {"limit": 3}}, False), ({"inputs": {"rows": [1, 2, 3, 4]}}, True), ({}, True)]
)
def test_the_rows_of_a_map_count_where_they_are_known(rows: dict[str, Any], binds: bool) -> None:
    nodes = {"m": nested({"x": copy(":row"), "y": copy(":row")}, "mapAgent", **rows), "beside": copy("x")}
    assert bool(decided(nodes, ["m"], concurrency=7).opening) is binds


def test_a_nested_graph_counts_with_its_width() -> None:
    nodes = {"n": nested(wide(3)), "a": copy("x")}
    assert not decided(nodes, ["n"], concurrency=4).opening
    assert decided(nodes, ["n"], concurrency=3).opening == {"n"}


@pytest.mark.parametrize(
    "node", [{"agent": "nestedAgent", "graph": ":made"}, {"agent": ":name", "graph": {"nodes": {"x": copy("y")}}}]
)
def test_a_width_that_is_not_known_beforehand_can_bind(node: dict[str, Any]) -> None:
    nodes = {"name": {"value": "copyAgent"}, "made": {"value": {}}, "a": copy("x"), "n": node}
    assert decided(nodes, ["n"]).opening == {"n"}


def test_an_agent_named_at_run_time_is_one_node_where_there_is_no_graph_to_open() -> None:
    nodes = {"name": {"value": "copyAgent"}, "a": copy("x"), "n": {"agent": ":name", "inputs": {"x": 1}}}
    assert not decided(nodes, ["n"], concurrency=2).opening


# -- graphs inside


def test_what_is_inside_a_node_on_order_is_where_that_is_and_on_order_too() -> None:
    found = decided({"n": nested({"in": nested(wide(2))}), "a": copy("x")}, ["n"], concurrency=1)
    assert found.opening == {"n"}
    for path in ("n", "n/in", "n/in/n0"):
        assert path in found
        assert found.get(path) == "cloud"
    assert "a" not in found
    assert found.get("a") is None
    assert "nn/x" not in found


def test_of_a_node_that_is_opened_here_what_is_elsewhere_inside_is_on_order() -> None:
    nodes = {"n": nested({"far": copy("x"), "near": copy("y")}), "a": copy("x")}
    assert decided(nodes, ["n/far"], concurrency=2).opening == {"n/far"}
    assert not decided(nodes, ["n/far"], concurrency=3).opening


def test_a_nested_graph_that_runs_alone_is_looked_at_by_itself() -> None:
    inner = {"far": copy("x"), "near": copy(":far")}
    assert not decided({"n": nested(inner)}, ["n/far"], concurrency=1).opening
    assert decided({"n": nested({**inner, "beside": copy("x")})}, ["n/far"], concurrency=1).opening == {"n/far"}


def test_rows_in_two_places_run_beside_each_other() -> None:
    inner = {"far": copy("x"), "near": copy(":far")}
    assert decided({"m": nested(inner, "mapAgent")}, ["m/far"]).opening == {"m/far"}


def test_a_label_whose_nodes_are_in_several_frames_at_the_worker_is_the_holders() -> None:
    nodes = {"n": nested({"far": copy("x", label="l"), "near": copy("y")}), "a": copy("x", label="l"), "b": copy("x")}
    limits = {"global": 9, "labels": {"l": 1}}
    assert decided(nodes, ["a", "n/far"], concurrency=limits).opening == {"a", "n/far"}


@settings(max_examples=60)
@given(cases())
def test_every_graph_can_be_looked_at_with_every_second_node_elsewhere(case: Case) -> None:
    whole = Graph.of(case.graph, {*AGENTS, "answerAgent"}, bypass=BYPASS)
    computed = [name for name, spec in whole.nodes.items() if "agent" in spec]
    for part in (computed[::2], computed[1::2], computed):
        assert set(orders(whole, dict.fromkeys(part, "cloud"), NESTS).opening) <= set(part)
