"""The salt of cuts with labelled text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.ferrying.salting import salted, store_secret
from graphs.agents import standard
from graphs.journal import Journal
from graphs.language.cut import CutGraph, cut
from graphs.language.labels import label_graph
from graphs.language.spec import Graph


def a_cut(nodes: dict[str, Any], *names: str, secret: bytes = b"s" * 16, **more: Any) -> CutGraph:
    graph = Graph({"version": 0.5, **more, "nodes": nodes})
    labels = label_graph(graph).values
    return salted(cut(graph, names, labels=labels), labels, secret)


FAR: dict[str, Any] = {"agent": "copyAgent", "inputs": {"x": ":s"}}


def test_a_cut_without_labelled_text_has_none() -> None:
    assert "salt" not in a_cut({"s": {"value": 1}, "far": FAR}, "far").document
    beside = a_cut({"s": {"value": 1, "sensitivity": "private"}, "far": FAR}, "far")
    assert "salt" in beside.document, "a labelled node may be written in one whose labels are those of its text"
    assert beside.nodes["s"] == {"boundary": True, "sensitivity": ["private"]}


def test_one_with_labelled_text_has_the_same_each_time_and_another_at_each_store() -> None:
    inner = {"nodes": {"s": {"value": "secret", "sensitivity": "private"}, "x": {"agent": "copyAgent", "inputs": {"s": ":s"}}}}
    for node in (
        {"agent": "copyAgent", "params": {"note": "secret"}, "sensitivity": "private"},
        {"agent": "nestedAgent", "graph": inner},
    ):
        first = a_cut({"far": node}, "far")
        assert first.hash == a_cut({"far": node}, "far").hash
        assert first.hash != a_cut({"far": node}, "far", secret=b"t" * 16).hash
        Graph.of(dict(first.document), set(standard()), allow_cut=True)


def test_so_has_a_loop_that_takes_a_labelled_value_along() -> None:
    nodes = {"s": {"value": "secret", "update": ":far.x", "sensitivity": "private"}, "far": FAR}
    found = a_cut(nodes, "far", loop={"count": 2})
    assert (found.whole, found.nodes["s"]["value"], "salt" in found.document) == (True, "secret", True)


def test_a_store_has_one_secret(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.db") as journal:
        first = store_secret(journal)
        journal.flush()
        assert store_secret(journal) == first
    with Journal.open(tmp_path / "b.db") as other:
        assert store_secret(other) != first
