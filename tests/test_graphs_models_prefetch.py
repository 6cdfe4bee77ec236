from __future__ import annotations

from typing import Any

from graphs.language.spec import Graph
from graphs.models.prefetch import Prefetcher, coming_models
from runs import run


class Noted:
    def __init__(self) -> None:
        self.names: list[str] = []

    def prefetch(self, name: str) -> None:
        self.names.append(name)


NODES: dict[str, Any] = {
    "word": {"value": "tide"},
    "first": {"agent": "copyAgent", "inputs": {"text": ":word"}},
    "ask": {"agent": "copyAgent", "inputs": {"text": ":first.text"}},
    "check": {"agent": "copyAgent", "inputs": {"text": ":ask.text"}, "isResult": True},
    "free": {"agent": "copyAgent", "inputs": {"text": ":word"}},
}


def test_a_model_is_coming_when_a_node_before_it_starts() -> None:
    graph = Graph.of({"version": 0.5, "nodes": NODES}, {"copyAgent"})
    assert coming_models(graph, {"ask": "a", "check": "b", "free": "c"}) == {"first": ["a"], "ask": ["b"], "": ["c"]}
    assert coming_models(graph, {"ask": "a", "first": "a", "free": "a"}) == {"first": ["a"], "": ["a"]}


def test_each_is_said_once_and_in_time() -> None:
    models = Noted()
    graph = Graph.of({"version": 0.5, "nodes": NODES}, {"copyAgent"})
    prefetcher = Prefetcher(models, coming_models(graph, {"ask": "a", "check": "b", "free": "c"}))  # type: ignore[arg-type]
    prefetcher.begin()
    assert models.names == ["c"]
    run(NODES, observers=[prefetcher])
    assert models.names == ["c", "a", "b"]
    run(NODES, observers=[prefetcher])
    assert models.names == ["c", "a", "b"]
