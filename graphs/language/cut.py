"""Cutting a graph: the fragment that goes to one place, as a graph of its own.

`cut(graph, nodes)` keeps the fragment's computed nodes, the static nodes they read, and one boundary node for every other node
they name; nothing else of the graph is in it. It is deterministic: the same graph and nodes give the same hash, so a worker is
sent a cut once (docs/protocol.md §7).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from graphs.language.spec import Graph, is_computed, reads, words
from graphs.values import Value, canonical

__all__ = ["CutGraph", "cut"]

INLINE_STATIC: Final = 64 * 1024
"""Bytes of a static value that still travel inside the cut; a larger one becomes a boundary node and comes as an injected value."""

_BOUNDARY: Final[Mapping[str, Value]] = {"boundary": True}


class CutGraph(Graph):
    """A cut graph. `boundary` are the nodes whose outcomes the holder sends; `whole` says that it has all computed nodes of the
    graph, and so its loop.
    """

    def __init__(self, document: Mapping[str, Value], boundary: tuple[str, ...], whole: bool) -> None:
        super().__init__(document)
        self.boundary = boundary
        self.whole = whole


def cut(
    graph: Graph,
    nodes: Collection[str],
    *,
    injected: Mapping[str, Value] | None = None,
    loop_count: float | None = None,
    outermost: Graph | None = None,
    turns: bool = True,
    labels: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> CutGraph:
    """The cut graph of these computed nodes. `injected` are values that static nodes have in this run, `loop_count` counts instead of
    the graph's own loop, which is in the cut only if it `turns`. `outermost` is the graph that this one is nested in: its `concurrency` is the one
    that counts.

    `labels` are the sensitivity labels of the nodes' values. Static nodes that carry any become boundary nodes, so that their values are not in a
    cut's text, unless the loop that updates them is in the cut, too; each boundary node says which labels its value has. A loop that needs values
    with labels that no node of the fragment has is not in the cut: whoever holds the frame turns it.
    """
    chosen = set(nodes)
    computed = [name for name, spec in graph.nodes.items() if is_computed(spec)]
    if unknown := chosen.difference(computed):
        raise ValueError(f"not computed nodes of this graph: {', '.join(sorted(unknown))}")
    turned = "loop" in graph.document
    carried = {name: {*labels.get(name, ()), *words(spec.get("sensitivity"))} for name, spec in graph.nodes.items()}
    taken = set[str]().union(*(carried[name] for name in chosen))
    withheld = turned and any(carried.get(name, taken) - taken for name in _loop_names(graph))
    whole = turns and len(chosen) == len(computed) and not withheld
    named = {each for name in chosen for each in reads(graph.nodes[name])}
    if whole and turned:
        named |= _loop_names(graph)
    kept: dict[str, Mapping[str, Value]] = {}
    boundary = []
    for name, spec in graph.nodes.items():
        if name in chosen:
            kept[name] = spec
        elif name in named:
            updated = whole and "update" in spec
            outside = is_computed(spec) or ("update" in spec and not updated) or (carried[name] and not (updated and turned))
            inside = None if outside else _static_in_cut(name, spec, injected or {})
            if inside is None:
                boundary.append(name)
            kept[name] = _stand_in(carried[name]) if inside is None else inside
    return CutGraph({**_attributes(graph, outermost, loop_count, whole=whole), "nodes": kept}, tuple(boundary), whole)


def _stand_in(labels: Collection[str]) -> Mapping[str, Value]:
    """The boundary node for a value with these labels."""
    return {**_BOUNDARY, "sensitivity": sorted(labels)} if labels else _BOUNDARY


def _attributes(graph: Graph, outermost: Graph | None, loop_count: float | None, *, whole: bool) -> dict[str, Value]:
    """What the cut says besides its nodes."""
    left_out = {"nodes", "inputs", "metadata"} if whole else {"nodes", "inputs", "metadata", "loop"}
    attributes = {key: value for key, value in graph.document.items() if key not in left_out}
    if outermost is not None:
        attributes.pop("concurrency", None)
        attributes.update((key, value) for key, value in outermost.document.items() if key == "concurrency")
    if whole and loop_count is not None:
        attributes["loop"] = {"count": loop_count}
    return attributes


def _static_in_cut(name: str, spec: Mapping[str, Value], injected: Mapping[str, Value]) -> Mapping[str, Value] | None:
    """The static node as it stands in the cut; None if its value is too large for that."""
    value = injected[name] if name in injected else spec.get("value")
    if name not in injected and "value" not in spec:
        return spec
    if len(canonical(value)) > INLINE_STATIC:
        return None
    return {**spec, "value": value} if name in injected else spec


def _loop_names(graph: Graph) -> set[str]:
    """The static nodes a whole loop needs: those with updates, what these read, and what `while` reads."""
    found: set[str] = set()
    loop = graph.document.get("loop") or {}
    found.update(reads({"if": loop.get("while")}))
    for name, spec in graph.nodes.items():
        if not is_computed(spec) and "update" in spec:
            found.add(name)
            found.update(reads(spec))
    return found
