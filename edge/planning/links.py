"""What is known of the way to a worker: measured while links are used, and kept in the journal for each URL."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from edge.placing.figures import Figure
from edge.planning.knowledge import LinkFacts
from graphs.errors import JournalError
from graphs.values import canonical

if TYPE_CHECKING:
    from graphs.journal import Journal
    from protocol.meter import Meter

__all__ = ["keep_link", "link_facts"]

_KINDS: Final = ("rtt", "up", "down")
_NEWEST: Final = 8
_KEY: Final = "link "


def keep_link(journal: Journal, url: str, store: bytes, meter: Meter, now: float) -> None:
    """Queues what a link's meter has found out, at `now` (seconds since 1970); what is known of another worker at that URL is forgotten."""
    found = dict(zip(_KINDS, (meter.answers, meter.up, meter.down), strict=True))
    if not any(found.values()):
        return
    known = _stored(journal, url)
    if known.get("store") != store:
        known = {"store": store}
    at = int(now * 1000)
    for kind, values in found.items():
        known[kind] = [*known.get(kind, ()), *([at, value] for value in values)][-_NEWEST:]
    try:
        journal.set_meta(_KEY + url, canonical(known))
    except JournalError:
        return  # nothing can be kept any more, and whoever needs the journal is told


def link_facts(journal: Journal, url: str | None, now: float) -> LinkFacts | None:
    """What is known of the way to the worker at this URL, at `now` (seconds since 1970); None if there was never a link to it."""
    known = _stored(journal, url) if url else {}
    if not known:
        return None
    return LinkFacts(known["store"], *(_figure(known.get(kind) or (), now) for kind in _KINDS))


def _stored(journal: Journal, url: str) -> dict[str, Any]:
    return journal.meta_value(_KEY + url, dict) or {}


def _figure(samples: Sequence[Sequence[float]], now: float) -> Figure | None:
    if not samples:
        return None
    return Figure(median(value for _, value in samples), "measured", len(samples), max(0.0, now - samples[-1][0] / 1000))
