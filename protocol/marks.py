"""What a journal notes of its root runs for the sake of sync: which are marked for it, and which were removed here (docs/protocol.md §11)."""

from __future__ import annotations

from typing import Any

__all__ = ["is_marked", "mark", "remove_mark", "was_removed"]

_MARK, _REMOVED = "sync ", "removed "


def mark(journal: Any, run: bytes, *, on: bool = True) -> None:
    """Mark a root run for sync: from then on its logs go to workers, and to the account's other devices; or no longer.

    One that was removed here and came back by another way is wanted again.
    """
    if on:
        journal.set_meta(_MARK + run.hex(), b"")
        if was_removed(journal, run):
            for each in _parts(journal, run):
                journal.drop_meta(_REMOVED + each.hex())
    else:
        journal.drop_meta(_MARK + run.hex())


def remove_mark(journal: Any, run: bytes) -> None:
    """A root run is being removed here: no sync brings it back."""
    if is_marked(journal, run):
        mark(journal, run, on=False)
        for each in _parts(journal, run):
            journal.set_meta(_REMOVED + each.hex(), b"")


def was_removed(journal: Any, run: bytes) -> bool:
    """Whether a run was here and is not wanted any more."""
    return journal.meta(_REMOVED + run.hex()) is not None


def is_marked(journal: Any, run: bytes) -> bool:
    """Whether a root run is marked for sync."""
    return journal.meta(_MARK + run.hex()) is not None


def _parts(journal: Any, run: bytes) -> tuple[bytes, ...]:
    return run, *(child.run for child in journal.children(run))
