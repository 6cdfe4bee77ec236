"""Files that stay open between one use and the next: opening one costs as much as writing a chunk of a body."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["OpenFiles"]

_MOST: Final = 8


class OpenFiles:
    """The files used last, the latest at the end. Safe in any thread."""

    def __init__(self) -> None:
        self._files: dict[tuple[Path, int], int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def file(self, path: Path, flags: int) -> Iterator[int]:
        """The open file, for this thread alone while the block runs; its folder is made for one that is created. Raises OSError."""
        with self._lock:
            file = self._files.pop((path, flags), None)
        if file is None:
            if flags & os.O_CREAT:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(path, flags, 0o600)
        try:
            yield file
        except BaseException:
            os.close(file)
            raise
        with self._lock:
            superfluous = [self._files.pop(next(iter(self._files)))] if len(self._files) >= _MOST else []
            superfluous += [before] if (before := self._files.pop((path, flags), None)) is not None else []
            self._files[path, flags] = file
        for each in superfluous:
            os.close(each)

    def shut(self, path: Path) -> None:
        """Close what is open of this path: what lies there is about to be another file."""
        with self._lock:
            files = [self._files.pop(key) for key in list(self._files) if key[0] == path]
        for file in files:
            os.close(file)

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            for file in self._files.values():
                os.close(file)
            self._files.clear()
