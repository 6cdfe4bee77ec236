"""What the peer says of bodies: which it wants, their bytes, and what became of them. Part of the inbox, and as pure."""

from __future__ import annotations

from protocol.events import Faulted
from protocol.messages import BlobChunk, BlobNeed, BlobState, BodyStatus
from protocol.state import Connection, State

__all__ = ["BodyMessages"]


class BodyMessages:
    """Hands these messages to the session's two halves: the bodies that this side gives, and those that it wants."""

    __slots__ = ("_state",)

    def __init__(self, state: State) -> None:
        self._state = state

    def need(self, _connection: Connection, _now: int, message: BlobNeed) -> None:
        """The peer asks for ranges."""
        self._state.gives.need(message.ranges)

    def chunk(self, _connection: Connection, _now: int, message: BlobChunk) -> None:
        """Bytes that were asked for."""
        self._state.wants.chunk(message)

    def state(self, _connection: Connection, _now: int, message: BlobState) -> None:
        """What became of a body at the peer."""
        if message.status in (BodyStatus.ABORT, BodyStatus.MISMATCH):
            self._state.gives.stopped(message.ref)
            if message.status == BodyStatus.MISMATCH:
                text = f"the peer says that body {message.ref.hex()} is not what its name says; it asks once more"
                self._state.events.append(Faulted("BLOB_MISMATCH", text, False, about=message.ref))
        elif message.status in (BodyStatus.REFUSED, BodyStatus.GONE, BodyStatus.WITHHELD):
            self._state.wants.refused(message)
