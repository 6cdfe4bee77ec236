"""Placement: where each node of a graph runs, and why. Pure.

Placement is per node of the document, the same for all rows and turns. Users write what a node needs; this decides, and says
the reason in a sentence. Rules, the first that applies decides:

1. a value that carries a sensitivity label is only where the device's clearance lets it be, by default on the device, and so is everything made from
   it (edge.label_rule);
2. what the command line or the graph says (`--place`, `place:`);
3. an agent or a model that only one side has;
4. an agent that needs the device's files or its user stays on the device; one that needs its user does so whatever is said, and a graph
   around it that would go to the worker is opened here, so that only its other nodes go;
5. a cheap node whose sources and readers are all at the worker goes with them, which saves a round trip;
6. everything else runs on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from edge.clearance import NOWHERE, Clearance
from edge.label_rule import confined
from edge.policies import NOTHING, Around, Sayings, around, opens_here, tools_of, with_inner
from graphs.language.labels import Labels, label_graph
from graphs.language.spec import Graph, is_computed, reads
from graphs.paths import escape
from graphs.registry import Agent
from graphs.values import Value

__all__ = ["Facts", "NoPlace", "Place", "Placement", "label_conflicts", "place_nodes"]

Place: TypeAlias = Literal["edge", "cloud"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a node runs, and why. `model` is the name of the model it will ask, if it asks one."""

    place: Place
    reason: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What placement knows. `models` are those on this device; `offer` is what the worker said last (docs/protocol.md §6), None if
    none was ever reached.
    """

    agents: Mapping[str, Agent]
    models: Collection[str]
    tiers: Mapping[str, str] = field(default_factory=dict)
    default_model: str | None = None
    offer: Mapping[str, Any] | None = None
    pinned: Mapping[str, Place] = field(default_factory=dict)
    local_only: bool = False
    servers: Collection[str] = ()
    """Of the models, those that are behind servers outside this device."""
    offline: Sayings = field(default_factory=Sayings)
    """What is said outside of the graph of nodes whose worker is not reached."""
    clearance: Clearance = NOWHERE
    """Which labels may go where."""


_SPLIT: Final = Placement("edge", "opens its graph here; the nodes inside have places of their own")


_BY_DEFAULT: Final = "the graph's place"
_FROM_INSIDE: Final = "a node inside it is placed there"


class NoPlace(Exception):
    """No place satisfies a node: which node, which rule, and what would resolve it. `by_label` says that its labels are what rules places out."""

    def __init__(self, node: str, reason: str, remedy: str, *, by_label: bool = False) -> None:
        super().__init__(f"node {node!r} {reason}")
        self.node = node
        self.remedy = remedy
        self.by_label = by_label


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a node and everything nested in it asks for."""

    agents: frozenset[str]
    models: frozenset[str]
    pins: frozenset[str]
    here: frozenset[str]
    asks: bool
    """Whether it asks people itself, or by its tools, or works with what must not leave the device."""
    dynamic: bool
    """Whether its agent, its graph or its model is known only when it runs."""


def place_nodes(
    graph: Graph, facts: Facts, outer: Around = NOTHING, default: Place | None = None, labels: Labels | None = None
) -> dict[str, Placement]:
    """A placement for each computed node of the graph, by its place in the document (ids, escaped, joined by `/`).

    Nodes inside a nested graph have one of their own only where they are not all in one place, or do not all do the same when no worker is
    reached. `outer`, `default` and `labels` are what is said around the graph. Raises NoPlace where none is possible.
    """
    labels = label_graph(graph, facts.agents) if labels is None else labels
    outer = around(graph.document, outer)
    default = _place_of(graph.document.get("place")) or default
    placed: dict[str, Placement] = {}
    nested: dict[str, Placement] = {}
    free: list[str] = []
    for name, spec in graph.nodes.items():
        if not is_computed(spec):
            continue
        found = _decide(graph, name, spec, labels, default, outer, facts)
        if found is None:
            free.append(name)
            found = Placement("edge", "nothing it needs is elsewhere")
        placed[name] = found
        if found is _SPLIT:
            below = replace(facts, pinned={}, offline=replace(facts.offline, nodes={}))
            pin = facts.pinned.get(name) or _place_of(spec.get("place")) or default
            inside = labels.inside.get(name)
            inner = place_nodes(Graph(spec["graph"]), below, around(spec, outer), "cloud" if pin == "cloud" else None, inside)
            nested.update({f"{escape(name)}/{path}": each for path, each in inner.items()})
    if not facts.local_only:
        _follow(graph, free, placed, facts)
    return {escape(name): placed[name] for name in graph.nodes if name in placed} | nested


def label_conflicts(
    graph: Graph,
    facts: Facts,
    outer: Around = NOTHING,
    default: Place | None = None,
    labels: Labels | None = None,
    above: tuple[str, ...] = (),
) -> list[tuple[tuple[str, ...], NoPlace]]:
    """All nodes that labels leave no place, by their ids from the root graph on; what else placement may find wrong is not looked at."""
    labels = label_graph(graph, facts.agents) if labels is None else labels
    outer = around(graph.document, outer)
    default = _place_of(graph.document.get("place")) or default
    found: list[tuple[tuple[str, ...], NoPlace]] = []
    for name, spec in graph.nodes.items():
        if not is_computed(spec):
            continue
        try:
            placed = _decide(graph, name, spec, labels, default, outer, facts)
        except NoPlace as conflict:
            found += [((*above, name), conflict)] if conflict.by_label else []
            continue
        if placed is _SPLIT:
            pin = _place_of(spec.get("place")) or default
            below: Place | None = "cloud" if pin == "cloud" else None
            inner = Graph(spec["graph"])
            found += label_conflicts(inner, facts, around(spec, outer), below, labels.inside.get(name), (*above, name))
    return found


def _decide(
    graph: Graph, name: str, spec: Mapping[str, Value], labels: Labels, default: Place | None, outer: Around, facts: Facts
) -> Placement | None:
    needs = _needs(spec, facts)
    models = sorted({facts.tiers.get(each, each) for each in needs.models})
    model = models[0] if models else None
    pin, who = _pin(name, spec, default, needs, facts)
    if pin == "cloud" and "edge" in needs.pins:
        raise NoPlace(name, "is placed at cloud, but nodes inside it at edge", "Place it at edge: it opens its graph there.")
    missing_here = [each for each in models if each not in facts.models]
    outside = [each for each in models if each in facts.servers]
    strangers = sorted(each for each in needs.agents if each not in facts.agents)
    lacking = (missing_here + strangers)[0] if missing_here or strangers else None
    stays = confined(
        graph, labels, name, facts.clearance, pinned=pin == "cloud", lacking=lacking, get=_get(missing_here), servers=outside
    )
    if stays is not None and "cloud" in needs.pins and (pin is None or who == _FROM_INSIDE) and not facts.local_only:
        return _SPLIT  # it is opened here, and each node inside is looked at by itself
    if stays is not None and stays.remedy is not None:
        raise NoPlace(name, stays.reason, stays.remedy, by_label=True)
    if stays is not None:
        return Placement("edge", stays.reason, model)
    if facts.local_only and pin == "cloud":
        raise NoPlace(
            name, "is placed at cloud, but --local-only forbids the link", "Run without --local-only, or place it at edge."
        )
    if facts.local_only and outside:
        raise NoPlace(
            name,
            f"needs {outside[0]!r}, which is behind a server, and --local-only forbids that",
            "Name a model of this device, or run without --local-only.",
        )
    opens = partial(opens_here, name, spec, outer, facts.offline)
    found = None if facts.local_only else _divided(name, needs, pin, who, model, (missing_here + strangers)[:1], opens)
    if found is not None:
        return found
    if pin == "edge" and (missing_here or strangers):
        raise NoPlace(name, f"is placed at edge, but this device has no {(missing_here + strangers)[0]!r}", _get(missing_here))
    if pin is not None:
        return Placement(pin, who, model)
    if missing_here or strangers:
        lacking = (missing_here + strangers)[0]
        if facts.local_only:
            raise NoPlace(
                name, f"needs {lacking!r}, which this device does not have, and --local-only forbids the link", _get(missing_here)
            )
        return Placement("cloud", f"needs {lacking}: not on this device", model)
    if needs.here:
        return Placement("edge", f"needs this device's {', '.join(sorted(needs.here))}", model)
    if model is not None:
        return Placement("edge", f"{model} is behind a server that this device asks" if outside else f"{model} is here", model)
    if needs.dynamic:
        return Placement("edge", "decided at run time, here by default")
    return None


def _divided(
    name: str, needs: _Needs, pin: Place | None, who: str, model: str | None, lacking: list[str], opens: Callable[[], bool]
) -> Placement | None:
    """Of a node that asks people, and of one whose graph has nodes for either side or, as it `opens` here for another reason, is not to go as a
    whole; None for any other.
    """
    why = "asks people, who are at this device" if "people" in needs.here else "is for this device alone"
    if needs.asks and lacking:
        raise NoPlace(name, f"{why}, and needs {lacking[0]!r}, which is not", _get(lacking))
    if needs.asks and pin == "cloud" and who != _BY_DEFAULT:
        raise NoPlace(name, f"is placed at cloud, but it {why}", "Place it at edge.")
    if needs.asks:
        return Placement("edge", why, model)
    goes = pin == "cloud" or (pin is None and bool(lacking))
    mixed = "cloud" in needs.pins and (pin == "edge" or "edge" in needs.pins)
    return _SPLIT if mixed or (goes and (not needs.here.isdisjoint(("people", "device")) or opens())) else None


def _pin(name: str, spec: Mapping[str, Value], default: Place | None, needs: _Needs, facts: Facts) -> tuple[Place | None, str]:
    if name in facts.pinned:
        return facts.pinned[name], "placed on the command line"
    said = _place_of(spec.get("place"))
    if said is not None:
        return said, "placed in the graph"
    if len(needs.pins) == 1:
        return ("edge" if "edge" in needs.pins else "cloud"), _FROM_INSIDE
    if len(needs.pins) > 1:
        return None, ""
    return default, _BY_DEFAULT if default else ""


def _place_of(said: Value) -> Place | None:
    if isinstance(said, Mapping):
        said = said.get("at")
    if said == "edge":
        return "edge"
    return "cloud" if said == "cloud" else None


def _needs(spec: Mapping[str, Value], facts: Facts) -> _Needs:
    agents, models, pins, here = set[str](), set[str](), set[str](), set[str]()
    dynamic = asks = False
    for each in with_inner(spec):
        agent = each["agent"]
        if not isinstance(agent, str) or agent.startswith(":"):
            dynamic = True
            continue
        agents.add(agent)
        known = facts.agents.get(agent)
        asked = (each.get("params") or {}).get("model") or (each.get("inputs") or {}).get("model") or each.get("model")
        if isinstance(asked, str) and asked.startswith(":"):
            dynamic = True
        elif isinstance(asked, str):
            models.add(asked)
        elif known is not None and "model" in known.needs and facts.default_model is not None:
            models.add(facts.default_model)
        if known is not None:
            here |= known.needs & {"files", "people", "device"}
        tools = tools_of(each)
        agents |= tools
        here |= {
            need for tool in tools if (named := facts.agents.get(tool)) for need in named.needs & {"files", "people", "device"}
        }
        asks = asks or (each is spec and not here.isdisjoint(("people", "device")))
        if isinstance(each.get("graph"), str):
            dynamic = True
        if each is not spec and (inner := _place_of(each.get("place"))) is not None:
            pins.add(inner)
    return _Needs(frozenset(agents), frozenset(models), frozenset(pins), frozenset(here), asks, dynamic)


def _follow(graph: Graph, free: list[str], placed: dict[str, Placement], facts: Facts) -> None:
    """Rule 5, until nothing changes: a cheap node between nodes of the worker goes there too."""
    if not any(each.place == "cloud" for each in placed.values()):
        return
    readers: dict[str, list[str]] = {}
    for name, spec in graph.nodes.items():
        for source in reads(spec):
            readers.setdefault(source, []).append(name)
    offered = set((facts.offer or {}).get("agents") or ())
    changed = True
    while changed:
        changed = False
        for name in free:
            spec = graph.nodes[name]
            agent = facts.agents.get(spec["agent"])
            if (
                placed[name].place == "cloud"
                or agent is None
                or not agent.cheap
                or agent.name not in offered
                or not readers.get(name)
            ):
                continue
            sources = [each for each in reads(spec) if each in placed]
            if sources and all(placed.get(each, placed[name]).place == "cloud" for each in [*sources, *readers[name]]):
                placed[name] = Placement("cloud", f"follows {sources[0]}, saves a round trip")
                changed = True


def _get(models: list[str]) -> str:
    if not models:
        return "Register the agent with --agents."
    return f"`graphferry models` lists what is here; `graphferry models get {models[0]}` or `graphferry models add PATH` gets it."
