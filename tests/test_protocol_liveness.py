"""Liveness and reconnecting: silence, sleep, and how long to wait."""

from __future__ import annotations

from protocol import codec
from protocol.events import (
    Faulted,
)
from protocol.liveness import backoff
from protocol.messages import Pong
from wire.pair import DEVICE, Pair, connected


def test_silence_is_filled_with_ping() -> None:
    pair = connected()
    assert (pair.device.conn.deadline() or 0) <= pair.now + 15_000
    pair.now += 15_000
    pair.device.told(pair.device.conn.tick(pair.now))
    pair.worker.told(pair.worker.conn.tick(pair.now))
    pair.talk()
    assert [type(message).__name__ for message in pair.said(DEVICE)[1:]] == ["Ping", "Pong"]
    assert pair.device.conn.closing is None


def test_a_silent_peer_is_given_up() -> None:
    pair = connected()
    for _ in range(4):
        pair.now += 10_000
        pair.device.told(pair.device.conn.tick(pair.now))
        while pair.device.conn.poll(pair.now, 0):
            pass
    assert pair.device.conn.closing == 4408
    assert pair.device.seen(Faulted)[-1].code == "TIMEOUT"


def test_a_peer_that_takes_nothing_is_given_up_even_if_it_talks() -> None:
    pair = connected()
    conn = pair.device.conn
    conn.blocked(pair.now, 80_000)
    for step in range(1, 4):
        pair.now += 10_000
        pair.device.told(conn.receive(pair.now, codec.encode(Pong(1, 1, 1)), 1))
        conn.blocked(pair.now, 80_000)
        pair.device.told(conn.tick(pair.now))
        assert conn.closing is None
        assert conn.deadline() == min(pair.now - step * 10_000 + 37_500, pair.now + 15_000)
        assert conn.poll(pair.now, 0) is None  # no PING: it could not be sent
    pair.now += 7_500
    pair.device.told(conn.tick(pair.now))
    assert conn.closing == 4408
    assert "takes nothing" in pair.device.seen(Faulted)[-1].text


def test_a_peer_that_takes_little_is_slow_and_no_more() -> None:
    pair = connected()
    conn = pair.device.conn
    for left in range(80_000, 79_990, -1):
        conn.blocked(pair.now, left)
        pair.now += 30_000
        pair.device.told(conn.receive(pair.now, codec.encode(Pong(1, 1, 1)), 1))
        pair.device.told(conn.tick(pair.now))
    assert conn.closing is None
    conn.flows()
    pair.device.told(conn.tick(pair.now))
    assert conn.poll(pair.now, 0) is not None  # a PING: it was silent for long


def test_after_sleep_the_peer_gets_three_seconds() -> None:
    pair = connected()
    pair.now += 3_600_000
    pair.device.told(pair.device.conn.tick(pair.now))
    assert pair.device.conn.closing is None
    assert pair.device.conn.poll(pair.now, 0) is not None
    assert pair.device.conn.deadline() == pair.now + 3_000
    pair.now += 3_000
    pair.device.told(pair.device.conn.tick(pair.now))
    assert pair.device.conn.closing == 4408


def test_welcome_has_five_seconds() -> None:
    pair = Pair()
    pair.connect()
    pair.flush()
    assert pair.device.conn.deadline() == 5_000
    pair.device.told(pair.device.conn.tick(5_000))
    assert pair.device.conn.closing == 4408


def test_waiting_grows_and_is_spread() -> None:
    assert [backoff(0, chance) for chance in (0.0, 0.999)] == [0, 249]
    assert [backoff(attempt, 0.5) for attempt in (1, 2, 3, 8, 50)] == [500, 1000, 2000, 30_000, 30_000]
    assert backoff(50, 0.999) < 45_000
    assert backoff(1, 0.0) == 250
