"""The labels of what a delegate says: of each value that crosses the cut, and of the cut itself. It is the link's gate that decides by them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from edge.ferrying.fragments import Fragment
from graphs.language.labels import UNSEEN
from graphs.language.run_labels import RunLabels
from graphs.paths import escape, node_path
from graphs.values import Value
from protocol.payload import Labelled

__all__ = ["labels_of", "labels_of_cut"]

_NONE: Final = frozenset[str]()


def labels_of(labels: RunLabels, path: str, value: Value) -> frozenset[str]:
    """Those of the value of the node at `path`: with what a graph declares that is in it."""
    return labels.value(path) | labels.carried(value) if labels else _NONE


def labels_of_cut(labels: RunLabels, fragment: Fragment) -> tuple[Collection[str], Labelled]:
    """Those of all that is where the fragment runs, and those of the values that go along with its order, by their names there.

    A graph that is a value is not in the cut: it is looked at when that value goes.
    """
    if not labels:
        return (), ()
    within = set(fragment.graph.boundary)
    paths = {name: node_path(fragment.name, escape(name)) for name in fragment.graph.nodes}
    there = _NONE.union(*(labels.touched(path) for name, path in paths.items() if name not in within))
    found = {name: labels_of(labels, paths.get(name, name), value) for name, (_, value) in fragment.inputs.items()}
    return there - {UNSEEN}, {name: each for name, each in found.items() if each}
