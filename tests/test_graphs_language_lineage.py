"""Where labels come from, found a second way: always the same as what `graphs.language.labels` says."""

from __future__ import annotations

import random
from types import MappingProxyType
from typing import Any

from graphs.agents import standard
from graphs.language.labels import UNSEEN, Labels, label_graph
from graphs.language.lineage import Lineage, Origin, said_in
from graphs.language.spec import Graph
from sim.graphs import Seeded

AGENTS = standard()
SECRET = {"value": "My knee hurts.", "sensitivity": "private"}


def copy(*sources: Any, **more: Any) -> dict[str, Any]:
    return {"agent": "copyAgent", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


def of(nodes: dict[str, Any], place: str, opened: Any = MappingProxyType({}), **more: Any) -> set[str]:
    return set(Lineage({"version": 0.5, "nodes": nodes, **more}, AGENTS, opened).of(place).labels)


class _Labelled(Seeded):
    """With labels, agents that put them on or take them off, alternatives, and graphs that are values."""

    def computed(self, name: str, readable: Any, depth: int, *, rows: bool) -> dict[str, Any]:
        node: dict[str, Any] = super().computed(name, readable, depth, rows=rows)
        if "graph" not in node and self.one_in(6):
            node["agent"] = self.pick(["declassifyAgent", "pseudonymiseAgent", "toolLoopAgent", "vanillaFetchAgent"])
            if node["agent"] == "declassifyAgent":
                node["params"] = {"reason": "why not", **({"labels": ["a"]} if self.one_in(2) else {})}
        elif "graph" not in node and self.one_in(8):
            node["any"] = [{"agent": "pseudonymiseAgent"}, {"agent": "copyAgent"}]
        elif self.one_in(12):
            node["agent"], node["graph"] = "nestedAgent", self.source(readable)
        elif "graph" in node and self.one_in(8):
            node["agent"] = self.pick(["copyAgent", self.source(readable)])
        return node


def drawn(seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    graph: dict[str, Any] = _Labelled(chance).graph(0)

    def declare(inner: dict[str, Any]) -> None:
        for node in inner["nodes"].values():
            if chance.random() < 0.25:
                node["sensitivity"] = chance.choice(["a", ["b"], ["a", "c"]])
            if isinstance(node.get("graph"), dict):
                declare(node["graph"])

    declare(graph)
    if chance.random() < 0.5:
        graph["inputs"] = {"topic": {"default": 1, "sensitivity": "topical"}}
    return graph


def by_place(labels: Labels, prefix: str = "") -> dict[str, frozenset[str]]:
    found = {prefix + name: each for name, each in labels.values.items()}
    for name, inner in labels.inside.items():
        found |= by_place(inner, f"{prefix}{name}/")
    return found


def places(graph: Graph, prefix: str = "") -> list[str]:
    found = []
    for name, spec in graph.nodes.items():
        found.append(prefix + name)
        if isinstance(spec.get("graph"), dict):
            found += places(Graph(spec["graph"]), f"{prefix}{name}/")
    return found


def test_both_ways_lead_to_the_same_labels() -> None:
    first, labelled = random.randrange(10**9), 0
    print(f"seeds from {first}")
    for seed in range(first, first + 1_500):
        document = drawn(seed)
        lineage, found = Lineage(document, AGENTS), by_place(label_graph(Graph(document), AGENTS))
        for place in places(Graph(document)):
            assert lineage.of(place).labels == found.get(place, frozenset()), (seed, place)
            labelled += place in found
    assert labelled > 1_000


def test_what_was_taken_off_on_the_way_is_known() -> None:
    nodes = {
        "letter": SECRET,
        "open": {"agent": "declassifyAgent", "inputs": {"value": ":letter"}, "params": {"reason": "it says nothing"}},
        "after": copy(":open"),
        "other": copy("x"),
    }
    lineage = Lineage({"version": 0.5, "nodes": nodes}, AGENTS)
    assert lineage.of("letter") == Origin(frozenset({"private"}))
    assert lineage.of("open") == lineage.of("after") == Origin(frozenset(), frozenset({"private"}))
    assert lineage.of("other") == Origin()
    assert lineage.all == {"private"}


def test_what_is_in_a_graph_that_is_a_value_has_the_labels_of_who_opened_it() -> None:
    nodes = {"letter": SECRET, "made": copy("x"), "opens": {"agent": "nestedAgent", "graph": ":made", "inputs": {"x": ":letter"}}}
    assert of(nodes, "opens/far/inside") == {"private", UNSEEN}, "nobody has seen it"
    assert of(nodes, "opens/far", {"opens": frozenset({"pii"})}) == {"private", "pii"}
    assert of(nodes, "not/there") == {UNSEEN}
    assert of({"a": copy("x")}, "not/there") == set(), "there is nothing to know where nothing is labelled"


def test_all_that_is_said_in_a_graph() -> None:
    inner = {"nodes": {"s": SECRET, "p": {"agent": "pseudonymiseAgent"}}, "inputs": {"topic": {"sensitivity": "topical"}}}
    assert said_in({"nodes": {"n": {"agent": "nestedAgent", "graph": inner}}}, AGENTS) >= {"private", "topical"}
    assert UNSEEN in said_in({"nodes": {"n": {"agent": "nestedAgent", "graph": ":made"}}})
    assert said_in([1, {"nodes": []}, {"nodes": {"x": 3}}]) == set()
