"""Which runs this device may go on with, give away or end: only the store that holds a run may (docs/protocol.md §11)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from edge.ferrying.attached import open_children
from edge.runs.at_work import at_work
from graphs.engine.holding import HOLDING_TYPES, Holding, holding
from graphs.errors import JournalError, UsageError
from graphs.journal.ids import run_id_short, run_id_text
from protocol.marks import is_marked

if TYPE_CHECKING:
    from graphs.journal import Journal, RunRow

__all__ = ["BeginningMissing", "SharedRun", "holding_of", "require_held", "require_known", "resting", "shared_runs"]


class BeginningMissing(JournalError):
    """A copied run whose beginning has not come yet: nothing here says whose it is. No fault of the journal, and over with the next sync."""


class SharedRun(NamedTuple):
    """A root run that this device holds, is not over and that other stores know; how it stands, and its open child runs, the newest first."""

    run: bytes
    standing: Holding
    children: list[bytes]


def shared_runs(journal: Journal) -> Iterator[SharedRun]:
    """The runs of which other stores may ask something of this one. Not among them is one that is damaged, or whose beginning is still to come."""
    for row in journal.runs(role="root"):
        found = _shared(journal, row)
        if found is not None:
            yield found


@contextmanager
def resting(journal: Journal, run: bytes) -> Iterator[SharedRun | None]:
    """Keep all processes of this device from a run for the length of the block: it as it stands then, whatever was read of it before. None if one
    works on it, or it is none of `shared_runs` any more.
    """
    with ExitStack() as working:
        try:
            working.enter_context(at_work(journal.path, run))
        except UsageError:
            found = None
        else:
            journal.renew(run)
            found = _shared(journal, journal.run(run))
        yield found


def _shared(journal: Journal, row: RunRow) -> SharedRun | None:
    if row.status not in ("running", "suspended", "failed") or not is_marked(journal, row.run):
        return None
    try:
        found = SharedRun(row.run, holding_of(journal, row.run), open_children(journal, row.run))
    except JournalError:
        return None
    return found if found.standing.holder == journal.store_id and not found.standing.over else None


def holding_of(journal: Journal, run: bytes) -> Holding:
    """Who holds a root run, as far as this journal knows. Raises BeginningMissing if nothing says so, JournalError."""
    found = holding((logged.writer, logged.record) for logged in journal.records_of(run, *HOLDING_TYPES))
    if found is None:
        raise BeginningMissing(
            f"the beginning of run {run_id_text(run)} is not in the journal.", hint="Try again after `graphferry sync`."
        )
    return found


def require_known(journal: Journal, run: bytes) -> Holding:
    """As `holding_of`, for a command: what it wants comes too early where the beginning is missing. Raises UsageError then, JournalError."""
    try:
        return holding_of(journal, run)
    except BeginningMissing as error:
        raise UsageError(error.message, hint=error.hint) from None


def require_held(journal: Journal, run: bytes) -> Holding:
    """Raises UsageError, naming the holder as far as that is known, unless this store holds the run; JournalError."""
    found = require_known(journal, run)
    if found.holder != journal.store_id:
        short = run_id_short(run)
        raise UsageError(
            f"run {run_id_text(run)} is held by the store {found.holder.hex()}, not by this device ({journal.store_id.hex()}).",
            hint=f"`graphferry runs pull {short}` asks for it; with --force, if nobody answers, it makes a copy with an id of its own.",
        )
    return found
