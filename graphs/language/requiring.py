"""Which nodes require trusted inputs. Pure. Apart from `graphs.language.integrity`, which finds whether they have them: that needs to know how labels
spread, and is not imported where nothing requires trust.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from graphs.language.spec import Graph, is_computed, written_inside
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.registry import Agent

__all__ = ["requires_trust", "wants_trust"]


def requires_trust(spec: Mapping[str, Value], agents: Mapping[str, Agent]) -> bool:
    """Whether a node, its agent, or an agent that its model may call, requires trusted inputs."""
    if spec.get("requires") == "trusted":
        return True
    return any(each in agents and agents[each].requires == "trusted" for each in _agents_of(spec))


def wants_trust(graph: Graph, agents: Mapping[str, Agent]) -> bool:
    """Whether any node requires trusted inputs, those of graphs written in nodes included."""
    for spec in graph.nodes.values():
        if is_computed(spec) and requires_trust(spec, agents):
            return True
        inside = written_inside(spec)
        if inside is not None and wants_trust(inside, agents):
            return True
    return False


def _agents_of(spec: Mapping[str, Value]) -> Iterator[str]:
    """The node's agent, and those that its own words offer to a model as tools."""
    name = spec.get("agent")
    if isinstance(name, str):
        yield name
    if name == "toolLoopAgent":
        listed = (spec.get("params") or {}).get("tools") or (spec.get("inputs") or {}).get("tools")
        for each in listed if isinstance(listed, list) else ():
            tool = each.get("agent") if isinstance(each, Mapping) else each
            if isinstance(tool, str):
                yield tool
