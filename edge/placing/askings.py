"""Why each of two askings is asked, for the reasons of a node that was written out as such (`graphs.language.cascade`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.placing.node_needs import said_place
from graphs.language.cascade import ALWAYS
from graphs.language.spec import written_inside
from graphs.values import Value

__all__ = ["why_asked"]


def why_asked(spec: Mapping[str, Value]) -> dict[str, str]:
    """By their ids inside: why the askings of this node are asked; none of one that is no cascade and no hedge, or whose place somebody said."""
    if spec.get("agent") != "nestedAgent" or said_place(spec.get("place")) is not None:
        return {}
    inside = written_inside(spec)
    nodes: Mapping[str, Any] = inside.nodes if inside is not None else {}
    for name, node in nodes.items():
        params = node.get("params") or {}
        if node.get("agent") == "confidenceAgent" and "cascade" in params:
            first = str((node.get("inputs") or {}).get("answer"))[1:]
            bar = params.get("below")
            has_bar = isinstance(bar, (int, float)) and bar < ALWAYS
            why = f"asked where {first} is less than {bar:g} sure" if has_bar else f"asked whatever {first} says: there is no bar"
            return _both(nodes, first, f":{name}.unsure", why)
        if node.get("agent") == "sleeperAgent" and (spec.get("params") or {}).get("race") is True:
            first = next(iter(each for each, other in nodes.items() if "agent" in other), "")
            after = f"{(params.get('duration') or 0) / 1000:g} s"
            return _both(nodes, first, f":{name}", f"asked where {first} takes longer than {after}")
    return {}


def _both(nodes: Mapping[str, Any], first: str, condition: str, why: str) -> dict[str, str]:
    second = {name: why for name, node in nodes.items() if node.get("if") == condition}
    return {first: "asked first", **second} if second else {}
