"""Cutting a graph: the fragment that goes to one place, as a graph of its own.

`cut(graph, nodes)` keeps the fragment's computed nodes, the static nodes they read, and one boundary node for every other node
they name; nothing else of the graph is in it. It is deterministic: the same graph and nodes give the same hash, so a worker is
sent a cut once (docs/protocol.md §7).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from graphs.plan import DEFAULT_LIMIT
from graphs.spec import Graph, is_computed, reads
from graphs.values import Value, canonical

__all__ = ["CutGraph", "chains", "cut", "limit_can_bind"]

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
) -> CutGraph:
    """The cut graph of these computed nodes. `injected` are values that static nodes have in this run, `loop_count` counts instead of
    the graph's own loop. `outermost` is the graph that this one is nested in: its `concurrency` is the one that counts.

    Static nodes that carry a `sensitivity` become boundary nodes: their values never are in a cut's text.
    """
    chosen = set(nodes)
    computed = [name for name, spec in graph.nodes.items() if is_computed(spec)]
    unknown = chosen.difference(computed)
    if unknown:
        raise ValueError(f"not computed nodes of this graph: {', '.join(sorted(unknown))}")
    whole = len(chosen) == len(computed)
    named = {each for name in chosen for each in reads(graph.nodes[name])}
    if whole and "loop" in graph.document:
        named |= _loop_names(graph)
    kept: dict[str, Mapping[str, Value]] = {}
    boundary = []
    for name, spec in graph.nodes.items():
        if name in chosen:
            kept[name] = spec
        elif name in named:
            kept[name] = _static_in_cut(name, spec, injected or {}, looping=whole) if not is_computed(spec) else _BOUNDARY
            if kept[name] is _BOUNDARY:
                boundary.append(name)
    left_out = {"nodes", "loop", "inputs", "metadata"} if not whole else {"nodes", "inputs", "metadata"}
    attributes = {key: value for key, value in graph.document.items() if key not in left_out}
    if outermost is not None:
        attributes.pop("concurrency", None)
        attributes.update((key, value) for key, value in outermost.document.items() if key == "concurrency")
    if whole and loop_count is not None:
        attributes["loop"] = {"count": loop_count}
    return CutGraph({**attributes, "nodes": kept}, tuple(boundary), whole)


def _static_in_cut(name: str, spec: Mapping[str, Value], injected: Mapping[str, Value], *, looping: bool) -> Mapping[str, Value]:
    if spec.get("sensitivity") or ("update" in spec and not looping):
        return _BOUNDARY
    value = injected[name] if name in injected else spec.get("value")
    if name not in injected and "value" not in spec:
        return spec
    if len(canonical(value)) > INLINE_STATIC:
        return _BOUNDARY
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


def limit_can_bind(graph: Graph, nodes: Collection[str], nests: Mapping[str, str]) -> str | None:
    """Why a concurrency limit could bind across this cut; None if it cannot.

    Limits and priorities are the holder's, over all places together. Shipped nodes may run ahead only where no limit can bind:
    the frame's computed nodes are covered by at most `limit` chains, per label too, or all computed nodes are in the one
    fragment, whose worker then applies the limit itself (docs/protocol.md §8). `nests` names the agents that open nested
    graphs: how wide those get is not known beforehand.
    """
    computed = {name: spec for name, spec in graph.nodes.items() if is_computed(spec)}
    if len(nodes) == len(computed):
        return None
    for name, spec in computed.items():
        if spec["agent"] in nests or str(spec["agent"]).startswith(":"):
            return f"node {name!r} opens a nested graph or names its agent at run time, so how many nodes run at once is not known yet"
    limit: Any = graph.document.get("concurrency") or DEFAULT_LIMIT
    labels: Mapping[str, int] = {}
    if isinstance(limit, Mapping):
        labels = limit.get("labels") or {}
        limit = limit["global"]
    width = chains(graph, computed)
    if width > limit:
        return f"up to {width} nodes could run at once, more than the concurrency limit of {limit}"
    for label, most in labels.items():
        bound = [name for name, spec in computed.items() if spec.get("label") == label]
        if bound and not set(bound) <= set(nodes) and set(bound) & set(nodes) and (width := chains(graph, bound)) > most:
            return f"up to {width} nodes with the label {label!r} could run at once, more than its limit of {most}"
    return None


def chains(graph: Graph, nodes: Iterable[str]) -> int:
    """How many chains cover these nodes, found greedily: an upper bound of how many can run at once."""
    before = {name: _surely_before(graph, name) for name, spec in graph.nodes.items() if is_computed(spec)}
    depth = _depths(before)
    ends: set[str] = set()
    count = 0
    for name in sorted(nodes, key=lambda each: depth[each]):
        # Any earlier end that this node depends on, directly or through others, carries the chain on.
        end = _nearest(name, before, ends)
        if end is None:
            count += 1
        else:
            ends.discard(end)
        ends.add(name)
    return count


def _surely_before(graph: Graph, name: str) -> tuple[str, ...]:
    """The computed nodes that have ended when this one starts."""
    spec = graph.nodes[name]
    named = dict.fromkeys(reads(spec))
    if spec.get("anyInput") and len(named) > 1:
        return ()  # may start while some of its sources still run: no order to rely on
    return tuple(each for each in named if each in graph.nodes and is_computed(graph.nodes[each]))


def _nearest(name: str, before: Mapping[str, tuple[str, ...]], ends: set[str]) -> str | None:
    seen = {name}
    queue = deque(before[name])
    while queue:
        each = queue.popleft()
        if each in ends:
            return each
        if each not in seen:
            seen.add(each)
            queue.extend(before[each])
    return None


def _depths(before: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """How long the longest way to each node is."""
    depth: dict[str, int] = {}
    entered: set[str] = set()
    for name in before:
        stack = [name]
        while stack:
            top = stack[-1]
            if top not in entered:
                entered.add(top)
                stack.extend(each for each in before[top] if each not in entered)
            else:
                stack.pop()
                depth[top] = 1 + max((depth.get(each, 0) for each in before[top]), default=0)
    return depth
