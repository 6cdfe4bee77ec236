"""The session's doors for bodies: values too large for a record, and graphs that come as bodies (docs/protocol.md §14).

What to ask for and what to give is decided in protocol.bodies; here the session's owner says what became of the bytes.
"""

from __future__ import annotations

from collections.abc import Collection

from protocol.events import Event, NeedBytes
from protocol.graph_messages import GraphMessages
from protocol.messages import Hash, PutGraph, Ref, RunId
from protocol.state import State
from protocol.store import BodyPart, Left

__all__ = ["BodyDoors"]


class BodyDoors:
    """A part of protocol.session.Conn."""

    __slots__ = ("_state",)

    _state: State

    def want_body(self, ref: Ref, size: int, have: int) -> list[Event]:
        """Ask the peer for a body of which `have` bytes are here; it is asked for over every connection until it is here, or refused."""
        self._state.wants.want(ref, size, have)
        return self._state.drain_events()

    def drop_body(self, ref: Ref) -> list[Event]:
        """Nobody wants that body any more; what is here of it stays."""
        self._state.wants.drop(ref)
        return self._state.drain_events()

    def body_written(self, ref: Ref, upto: int) -> list[Event]:
        """Answer `BodyBytes`: the first `upto` bytes are kept."""
        self._state.wants.written(ref, upto)
        return self._state.drain_events()

    def body_verified(self, ref: Ref, ok: bool) -> list[Event]:
        """Answer `BodyWhole`. What is not what its name says was deleted, and is asked for once more."""
        self._state.wants.verified(ref, ok)
        return self._state.drain_events()

    def clears(self, part: BodyPart | None) -> bool:
        """Whether what was read for a peer may go there, as far as can be said now: a body that may is written down before `supply_body`."""
        return part is not None and (not part.labels or self._state.clear(part.labels))

    def supply_body(self, need: NeedBytes, part: BodyPart | None) -> list[Event]:
        """Answer `NeedBytes`: what was read, or None if there is no such body for this peer."""
        data, total, labels, crc = part if part is not None else (None, 0, (), None)
        self._state.gives.supply(need.ref, need.off, total, data, labels, crc)
        return self._state.drain_events()

    def graph_part(self, need: NeedBytes) -> BodyPart | None:
        """The bytes of a large graph that was put here; None if it is no graph's, or may not be sent."""
        packed = self._state.shelf.packed(need.ref)
        return None if packed is None else BodyPart(packed[need.off : need.off + need.length], len(packed))

    def graph_here(self, message: PutGraph, packed: bytes) -> list[Event]:
        """Answer `GraphReferred`: the body it refers to."""
        GraphMessages(self._state).here(message, packed)
        return self._state.drain_events()

    def put_graph(self, h: Hash, body: bytes, labels: Collection[str] = (), run: RunId | None = None) -> bool:
        """Hold a graph's canonical bytes ready for the worker, and send them if it is not known to have them. False: the gate refused. With `run`
        nothing of it is sent before a line of that run's audit is durable.

        Raises LinkCondition VALUE_TOO_LARGE.
        """
        state = self._state
        if (judge := state.config.judge) is not None:
            labels = {*labels, *judge.of_graph(body)}
        passed, message = state.shelf.put(h, body, labels, hold=run is not None)
        if passed and run is not None:
            left = Left(run, "graph", tuple(sorted(labels)), size=len(body), ref=h, have=state.shelf.has(h))
            state.stage(left)
        state.put_graph(message)
        return passed
