"""What a node asks for, itself and by what is nested in it: agents, models, what only one side has, and where its own words put it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.placing.facts import Facts, Place
from edge.policies import tools_of, with_inner
from graphs.models.default import DEFAULT_MODEL
from graphs.registry import Agent
from graphs.values import Value

__all__ = ["ALONE", "Needs", "how_to_get", "kind_of", "model_named", "needs_of", "said_place"]

ALONE: Final = frozenset({"people", "device", "trust"})
"""What of a node's needs nothing but this device meets, whatever is said of its place."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a node and everything nested in it asks for."""

    agents: frozenset[str]
    models: frozenset[str]
    pins: frozenset[str]
    here: frozenset[str]
    asks: bool
    """Whether it asks people itself, or by its tools, works with what must not leave the device, or requires trusted inputs."""
    dynamic: bool
    """Whether its agent, its graph or its model is known only when it runs."""
    network: frozenset[str] = frozenset()
    """Those of its agents that need the network; a tool, which its model may leave alone, is none of them."""


def needs_of(spec: Mapping[str, Value], facts: Facts) -> Needs:
    """What a computed node asks for."""
    agents, models, pins, here = set[str](), set[str](), set[str](), set[str]()
    network = set[str]()
    dynamic = asks = False
    for each in with_inner(spec):
        agent = each["agent"]
        if not isinstance(agent, str) or agent.startswith(":"):
            dynamic = True
            continue
        agents.add(agent)
        known = facts.agents.get(agent)
        asked = _asked(each)
        if isinstance(asked, str) and asked.startswith(":"):
            dynamic = True
        elif (model := asked or _default(each, facts)) is not None:
            models.add(model)
        if known is not None:
            here |= _needed_here(known)
            network |= {agent} if "network" in known.needs else set()
        tools = tools_of(each)
        agents |= tools
        here |= {need for tool in tools if (named := facts.agents.get(tool)) for need in _needed_here(named)}
        asks = asks or (each is spec and not here.isdisjoint(ALONE))
        if isinstance(each.get("graph"), str):
            dynamic = True
        if each is not spec and (inner := said_place(each.get("place"))) is not None:
            pins.add(inner)
    return Needs(frozenset(agents), frozenset(models), frozenset(pins), frozenset(here), asks, dynamic, frozenset(network))


def _needed_here(agent: Agent) -> frozenset[str]:
    """What an agent needs that only the device has. Trusted inputs are such a thing: for a worker, all that is shipped is a stranger's."""
    here = agent.needs & {"files", "people", "device"}
    return here | {"trust"} if agent.requires is not None else here


def model_named(spec: Mapping[str, Value], facts: Facts) -> str | None:
    """The name of the model that a node itself asks; None if it asks none, or one that is known only when it runs."""
    asked = _asked(spec) or _default(spec, facts)
    return None if asked is None or asked.startswith(":") else facts.tiers.get(asked, asked)


def _asked(spec: Mapping[str, Value]) -> str | None:
    said = (spec.get("params") or {}).get("model") or (spec.get("inputs") or {}).get("model") or spec.get("model")
    return said if isinstance(said, str) else None


def _default(spec: Mapping[str, Value], facts: Facts) -> str | None:
    agent = facts.agents.get(spec["agent"]) if isinstance(spec["agent"], str) else None
    return facts.default_model if agent is not None and "model" in agent.needs else None


def how_to_get(model: str) -> str:
    """The command by which this device has a model of that name: few are fetched by their names alone, and no tier is."""
    if model == DEFAULT_MODEL:
        return f"`graphferry models get {model}`"
    return f"`graphferry models get URL --name {model}` or `graphferry models add PATH --name {model}`"


def said_place(said: Value) -> Place | None:
    """The place that a `place:` names; None if it leaves that open."""
    if isinstance(said, Mapping):
        said = said.get("at")
    if said == "edge":
        return "edge"
    return "cloud" if said == "cloud" else None


def kind_of(spec: Mapping[str, Value]) -> tuple[str, str | None] | None:
    """The agent and the model of a node in which nothing else has a say in where it runs: all of a kind run in one place. None for any other."""
    agent, model = spec["agent"], spec.get("model")
    if not isinstance(agent, str) or not (model is None or isinstance(model, str)) or not _DECIDING.isdisjoint(spec):
        return None
    for part in (spec.get("params"), spec.get("inputs")):
        if part and ("model" in part or "tools" in part):
            return None
    return agent, model


_DECIDING: Final = frozenset({"place", "graph", "any"})
"""Attributes that decide where a node runs, beside its agent and its model."""
