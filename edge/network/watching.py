"""How things stand, looked at again and again without holding anybody up: a command that tells may take seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from edge.network.conditions import UNKNOWN, Conditions

__all__ = ["Watched"]

_FRESH: Final = 30.0


class Watched:
    """What `read` told last. Safe in any thread. `clock` is in seconds."""

    def __init__(self, read: Callable[[], Conditions], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._told = UNKNOWN
        self._at: float | None = None
        self._reading: threading.Thread | None = None

    def __call__(self) -> Conditions:
        """What was told last. Blocks only the first time; what is older than 30 s is read anew meanwhile, for the next time."""
        if self._at is None:
            self._look()
        elif self._clock() - self._at >= _FRESH and (self._reading is None or not self._reading.is_alive()):
            self._reading = threading.Thread(target=self._look, name="conditions", daemon=True)
            self._reading.start()
        return self._told

    def _look(self) -> None:
        self._told = self._read()
        self._at = self._clock()
