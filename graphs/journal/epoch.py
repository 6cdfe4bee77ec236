"""Epochs of a store: whoever takes a journal over counts them up, and who had it before cannot write to it from then on.

A lock on a file says whether somebody works with a store. It cannot stop a process that believes to have it still: the file was deleted and made
anew, or lies on a file system that forgot the lock. So each commit of such a process asks, in its own transaction, whether its epoch is still the
last one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from graphs.errors import JournalError

__all__ = ["READ", "Epoch", "TakenOver"]

READ: Final = "SELECT value FROM meta WHERE key = 'epoch'"
_WRITE: Final = "INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?)"


class Epoch:
    """The time of one process with a journal."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Begin it: the one before is over. Raises JournalError."""
        self._path = path
        try:
            db.execute("BEGIN IMMEDIATE")
            self.number = _last(db.execute(READ).fetchall()) + 1
            db.execute(_WRITE, (str(self.number).encode(),))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            db.close()
            raise JournalError(f"the journal {path} cannot be taken over: {error}.") from error

    def over(self, read: Sequence[tuple[bytes]]) -> JournalError | None:
        """What to tell a person once another process has begun the next one; `read` is what `READ` gives."""
        last = _last(read)
        if last == self.number:
            return None
        return JournalError(
            f"another process has taken the journal {self._path} over (epoch {last}, this one's was {self.number}): nothing of what this "
            "process did since then is written.",
            hint="End this process. A store is worked with by one process; each further one needs its own GRAPHFERRY_HOME.",
        )


class TakenOver(Exception):
    """In the way of a commit: the epoch is over. `error` says so."""

    def __init__(self, error: JournalError) -> None:
        super().__init__(error.message)
        self.error = error


def _last(read: Sequence[tuple[bytes]]) -> int:
    return int(read[0][0]) if read else 0
