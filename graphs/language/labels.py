"""Sensitivity labels: which nodes of a graph carry which (graph-spec §14).

A node's output has the union of its inputs' labels, conditions included, and its own `sensitivity`; a computed node may add
labels, never remove them. Pure; whether a labelled value may leave is decided elsewhere, and in the end by the link's encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from graphs.language.spec import Graph, reads, words
from graphs.values import Value

__all__ = ["UNSEEN", "all_labels", "labels_by_node", "own_labels"]

UNSEEN: Final = "a graph that is not here"
"""Stands for the labels of a graph that nobody can look at: no policy clears it."""


def own_labels(spec: Mapping[str, Value]) -> frozenset[str]:
    """The labels a node's own `sensitivity` names: one word or a list of them."""
    return frozenset(words(spec.get("sensitivity")))


def labels_by_node(graph: Graph) -> dict[str, frozenset[str]]:
    """The labels of every node's value; nodes without any are left out. Loops are followed: an update carries labels back."""
    declared = graph.document.get("inputs") or {}
    found: dict[str, frozenset[str]] = {}
    for name, spec in graph.nodes.items():
        if "sensitivity" in spec or "graph" in spec or name in declared:
            own = own_labels(spec) | own_labels(declared.get(name) or {}) | _inside(spec)
            if own:
                found[name] = own
    if not found:
        return found
    followers: dict[str, list[str]] = {}
    for name, spec in graph.nodes.items():
        for source in reads(spec):
            followers.setdefault(source, []).append(name)
    todo = list(found)
    while todo:
        name = todo.pop()
        for follower in followers.get(name, ()):
            both = found.get(follower, frozenset()) | found[name]
            if both != found.get(follower):
                found[follower] = both
                todo.append(follower)
    return found


def _inside(spec: Mapping[str, Value]) -> frozenset[str]:
    """Labels declared anywhere in a nested graph written in place count for the node that opens it."""
    graph = spec.get("graph")
    if not isinstance(graph, Mapping):
        return frozenset()
    inner: frozenset[str] = frozenset()
    for part in (graph.get("nodes"), graph.get("inputs")):
        for each in part.values() if isinstance(part, Mapping) else ():  # nobody has checked it yet
            if isinstance(each, Mapping):
                inner |= own_labels(each) | _inside(each)
    return inner


def all_labels(document: Mapping[str, Value] | None) -> frozenset[str]:
    """The labels of all values of a graph; None is a graph that is not here."""
    if document is None:
        return frozenset({UNSEEN})
    return frozenset().union(*labels_by_node(Graph(document)).values())
