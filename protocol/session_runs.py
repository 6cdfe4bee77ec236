"""The session's doors for runs that change it: another process of the device goes on with them, over a session of its own (docs/protocol.md §6).

At a worker a run is in one session, and moves to a later one that names it, with what of it waits to be durable. The earlier session knows it no
more: what still comes there of it is dropped, and its peer is told so once.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from protocol.events import Event
from protocol.log import InLog, Run
from protocol.messages import Fault, RunId
from protocol.session_bodies import BodyDoors
from protocol.store import Copy, Effect, Write

__all__ = ["TAKEN", "Moved", "RunDoors"]

TAKEN: Final = "another process of this device goes on with this run"


class Moved(NamedTuple):
    """A run on its way to another session: what is to be made durable of it, what each of these is (`State.marks`), and what is told of them then
    (`State.came`).
    """

    run: Run
    effects: list[Effect]
    marks: list[Any]
    came: list[Event]


class RunDoors(BodyDoors):
    """A part of protocol.session.Conn."""

    __slots__ = ()

    @property
    def heard(self) -> int:
        """How many messages of the peer were looked at so far, over all its connections."""
        return self._state.heard

    def holds(self, runs: set[RunId]) -> set[RunId]:
        """Those of these runs that are in this session."""
        return runs & self._state.runs.keys()

    def part(self, run: RunId) -> Moved | None:
        """On a worker, while no effects are handed out that are not committed yet: take a run out of this session. None if it is not here."""
        state = self._state
        leaving = state.runs.pop(run, None)
        if leaving is None:
            return None
        assert len(state.marks) == len(state.asks), "a commit is under way"
        state.taken.add(run)
        moved, stay = Moved(leaving, [], [], []), Moved(leaving, [], [], [])
        came = iter(state.came)
        for effect, mark in zip(state.asks, state.marks, strict=True):
            side = moved if effect.run == run and not isinstance(effect, Copy) else stay
            side.effects.append(effect)
            side.marks.append(mark)
            if mark.__class__ is InLog:
                side.came.append(next(came))
        state.asks[:], state.marks, state.came = stay.effects, stay.marks, stay.came
        state.durable += len(moved.effects)  # nobody need wait for them here
        state.unwritten -= _unwritten(moved)
        connection = state.connection
        if connection is not None and leaving.into is not None:
            connection.aliases.pop(leaving.into.alias, None)
            connection.outbox.forget(leaving.out, leaving.into)
            if leaving.live:
                connection.outbox.control(Fault("RUN_TAKEN", TAKEN, False, [run, leaving.into.writer]))
        leaving.disconnected()
        return moved

    def join(self, moved: Moved) -> None:
        """Take in a run that was taken out of another session of the same peer and store. The peer's HELLO, which names it, is received next."""
        state = self._state
        state.runs[moved.run.id] = moved.run
        state.taken.discard(moved.run.id)
        state.asks += moved.effects
        state.marks += moved.marks
        state.came += moved.came
        state.unwritten += _unwritten(moved)


def _unwritten(moved: Moved) -> int:
    """Bytes of the peer's records."""
    pairs = zip(moved.effects, moved.marks, strict=True)
    return sum(len(effect.tail) for effect, mark in pairs if mark.__class__ is InLog and isinstance(effect, Write))
