"""What waits while the way to the worker is dear: values too large for a record, whichever way they go (edge.network.link_policy)."""

from __future__ import annotations

from graphs.errors import WorkerUnreachable
from graphs.records import Known, encode, to_fields
from protocol.codec import excess
from protocol.gate import travels_whole

__all__ = ["HeldBack", "needs_body"]


class HeldBack(WorkerUnreachable):
    """A large value waits, though the worker can be reached. No alternative stands in for that: the node that needs the value waits with it."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            url, f"a large value waits, since {why}", hint="graphferry sync sends it later; sync --now does at once."
        )
        self.condition = "HELD_BACK"


def needs_body(record: Known) -> bool:
    """Whether a value of this record is too large to travel inside it. Raises ValueUnsupported for what is no record."""
    encoded = encode(record)
    return not travels_whole(encoded) and excess(to_fields(record), len(encoded.tail)) is not None
