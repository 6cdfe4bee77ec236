"""Where a label comes from, shown as a way through the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphs.agents import standard
from graphs.language.label_paths import label_path, told
from graphs.language.labels import label_graph
from graphs.language.spec import Graph

SECRET = {"value": 1, "sensitivity": "private"}


def copy(*sources: str, **more: Any) -> dict[str, Any]:
    return {"agent": "copyAgent", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


def way(nodes: Mapping[str, Any], name: str, label: str = "private", **more: Any) -> list[str]:
    graph = Graph.of({"version": 0.5, **more, "nodes": dict(nodes)}, set(standard()))
    return label_path(graph, label_graph(graph), name, label)


def test_the_shortest_way_from_a_source() -> None:
    nodes = {
        "free": {"value": 1},
        "secret": SECRET,
        "long": copy(":secret"),
        "summary": copy(":long", ":free"),
        "merge": copy(":summary", ":secret"),
        "own": copy(":free", sensitivity="pii"),
        "end": copy(":merge", ":own"),
    }
    assert way(nodes, "summary") == ["secret", "long", "summary"]
    assert way(nodes, "merge") == ["secret", "merge"]
    assert way(nodes, "end", "pii") == ["own", "end"]
    assert way(nodes, "secret") == ["secret"]


def test_through_conditions_and_loops() -> None:
    nodes = {"memory": {"value": [], "update": ":more"}, "more": copy(":memory", unless=":said"), "said": SECRET}
    assert way(nodes, "memory", loop={"count": 2}) == ["said", "more", "memory"]


def test_out_of_a_nested_graph() -> None:
    inner: dict[str, Any] = {"version": 0.5, "nodes": {"s": SECRET, "x": copy(":s", isResult=True)}}
    nodes = {"n": {"agent": "nestedAgent", "graph": inner}, "after": copy(":n")}
    assert way(nodes, "after") == ["n/s", "n/x", "n", "after"]
    del inner["nodes"]["x"]["isResult"]
    assert way(nodes, "n") == ["n/s", "n"]


def test_in_words() -> None:
    assert told(["secret", "merge"]) == "secret -> merge"
    assert told([str(each) for each in range(20)]) == "0 -> 1 -> 2 -> 3 -> ... -> 16 -> 17 -> 18 -> 19"
