"""What is only shown: what a session says of it to whoever keeps its timer."""

from __future__ import annotations

import pytest

from protocol.errors import LocalProtocolError
from protocol.events import DeltaSeen
from wire.pair import Pair, executing, result, run_id, running


def streaming() -> tuple[Pair, bytes, int]:
    pair, run = running()
    start = pair.worker.append(run, executing("a"))
    pair.worker.conn.delta(run, start, ["x"])
    pair.talk()
    return pair, run, start


def test_tokens_come_nearer_only_once_they_are_many() -> None:
    pair, run, start = streaming()
    assert not pair.worker.conn.delta(run, start, ["y"])
    due = pair.worker.conn.volatile_due
    assert due == pair.now + 10
    assert not pair.worker.conn.delta(run, start, ["y" * 1000] * 31)
    assert pair.worker.conn.volatile_due == due
    assert pair.worker.conn.delta(run, start, ["y" * 1000] * 2)
    assert pair.worker.conn.volatile_due == pair.now
    pair.talk(1)
    assert not pair.worker.conn.delta(run, start, ["z"])
    assert pair.worker.conn.volatile_due == pair.now + 10


def test_tokens_of_an_attempt_that_is_over_or_of_a_lost_connection_hurry_nobody() -> None:
    pair, run, start = streaming()
    pair.worker.conn.disconnected()
    assert not pair.worker.conn.delta(run, start, ["y" * 1000] * 40)
    pair.worker.append(run, result("a"))
    assert not pair.worker.conn.delta(run, start, ["y" * 1000] * 40)
    assert [event.tokens for event in pair.device.seen(DeltaSeen)] == [["x"]]


def test_a_run_that_is_not_here_shows_nothing() -> None:
    pair = Pair()
    with pytest.raises(LocalProtocolError, match="has no run"):
        pair.worker.conn.delta(run_id(1), 1, ["x"])
