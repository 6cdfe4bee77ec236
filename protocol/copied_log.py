"""A log that two stores bring up to date, as one of them sees it: one that the peer gets a copy of, one of which this side takes a copy. Pure.

What `protocol.log` is for the logs of live runs; which of them flow, and what becomes of what they carry, is for `protocol.copies`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from graphs.records import Encoded, Record, chain
from graphs.values import Value
from protocol.codec import Limits
from protocol.digest import Held, Key, Line
from protocol.errors import RemoteProtocolError
from protocol.log import OutLog
from protocol.store import Copy

__all__ = ["IN_FLIGHT", "InCopy", "OutCopy"]

IN_FLIGHT: Final = 16 << 20
"""Bytes of all logs that are given at the same time: records may have to wait for bodies at the peer, who holds them meanwhile."""


class OutCopy(OutLog):
    """A log that the peer gets a copy of: its records come from the store."""

    __slots__ = ("_about", "_others", "labels")

    def __init__(self, held: Held, have: int, others: Mapping[Key, OutCopy]) -> None:
        super().__init__(held.run, held.writer)
        self.labels = tuple(held.labels)
        self._others = others
        self.durable = held.last
        self.acked = self.sent = self.held = have
        self._about = held.about

    @property
    def about(self) -> Mapping[str, Value] | None:
        return self._about

    def grown(self, held: Held) -> None:
        """There is more of it by now: that goes, too. What lacks is asked for with the next acknowledgement."""
        self.durable = max(self.durable, held.last)
        self.labels = tuple(held.labels)

    def sendable(self, limits: Limits) -> int:
        return super().sendable(limits) if sum(each.flying for each in self._others.values()) < IN_FLIGHT else 0


class InCopy:
    """A log of which this side takes a copy. `upto` is how far the peer's goes, as far as it said."""

    __slots__ = (
        "_acked",
        "_chk",
        "_unacked",
        "_undurable",
        "about",
        "alias",
        "durable",
        "last",
        "run",
        "upto",
        "waiting",
        "writer",
    )

    def __init__(self, line: Line) -> None:
        self.run = line.run
        self.writer = line.writer
        self.durable = self.last = self._acked = line.last
        self.upto = 0
        self._chk = line.chk
        self._unacked = self._undurable = 0
        self.alias = 0
        self.about: Mapping[str, Value] | None = None
        self.waiting: deque[tuple[Copy, Record]] = deque()
        """Records that came, and that are kept when the bodies of the first of them are here: a body is never later than its record."""

    @property
    def key(self) -> Key:
        return self.run, self.writer

    def accept(self, encoded: Encoded, limits: Limits) -> int:
        """Take the next record; the checksum after it. Raises RemoteProtocolError if the peer sends beyond the window."""
        size = len(encoded.tail)
        self._unacked += size
        self._undurable += size
        self.last += 1
        if self.last - self._acked > limits.window or (self._unacked > limits.window_bytes and self._unacked > size):
            raise RemoteProtocolError("LIMIT_WINDOW", f"more than {limits.window} records without an ACK")
        self._chk = chain(self._chk, encoded.type, encoded.tail)
        return self._chk

    def kept(self, seq: int, size: int) -> None:
        """Record `seq`, of so many bytes, is durable."""
        self.durable = seq
        self._undurable -= size

    def state(self) -> int:
        """The durable position; counts as told to the peer."""
        self._acked = self.durable
        self._unacked = self._undurable
        return self.durable
