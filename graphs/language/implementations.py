"""Several implementations of one node: `any: [{model: small}, {model: large}, {agent: rules}]`. Pure.

Each entry is laid over the node's own attributes. Placement finds which of them can be had and which suits best; when the node starts, the best
of those that can be had then runs. What has been chosen stands in the node as the entry's number: `any: 1`. Where nobody chose, it is the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphs.language.spec import Graph, is_computed, written_inside
from graphs.paths import escape
from graphs.values import Value

__all__ = ["implementations", "implemented", "is_open", "settled"]


def is_open(spec: Mapping[str, Value]) -> bool:
    """Whether a node has several implementations of which none is chosen yet."""
    return isinstance(spec.get("any"), list) and bool(spec["any"])


def implementations(spec: Mapping[str, Value]) -> tuple[Mapping[str, Value], ...]:
    """The node's attributes in each of its implementations, in written order; none if there is nothing to choose."""
    return tuple(implemented(spec, number) for number in range(len(spec["any"]))) if is_open(spec) else ()


def implemented(spec: Mapping[str, Value], number: int) -> Mapping[str, Value]:
    """The node with that implementation. What says something of its own agent alone is not said of another one."""
    listed = spec["any"][number]
    entry: Mapping[str, Value] = listed if isinstance(listed, Mapping) else {}
    same = entry.get("agent", spec["agent"]) == spec["agent"]
    made: dict[str, Any] = {key: value for key, value in spec.items() if same or key not in ("params", "effect", "model")}
    params = made.get("params")
    if entry.get("model") is not None:  # the entry's word on the model is the last, wherever the node says its own
        inputs = made.get("inputs")
        if isinstance(inputs, Mapping) and "model" in inputs:
            made["inputs"] = {key: value for key, value in inputs.items() if key != "model"}
        if isinstance(params, Mapping) and "model" in params:
            params = {key: value for key, value in params.items() if key != "model"}
    made.update(entry)
    if isinstance(params, Mapping):
        more = entry.get("params")
        made["params"] = {**params, **more} if isinstance(more, Mapping) else params
    made["any"] = number
    return made


def settled(graph: Graph, chosen: Mapping[str, int], prefix: str = "") -> Graph:
    """The graph with these implementations, by place in the document; a node that is not among them has its first. The same graph if it has
    no such nodes.
    """
    made: dict[str, Mapping[str, Value]] = {}
    if graph.attributes.isdisjoint(("any", "graph")):
        return graph
    for name, spec in graph.nodes.items():
        if not is_computed(spec):
            continue
        path = prefix + escape(name)
        if is_open(spec):
            made[name] = implemented(spec, chosen.get(path, 0))
        elif (inner := written_inside(spec)) is not None:
            below = settled(inner, chosen, f"{path}/")
            if below is not inner:
                made[name] = {**spec, "graph": below.document}
    if not made:
        return graph
    nodes = {name: made.get(name, spec) for name, spec in graph.document["nodes"].items()}
    return Graph({**graph.document, "nodes": nodes}, warnings=graph.warnings)
