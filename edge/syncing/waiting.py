"""Runs that wait: which of this device's runs go on by themselves once a worker is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from edge.people.answers import asked_in
from edge.runs.at_work import is_at_work
from edge.syncing.held import holding_of
from graphs.errors import JournalError, LinkCondition

if TYPE_CHECKING:
    from graphs.journal import Journal
    from graphs.journal.reader import RunRow

__all__ = ["INTERRUPTED", "is_answered", "is_waiting", "waiting_runs", "waits"]

INTERRUPTED: Final = "interrupted"
"""Why a run is suspended that a person stopped."""

_ASK: Final = frozenset({"ANSWER_NEEDED", "NODE_INDETERMINATE", "CANCELLED", "RUN_DIVERGED", "LABEL_WITHHELD", "VALUE_TOO_LARGE"})
"""Link conditions that another try does not change: a person decides."""


def waits(error: object) -> bool:
    """Whether a node that was suspended so goes on by itself when a worker is there."""
    return isinstance(error, LinkCondition) and error.condition not in _ASK


def waiting_runs(journal: Journal) -> Iterator[RunRow]:
    """Root runs that this device holds and that wait for a worker, or have an answer they waited for, or whose process died; the oldest first. Not
    those that a person stopped.
    """
    for row in reversed(journal.runs(role="root")):
        if is_waiting(journal, row):
            yield row


def is_waiting(journal: Journal, row: RunRow) -> bool:
    """Whether this run is one of those."""
    info = row.exit_info or {}
    if row.status != "running" and not (row.status == "suspended" and (info.get("waits") or info.get("questions"))):
        return False
    try:
        if row.status == "suspended" and not info.get("waits") and not is_answered(journal, row):
            return False
        holder = holding_of(journal, row.run).holder
    except JournalError:
        return False
    return holder == journal.store_id and not is_at_work(journal.path, row.run)


def is_answered(journal: Journal, row: RunRow) -> bool:
    """Whether a suspended run has an answer that it has not taken: from another device, or given here without going on. Raises JournalError."""
    info = row.exit_info or {}
    if row.status != "suspended" or not info.get("questions") or info.get("why") == INTERRUPTED:
        return False
    return any(each.answer is not None and not each.over for each in asked_in(journal, row.run).values())
