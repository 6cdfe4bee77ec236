"""Agents that would send what carries a label to a place that no policy names: known before the run where the graph names them. Pure.

Whom such an agent writes to is said by the values it is given, so there is nothing that a label could be cleared for, and while a node with a
label runs on this device, nothing is sent (edge.ferrying.outside). What may not be sent after all is left to that: a node with a condition, a tool,
an agent that is named by a value. So are agents that do not say themselves what they send: nobody can stop those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge.privacy.rule import Confined, known_labels
from graphs.language.label_paths import label_path, told
from graphs.language.labels import UNCLEARABLE, Labels, confining
from graphs.language.spec import Graph, is_computed, written_inside
from graphs.registry import Agent
from graphs.values import Value

__all__ = ["would_send"]

_CONDITIONS: Final = frozenset({"if", "unless"})


def would_send(
    graph: Graph, labels: Labels, name: str, spec: Mapping[str, Value], agents: Mapping[str, Agent]
) -> Confined | None:
    """Whether a node that runs on this device, or one in the graph that is written in it, would be refused when it sends; None if not."""
    if not known_labels(labels, name) or not _CONDITIONS.isdisjoint(spec):
        return None
    if (inner := written_inside(spec)) is not None:
        below = labels.inside.get(name)
        nodes = [(each, node) for each, node in inner.nodes.items() if is_computed(node)] if below is not None else []
        found = (would_send(inner, below, each, node, agents) for each, node in nodes if below is not None)
        return next((each for each in found if each is not None), None)
    carried = sorted(confining(known_labels(labels, name)) - UNCLEARABLE)  # those come with runs whose node may be done by now
    agent = agents.get(spec["agent"]) if isinstance(spec["agent"], str) else None
    if not carried or agent is None or not agent.audited or "network" not in agent.needs or "debug" in (spec.get("params") or {}):
        return None
    words, way = ", ".join(carried), told(label_path(graph, labels, name, carried[0]))
    return Confined(
        f"carries the label {words}, and sends what it is given over the network ({agent.name}), for which no policy clears it ({way})",
        "Take the label off what it reads with declassifyAgent, or remove it from its source.",
    )
