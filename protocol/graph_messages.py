"""What the peer says of graphs: here is one, that one is unknown, that one is judged. Part of the inbox, and as pure."""

from __future__ import annotations

from protocol.errors import RemoteProtocolError
from protocol.events import GraphJudged, GraphReceived, GraphReferred, NeedGraph
from protocol.messages import GraphState, GraphStatus, PutGraph
from protocol.shelf import unpack
from protocol.state import Connection, State

__all__ = ["GraphMessages"]


class GraphMessages:
    """Hands these messages to the shelf and to the application."""

    __slots__ = ("_state",)

    def __init__(self, state: State) -> None:
        self._state = state

    def put(self, _connection: Connection, _now: int, message: PutGraph) -> None:
        """A graph, or a reference to its body."""
        if type(message.body) is bytes:
            self.here(message, message.body)
        else:
            self._state.events.append(GraphReferred(message))

    def here(self, message: PutGraph, packed: bytes) -> None:
        """The bytes of a PUT_GRAPH are here."""
        state = self._state
        try:
            body = unpack(message, packed)
        except RemoteProtocolError as error:
            if state.connection is not None:
                state.connection.outbox.answer(GraphState(message.h, GraphStatus.INVALID, [["", error.fault, error.text]]))
            return
        state.wanted.discard(message.h)
        state.events.append(GraphReceived(message.h, body))

    def state(self, connection: Connection, _now: int, message: GraphState) -> None:
        """What became of a graph at the peer."""
        state = self._state
        missing, put = state.shelf.judged(message.h, message.status)
        if put is not None:
            connection.outbox.control(put)
        if missing:
            state.events.append(NeedGraph(message.h))
        if message.status != GraphStatus.UNKNOWN:
            state.events.append(GraphJudged(message.h, message.status, message.problems or ()))
