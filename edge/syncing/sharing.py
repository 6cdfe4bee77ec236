"""What this device shares: runs marked for sync (docs/protocol.md §11).

Marking a run says that its values may go to the worker, but for those that carry labels: a run whose graph has labels goes to no worker that is not
cleared for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphs.language.labels import all_labels
from graphs.values import decode
from protocol.shared import Shared, was_removed

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["labels_of", "shared_part"]


def labels_of(journal: Journal, run: bytes) -> frozenset[str]:
    """The labels of all values of a root run, at whatever depth of its graph."""
    return _in_graph(journal, journal.run(run).graph)


def _in_graph(journal: Journal, address: bytes) -> frozenset[str]:
    stored = journal.graph(address)
    return all_labels(decode(stored.body) if stored is not None else None)


def shared_part(journal: Journal) -> Shared:
    """The shared part of the device's journal, labels looked at."""
    return Shared(journal, labels=lambda address: _in_graph(journal, address), admits=lambda run: not was_removed(journal, run))
