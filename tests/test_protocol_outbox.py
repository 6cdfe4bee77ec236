"""Tokens and states: when they leave, what they wait for, and what becomes of them."""

from __future__ import annotations

import pytest

from graphs.errors import LinkCondition
from graphs.records import Error, State
from protocol import codec
from protocol.events import (
    DeltaSeen,
    StateSeen,
)
from protocol.messages import Delta, Entry, Log
from wire.pair import WORKER, Pair, executing, result, running


def texts(pair: Pair) -> str:
    return "".join(token for event in pair.device.seen(DeltaSeen) for token in event.tokens)


def test_the_first_tokens_leave_at_once_the_next_wait_for_the_timer() -> None:
    pair, run = running()
    start = pair.worker.append(run, executing("a"))
    pair.talk()
    pair.worker.conn.delta(run, start, ["The", " tide"])
    pair.talk(1)
    assert pair.device.seen(DeltaSeen) == [DeltaSeen(run, "a", 1, start, 0, ["The", " tide"], 2)]
    pair.worker.conn.delta(run, start, [" rises"])
    pair.worker.conn.delta(run, start, ["."])
    pair.talk(1)
    assert len(pair.device.seen(DeltaSeen)) == 1
    assert pair.worker.conn.deadline() == pair.now + 10
    pair.now += 10
    pair.talk(1)
    assert pair.device.seen(DeltaSeen)[1] == DeltaSeen(run, "a", 1, start, 2, [" rises", "."], 2)


def test_many_pending_bytes_do_not_wait() -> None:
    pair, run = running()
    start = pair.worker.append(run, executing("a"))
    pair.worker.conn.delta(run, start, ["x"])
    pair.talk(1)
    pair.worker.conn.delta(run, start, ["y" * 1000] * 33)
    pair.talk(1)
    assert len(texts(pair)) == 33_001


def test_tokens_never_wait_for_a_commit_but_follow_their_event() -> None:
    pair, run = running()
    start = pair.worker.conn.append(run, executing("a"))
    pair.worker.conn.delta(run, start, ["x"])
    pair.flush(WORKER)
    assert not pair.wire[WORKER]
    pair.worker.commit()
    pair.worker.conn.append(run, result("b"))  # waits for its commit
    pair.flush(WORKER)
    kinds = [type(message) for message in codec.decode(pair.wire[WORKER][-1][1])]
    assert kinds == [Log, Entry, Delta]


def test_what_is_pending_leaves_just_before_the_result() -> None:
    pair, run = running()
    start = pair.worker.append(run, executing("a"))
    pair.worker.conn.delta(run, start, ["x"])
    pair.talk()
    pair.worker.conn.delta(run, start, ["y"])
    pair.worker.append(run, result("a"))
    pair.flush(WORKER)
    kinds = [type(message) for message in codec.decode(pair.wire[WORKER][-1][1])]
    assert kinds[-2:] == [Delta, Entry]
    pair.settle()
    assert texts(pair) == "xy"
    pair.worker.conn.delta(run, start, ["late"])
    pair.settle()
    assert texts(pair) == "xy"


def test_a_long_text_before_a_result_takes_several_packets() -> None:
    pair, run = running()
    start = pair.worker.append(run, executing("a"))
    pair.worker.conn.delta(run, start, ["z" * 9000] * 40)
    pair.worker.append(run, result("a"))
    pair.settle()
    assert len(texts(pair)) == 360_000
    assert pair.device.records(run, WORKER)[-1] == result("a")


def test_a_full_socket_merges_tokens_and_drops_them_at_the_result() -> None:
    pair, run = running()
    start = pair.worker.append(run, executing("a"))
    pair.talk()
    pair.buffered = 100_000
    pair.worker.conn.delta(run, start, ["a", "b"])
    pair.talk()
    assert texts(pair) == ""
    pair.buffered = 0
    pair.now += 10
    pair.talk()
    assert pair.device.seen(DeltaSeen) == [DeltaSeen(run, "a", 1, start, 0, ["ab"], 2)]
    pair.buffered = 100_000
    pair.worker.conn.delta(run, start, ["c"])
    pair.worker.append(run, result("a"))
    pair.talk()
    assert texts(pair) == "ab"
    assert pair.device.records(run, WORKER)[-1] == result("a")


def test_a_newer_attempt_begins_a_new_text() -> None:
    pair, run = running()
    first = pair.worker.append(run, executing("a"))
    pair.worker.conn.delta(run, first, ["old"])
    pair.settle()
    pair.worker.append(run, Error("a", 1, 0, "NODE_FAILED", "no", False, True))
    second = pair.worker.append(run, executing("a", 2))
    pair.worker.conn.delta(run, first, ["more of the old"])
    pair.worker.conn.delta(run, second, ["new"])
    pair.settle()
    assert [(event.at, event.start, event.tokens) for event in pair.device.seen(DeltaSeen)] == [
        (1, first, ["old"]),
        (2, second, ["new"]),
    ]


def test_data_and_bytes_stream_too_and_a_map_is_limited() -> None:
    pair, run = running()
    start = pair.worker.append(run, executing("a"))
    pair.worker.conn.delta(run, start, [{"row": 1}, b"\x00", ""])
    pair.settle()
    assert pair.device.seen(DeltaSeen)[0].tokens == [{"row": 1}, b"\x00", ""]
    with pytest.raises(LinkCondition):
        pair.worker.conn.delta(run, start, [{"row": "x" * 20_000}])


def test_states_ride_along_and_only_the_last_counts() -> None:
    pair, run = running()
    pair.worker.conn.state(run, "a", 1, State.QUEUED, 5)
    pair.worker.conn.state(run, "a", 1, State.EXECUTING, 6)
    pair.settle()
    assert pair.device.seen(StateSeen) == [StateSeen(run, "a", 1, 2, 6)]
