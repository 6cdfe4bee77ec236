"""Child runs in which nothing may begin any more, as what they were given to do is done in another way: here, or at another worker.

A worker may have put on record that a node with effects begins, and wait for this device to hold that. Whoever does the same work otherwise gives the
child run up first: its log ends with CANCEL, and as long as the worker does not hold that, no beginning in it is acknowledged
(docs/protocol.md §8, §16).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from edge.policies import acts
from graphs.language.spec import is_boundary, is_computed
from graphs.paths import document_path, escape, node_path
from graphs.records import Cancel, Frame, Submit, encode
from graphs.values import decode

if TYPE_CHECKING:
    from edge.placing.facts import Placement
    from graphs.journal import Journal
    from graphs.language.spec import Graph
    from graphs.registry import Agent

__all__ = ["give_up", "outgrown"]


def outgrown(
    journal: Journal, children: Collection[bytes], graph: Graph, placed: Mapping[str, Placement], agents: Mapping[str, Agent]
) -> set[bytes]:
    """Those of the open child runs of a run of `graph` that have a node with effects which is not at a worker any more, as far as can be known: of
    a cut that is not here nobody knows.
    """
    if not children or not any(acts(spec, agents) for spec in graph.nodes.values() if is_computed(spec)):
        return set()
    return {child for child in children if any(_outgrown(journal, order, placed, agents) for order in _orders(journal, child))}


def give_up(journal: Journal, children: Collection[bytes], why: str) -> None:
    """Note in the log of each child run, unless it is there, that it is over, for a worker that is not at the other end of the link. It is durable
    before whatever is written after it.
    """
    for child in children:
        records = (logged.record for logged in journal.records(child, journal.store_id))
        if not any(isinstance(record, Cancel) and record.paths is None for record in records):
            journal.append(child, encode(Cancel(None, why)))


def _orders(journal: Journal, child: bytes) -> list[Submit | Frame]:
    records = [logged.record for logged in journal.records(child, journal.store_id)]
    return [record for record in records if isinstance(record, (Submit, Frame))]


def _outgrown(journal: Journal, order: Submit | Frame, placed: Mapping[str, Placement], agents: Mapping[str, Agent]) -> bool:
    stored = journal.graph(order.graph)
    if stored is None:
        return True
    document: Any = decode(stored.body)
    for name, spec in document["nodes"].items():
        if not is_computed(spec) or is_boundary(spec):
            continue
        placement = placed.get(document_path(node_path(order.frame, escape(name))))
        if placement is not None and placement.place != "cloud" and acts(spec, agents):
            return True
    return False
