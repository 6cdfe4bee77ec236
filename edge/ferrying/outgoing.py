"""What is said to a worker in a child run: kept for a moment, so that what belongs together is one commit and one packet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from graphs.errors import JournalError, LinkCondition
from graphs.records import Known, encode
from protocol.payload import Labelled

__all__ = ["Outgoing"]

_TURNS: Final = 3
"""Turns of the event loop after which what was said is written: by then a node of this side that only computes has run, so that a frame and
its first values go together."""


class Outgoing:
    """Says records in their order. `write(record, labels)` may raise LinkCondition, and `refused(record, path, condition)` hears of it; nothing is
    written any more while `may` says no. `sent` are the bytes written for each path.
    """

    def __init__(
        self,
        write: Callable[[Known, Labelled], None],
        refused: Callable[[Known, str | None, LinkCondition], None],
        may: Callable[[], bool],
    ) -> None:
        self.sent: dict[str, int] = {}
        self._write = write
        self._refused = refused
        self._may = may
        self._unsaid: list[tuple[Known, Labelled, str | None]] = []

    def append(self, record: Known, labels: Labelled = (), path: str | None = None) -> None:
        """A record to be said soon; `path` is the one whose value it is."""
        if not self._unsaid:
            self._soon(_TURNS)
        self._unsaid.append((record, labels, path))

    def flush(self) -> None:
        """Say it now."""
        unsaid, self._unsaid = self._unsaid, []
        for record, labels, path in unsaid:
            if not self._may():
                return
            try:
                self._write(record, labels)
            except JournalError:
                return  # nothing can be written any more: whoever waits for the journal is told, and the run ends with it
            except LinkCondition as condition:
                self._refused(record, path, condition)
            else:
                if path is not None:
                    self.sent[path] = len(encode(record).tail)

    def _soon(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._soon, turns - 1)
        else:
            self.flush()
