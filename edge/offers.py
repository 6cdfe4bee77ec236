"""What workers have offered: kept with the journal, so that a device plans and checks by it while it is offline."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from edge.placement import NoPlace
from edge.placing.facts import Placement
from edge.placing.node_needs import how_to_get
from graphs.errors import UsageError
from graphs.paths import escape
from graphs.values import canonical

if TYPE_CHECKING:
    from graphs.journal import Journal
    from graphs.language.spec import Graph

__all__ = ["check_offer", "heard", "keep_offer", "last_offer"]


def keep_offer(journal: Journal, url: str, offer: Mapping[str, Any]) -> None:
    """Queues a worker's offer, to be read with `last_offer`."""
    journal.set_meta(f"offer {url}", canonical(dict(offer)))
    journal.set_meta(f"heard {url}", canonical(int(time.time() * 1000)))


def last_offer(journal: Journal, url: str | None) -> Mapping[str, Any] | None:
    """What the worker at this URL offered last; None if it was never met."""
    return journal.meta_value(f"offer {url}", dict) if url else None


def heard(journal: Journal, url: str | None) -> float | None:
    """When the worker at this URL made the offer that is kept (seconds since 1970, by this device's clock); None if nobody knows."""
    at = journal.meta_value(f"heard {url}", int) if url else None
    return at / 1000 if at is not None else None


def check_offer(graph: Graph, placed: Mapping[str, Placement], shipped: Collection[str], offer: Mapping[str, Any]) -> None:
    """Raises UsageError for a shipped node whose model or agent the worker lacks: that is known now, so it is said now."""
    for name in shipped:
        placement = placed[escape(name)]
        if placement.model is not None and placement.model not in (offer.get("models") or {}):
            has = ", ".join(sorted(offer.get("models") or {})) or "none"
            lacks = NoPlace(
                name,
                f"needs the model {placement.model!r}, which neither this device nor the worker has (the worker has: {has})",
                f"Get it here: {how_to_get(placement.model)}. Or add it to the worker's configuration.",
            )
            raise UsageError(str(lacks), hint=lacks.remedy) from lacks
        agent = graph.nodes[name]["agent"]
        if isinstance(agent, str) and not agent.startswith(":") and agent not in (offer.get("agents") or {}):
            lacks = NoPlace(
                name,
                f"needs the agent {agent!r}, which the worker does not offer",
                "Start the worker with --agents MODULE (agents that require trusted inputs are never offered), or place the node at edge.",
            )
            raise UsageError(str(lacks), hint=lacks.remedy) from lacks
