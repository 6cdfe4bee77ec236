"""Which ways there are to do each node: what the rules of `edge.placement` leave open. Pure.

The rules come first and figures only decide where they leave a choice. A node has one if nothing said or needed keeps it anywhere, the worker has
the same agents in the same version and the same model, and doing it a second time elsewhere could do no harm: it must be able to come back when the
worker is lost. A nested graph does not move as a whole: it is opened on this device, and the nodes inside have choices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.placement import SPLIT, place_inside
from edge.placing.facts import Facts, Implementation, Placement
from edge.placing.node_needs import model_named
from edge.placing.tasks import CLOUD, EDGE, Choice
from edge.policies import NOTHING, Around, acts, around, tools_of
from edge.privacy.rule import labels_inside
from graphs.language.implementations import implemented
from graphs.language.labels import Labels, label_graph
from graphs.language.spec import Graph, is_computed, written_inside
from graphs.paths import escape
from graphs.values import Value

__all__ = ["Choices", "choices_of", "could_move", "model_size"]

_SIZE: Final = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([mbt])(?![a-z0-9])")
_PLAIN: Final = frozenset(
    {"agent", "inputs", "isResult", "model", "params", "passThrough", "output", "priority", "label", "retry", "timeout"}
)
_UNITS: Final = {"m": 1e6, "b": 1e9, "t": 1e12}


@dataclass(frozen=True, slots=True)
class Choices:
    """By place in the document: the choices of each unit, the one by the rules first; `opened` are the nodes whose graphs are opened here.

    `placed` is what the rules say of each, of nodes inside graphs too that the rules would leave as they are.
    """

    units: Mapping[str, tuple[Choice, ...]]
    opened: frozenset[str]
    placed: Mapping[str, Placement]
    specs: Mapping[str, Mapping[str, Value]]


def choices_of(graph: Graph, placed: Mapping[str, Placement], facts: Facts) -> Choices:
    """The choices that are left by the rules, of which `placed` is what they say."""
    found = _Finding(facts, dict(placed))
    found.frame(graph, "", NOTHING, label_graph(graph, facts.agents, noted=facts.noted))
    return Choices(found.units, frozenset(found.opened), found.placed, found.specs)


def could_move(spec: Mapping[str, Value], facts: Facts) -> bool:
    """Whether the worker would do this node, which opens no graph, just as this device does, and either could after the other has begun."""
    offer = facts.offer or {}
    agent = facts.agents.get(spec["agent"]) if isinstance(spec["agent"], str) else None
    if agent is None or agent.nests is not None or acts(spec, facts.agents):
        return False
    if spec.get("anyInput") is True and (spec.get("if") or spec.get("unless")):
        return False  # whether it runs is decided by what arrives first
    offered = offer.get("agents") or {}
    for name in (agent.name, *sorted(tools_of(spec))):
        known = facts.agents.get(name)
        if known is None or str(offered.get(name)) != str(known.version) or not known.needs <= {"model"}:
            return False
    model = model_named(spec, facts)
    if model is None:
        return "model" not in agent.needs
    there = (offer.get("models") or {}).get(model)
    if not isinstance(there, Mapping) or model in facts.servers or model not in facts.models:
        return False
    return there.get("digest") == facts.digests.get(model)


def model_size(model: str | None, facts: Facts) -> float:
    """How large a model is, as its name says (`qwen-32b`, `smollm2-135m`); else one of the tier `large` counts as larger than any other."""
    if model is None:
        return 0.0
    found = _SIZE.findall(model.lower())
    if found:
        number, unit = found[-1]
        return float(number) * _UNITS[unit]
    return 2.0 if model in ("large", facts.tiers.get("large")) else 1.0


def _names_model(spec: Mapping[str, Value]) -> bool:
    return "model" in (spec.get("params") or ()) or "model" in (spec.get("inputs") or ())


class _Finding:
    def __init__(self, facts: Facts, placed: dict[str, Placement]) -> None:
        self.facts = facts
        self.placed = placed
        self.units: dict[str, tuple[Choice, ...]] = {}
        self.alike: dict[tuple[Value, Value], bool] = {}
        """Whether a node could move that says no more than its agent and its model."""
        self.opened: set[str] = set()
        self.specs: dict[str, Mapping[str, Value]] = {}

    def frame(self, graph: Graph, prefix: str, outer: Around, labels: Labels | None) -> None:
        outer = around(graph.document, outer)
        for name, spec in graph.nodes.items():
            if is_computed(spec):
                inside = labels_inside(labels, name, spec) if labels is not None and "graph" in spec else None
                self.node(prefix, name, spec, outer, inside)

    def node(self, prefix: str, name: str, spec: Mapping[str, Value], outer: Around, inside: Labels | None) -> None:
        path = prefix + escape(name)
        placement = self.placed[path]
        inner = written_inside(spec) if "graph" in spec else None
        self.specs[path] = spec
        free = placement.free and self.facts.offer is not None and not self.facts.local_only
        if inner is not None and (placement is SPLIT or (free and self.opens(spec))):
            self.opened.add(path)
            if placement is not SPLIT:
                said = place_inside(name, spec, self.facts, outer, labels=inside)
                self.placed.update({f"{prefix}{each}": one for each, one in said.items()})
            self.frame(inner, f"{path}/", around(spec, outer), inside)
            return
        if placement.implementation is None:
            self.units[path] = self.ways(spec, None, placement)
        else:
            own = Implementation(
                placement.implementation,
                placement.place,
                placement.model,
                implemented(spec, placement.implementation),
                placement.free,
            )
            self.units[path] = tuple(way for each in (own, *placement.others) for way in self.ways(each.spec, each.number, each))

    def ways(self, spec: Mapping[str, Value], number: int | None, where: Placement | Implementation) -> tuple[Choice, ...]:
        """The place it has by the rules, and the other one if it is free."""
        written = None if number is None else spec
        size = model_size(where.model, self.facts) if number is not None else 0.0
        rule = Choice(EDGE if where.place == "edge" else CLOUD, where.model, number, written, size)
        free = where.free and self.facts.offer is not None and not self.facts.local_only
        if not free or not self.could_move(spec):
            return (rule,)
        return (rule, Choice(CLOUD if rule.place == EDGE else EDGE, where.model, number, written, size))

    def could_move(self, spec: Mapping[str, Value]) -> bool:
        if not _PLAIN.issuperset(spec) or spec["agent"] == "toolLoopAgent" or _names_model(spec):
            return could_move(spec, self.facts)
        key = (spec["agent"], spec.get("model"))
        known = self.alike.get(key)
        if known is None:
            known = self.alike[key] = could_move(spec, self.facts)
        return known

    def opens(self, spec: Mapping[str, Value]) -> bool:
        agent = self.facts.agents.get(spec["agent"])
        return agent is not None and agent.nests is not None
