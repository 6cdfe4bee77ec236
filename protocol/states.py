"""The states of a connection and of a run, on each side, as tables: what may come in which of them, and what follows from it. Pure.

`Connection` moves by `CONNECTION`, and a message that no row lets in is a fault; runs are in the phase that `run_phase` reads off them, and the
state machines of the tests let none of them move otherwise than by `RUN`. The tables of docs/protocol.md §23 are written from these
(tools/states_doc.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from protocol.config import Role
from protocol.log import Run
from protocol.messages import CATALOGUE, Direction, Entry, Fault, GoAway, Hello, Unhandled, Welcome

__all__ = ["CONNECTION", "HEARD", "RUN", "Move", "Phase", "RunPhase", "after", "reachable", "run_phase"]


class Phase(Enum):
    """Where a connection is."""

    OPENING = "opening"
    OPEN = "open"
    LEAVING = "leaving"
    CLOSING = "closing"


class RunPhase(Enum):
    """Where a run is, seen from one side."""

    WAITING = "waiting"
    FLOWING = "flowing"
    PARKED = "parked"
    REFUSED = "refused"
    DIVERGED = "diverged"
    SETTLED = "settled"


class Move(NamedTuple):
    """In `before`, `event` leads to `to`; `does` says in a few words what is done. An event in capitals is a message that came."""

    before: Enum
    event: str
    to: Enum
    does: str


_O, _P, _L, _C = Phase.OPENING, Phase.OPEN, Phase.LEAVING, Phase.CLOSING
_COMMON: Final = (
    Move(_O, "fault", _C, "say FAULT, close with its code"),
    Move(_P, "fault", _C, "say FAULT, close with its code"),
    Move(_L, "fault", _C, "say FAULT, close with its code"),
)
CONNECTION: Final[Mapping[Role, Sequence[Move]]] = {
    Role.DEVICE: (
        Move(_O, "WELCOME", _P, "settle limits and heartbeat, resume every log, ask for bodies again"),
        Move(_O, "GOAWAY", _O, "keep new runs for the next connection"),
        Move(_P, "GOAWAY", _L, "keep new runs for the next connection; come back after retry_ms"),
        Move(_L, "GOAWAY", _L, "nothing"),
        *_COMMON,
    ),
    Role.WORKER: (
        Move(_O, "HELLO", _P, "say WELCOME, resume every log it names, ask for graphs and bodies again"),
        Move(_O, "GOAWAY", _O, "nothing"),
        Move(_P, "GOAWAY", _L, "nothing: the device comes back by itself"),
        Move(_L, "GOAWAY", _L, "nothing"),
        Move(_O, "drain", _O, "say GOAWAY, refuse new runs with DRAINING"),
        Move(_P, "drain", _P, "say GOAWAY, refuse new runs with DRAINING"),
        Move(_L, "drain", _L, "say GOAWAY, refuse new runs with DRAINING"),
        Move(_O, "drained", _C, "close with 4503"),
        Move(_P, "drained", _C, "close with 4503"),
        Move(_L, "drained", _C, "close with 4503"),
        *_COMMON,
    ),
}
"""How a connection moves. It begins in `opening`; once it is in `closing` nothing that comes is looked at any more."""

_NEXT: Final[Mapping[tuple[Role, Enum, str], Any]] = {
    (role, move.before, move.event): move.to for role, moves in CONNECTION.items() for move in moves
}

_INCOMING: Final = {Role.DEVICE: Direction.DOWN, Role.WORKER: Direction.UP}


def _heard(role: Role, phase: Phase) -> frozenset[type[Any]]:
    if phase is Phase.CLOSING:
        return frozenset()
    if phase is Phase.OPENING:
        return frozenset({Welcome if role is Role.DEVICE else Hello, Fault, GoAway})
    kinds = {
        kind.message
        for kind in CATALOGUE.values()
        if kind.message is not None and kind.direction in (_INCOMING[role], Direction.BOTH)
    }
    return frozenset(kinds - {Hello, Welcome} | {Entry, Unhandled})


HEARD: Final[Mapping[tuple[Role, Phase], frozenset[type[Any]]]] = {
    (role, phase): _heard(role, phase) for role in Role for phase in Phase
}
"""Which messages a side hears in which phase. Who may write which record is checked with the record (PROTOCOL_WRITER, PROTOCOL_ORDER)."""


def after(role: Role, phase: Phase, event: str) -> Phase:
    """The phase that follows; the same where the event means nothing in it."""
    following: Phase = _NEXT.get((role, phase, event), phase)
    return following


_W, _F, _K, _R, _D, _S = (
    RunPhase.WAITING,
    RunPhase.FLOWING,
    RunPhase.PARKED,
    RunPhase.REFUSED,
    RunPhase.DIVERGED,
    RunPhase.SETTLED,
)
RUN: Final[Mapping[Role, Sequence[Move]]] = {
    Role.DEVICE: (
        Move(_W, "connection, never offered", _F, "LOG and SUBMIT in the packet of HELLO"),
        Move(_W, "WELCOME names it", _F, "LOG and records from the smaller position on"),
        Move(_W, "WELCOME, END is here", _S, "nothing: it is not named again"),
        Move(
            _W,
            "WELCOME: expired, taken, or another store",
            _R,
            "RUN_EXPIRED or STORE_CHANGED: its work goes elsewhere; RUN_TAKEN: it does not",
        ),
        Move(_W, "WELCOME: diverged", _D, "FAULT RUN_DIVERGED, unless the worker said so"),
        Move(_F, "FAULT BUSY or DRAINING", _K, "send nothing of it for retry_ms"),
        Move(_K, "retry_ms over", _F, "LOG again, from the beginning if nothing was acknowledged"),
        Move(
            _F,
            "FAULT about its log, or RUN_TAKEN",
            _R,
            "QUOTA, RUN_UNKNOWN or RUN_EXPIRED: its work waits or goes elsewhere; RUN_TAKEN",
        ),
        Move(_F, "FAULT RUN_DIVERGED", _D, "nothing of it is sent or taken"),
        Move(_F, "connection lost", _W, "nothing: it goes on at both ends"),
        Move(_K, "connection lost", _W, "nothing"),
    ),
    Role.WORKER: (
        Move(_W, "HELLO names it", _F, "records from the smaller position on"),
        Move(_W, "LOG", _F, "take its records; a new run only if there is room, else FAULT"),
        Move(_W, "HELLO acknowledges END", _S, "its retention begins"),
        Move(_W, "HELLO: another checksum", _D, "status 3; what it was doing is stopped"),
        Move(_F, "ACK of END", _S, "its retention begins"),
        Move(_F, "FAULT RUN_DIVERGED", _D, "what it was doing is stopped"),
        Move(_F, "connection lost", _W, "nothing: it goes on"),
    ),
}
"""How a run moves. A device's begins with SUBMIT, a worker's with LOG, both in `waiting`; from the last three there is no way on."""


def run_phase(run: Run, *, parked: bool) -> RunPhase:
    """Where a run is; `parked` if it was refused for now and waits to be offered again."""
    if run.diverged:
        return RunPhase.DIVERGED
    if run.refused is not None:
        return RunPhase.REFUSED
    if run.over:
        return RunPhase.SETTLED
    if parked:
        return RunPhase.PARKED
    return RunPhase.FLOWING if run.live else RunPhase.WAITING


def reachable(role: Role, phase: RunPhase) -> set[RunPhase]:
    """The phases that a run of this side can be in some moves later, its own included."""
    found = {phase}
    while more := {move.to for move in RUN[role] if move.before in found} - found:
        found |= more  # type: ignore[arg-type]
    return found
