"""The salt of a cut with labelled text in it: its hash then says nothing of that text, and is still the same each time (docs/protocol.md §7)."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from graphs.language.cut import CutGraph
from graphs.language.labels import declared_in

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["salted", "store_secret"]

_KEY: Final = "cut secret"
_BYTES: Final = 16


def store_secret(journal: Journal) -> bytes:
    """What only this store knows: made once."""
    known = journal.meta(_KEY)
    if known is None:
        known = secrets.token_bytes(_BYTES)
        journal.set_meta(_KEY, known)
    return bytes(known)


def salted(graph: CutGraph, labels: Mapping[str, Collection[str]], secret: bytes) -> CutGraph:
    """The cut, with a salt if text with labels may stand in it: static values, literals of nodes that add labels, or that are written in one that
    does, graphs written in nodes. `labels` are those of its nodes' values.
    """
    inside = {name: spec for name, spec in graph.nodes.items() if name not in graph.boundary}
    if not any(labels.get(name) for name in inside) and not declared_in({"nodes": inside}):
        return graph
    salt = hmac.digest(secret, graph.canonical, "sha256")[:_BYTES]
    return CutGraph({**graph.document, "salt": salt.hex()}, graph.boundary, graph.whole)
