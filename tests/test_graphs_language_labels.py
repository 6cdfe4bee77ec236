"""Sensitivity labels: how they spread over a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings, strategies as st

from graphs.agents import standard
from graphs.language.labels import UNSEEN, Labels, label_graph, labels_by_node, own_labels
from graphs.language.spec import Graph, reads
from graphs.registry import Agent
from reference.graphs import Drawing
from reference.labels import reached


def labels(nodes: Mapping[str, Any], **more: Any) -> dict[str, set[str]]:
    graph = Graph.of({"version": 0.5, **more, "nodes": dict(nodes)}, set(standard()))
    return {name: set(found) for name, found in labels_by_node(graph).items()}


def copy(*sources: Any, **more: Any) -> dict[str, Any]:
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


# -- against the definition


@st.composite
def labelled(draw: st.DrawFn) -> dict[str, Any]:
    """A random graph, some of whose nodes declare labels."""
    graph = Drawing(draw).graph(0)

    def declare(inner: dict[str, Any]) -> None:
        for node in inner["nodes"].values():
            if draw(st.integers(0, 4)) == 0:
                node["sensitivity"] = draw(st.sampled_from(["a", ["b"], ["a", "c"]]))
            if isinstance(node.get("graph"), dict):
                declare(node["graph"])

    declare(graph)
    return graph


def by_path(labels: Labels, prefix: str = "") -> dict[str, frozenset[str]]:
    found = {prefix + name: each for name, each in labels.values.items()}
    for name, inner in labels.inside.items():
        found |= by_path(inner, f"{prefix}{name}/")
    return found


@given(labelled())
@settings(max_examples=300)
def test_labels_are_where_the_arrows_lead(graph: dict[str, Any]) -> None:
    assert by_path(label_graph(Graph(graph))) == reached(graph)


@given(labelled())
@settings(max_examples=100)
def test_what_is_wherever_a_node_runs_is_at_least_its_value_and_all_it_reads(graph: dict[str, Any]) -> None:
    def look(inner: Graph, labels: Labels) -> None:
        for name, spec in inner.nodes.items():
            touched = labels.touched.get(name, frozenset())
            assert labels.values.get(name, frozenset()) <= touched
            assert all(labels.values.get(each, frozenset()) <= touched for each in reads(spec))
            if name in labels.inside:
                assert labels.inside[name].all <= touched
                look(Graph(spec["graph"]), labels.inside[name])

    look(Graph(graph), label_graph(Graph(graph)))


# -- loops, maps, nested graphs by hand


def values(nodes: Mapping[str, Any], **more: Any) -> dict[str, set[str]]:
    graph = Graph.of({"version": 0.5, **more, "nodes": dict(nodes)}, set(standard()))
    return {path: set(each) for path, each in by_path(label_graph(graph)).items()}


def test_who_decides_how_many_turns_there_are_is_in_what_is_updated() -> None:
    nodes = {"on": SECRET, "n": {"value": 0, "update": ":more"}, "more": copy(":n"), "turn": copy("@loop"), "free": copy(1)}
    assert values(nodes, loop={"while": ":on"}) == {name: {"private"} for name in ("on", "n", "more", "turn")}


def test_a_maps_rows_are_in_every_row_and_its_other_inputs_where_they_are_read() -> None:
    inner = {"nodes": {"a": copy(":row", isResult=True), "b": copy(":more"), "c": copy(1)}}
    node = {"agent": "mapAgent", "inputs": {"rows": [1, 2], "more": ":s"}, "graph": inner}
    assert values({"s": SECRET, "m": node}) == {"s": {"private"}, "m/more": {"private"}, "m/b": {"private"}}
    node = {"agent": "mapAgent", "inputs": {"rows": ":s"}, "graph": inner}
    found = values({"s": SECRET, "m": node})
    assert found.keys() == {"s", "m", "m/row", "m/__mapIndex", "m/a", "m/b", "m/c"}, "how many rows there are is told by each"


def test_an_error_of_a_nested_graph_that_is_its_value_tells_all_that_is_in_it() -> None:
    inner = {"nodes": {"a": copy(":x"), "b": copy(1, isResult=True)}}
    node: dict[str, Any] = {"agent": "nestedAgent", "inputs": {"x": ":s"}, "graph": inner}
    assert "n" not in values({"s": SECRET, "n": node})
    assert values({"s": SECRET, "n": {**node, "params": {"supressError": True}}})["n"] == {"private"}


def test_params_that_are_inputs_may_change_what_is_given() -> None:
    inner = {"nodes": {"a": copy(":x"), "b": copy(1, isResult=True)}}
    node = {"agent": "nestedAgent", "inputs": {"x": ":s", "params": {"resultNodeId": ":free"}}, "graph": inner}
    assert values({"free": {"value": "a"}, "s": SECRET, "n": node})["n"] == {"private"}


def test_a_graph_that_is_a_value_is_unseen_until_somebody_says_what_is_in_it() -> None:
    nodes = {"g": {"value": {}}, "n": {"agent": "nestedAgent", "graph": ":g"}, "after": copy(":n"), "free": copy(1)}
    graph = Graph({"version": 0.5, "nodes": nodes})
    assert label_graph(graph).values == {"n": {UNSEEN}, "after": {UNSEEN}}
    assert label_graph(graph, seen={"n": frozenset({"x"})}).values == {"n": {"x"}, "after": {"x"}}
    assert label_graph(graph, seen={"n": frozenset()}).values == {}
    nodes["g"] = {"value": {"nodes": {"s": {"value": 1, "sensitivity": "private"}}}}
    assert label_graph(Graph({"nodes": nodes})).values["g"] == {"private"}, "its text is in that value"


def test_agents_put_labels_on_what_they_give_and_one_may_take_them_off() -> None:
    reader = Agent("reader", lambda _context: 1, labels=frozenset({"file"}))
    cleaner = Agent("cleaner", lambda _context: 1, declassifies=lambda spec: spec["params"]["labels"])
    agents = standard().with_agents([reader, cleaner])
    nodes = {
        "s": SECRET,
        "read": {"agent": "reader"},
        "tool": {"agent": "toolLoopAgent", "params": {"tools": ["reader"]}},
        "any": {"agent": ":s"},
        "clean": {"agent": "cleaner", "inputs": {"a": ":s", "b": ":read"}, "params": {"labels": ["private"]}},
        "adds": {"agent": "cleaner", "inputs": {"a": ":s"}, "params": {"labels": ["private"]}, "sensitivity": "private"},
    }
    found = label_graph(Graph({"nodes": nodes}), agents)
    assert {name: set(each) for name, each in found.values.items()} == {
        "s": {"private"},
        "read": {"file"},
        "tool": {"file"},
        "any": {"private", "file"},
        "clean": {"file"},
        "adds": {"private"},
    }
    assert found.touched["clean"] == {"private", "file"}


def test_who_may_run_instead_puts_its_labels_on_the_value_as_well() -> None:
    diary = Agent("diaryAgent", lambda _context: None, labels=frozenset({"private"}))
    agents = standard().with_agents([diary])
    for node in (
        {"agent": "copyAgent", "place": {"at": "cloud", "offline": "local", "local": {"agent": "diaryAgent"}}},
        {"agent": "copyAgent", "any": [{}, {"agent": "diaryAgent"}]},
    ):
        graph = Graph({"nodes": {"n": node, "m": {"agent": "copyAgent", "inputs": {"x": ":n"}}}})
        assert label_graph(graph, agents).values["m"] == {"private"}
    around = {"place": {"local": {"agent": "diaryAgent"}}, "nodes": {"n": {"agent": "copyAgent"}}}
    assert label_graph(Graph(around), agents).values["n"] == {"private"}
    assert not label_graph(Graph({"nodes": {"n": {"agent": "copyAgent"}}}), agents).values


def test_a_graph_of_a_thousand_nested_loops_is_not_looked_at_for_ever() -> None:
    inner: dict[str, Any] = {"nodes": {"x": {"value": 1}, "c": copy(":x", isResult=True)}}
    for _ in range(12):
        nodes = {
            "x": {"value": 1, "update": ":n"},
            **{f"s{number}": {"value": 1, "sensitivity": f"l{number}", "update": f":s{number - 1}"} for number in range(6)},
            "n": {"agent": "nestedAgent", "inputs": {"x": [":x", ":s5"]}, "graph": inner, "isResult": True},
        }
        inner = {"loop": {"count": 2}, "nodes": nodes}
    assert len(label_graph(Graph(inner)).values["n"]) == 6
