"""One process a run: whoever works on a run holds a lock, so that no second process goes on with it at the same time.

The lock is the kernel's, on a file of the run beside the journal. It ends with the process, however that ends, so nobody has to guess whether
a run that is called running is still worked on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from graphs.errors import UsageError
from graphs.journal.ids import run_id_text

__all__ = ["at_work", "is_at_work", "pipe_of"]

_TRIES: Final = 5
_PAUSE: Final = 0.02
"""Seconds between them."""


@contextmanager
def at_work(journal: Path, run: bytes) -> Iterator[None]:
    """Work on a run of the journal at that path for the length of the block. Raises UsageError if another process does."""
    path = _path(journal, run)
    path.parent.mkdir(parents=True, exist_ok=True)
    tries = _TRIES
    while (descriptor := _lock(path)) is None and tries:
        time.sleep(_PAUSE)  # perhaps somebody only looks
        tries -= 1
    if descriptor is None:
        text = run_id_text(run)
        raise UsageError(
            f"another process works on run {text}",
            hint=f"Wait for it, or interrupt it first; `graphferry runs show {text}` shows how far it is.",
        )
    try:
        yield
    finally:
        pipe_of(journal, run).unlink(missing_ok=True)  # of a process that died
        path.unlink(missing_ok=True)  # before the lock goes: who waits for this file finds that it is not there any more
        _unlock(descriptor)


def is_at_work(journal: Path, run: bytes) -> bool:
    """Whether some process works on the run now."""
    path = _path(journal, run)
    if not path.exists():
        return False
    descriptor = _lock(path)
    if descriptor is None:
        return True
    _unlock(descriptor)
    return False


def pipe_of(journal: Path, run: bytes) -> Path:
    """Where who works on the run can be asked to let go of it (edge.runs.resting)."""
    return _path(journal, run).with_suffix(".rest")


def _path(journal: Path, run: bytes) -> Path:
    return journal.with_name(f"{journal.name}-runs") / f"{run.hex()}.lock"


def _unlock(descriptor: int) -> None:
    os.close(descriptor)


def _lock(path: Path) -> int | None:
    """The open file with a lock on it; None if somebody else has that."""
    try:
        import fcntl
    except ImportError:  # Windows: there is no such lock, and nobody to be kept out by one
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
        os.close(descriptor)  # it was taken away between the two steps
