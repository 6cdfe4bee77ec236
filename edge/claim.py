"""Which process of this device works on a run: it holds a lock on a file of the run's own beside the journal.

The lock is the kernel's and ends with the process, so a run that is called running and that nobody has claimed was cut off.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphs.errors import UsageError
from graphs.journal.ids import run_id_text

__all__ = ["claim", "is_claimed"]


@contextmanager
def claim(journal: Path, run: bytes) -> Iterator[None]:
    """Work on a run for the length of the block. Raises UsageError if another process does."""
    path = _path(journal, run)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = _lock(path)
    if descriptor is None:
        raise UsageError(
            f"run {run_id_text(run)} is going on in another process of this device.",
            hint="Wait for it, or end that process with Ctrl-C: the run is suspended then.",
        )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # first: whoever waits for this file finds that it is gone, and makes another
        _unlock(descriptor)


def is_claimed(journal: Path, run: bytes) -> bool:
    """Whether a process works on the run at this moment."""
    path = _path(journal, run)
    if not path.exists():
        return False
    descriptor = _lock(path)
    if descriptor is not None:
        _unlock(descriptor)
    return descriptor is None


def _path(journal: Path, run: bytes) -> Path:
    return journal.with_name(f"{journal.name}-claims") / run.hex()


def _unlock(descriptor: int) -> None:
    os.close(descriptor)


def _lock(path: Path) -> int | None:
    """The locked file; None if another holds the lock."""
    import fcntl

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass  # unlinked between the two looks
        os.close(descriptor)
