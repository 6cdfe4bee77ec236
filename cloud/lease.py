"""One process a store: a worker's journal is leased to the process that holds a lock on a file beside it.

The lock is the kernel's. It ends with the process, however that ends, so nobody has to guess whether a silent one still lives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphs.errors import UsageError

__all__ = ["lease"]


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
