"""The states of a node. Apart from the records, which use them, so that running a graph does not load what only writing it down needs."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["State"]


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
