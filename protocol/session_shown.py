"""The session's doors for what is only shown: tokens of attempts and states of nodes, of which nothing is durable (docs/protocol.md §15)."""

from __future__ import annotations

from collections.abc import Sequence

from graphs.values import Value, canonical
from protocol.errors import LocalProtocolError
from protocol.log import OutLog
from protocol.messages import RunId
from protocol.session_runs import RunDoors

__all__ = ["ShownDoors"]


class ShownDoors(RunDoors):
    """A part of protocol.session.Conn."""

    __slots__ = ()

    def delta(self, run: RunId, start: int, tokens: Sequence[Value]) -> bool:
        """Tokens of the attempt whose EVENT executing is record `start` of this side's log: text, bytes, or maps. Dropped once the attempt is
        over, and where its labels are not cleared. Raises LinkCondition VALUE_TOO_LARGE for a map of more than 16 KiB.

        Whether so much waits that `volatile_due` may have come nearer than it was while anything of this kind waited.
        """
        state = self._state
        known = state.runs.get(run)
        out = known.out if known is not None else None
        if known is None or out is None:
            out = self._out(run)  # raises
        stream = out.streams.by_start.get(start)
        if stream is None or stream.withheld:
            return False
        size = stream.add(tokens)
        if state.connection is None or known is None or not known.live:
            return False
        return state.connection.outbox.tokens(out, stream, size)

    def state(self, run: RunId, path: str, at: int, state: int, t: int) -> None:
        """Show a node's state; `t` is ms since 1970. Nothing may depend on it."""
        out = self._out(run)
        canonical([path, at, state, t])
        connection = self._state.connection
        if connection is not None and self._state.runs[run].live:
            connection.outbox.state(out, path, at, state, t)

    def _out(self, run: RunId) -> OutLog:
        known = self._state.runs.get(run)
        if known is None or known.out is None:
            raise LocalProtocolError("RUN_UNKNOWN", f"this link has no run {run.hex()}")
        return known.out
