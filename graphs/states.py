"""The states of a node, and of a run that is over. Apart from the records: running a graph need not load what only writing it down needs."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["EndStatus", "State"]


class State(IntEnum):
    """States of a node, as on the wire (docs/protocol.md §5)."""

    WAITING = 0
    QUEUED = 1
    EXECUTING = 2
    COMPLETED = 4
    FAILED = 5
    TIMED_OUT = 6
    ABORTED = 7
    SKIPPED = 8
    INJECTED = 9
    SUSPENDED = 10


class EndStatus(IntEnum):
    """How a run ended."""

    COMPLETED = 0
    FAILED = 1
    CANCELLED = 2
    EXPIRED = 3
