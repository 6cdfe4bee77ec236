"""What is to become of a worker's nodes while no worker is reached: each waits, runs an alternative here, or fails. Pure.

The first that says so decides:

1. the command line, of the node by its name (`--when-offline NODE=local`);
2. the node's own `place: {offline: ...}`;
3. the command line, of all nodes (`--when-offline local`);
4. the `place` of the node around it or of the graph it is in, the innermost first;
5. the device's configuration (`when_offline`);
6. nobody: it waits.

So an author's word on one node is only overruled by name, and whoever runs the graph knows better than its defaults what today is like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from edge.placing.facts import OFFLINE, Facts, Offline, Placement, Sayings
from graphs.language.spec import Graph, is_computed, written_inside
from graphs.paths import escape
from graphs.registry import Agent
from graphs.values import Value

__all__ = [
    "NOTHING",
    "Around",
    "Policy",
    "acts",
    "around",
    "node_policies",
    "opens_here",
    "tools_of",
    "with_inner",
]


class Around(NamedTuple):
    """What the graphs and nodes around a node say: the policy, and the alternative of those that write none."""

    offline: Offline | None = None
    local: Mapping[str, Value] | None = None


NOTHING: Final = Around()


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of a node that is placed at the worker when that is not reached.

    `alternative` are the attributes of the node that runs here instead; None if there is none, and `lacking` says why in a sentence.
    `degrades` says that its result may be less than was asked for, `once` that to run the node twice might do harm. A `free` node is at the
    worker by choice: it runs here just as well, but its values are not brought here in case it does. `here` are the attributes with which
    the same node runs on this device, as it does if the link withholds what it reads; None if it cannot.
    """

    offline: Offline = "wait"
    alternative: Mapping[str, Value] | None = None
    lacking: str = ""
    degrades: bool = True
    once: bool = True
    free: bool = False
    here: Mapping[str, Value] | None = None


def around(document: Mapping[str, Value], outer: Around) -> Around:
    """What holds inside a graph, or for a node's inside, that says `place` itself or leaves it to what is around it."""
    place = document.get("place")
    if not isinstance(place, Mapping):
        return outer
    said, local = place.get("offline"), place.get("local")
    return Around(
        cast("Offline", said) if said in OFFLINE else outer.offline, cast("Mapping[str, Value]", local) if local else outer.local
    )


def opens_here(name: str, spec: Mapping[str, Value], outer: Around, sayings: Sayings) -> bool:
    """Whether a node with a graph written in it has to be opened on this device, so that each node inside can do as it is told.

    Not where the node names an alternative to itself, or all in it wait or fail as one.
    """
    graph = written_inside(spec)
    if graph is None or around(spec, NOTHING).local:
        return False
    offline = _said(name, spec, outer, sayings)
    inside = around(graph.document, around(spec, outer))
    below = sayings.inside
    inner = [(each, node) for each, node in graph.nodes.items() if is_computed(node)]
    said = [_said(each, node, inside, below) for each, node in inner]
    return "local" in said or any(each != offline for each in said) or any(opens_here(*each, inside, below) for each in inner)


def node_policies(
    graph: Graph, placed: Mapping[str, Placement], facts: Facts, outer: Around = NOTHING, prefix: str = ""
) -> dict[str, Policy]:
    """The policy of each node that is placed at the worker, by its place in the document as `place_nodes` gives it."""
    found: dict[str, Policy] = {}
    outer = around(graph.document, outer)
    sayings = facts.offline.inside if prefix else facts.offline
    for name, spec in graph.nodes.items():
        placement = placed.get(prefix + escape(name))
        if placement is None:
            continue
        if placement.place == "cloud":
            found[prefix + escape(name)] = _policy(name, spec, outer, sayings, facts, placement)
        elif (inside := written_inside(spec)) is not None:
            found.update(node_policies(inside, placed, facts, around(spec, outer), f"{prefix}{escape(name)}/"))
    return found


def _policy(name: str, spec: Mapping[str, Value], outer: Around, sayings: Sayings, facts: Facts, placement: Placement) -> Policy:
    offline, once, same = _said(name, spec, outer, sayings), acts(spec, facts.agents), _same(spec, facts)
    agent = facts.agents.get(spec["agent"])
    if _told(name, spec, sayings) is None:
        here = next((each.spec for each in placement.others if each.place == "edge"), None)
        if here is not None:
            return Policy("local", _unplaced(here), degrades=False, once=once or acts(here, facts.agents), free=True, here=same)
        if placement.free and not once and agent is not None and not agent.cheap:
            return Policy("local", _unplaced(spec), degrades=False, once=False, free=True, here=same)
    if offline != "local":
        return Policy(offline, once=once, here=same)
    alternative, lacking = _alternative(spec, around(spec, outer).local or {}, facts)
    computed_alike = agent is not None and agent.cheap and alternative["agent"] == spec["agent"]
    return Policy(offline, None if lacking else alternative, lacking, not computed_alike, once, here=same)


def _unplaced(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    return {key: value for key, value in spec.items() if key != "place"}


def _said(name: str, spec: Mapping[str, Value], outer: Around, sayings: Sayings) -> Offline:
    return sayings.always or _told(name, spec, sayings) or sayings.every or outer.offline or sayings.device or "wait"


def _told(name: str, spec: Mapping[str, Value], sayings: Sayings) -> Offline | None:
    """What is said of this node alone."""
    return sayings.nodes.get(name) or around(spec, NOTHING).offline


# -- the alternative

_PLACED: Final = frozenset({"place", "model", "any", "escalate", "hedge"})


def _alternative(spec: Mapping[str, Value], local: Mapping[str, Value], facts: Facts) -> tuple[dict[str, Value], str]:
    """The node that runs here instead, and what keeps it from that; the same inputs, and whatever is not written of it as in `spec`.

    It asks the model that is written for it; without one the same agent asks this device's small model.
    """
    name = local.get("agent", spec["agent"])
    made: dict[str, Any] = {**{key: value for key, value in spec.items() if key not in _PLACED}, **local}
    if not isinstance(name, str) or name.startswith(":"):
        return made, "which agent it calls is known only at the worker"
    agent = facts.agents.get(name)
    if agent is None:
        return made, f"this device has no agent {name!r}"
    if agent.named and name != spec["agent"]:
        return made, f"{name} is a node of its own, and cannot be an alternative"
    if agent.nests is not None:
        return made, "a node that opens a graph cannot be an alternative"
    if spec.get("anyInput") is True and (spec.get("if") or spec.get("unless")):
        return made, "whether it runs is decided by what arrives at the worker first"
    same = name == spec["agent"]
    if not same:  # these say something of the other agent
        made = {key: value for key, value in made.items() if key not in ("graph", "effect") or key in local}
    params = {**((spec.get("params") or {}) if same else {}), **(local.get("params") or {})}
    if "model" in agent.needs:
        named = local.get("model") or (local.get("params") or {}).get("model") or facts.default_model
        params.pop("model", None)
        inputs = spec.get("inputs") or {}
        made["model"] = named
        made["inputs"] = {key: value for key, value in inputs.items() if key != "model"}
        if "fit" not in inputs:
            params.setdefault("fit", True)  # its context is smaller, and a history that fitted may not any more
        if (model := facts.tiers.get(str(named), named)) not in facts.models:
            return made, f"this device has no model {model!r} (`graphferry models` lists what is here)"
    made["params"] = params
    strangers = sorted(tool for tool in tools_of(made) if tool not in facts.agents)
    return made, f"this device has no agent {strangers[0]!r}" if strangers else ""


def _same(spec: Mapping[str, Value], facts: Facts) -> Mapping[str, Value] | None:
    """The node as it would run on this device, where that has all it needs."""
    name = spec["agent"]
    agent = facts.agents.get(name) if isinstance(name, str) else None
    if agent is None or agent.nests is not None or (spec.get("anyInput") is True and (spec.get("if") or spec.get("unless"))):
        return None
    if any(tool not in facts.agents for tool in tools_of(spec)):
        return None
    if "model" in agent.needs:
        asked = (spec.get("params") or {}).get("model") or (spec.get("inputs") or {}).get("model") or spec.get("model")
        model = facts.tiers.get(str(asked), asked) if asked else facts.default_model
        if model not in facts.models or model in facts.servers:
            return None
    return {key: value for key, value in spec.items() if key != "place"}


def acts(spec: Mapping[str, Value], agents: Mapping[str, Agent]) -> bool:
    """Whether to run a node twice might do harm, as far as can be said before it runs; where that is unknown, it might."""
    for each in with_inner(spec):
        agent = agents.get(each["agent"]) if isinstance(each["agent"], str) else None
        if (agent is None or agent.nests is None) and (each.get("effect") or (agent.effect if agent else "once")) == "once":
            return True
        if isinstance(each.get("graph"), str):
            return True  # a graph that nobody has seen yet
        if any(tool not in agents or agents[tool].effect == "once" for tool in tools_of(each)):
            return True
    return False


def tools_of(spec: Mapping[str, Value]) -> set[str]:
    """The agents that a node's own words offer to a model as tools."""
    listed = (spec.get("params") or {}).get("tools") or (spec.get("inputs") or {}).get("tools")
    entries = listed if isinstance(listed, list) and spec["agent"] == "toolLoopAgent" else []
    named = [each.get("agent") if isinstance(each, Mapping) else each for each in entries]
    return {name for name in named if isinstance(name, str) and not name.startswith(":")}


def with_inner(spec: Mapping[str, Value]) -> Iterator[Mapping[str, Value]]:
    """A computed node and all computed nodes of the graphs written inside it."""
    yield spec
    graph = written_inside(spec)
    if graph is not None:
        for inner in graph.nodes.values():
            if is_computed(inner):
                yield from with_inner(inner)
