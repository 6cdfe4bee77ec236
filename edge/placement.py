"""Placement: where each node of a graph runs, and why. Pure.

Placement is per node of the document, the same for all rows and turns. Users write what a node needs; this decides, and says
the reason in a sentence. Rules, the first that applies decides:

1. a value that carries a sensitivity label is only where the device's clearance lets it be, by default on the device, and so is everything made from
   it (edge.privacy.rule);
2. what the command line or the graph says (`--place`, `place:`);
3. an agent or a model that only one side has;
4. an agent that needs the device's files or its user stays on the device; one that needs its user does so whatever is said, and a graph
   around it that would go to the worker is opened here, so that only its other nodes go;
5. a cheap node whose sources and readers are all at the worker goes with them, which saves a round trip;
6. everything else runs on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from edge.placing.askings import why_asked
from edge.placing.facts import Facts, Implementation, Place, Placement, nothing_done
from edge.placing.node_needs import ALONE, Needs, how_to_get, kind_of, model_named, needs_of, said_place
from edge.policies import NOTHING, Around, around, opens_here, with_inner
from edge.privacy.rule import confined, known_labels, labels_inside
from edge.privacy.sending import would_send
from graphs.language.implementations import implementations, is_open
from graphs.language.labels import Labels, label_graph
from graphs.language.spec import Graph, is_computed, written_inside
from graphs.paths import escape
from graphs.values import Value

__all__ = [
    "DONE",
    "SPLIT",
    "NoPlace",
    "label_conflicts",
    "model_named",
    "place_inside",
    "place_nodes",
]


DONE: Final = "is done already"
"""Why nobody looks at where a node would run."""

SPLIT: Final = Placement("edge", "opens its graph here; the nodes inside have places of their own")

_DONE: Final = Placement("edge", DONE)

_ANYWHERE: Final = Placement("edge", "needs no worker", free=True)

_ALONE: Final = {
    "people": "asks people, who are at this device",
    "trust": "requires trusted inputs, and at a worker none are",
}
"""Why some nodes run on this device and nowhere else."""

_IN_THE_GRAPH: Final = "placed in the graph"
_BY_DEFAULT: Final = "the graph's place"
_FROM_INSIDE: Final = "a node inside it is placed there"


class NoPlace(Exception):
    """No place satisfies a node: which node, which rule, and what would resolve it. `by_label` says that its labels are what rules places out."""

    def __init__(self, node: str, reason: str, remedy: str, *, by_label: bool = False) -> None:
        super().__init__(f"node {node!r} {reason}")
        self.node = node
        self.reason = reason
        self.remedy = remedy
        self.by_label = by_label

    def inside(self, name: str) -> NoPlace:
        """The same, as it is told where the graph around that node's is what was written: nobody wrote a node `second`, say, but a hedge."""
        return NoPlace(f"{escape(name)}/{self.node}", self.reason, self.remedy, by_label=self.by_label)


def place_nodes(
    graph: Graph, facts: Facts, outer: Around = NOTHING, default: Place | None = None, labels: Labels | None = None
) -> dict[str, Placement]:
    """A placement for each computed node of the graph, by its place in the document (ids, escaped, joined by `/`).

    Nodes inside a nested graph have one of their own only where they are not all in one place, or do not all do the same when no worker is
    reached. `outer`, `default` and `labels` are what is said around the graph. Raises NoPlace where none is possible.
    """
    labels = label_graph(graph, facts.agents, noted=facts.noted) if labels is None else labels
    outer = around(graph.document, outer)
    default = said_place(graph.document.get("place")) or default
    placed: dict[str, Placement] = {}
    nested: dict[str, Placement] = {}
    free: list[str] = []
    alike: dict[tuple[str, str | None], Placement | None] = {}
    for name, spec in graph.nodes.items():
        if not is_computed(spec):
            continue
        kind = kind_of(spec) if name not in facts.pinned and not known_labels(labels, name) else None
        try:
            found = alike[kind] if kind in alike else _placed(graph, name, spec, labels, default, outer, facts)
            if found is SPLIT:
                nested.update(_inside(name, spec, facts, outer, default, labels))
        except NoPlace:
            if facts.done(escape(name)):
                placed[name] = _DONE
            elif _has_done(name, spec, facts):
                placed[name] = SPLIT
                nested.update(_inside(name, spec, facts, outer, default, labels))
            else:
                raise
            continue
        if kind is not None:  # large graphs have many nodes of few kinds
            alike[kind] = found
        if found is None:
            free.append(name)
            found = _ANYWHERE
        placed[name] = _DONE if _is_refused(found, spec, facts) and facts.done(escape(name)) else found
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
    labels = label_graph(graph, facts.agents, noted=facts.noted) if labels is None else labels
    outer = around(graph.document, outer)
    default = said_place(graph.document.get("place")) or default
    found: list[tuple[tuple[str, ...], NoPlace]] = []
    for name, spec in graph.nodes.items():
        if not is_computed(spec):
            continue
        try:
            placed = _placed(graph, name, spec, labels, default, outer, facts)
        except NoPlace as conflict:
            found += [((*above, name), conflict)] if conflict.by_label else []
            continue
        if placed is SPLIT:
            pin = said_place(spec.get("place")) or default
            below: Place | None = "cloud" if pin == "cloud" else None
            inner = Graph(spec["graph"])
            found += label_conflicts(inner, facts, around(spec, outer), below, labels.inside.get(name), (*above, name))
    return found


def place_inside(
    name: str,
    spec: Mapping[str, Value],
    facts: Facts,
    outer: Around = NOTHING,
    default: Place | None = None,
    labels: Labels | None = None,
) -> dict[str, Placement]:
    """A placement for each node of the graph that is written in this one, which is opened here; `outer` is what is said around the node."""
    below = replace(facts, pinned={}, offline=replace(facts.offline, nodes={}), done=_done_inside(name, spec, facts))
    try:
        inner = place_nodes(Graph(spec["graph"]), below, around(spec, outer), default, labels)
    except NoPlace as error:
        raise error.inside(name) from error
    for asked, why in why_asked(spec).items():
        if (found := inner.get(escape(asked))) is not None and found.reason == _IN_THE_GRAPH:  # nobody wrote that there
            inner[escape(asked)] = replace(found, reason=why)
    return {f"{escape(name)}/{path}": each for path, each in inner.items()}


def _inside(
    name: str, spec: Mapping[str, Value], facts: Facts, outer: Around, default: Place | None, labels: Labels
) -> dict[str, Placement]:
    pin = facts.pinned.get(name) or said_place(spec.get("place")) or default
    return place_inside(name, spec, facts, outer, "cloud" if pin == "cloud" else None, labels_inside(labels, name, spec))


def _has_done(name: str, spec: Mapping[str, Value], facts: Facts) -> bool:
    """Whether nodes of the graph that is written in this one are done, so that it may be opened here for the others."""
    done, graph = _done_inside(name, spec, facts), written_inside(spec)
    return graph is not None and any(done(escape(inner)) for inner in graph.nodes)


def _done_inside(name: str, spec: Mapping[str, Value], facts: Facts) -> Callable[[str], bool]:
    """`Facts.done` of the graph that is written in this node. Of rows, and of the turns of a loop, nobody knows how many there will be."""
    graph = written_inside(spec)
    if spec["agent"] != "nestedAgent" or graph is None or "loop" in graph.document:
        return nothing_done
    return lambda path: facts.done(f"{escape(name)}/{path}")


def _holds_open(spec: Mapping[str, Value]) -> bool:
    """Whether a node inside this one has several implementations: each finds its own place, so the graph is opened here."""
    return "graph" in spec and any(each is not spec and is_open(each) for each in with_inner(spec))


def _placed(
    graph: Graph, name: str, spec: Mapping[str, Value], labels: Labels, default: Place | None, outer: Around, facts: Facts
) -> Placement | None:
    """Where the rules put a node; None if they leave that open."""
    if is_open(spec):
        return _several(graph, name, spec, labels, default, outer, facts)
    return SPLIT if _holds_open(spec) else _decide(graph, name, spec, labels, default, outer, facts)


def _several(
    graph: Graph, name: str, spec: Mapping[str, Value], labels: Labels, default: Place | None, outer: Around, facts: Facts
) -> Placement:
    """The first implementation that can be had, and the others; at the worker, as far as anybody knows what it has."""
    found: list[tuple[Implementation, str]] = []
    refused: NoPlace | None = None
    for number, each in enumerate(implementations(spec)):
        try:
            placement = _decide(graph, name, each, labels, default, outer, facts) or _ANYWHERE
        except NoPlace as error:
            refused = refused or error
            continue
        found.append((Implementation(number, placement.place, placement.model, each, placement.free), placement.reason))
    found.sort(key=lambda pair: not _is_offered(pair[0], facts))  # what nobody offers comes last: it is what the user is told of
    if not found:
        assert refused is not None
        raise refused
    (own, reason), *others = found
    rest = tuple(each for each, _ in others if _is_offered(each, facts))
    return Placement(own.place, reason, own.model, free=own.free, implementation=own.number, others=rest)


def _is_refused(found: Placement, spec: Mapping[str, Value], facts: Facts) -> bool:
    """Whether a worker that was reached has not what a node needs there."""
    there, agent = facts.offer, spec["agent"]
    if found.place != "cloud" or there is None:
        return False
    lacks = found.model is not None and found.model not in (there.get("models") or {})
    return lacks or (isinstance(agent, str) and not agent.startswith(":") and agent not in (there.get("agents") or {}))


def _is_offered(each: Implementation, facts: Facts) -> bool:
    offer = facts.offer or {}
    lacks = each.model is not None and each.model not in (offer.get("models") or {})
    return each.place == "edge" or not (lacks or each.spec["agent"] not in (offer.get("agents") or {}))


def _decide(
    graph: Graph, name: str, spec: Mapping[str, Value], labels: Labels, default: Place | None, outer: Around, facts: Facts
) -> Placement | None:
    found = _ruled(graph, name, spec, labels, default, outer, facts)
    here = found is None or (found.place == "edge" and found is not SPLIT)
    if here and (sends := would_send(graph, labels, name, spec, facts.agents)) is not None:
        raise NoPlace(name, sends.reason, sends.remedy or "", by_label=True)
    return found


def _ruled(
    graph: Graph, name: str, spec: Mapping[str, Value], labels: Labels, default: Place | None, outer: Around, facts: Facts
) -> Placement | None:
    needs = needs_of(spec, facts)
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
        return SPLIT  # it is opened here, and each node inside is looked at by itself
    if stays is not None and stays.remedy is not None:
        raise NoPlace(name, stays.reason, stays.remedy, by_label=True)
    if stays is not None:
        return Placement("edge", stays.reason, model)
    if facts.local_only:
        _require_local(name, needs, pin, outside)
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
        text = f"{model} is behind a server that this device asks" if outside else f"{model} is here"
        if facts.local_only:
            text = f"--local-only: {text}"
        return Placement("edge", text, model, free=not (needs.dynamic or outside))
    if needs.dynamic:
        return Placement("edge", "decided at run time, here by default")
    return None


def _require_local(name: str, needs: Needs, pin: Place | None, outside: list[str]) -> None:
    """Raises NoPlace if a node needs a socket, as far as that is known: to the worker, to a server for a model, or for an agent of its own."""
    if pin == "cloud":
        raise NoPlace(
            name, "is placed at cloud, but --local-only forbids the link", "Run without --local-only, or place it at edge."
        )
    if outside:
        raise NoPlace(
            name,
            f"needs {outside[0]!r}, which is behind a server, and --local-only forbids that",
            "Name a model of this device, or run without --local-only.",
        )
    if needs.network:
        agent = min(needs.network)
        raise NoPlace(
            name, f"uses the network ({agent}), and --local-only forbids that", "Run without --local-only, or without this node."
        )


def _divided(
    name: str, needs: Needs, pin: Place | None, who: str, model: str | None, lacking: list[str], opens: Callable[[], bool]
) -> Placement | None:
    """Of a node that asks people, and of one whose graph has nodes for either side or, as it `opens` here for another reason, is not to go as a
    whole; None for any other.
    """
    why = next((text for need, text in _ALONE.items() if need in needs.here), "is for this device alone")
    if needs.asks and lacking:
        raise NoPlace(name, f"{why}, and needs {lacking[0]!r}, which is not", _get(lacking))
    if needs.asks and pin == "cloud" and who != _BY_DEFAULT:
        raise NoPlace(name, f"is placed at cloud, but it {why}", "Place it at edge.")
    if needs.asks:
        return Placement("edge", why, model)
    goes = pin == "cloud" or (pin is None and bool(lacking))
    mixed = "cloud" in needs.pins and (pin == "edge" or "edge" in needs.pins)
    return SPLIT if mixed or (goes and (not needs.here.isdisjoint(ALONE) or opens())) else None


def _pin(name: str, spec: Mapping[str, Value], default: Place | None, needs: Needs, facts: Facts) -> tuple[Place | None, str]:
    if name in facts.pinned:
        return facts.pinned[name], "placed on the command line"
    said = said_place(spec.get("place"))
    if said is not None:
        return said, _IN_THE_GRAPH
    if len(needs.pins) == 1:
        return ("edge" if "edge" in needs.pins else "cloud"), _FROM_INSIDE
    if len(needs.pins) > 1:
        return None, ""
    return default, _BY_DEFAULT if default else ""


def _follow(graph: Graph, free: list[str], placed: dict[str, Placement], facts: Facts) -> None:
    """Rule 5, until nothing changes: a cheap node between nodes of the worker goes there too."""
    if not any(each.place == "cloud" for each in placed.values()):
        return
    readers: dict[str, list[str]] = {}
    named = graph.sources
    for name, sources in named.items():
        for source in sources:
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
            around = [each for each in named[name] if each in placed]
            if around and all(placed.get(each, placed[name]).place == "cloud" for each in [*around, *readers[name]]):
                placed[name] = Placement("cloud", f"follows {around[0]}, saves a round trip", free=True)
                changed = True


def _get(models: list[str]) -> str:
    if not models:
        return "Register the agent with --agents."
    return f"`graphferry models` lists what is here; {how_to_get(models[0])} gets it."
