"""The tables of states: complete, without dead ends that are not meant, and the ones that the session really follows."""

from __future__ import annotations

from enum import Enum

import pytest

from protocol import codec
from protocol.config import Role
from protocol.messages import CATALOGUE, Direction, Entry, Fault, GoAway, Hello, Log, Offer, Ping, PutGraph, Welcome
from protocol.states import CONNECTION, HEARD, RUN, Phase, RunPhase, after, reachable
from wire.pair import Pair, connected

FINAL: set[Enum] = {Phase.CLOSING, RunPhase.REFUSED, RunPhase.DIVERGED, RunPhase.SETTLED}


@pytest.mark.parametrize("role", Role)
def test_one_event_leads_to_one_phase_and_what_is_final_stays(role: Role) -> None:
    for moves in (CONNECTION[role], RUN[role]):
        assert len({(move.before, move.event) for move in moves}) == len(moves)
        assert FINAL.isdisjoint(move.before for move in moves)


@pytest.mark.parametrize("role", Role)
def test_every_phase_can_be_reached_and_left(role: Role) -> None:
    runs = reachable(role, RunPhase.WAITING)
    assert runs == (set(RunPhase) if role is Role.DEVICE else set(RunPhase) - {RunPhase.PARKED, RunPhase.REFUSED})
    assert all(reachable(role, phase) == {phase} for phase in (RunPhase.REFUSED, RunPhase.DIVERGED, RunPhase.SETTLED))
    assert {move.to for move in CONNECTION[role]} == set(Phase)


@pytest.mark.parametrize("role", Role)
def test_a_side_hears_what_is_sent_to_it_and_only_that(role: Role) -> None:
    foreign = Direction.UP if role is Role.DEVICE else Direction.DOWN
    for phase in Phase:
        for kind in CATALOGUE.values():
            if kind.message is not None and kind.message is not Entry and kind.direction is foreign:
                assert kind.message not in HEARD[role, phase]
    assert not HEARD[role, Phase.CLOSING]
    assert HEARD[role, Phase.OPEN] == HEARD[role, Phase.LEAVING]


def test_what_the_tables_say_happens() -> None:
    pair = connected()
    for side, role in ((pair.device, Role.DEVICE), (pair.worker, Role.WORKER)):
        connection = side.conn._state.connection
        assert connection is not None
        assert (connection.role, connection.phase) == (role, Phase.OPEN)
    assert after(Role.DEVICE, Phase.OPENING, "WELCOME") is Phase.OPEN
    assert after(Role.DEVICE, Phase.OPENING, "HELLO") is Phase.OPENING, "what no row names changes nothing"


@pytest.mark.parametrize("late", [Ping(1, 1), Log(1, b"r" * 16, b"w" * 8, 1), Offer({}), PutGraph(b"h" * 32, 0, b"", 0)])
def test_what_no_row_lets_in_is_a_fault_and_closes(late: object) -> None:
    pair = Pair()
    pair.device.conn.connected(0, 1)
    pair.device.conn.receive(0, codec.encode(late), 1)  # type: ignore[arg-type]
    connection = pair.device.conn._state.connection
    assert connection is not None
    assert connection.phase is Phase.CLOSING
    assert pair.device.conn.closing == 4400


def test_before_the_handshake_only_its_messages_and_the_last_words_are_heard() -> None:
    assert HEARD[Role.DEVICE, Phase.OPENING] == {Welcome, Fault, GoAway}
    assert HEARD[Role.WORKER, Phase.OPENING] == {Hello, Fault, GoAway}
