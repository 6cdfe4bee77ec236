"""Runs that change their session: what goes along, and what the session they left still takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from graphs.records import Cancel, End, EndStatus, Input, Submit, encode
from protocol import codec
from protocol.config import Config, Role
from protocol.events import Got, Refused
from protocol.handshake import DeviceHello, Statement, Status
from protocol.inbox import Inbox
from protocol.messages import Ack, Entry, Fault, Log, Welcome
from protocol.outbox import Outbox
from protocol.session import Conn
from protocol.session_runs import Moved
from protocol.store import Snapshot

DEVICE, OWN, PEER, RUN, OTHER = b"D" * 16, b"worker-1", b"device-1", b"R" * 16, b"O" * 16


def worker() -> Conn:
    return Conn(Config(Role.WORKER, "d", DEVICE), Snapshot(OWN))


def said(conn: Conn) -> list[Any]:
    found: list[Any] = []
    while (packet := conn.poll(10_000, 0)) is not None:
        found += codec.decode(packet)
    return found


def receive(conn: Conn, number: int, *messages: Any) -> list[Any]:
    return conn.receive(0, b"".join(map(codec.encode, messages)), number)


def hello(number: int, *logs: Statement) -> Any:
    return DeviceHello(DEVICE, PEER, number, logs=logs, session=number).message()


def entry(alias: int, seq: int, record: Any) -> Entry:
    return Entry(alias, seq, encode(record), record)


def commit(conn: Conn) -> list[Any]:
    return conn.committed(len(conn.effects()))


def opened(number: int = 1) -> Conn:
    """A session with an open run, of which two orders are durable, and a report."""
    conn = worker()
    conn.connected(0, number)
    receive(
        conn,
        number,
        hello(number),
        Log(1, RUN, PEER, 1),
        entry(1, 1, Submit("", bytes(32), {}, {})),
        entry(1, 2, Input("a", 4, 1)),
    )
    commit(conn)
    said(conn)
    return conn


def test_what_waits_to_be_durable_goes_along_in_its_order() -> None:
    first, later = opened(), worker()
    receive(first, 1, entry(1, 3, Input("b", 4, 2)), Log(2, OTHER, PEER, 1), entry(2, 1, Submit("", bytes(32), {}, {})))
    first.append(RUN, End(EndStatus.COMPLETED, 1, {}))
    before = first.staged
    moved = first.part(RUN)
    assert moved is not None
    assert [(each.writer, each.seq) for each in moved.effects] == [(PEER, 3), (OWN, 1)]  # type: ignore[union-attr]
    assert first.staged == before, "who waits for them there need not any more"
    assert first.unwritten > 0, "what is left of the other run"
    later.join(moved)
    assert later.unwritten > 0
    assert [each for each in commit(later) if isinstance(each, Got)] == [Got(RUN, PEER, 3, Input("b", 4, 2))]
    assert [each.run for each in commit(first) if isinstance(each, Got)] == [OTHER]
    assert first.unwritten == later.unwritten == 0
    assert (first.holds({RUN, OTHER}), later.holds({RUN, OTHER})) == ({OTHER}, {RUN})


def test_for_the_device_it_is_a_reconnect() -> None:
    first, later = opened(), worker()
    first.append(RUN, End(EndStatus.COMPLETED, 1, {}))
    moved = first.part(RUN)
    assert moved is not None
    later.join(moved)
    commit(later)
    later.connected(0, 2)
    head = moved.run.into
    assert head is not None
    receive(later, 2, hello(2, Statement(RUN, PEER, 2, head.chks[2])))
    answer = said(later)
    assert [entry[1:3] for entry in next(each for each in answer if isinstance(each, Welcome)).body["logs"]] == [
        [PEER, 2],
        [OWN, 1],
    ]
    assert [each.seq for each in answer if isinstance(each, Entry)] == [1]


def test_the_session_it_left_is_told_once_and_takes_nothing_of_it() -> None:
    first, later = opened(), worker()
    first.append(RUN, End(EndStatus.COMPLETED, 1, {}))
    commit(first)
    said(first)
    moved = first.part(RUN)
    assert moved is not None
    later.join(moved)
    assert [(each.code, each.fatal, each.about) for each in said(first) if isinstance(each, Fault)] == [
        ("RUN_TAKEN", False, [RUN, PEER])
    ]
    assert receive(first, 1, entry(1, 3, Cancel(None, "too late")), Ack(((1, 1),))) == []
    assert first.closing is None, "it is no fault: the device's other runs go on"
    assert first.effects() == []
    assert moved.run.out is not None
    assert moved.run.out.acked == 0, "an acknowledgement of who lost it counts for nothing"
    receive(first, 1, Log(2, RUN, PEER, 3), entry(2, 3, Cancel(None, "too late")))
    assert [(each.code, each.about) for each in said(first) if isinstance(each, Fault)] == [("RUN_TAKEN", 2)]
    assert first.effects() == []


def test_an_earlier_session_that_comes_again_is_told_that_it_was_taken() -> None:
    conn = worker()
    conn.learn(Snapshot(OWN, taken=[RUN]))
    conn.connected(0, 1)
    receive(conn, 1, hello(1, Statement(RUN, PEER, 2, 7)))
    (welcome,) = said(conn)
    assert welcome.body["logs"] == [[RUN, PEER, 0, 0, Status.TAKEN]]


def test_a_device_that_lost_a_run_says_nothing_more_in_it() -> None:
    for word in (Fault("RUN_TAKEN", "taken", False, [RUN, PEER]), None):
        device = Conn(Config(Role.DEVICE, "w", DEVICE), Snapshot(PEER))
        device.connected(0, 1)
        device.append(RUN, Submit("", bytes(32), {}, {}))
        commit(device)
        said(device)
        if word is None:
            device.connected(0, 2)
            said(device)
            logs = [[RUN, PEER, 0, 0, int(Status.TAKEN)]]
            welcome = Welcome({"v": 1, "store": OWN, "hb_ms": 1_000, "logs": logs, "offer": {}})
            events = receive(device, 2, welcome)
        else:
            welcome = Welcome({"v": 1, "store": OWN, "hb_ms": 1_000, "logs": [], "offer": {}})
            events = receive(device, 1, welcome, word)
        assert [(each.code, each.retry_ms) for each in events if isinstance(each, Refused)] == [("RUN_TAKEN", None)]
        device.connected(0, 3)
        assert [each for each in said(device) if isinstance(each, (Log, Entry))] == []


def test_a_run_that_is_not_there_does_not_move() -> None:
    assert worker().part(RUN) is None
    assert isinstance(opened().part(RUN), Moved)


def _kept_aliases() -> Any:
    whole = Conn.part

    def part(self: Conn, run: bytes) -> Any:
        connection = self._state.connection
        taken = dict(connection.aliases) if connection is not None else {}
        moved = whole(self, run)
        if connection is not None:
            connection.aliases.update(taken)
        return moved

    return patch.object(Conn, "part", part)


def _kept_acknowledgements() -> Any:
    return patch.object(Outbox, "forget", lambda *_: None)


def _lost_effects() -> Any:
    whole = Conn.join
    return patch.object(Conn, "join", lambda self, moved: whole(self, moved._replace(effects=[], marks=[])))


def _no_claim() -> Any:
    return patch.object(Inbox, "_refusal", lambda *_: None)


@pytest.mark.parametrize(
    ("bug", "test"),
    [
        (_kept_aliases, test_the_session_it_left_is_told_once_and_takes_nothing_of_it),
        (_kept_acknowledgements, test_the_session_it_left_is_told_once_and_takes_nothing_of_it),
        (_no_claim, test_the_session_it_left_is_told_once_and_takes_nothing_of_it),
        (_lost_effects, test_what_waits_to_be_durable_goes_along_in_its_order),
    ],
)
def test_a_planted_bug_that_lets_who_lost_a_run_go_on_with_it_is_found(bug: Callable[[], Any], test: Callable[[], None]) -> None:
    with bug(), pytest.raises((AssertionError, KeyError)):
        test()
