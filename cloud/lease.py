"""One process a store: a worker's journal is leased to the process that holds a lock on a file beside it.

The lock is the kernel's. It ends with the process, however that ends, so nobody has to guess whether a silent one still lives. A process that
lost it without noticing is stopped by the epoch of its journal (graphs.journal.epoch).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from graphs.errors import JournalError, UsageError
from graphs.journal import Journal

__all__ = ["lease", "still_held"]


@contextmanager
def lease(folder: Path) -> Iterator[None]:
    """Hold the store in `folder` for the length of the block. Raises UsageError if another process does."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "worker.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise UsageError(
                f"another worker works with the store in {folder} (process {other})",
                hint="End it first, or give this one a store of its own with GRAPHFERRY_HOME.",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def still_held(journal: Journal, lost: Callable[[JournalError], None]) -> bool:
    """Whether nobody has taken the journal over; else `lost` is told. To be asked before a device is answered: what a process believes of runs
    that others work on may be long over, and a device would take it for a contradiction.
    """
    try:
        journal.require_epoch()
    except JournalError as error:
        lost(error)
        return False
    return True
