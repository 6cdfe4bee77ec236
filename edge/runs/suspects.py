"""Nodes with effects that another store may have begun in a run, without this device having heard of it: whoever makes a fork of that run must not
begin them again by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edge.ferrying.attached import Attached
from edge.ferrying.fragments import depending
from edge.policies import acts
from graphs.language.cut import CutGraph
from graphs.language.spec import Graph, is_boundary, is_computed, written_inside
from graphs.paths import document_path, escape, node_path
from graphs.values import decode

if TYPE_CHECKING:
    from graphs.journal import Journal
    from graphs.registry import Agent

__all__ = ["acting", "begun_at_workers"]


def acting(graph: Graph, agents: Mapping[str, Agent], prefix: str = "") -> Iterator[str]:
    """The nodes of a graph that might do harm if they were run twice, by their places in the document. Of a graph that nobody has seen yet it is the
    node that opens it.
    """
    for name, spec in graph.nodes.items():
        if not is_computed(spec) or not acts(spec, agents):
            continue
        place = f"{prefix}{escape(name)}"
        inside = written_inside(spec)
        inner = list(acting(inside, agents, f"{place}/")) if inside is not None else []
        yield from inner or [place]


def begun_at_workers(journal: Journal, children: Collection[bytes], agents: Mapping[str, Agent], graph: Graph) -> set[str]:
    """Of the nodes that act, those that a worker was given in these open child runs, and may have begun: it had what they read."""
    shipped: set[str] = set()
    for child in children:
        part = Attached(child)
        for logged in journal.records(child):
            part.note(logged.record)
        for frame, address in part.frames.items():
            stored = journal.graph(address)
            if stored is not None:
                shipped |= {document_path(path) for path in _within_reach(part, frame, decode(stored.body))}
    return {place for place in acting(graph, agents) if any(_lies_in(place, each) for each in shipped)}


def _within_reach(part: Attached, frame: str, document: Any) -> Iterator[str]:
    """The nodes of a cut that do not wait for a value of this device, or for its order."""
    nodes = Graph(document).nodes
    boundary = tuple(name for name, spec in nodes.items() if is_boundary(spec))
    graph = CutGraph(document, boundary, whole=False)
    waiting: set[str] = set()
    if "loop" not in document:  # else a value of one turn may be another one in the next
        for name in boundary:
            if node_path(frame, escape(name)) not in part.told:
                waiting |= depending(graph, name)
    for name, spec in nodes.items():
        path = node_path(frame, escape(name))
        any_input = bool(spec.get("anyInput"))
        if is_computed(spec) and (any_input or name not in waiting) and part.may_have_begun(path):
            yield path


def _lies_in(place: str, shipped: str) -> bool:
    return place == shipped or place.startswith(f"{shipped}/")
