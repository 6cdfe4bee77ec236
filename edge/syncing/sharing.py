"""What this device shares: runs marked for sync (docs/protocol.md §11).

Marking a run says that its values may go to the worker, but for those that carry labels: a run whose graph has labels goes to no worker that is not
cleared for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from graphs.language.labels import UNTOLD, all_labels
from graphs.language.lineage import said_in
from graphs.values import decode
from protocol.marks import was_removed
from protocol.noted import joined, noted

if TYPE_CHECKING:
    from graphs.journal import Journal
    from protocol.shared import Shared

__all__ = ["labels_of", "shared_part"]


def labels_of(journal: Journal, run: bytes) -> frozenset[str]:
    """The labels of all values of a root run: those of its graph, at whatever depth, and what is noted beside that, if that was to be noted."""
    return joined(_in_graph(journal, journal.run(run).graph), noted(journal, run))


def _in_graph(journal: Journal, address: bytes) -> frozenset[str]:
    """Found in two ways, as at the gate; with `UNSEEN` if graphs in it are values."""
    stored = journal.graph(address)
    if stored is None:
        return frozenset({UNTOLD})
    document = decode(stored.body)
    return all_labels(document) | said_in(document)


def shared_part(journal: Journal, clears: Callable[[Collection[str]], bool] | None = None) -> Shared:
    """The shared part of the device's journal, labels looked at; `clears` says which labels may go to the peer."""
    from protocol.shared import Shared

    return Shared(
        journal,
        labels=lambda address: _in_graph(journal, address),
        admits=lambda run: not was_removed(journal, run),
        clears=clears,
        labelled=True,
    )
