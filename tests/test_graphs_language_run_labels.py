"""The labels in one run: by paths, and with what graphs that are values bring."""

from __future__ import annotations

from typing import Any

from graphs.agents import standard
from graphs.language.declassify import PSEUDONYMS
from graphs.language.labels import UNSEEN, UNTOLD
from graphs.language.run_labels import RunLabels
from graphs.language.spec import Graph

SECRET = {"value": 1, "sensitivity": "private"}
DYNAMIC: dict[str, Any] = {
    "g": {"agent": "copyAgent", "inputs": {"x": 1}},
    "n": {"agent": "nestedAgent", "graph": ":g.x"},
    "after": {"agent": "copyAgent", "inputs": {"x": ":n"}},
}


def labels(nodes: dict[str, Any], **more: Any) -> RunLabels:
    return RunLabels(Graph({"version": 0.5, "nodes": nodes}), standard(), **more)


def test_rows_turns_and_tries_of_a_node_have_the_same() -> None:
    inner = {"nodes": {"a": {"agent": "copyAgent", "inputs": {"x": ":row"}, "isResult": True}, "s": SECRET}}
    run = labels({"s": SECRET, "m/1": {"agent": "mapAgent", "inputs": {"rows": ":s"}, "graph": inner}})
    assert run.value("s#3") == {"private"}
    assert run.value("m%2F1[4]#2!1/a") == run.touched("m%2F1[0]/a#1") == {"private"}
    assert run.value("nobody") == run.touched("nobody/x") == frozenset()
    assert run
    assert not labels({"a": {"value": 1}})


def test_a_part_of_a_graph_knows_its_nodes_by_their_whole_paths() -> None:
    run = labels(
        {"b": {"boundary": True, "sensitivity": ["x"]}, "c": {"agent": "copyAgent", "inputs": {"b": ":b"}}}, prefix="rows/"
    )
    assert run.value("rows[3]/c#1") == {"x"}


def test_a_graph_that_is_a_value_says_what_is_in_it_when_it_is_opened() -> None:
    told: list[Any] = []
    run = labels(DYNAMIC, news=lambda found, places: told.append((found, places)))
    assert run.value("after") == {UNSEEN}
    assert run.by_node == {}
    run.know("n", {"nodes": {"a": {"agent": "copyAgent", "inputs": {"x": 1}}}})
    assert run.value("after") == frozenset()
    run.know("n#1", {"nodes": {"s": SECRET}})
    assert run.value("after") == run.touched("n[2]/s") == run.by_node["after"] == {"private"}
    run.know("n#2", "no graph")
    run.know("n#3", {"nodes": {"s": SECRET}})
    assert told == [({"private"}, {"n": {"private"}})]
    run.tell()
    assert told[1:] == told[:1]


def test_what_was_known_elsewhere_counts_at_its_place_and_is_told_on() -> None:
    told: list[Any] = []
    nodes = {
        "read": {"agent": "copyAgent", "inputs": {"x": 1}},
        "after": {"agent": "copyAgent", "inputs": {"x": ":read"}},
        "hidden": {"agent": "pseudonymiseAgent", "inputs": {"text": "x"}},
        "free": {"agent": "copyAgent", "inputs": {"x": 1}},
    }
    noted = {"read": frozenset({"diary"})}
    run = labels(nodes, noted=noted, news=lambda found, places: told.append((found, places)))
    assert run.value("after") == run.touched("read[1]") == {"diary"}
    assert run.value("free") == frozenset()
    run.tell()
    assert told == [({"diary", PSEUDONYMS}, {"read": {"diary"}, "hidden": {PSEUDONYMS}})]
    everywhere = labels(nodes, noted={"": frozenset({UNTOLD})})
    assert everywhere.value("free") == {UNTOLD}


def test_a_graph_in_such_a_graph_that_is_a_value_too_is_waited_for() -> None:
    run = labels(DYNAMIC)
    run.know("n", {"nodes": {"m": {"agent": "nestedAgent", "graph": ":t"}, "t": {"value": 1}}})
    assert run.value("after") == {UNSEEN}
    run.know("n/m", {"nodes": {"s": SECRET}})
    assert run.value("after") == {"private"}


def test_a_value_with_such_a_graph_in_it_has_the_labels_that_are_declared_there() -> None:
    value = {"text": [{"nodes": {"s": SECRET, "n": {"agent": "x", "graph": {"nodes": {"t": {"sensitivity": ["deep"]}}}}}}]}
    assert labels(DYNAMIC).carried(value) == {"private", "deep"}
    assert labels({"s": SECRET}).carried(value) == frozenset(), "this run opens no value as a graph"


def test_the_values_of_static_nodes_by_name() -> None:
    assert labels({"a/b": SECRET, "c": {"value": 1}}).of_inputs(["a/b", "c"]) == {"a/b": {"private"}}
