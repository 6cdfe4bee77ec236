"""Whether this device may go on with a run: only the store that holds it may (docs/protocol.md §11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphs.engine.holding import HOLDING_TYPES, Holding, holding
from graphs.errors import JournalError, UsageError
from graphs.journal.ids import run_id_short, run_id_text

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["holding_of", "require_held"]


def holding_of(journal: Journal, run: bytes) -> Holding:
    """Who holds a root run, as far as this journal knows. Raises JournalError if the run's beginning is not here."""
    found = holding((logged.writer, logged.record) for logged in journal.records_of(run, *HOLDING_TYPES))
    if found is None:
        raise JournalError(
            f"the beginning of run {run_id_text(run)} is not in the journal.", hint="Try again after `graphferry sync`."
        )
    return found


def require_held(journal: Journal, run: bytes) -> Holding:
    """Raises UsageError, naming the holder, unless this store holds the run."""
    found = holding_of(journal, run)
    if found.holder != journal.store_id:
        short = run_id_short(run)
        raise UsageError(
            f"run {run_id_text(run)} is held by the store {found.holder.hex()}, not by this device ({journal.store_id.hex()}).",
            hint=f"`graphferry runs pull {short}` asks for it; with --force, if nobody answers, it makes a copy with an id of its own.",
        )
    return found
