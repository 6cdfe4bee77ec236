"""How far the logs of a run had come when it was removed here: an older copy that came back would be gone on with as if nothing had followed.

A store's own log never lags behind at that store (graphs.engine.holding): whoever reads it there learns whether the run was handed over, and which
nodes with effects have begun. An archive that was written before that is the one way in which it could.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from graphs.values import canonical

if TYPE_CHECKING:
    from graphs.journal.store import Journal

__all__ = ["forget_removal", "is_older_than_removed", "note_removal"]

_LEFT: Final = "left at "
"""Before a run's id, in the journal's table of notes."""


def note_removal(journal: Journal, run: bytes) -> None:
    """A root run is about to be removed: note how far its logs, and those of its child runs, have come. What is queued is committed first."""
    journal.flush()
    parts = (run, *(child.run for child in journal.children(run)))
    last = {(head.run + head.writer).hex(): head.last for each in parts for head in journal.heads(each)}
    journal.set_meta(_LEFT + run.hex(), canonical(last))


def is_older_than_removed(journal: Journal, run: bytes, lasts: Mapping[bytes, int]) -> bool:
    """Whether logs that end with these records, by run and writer, lack some that were here when the run was removed."""
    noted = journal.meta_value(_LEFT + run.hex(), dict)
    return noted is not None and any(lasts.get(bytes.fromhex(log), 0) < last for log, last in noted.items())


def forget_removal(journal: Journal, run: bytes) -> None:
    """The run is here again, with all that it had."""
    journal.drop_meta(_LEFT + run.hex())
