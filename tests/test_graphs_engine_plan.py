"""Plans: a graph compiled once, and the plans of nested graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from graphs.agents import standard
from graphs.engine.plan import DEFAULT_LIMIT, Compiler, Plan
from graphs.engine.plan_node import PlanNode
from graphs.errors import GraphInvalid, NodeError
from graphs.language.spec import Graph
from graphs.states import State
from graphs.values import MISSING

REGISTRY = standard()


def plan(nodes: Mapping[str, Any], **more: Any) -> Plan:
    return Compiler(REGISTRY).plan(Graph.of({"version": 0.5, **more, "nodes": dict(nodes)}, set(REGISTRY)))


def node(made: Plan, name: str) -> PlanNode:
    found = made.nodes[made.numbers[name]]
    assert found is not None
    return found


def copy(*sources: str, **more: Any) -> dict[str, Any]:
    return {"agent": "copyAgent", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


def test_nodes_are_numbered_in_written_order_and_followers_stand_in_it() -> None:
    made = plan({"c": copy(":a", ":b"), "a": {"value": 1}, "b": copy(":a"), "d": copy(":b", ":b.x")})
    assert made.ids == ["c", "a", "b", "d"]
    assert made.followers[made.numbers["a"]] == (0, 2)
    assert made.followers[made.numbers["b"]] == (0, 3)


def test_a_node_waits_for_each_node_it_names_once_and_not_for_what_is_there_from_the_start() -> None:
    made = plan({"a": {"value": None}, "late": {"update": ":b"}, "b": copy(":a"), "c": copy(":b", "${:b.x} ${:a}", ":late")})
    assert [made.waits[made.numbers[name]] for name in ("b", "c")] == [0, 2]
    assert made.roots == [made.numbers["b"]]
    assert made.blank == [None, MISSING, MISSING, MISSING, MISSING]
    assert made.blank_states[:2] == [State.INJECTED, State.WAITING]


def test_static_nodes_without_value_and_update_are_known() -> None:
    made = plan({"hole": {}, "late": {"update": ":x"}, "null": {"value": None}, "x": copy("y")})
    assert made.valueless == [0]


def test_limits_and_loops_are_read_once() -> None:
    assert plan({"a": copy("x")}).limit == DEFAULT_LIMIT
    made = plan({"a": copy("x")}, concurrency={"global": 3, "labels": {"big": 1}}, loop={"count": 2})
    assert (made.limit, dict(made.labels), made.loop_count, made.loops) == (3, {"big": 1}, 2, True)
    assert plan({"a": copy("x")}, loop={"count": None}).loop_count == 0


def test_the_commonest_kind_of_node_is_known_as_such() -> None:
    made = plan(
        {
            "s": {"value": 1},
            "plain": copy(":s", retry=2, priority=1, timeout=5),
            "conditional": copy(":s", **{"if": ":s"}),
            "shaped": copy(":s", output={"x": ".i0"}),
            "any": copy(":s", anyInput=True),
            "overlaid": {"agent": "copyAgent", "inputs": {"params": ":s"}},
            "nested": {"agent": "nestedAgent", "graph": {"version": 0.5, "nodes": {"x": copy("y")}}},
            "dynamic": {"agent": ":s"},
        }
    )
    assert [name for name in made.ids if made.nodes[made.numbers[name]] and node(made, name).simple] == ["plain", "shaped"]
    assert not node(made, "shaped").plain
    assert node(made, "plain").plain


def test_a_graphs_retry_is_the_default_of_its_nodes_only() -> None:
    made = plan({"a": copy("x"), "b": copy("x", retry=0), "c": copy("x", retry=5)}, retry=2)
    assert [node(made, name).retry for name in "abc"] == [2, 0, 5]


@pytest.mark.parametrize(
    ("value", "counts"), [({"x": 1}, True), ("d", True), (0, False), ("", False), (None, False), (False, False)]
)
def test_a_default_that_is_false_counts_as_none(value: Any, counts: bool) -> None:
    made = plan({"a": copy("x", defaultValue=value)})
    assert (node(made, "a").default is not MISSING) is counts


def test_a_node_placed_elsewhere_is_never_simple() -> None:
    graph = Graph.of({"version": 0.5, "nodes": {"a": copy("x"), "b": copy("x")}}, set(REGISTRY))
    made = Compiler(REGISTRY, places={"a": "cloud"}).plan(graph)
    assert (node(made, "a").place, node(made, "a").simple) == ("cloud", False)
    assert (node(made, "b").place, node(made, "b").simple) == (None, True)


def test_what_opens_a_graph_and_starts_on_order_is_opened_here() -> None:
    nests = {"agent": "nestedAgent", "graph": {"nodes": {"x": copy("y")}}}
    graph = Graph.of({"version": 0.5, "nodes": {"a": copy("x"), "n": nests, "m": nests}}, set(REGISTRY))
    made = Compiler(REGISTRY, places={"a": "cloud", "n": "cloud", "m": "cloud"}, orders={"a", "n"}).plan(graph)
    assert [(node(made, name).place, node(made, name).on_order) for name in ("a", "n", "m")] == [
        ("cloud", True),
        (None, True),
        ("cloud", False),
    ]


@pytest.mark.parametrize(
    ("place", "agent", "known"), [("cloud", "farAgent", True), (None, "farAgent", False), ("cloud", "noAgent", False)]
)
def test_the_agent_of_an_inner_node_elsewhere_need_be_known_only_there(place: str | None, agent: str, known: bool) -> None:
    outer = plan({"n": {"agent": "nestedAgent", "graph": INNER}})
    places = {"n/x": place} if place else {}
    compiler = Compiler(REGISTRY, places=places, offered={"farAgent"})
    document = {"version": 0.5, "nodes": {"x": {"agent": agent}}}
    try:
        compiler.nested(outer, node(outer, "n"), document, (), compiler.budget, mode="nested", shared=True)
    except GraphInvalid:
        assert not known
    else:
        assert known


# -- nested graphs

INNER = {"version": 0.5, "nodes": {"s": {"value": 1}, "hole": {}, "x": copy(":s", ":given")}}


def nested(document: Any, given: tuple[str, ...], *, mode: str = "nested", shared: bool = True) -> tuple[Plan, Plan]:
    outer = plan({"n": {"agent": "nestedAgent", "graph": INNER, "inputs": {"given": 1}}})
    compiler = Compiler(REGISTRY)
    first, second = (
        compiler.nested(outer, node(outer, "n"), document, given, compiler.budget, mode=mode, shared=shared) for _ in range(2)
    )
    return first, second


def test_inputs_are_static_nodes_of_the_nested_graph() -> None:
    made, _ = nested(INNER, ("s", "given", "hole"))
    assert made.ids == ["s", "hole", "x", "given"]
    assert made.waits[made.numbers["x"]] == 0
    assert made.valueless == []


def test_the_plan_of_a_nodes_own_graph_is_kept_and_that_of_data_is_not() -> None:
    first, second = nested(INNER, ("given",))
    assert first is second
    first, second = nested(INNER, ("given",), shared=False)
    assert first is not second


def test_a_name_of_a_computed_node_is_refused_by_nested_and_yields_in_a_map() -> None:
    with pytest.raises(NodeError, match="Cannot set both agent and value"):
        nested(INNER, ("given", "x"))
    made, _ = nested(INNER, ("given", "x"), mode="map")
    assert made.nodes[made.numbers["x"]] is not None


@pytest.mark.parametrize("document", [None, MISSING, "text", [INNER], 5])
def test_what_is_no_graph_at_all_fails_the_node(document: Any) -> None:
    with pytest.raises(NodeError, match="No GraphData"):
        nested(document, ())


@pytest.mark.parametrize(
    "document", [{}, {"nodes": 5}, {"nodes": {}}, {"nodes": {"a": {"agent": "nobody"}}}, {"nodes": {"a": None}}]
)
def test_a_graph_from_data_is_checked(document: Any) -> None:
    with pytest.raises(GraphInvalid):
        nested(document, (), shared=False)


def test_the_document_of_a_nested_graph_is_never_changed() -> None:
    before = repr(INNER)
    nested(INNER, ("s", "given", "hole"))
    assert repr(INNER) == before
