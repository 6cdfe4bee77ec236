"""What labels say of where a node may run, and how that is told."""

from __future__ import annotations

from typing import Any

from edge.privacy.clearance import NOWHERE, Clearance
from edge.privacy.rule import Confined, confined, known_labels, label_sources, label_ways
from graphs.agents import standard
from graphs.language.labels import label_graph
from graphs.language.spec import Graph

URL = "wss://w:443/v1/link"
GRAPH = Graph.of(
    {
        "version": 0.5,
        "nodes": {
            "letter": {"value": 1, "sensitivity": "private"},
            "short": {"agent": "copyAgent", "inputs": {"x": ":letter"}},
            "far": {"agent": "copyAgent", "inputs": {"x": ":short"}},
            "free": {"agent": "copyAgent", "inputs": {"x": 1}},
            "made": {"agent": "nestedAgent", "graph": ":free"},
        },
    },
    set(standard()),
)
LABELS = label_graph(GRAPH)


def rule(name: str, clearance: Clearance = NOWHERE, **more: Any) -> Confined | None:
    usual: dict[str, Any] = {"pinned": False, "lacking": None, "get": "Get it.", "servers": []}
    return confined(GRAPH, LABELS, name, clearance, **{**usual, **more})


def cleared(*places: str) -> Clearance:
    return Clearance({"private": frozenset(places)}, worker=URL)


def test_what_has_no_label_goes_anywhere() -> None:
    assert rule("free", pinned=True) is None
    assert rule("made", pinned=True) is None, "it is looked at when it is there"
    assert known_labels(LABELS, "made") == frozenset()


def test_a_labelled_node_stays_here() -> None:
    assert rule("far") == ("carries the label private: stays on this device", None)


def test_each_label_that_keeps_nodes_here_has_its_way() -> None:
    assert label_ways(GRAPH, LABELS, NOWHERE) == {"private": ["letter", "short", "far"]}
    assert label_ways(GRAPH, LABELS, cleared(URL)) == {}


def test_every_source_of_a_label_is_named() -> None:
    inner = {"nodes": {"note": {"value": 2, "sensitivity": "private"}, "said": {"agent": "copyAgent", "inputs": {"x": ":note"}}}}
    graph = Graph.of(
        {
            "version": 0.5,
            "nodes": {
                "one": {"value": 1, "sensitivity": "private"},
                "pay": {"value": 1, "sensitivity": "internal"},
                "free": {"value": 1},
                "own": {"agent": "copyAgent", "sensitivity": "private", "inputs": {"x": ":one"}},
                "opens": {"agent": "nestedAgent", "graph": inner},
                "both": {"agent": "copyAgent", "inputs": {"x": ":own", "y": ":opens", "z": ":pay", "f": ":free"}},
            },
        },
        set(standard()),
    )
    labels = label_graph(graph)
    assert label_sources(graph, labels, "private") == ["one", "own", "opens"]
    assert label_sources(graph, labels, "internal") == ["pay"]


def test_a_cleared_one_may_go() -> None:
    assert rule("far", cleared(URL), pinned=True) is None
    assert rule("far", cleared(URL), lacking="big") is None
    assert rule("far", cleared("big"), servers=["big"]) == ("carries the label private: stays on this device", None)


def test_where_it_cannot_be_the_way_of_the_label_and_what_would_help_are_told() -> None:
    found = rule("far", pinned=True)
    assert found is not None
    assert found.reason.endswith("which is not cleared to leave this device (letter -> short -> far)")
    assert "`sensitivity: {private: [edge, cloud]}`" in str(found.remedy)
    found = rule("far", lacking="big")
    assert found is not None
    assert "must stay on this device, which has no 'big' (letter -> short -> far)" in found.reason
    assert str(found.remedy).startswith("Get it.")
    found = rule("far", cleared(URL), servers=["big"])
    assert found is not None
    assert "'big' is behind a server (letter -> short -> far)" in found.reason
    assert "`sensitivity: {private: [edge, big]}`" in str(found.remedy)
    found = rule("far", cleared(URL).towards(URL, []), pinned=True)
    assert found is not None
    assert "let whoever runs the worker clear your account" in str(found.remedy)
