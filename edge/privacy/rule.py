"""What labels say of where a node may run: the first rule of placement. Pure.

A node is where all that it reads and all that is written in it may be: on this device always, elsewhere only where the device's clearance lets every
label go. A graph that is only known when the run goes on is looked at then, and what leaves is looked at by the link in any case.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from edge.privacy.clearance import WORKER, Clearance
from graphs.language.label_paths import label_path, told
from graphs.language.labels import UNCLEARABLE, UNSEEN, Labels, own_labels
from graphs.language.spec import Graph, is_computed, reads, words, written_inside
from graphs.values import Value

__all__ = ["Confined", "confined", "known_labels", "label_sources", "label_ways", "labels_inside"]


class Confined(NamedTuple):
    """A node that its labels keep on this device: `reason` says so. With a `remedy` it cannot be there, so there is no place for it."""

    reason: str
    remedy: str | None = None


def known_labels(labels: Labels, name: str) -> frozenset[str]:
    """The labels of all that is wherever a node runs, as far as they are known before the run."""
    return labels.touched.get(name, frozenset[str]()) - {UNSEEN}


def labels_inside(labels: Labels, name: str, node: Mapping[str, Value]) -> Labels | None:
    """The labels in the graph that is written in a node, which is opened here: what the node says of its own value is said of all that makes it."""
    inside, own = labels.inside.get(name), frozenset(words(node.get("sensitivity")))
    graph = written_inside(node)
    return _said_of(inside, graph, own) if inside is not None and graph is not None and own else inside


def _said_of(labels: Labels, graph: Graph, own: frozenset[str]) -> Labels:
    touched = {name: labels.touched.get(name, frozenset[str]()) | own for name in graph.nodes}
    below = {name: (each, written_inside(graph.nodes[name])) for name, each in labels.inside.items()}
    inside = {name: _said_of(each, inner, own) if inner is not None else each for name, (each, inner) in below.items()}
    return labels._replace(touched=touched, inside=inside)


def confined(
    graph: Graph,
    labels: Labels,
    name: str,
    clearance: Clearance,
    *,
    pinned: bool,
    lacking: str | None,
    get: str,
    servers: Sequence[str],
) -> Confined | None:
    """Whether labels keep a node on this device; None if they do not.

    `pinned` says that it is placed at the worker, `lacking` what it needs that the device has not and `get` how to get that, `servers` are those of
    its models that are behind servers elsewhere.
    """
    carried = known_labels(labels, name)
    back = clearance.held_back(carried, WORKER)
    for server in servers:
        if shut := clearance.held_back(carried, server):
            words, way = _words(shut), told(label_path(graph, labels, name, shut[0]))
            reason = f"carries the label {words} and so must stay on this device, and {server!r} is behind a server ({way})"
            remedy = f"Name a model of this device, remove the label from its source, or let it go there: {_entry(shut, server)}."
            return Confined(reason, remedy)
    if not back:
        return None
    words, way = _words(back), told(label_path(graph, labels, name, back[0]))
    if pinned:
        why = clearance.explain(carried, WORKER)
        return Confined(
            f"is placed at cloud, but its inputs carry the label {words}, which is not cleared to leave this device ({way})",
            f"Place it at edge, or remove the label from its source; {_or_clear(why, back, clearance)}.",
        )
    if lacking is not None:
        reason = f"carries the label {words} and so must stay on this device, which has no {lacking!r} ({way})"
        way = _or_clear(clearance.explain(carried, WORKER), back, clearance).removeprefix("or ")
        return Confined(
            reason, f"{get} {'Or ' if UNCLEARABLE.isdisjoint(back) else ''}{way}.".replace(" no policy", " No policy")
        )
    return Confined(f"carries the label {words}: stays on this device")


def label_ways(graph: Graph, labels: Labels, clearance: Clearance) -> dict[str, list[str]]:
    """For each label that keeps nodes of the graph on this device the way from its source to the last of these nodes, in the order of the graph."""
    last: dict[str, str] = {}
    for name, spec in graph.nodes.items():
        if is_computed(spec):
            last.update(dict.fromkeys(clearance.held_back(known_labels(labels, name), WORKER), name))
    return {label: label_path(graph, labels, name, label) for label, name in sorted(last.items())}


def label_sources(graph: Graph, labels: Labels, label: str) -> list[str]:
    """The nodes of the graph in which a label begins, in their order: it is theirs, or in what is written in them, and not of what they read."""
    return [
        name
        for name, spec in graph.nodes.items()
        if label in own_labels(spec)
        or (
            label in labels.touched.get(name, labels.values.get(name, ()))
            and not any(label in labels.values.get(each, ()) for each in reads(spec))
        )
    ]


def _or_clear(why: str, labels: Collection[str], clearance: Clearance) -> str:
    if not UNCLEARABLE.isdisjoint(labels):
        return "no policy clears it"
    if why.startswith("this device lets"):
        return f"or let whoever runs the worker clear your account for it: {why}"
    return f"or let it go there in edge/config.yaml: {_entry(labels, clearance.word)}"


def _entry(labels: Collection[str], place: str) -> str:
    return f"`sensitivity: {{{', '.join(f'{each}: [edge, {place}]' for each in labels)}}}`"


def _words(labels: Collection[str]) -> str:
    return ", ".join(labels)
