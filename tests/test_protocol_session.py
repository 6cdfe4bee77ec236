"""The session: handshake, durability, resume and end of a run, without a socket."""

from __future__ import annotations

import tracemalloc

import pytest

from graphs.errors import LinkCondition
from graphs.records import Cancel, Close, End, EndStatus, Error, Input, Known, Start, Submit
from protocol import codec
from protocol.errors import LocalProtocolError
from protocol.events import (
    Acked,
    Diverged,
    Faulted,
    Got,
    NeedRecords,
    Ready,
    Refused,
)
from protocol.log import KEPT
from protocol.messages import Ack, Entry, Fault, Hello, Log, Ping, Welcome
from wire.pair import DEVICE, STORES, WORKER, Pair, connected, result, run_id, running

# -- handshake


def test_the_handshake_tells_each_side_the_other() -> None:
    pair = connected(worker={"offer": {"queue": 3}})
    assert pair.device.seen(Ready) == [Ready(STORES[WORKER], {"queue": 3})]
    assert pair.worker.seen(Ready) == [Ready(STORES[DEVICE], {})]
    assert [type(message) for message in pair.said(DEVICE)] == [Hello]
    assert [type(message) for message in pair.said(WORKER)] == [Welcome]


def test_a_new_run_goes_along_with_hello() -> None:
    pair = Pair()
    run = pair.open()
    pair.connect()
    pair.flush(DEVICE)
    assert len(pair.wire[DEVICE]) == 1
    pair.settle()
    assert [type(message) for message in pair.trace[0][1]] == [Hello, Log, Entry]
    assert pair.worker.seen(Got)[0].run == run
    assert pair.device.seen(Acked) == [Acked(run, 1)]


def test_a_run_the_worker_may_know_waits_for_welcome() -> None:
    pair, run = running()
    pair.drop()
    pair.device.append(run, Close(None))
    pair.connect()
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    assert [type(message) for message in pair.trace[-1][1]] == [Hello]
    pair.settle()
    assert pair.worker.records(run, DEVICE)[1:] == [Close(None)]


def test_an_older_connection_is_fenced_and_told_the_highest_number() -> None:
    pair = connected()
    assert pair.worker.conn.fence(1) == Fault("STALE_CONN", pair.worker.conn.fence(1).text, True, 1)  # type: ignore[union-attr]
    assert pair.worker.conn.fence(2) is None


def test_bytes_of_an_older_connection_are_ignored() -> None:
    pair, run = running()
    pair.worker.append(run, result("a"))
    pair.flush()
    late = pair.wire[WORKER].popleft()
    pair.connect()
    pair.device.told(pair.device.conn.receive(pair.now, late[1], late[0]))
    pair.device.commit()
    assert pair.device.records(run, WORKER) == []
    pair.settle()
    assert pair.device.records(run, WORKER) == [result("a")]


def test_no_common_version_closes_with_4426() -> None:
    pair = Pair()
    pair.connect()
    hello = codec.encode(Hello({"v": [2, 3], "device": b"d" * 16, "store": STORES[DEVICE], "conn": 1, "logs": []}))
    events = pair.worker.conn.receive(0, hello, 1)
    assert [event.code for event in events if isinstance(event, Faulted)] == ["PROTOCOL_VERSION"]
    assert pair.worker.conn.closing == 4426


@pytest.mark.parametrize("message", [Ping(1, 1), Ack(((1, 1),)), Log(1, run_id(1), STORES[DEVICE], 1), Welcome({})], ids=repr)
def test_nothing_comes_before_hello(message: object) -> None:
    pair = Pair()
    pair.connect()
    pair.worker.told(pair.worker.conn.receive(0, codec.encode(message), 1))  # type: ignore[arg-type]
    assert pair.worker.seen(Faulted)[0].code in ("PROTOCOL_HANDSHAKE", "PROTOCOL_ORDER")
    assert pair.worker.conn.closing == 4400


def test_the_other_ends_hello_must_be_this_devices() -> None:
    pair = Pair(device={"device": b"x" * 16})
    pair.connect()
    pair.flush()
    pair.deliver(DEVICE)
    assert pair.worker.conn.closing == 4403


def test_limits_are_negotiated_down() -> None:
    pair = connected(worker={"limits": codec.Limits(window=4)})
    run = pair.open()
    for number in range(5):
        pair.device.conn.append(run, Start(f"n{number}", 1))
    pair.device.commit()
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    assert len([message for message in pair.said(DEVICE) if isinstance(message, Entry)]) == 4
    pair.settle()
    assert len(pair.worker.records(run, DEVICE)) == 6


def test_a_device_keeps_to_the_lowest_limits_until_it_knows_the_workers() -> None:
    pair = Pair(worker={"limits": codec.LOWEST_LIMITS})
    run = pair.open()
    for number in range(9):
        pair.device.append(run, Start(f"n{number}", 1))
    pair.connect()
    pair.settle()
    assert not pair.worker.seen(Faulted)
    assert len(pair.worker.records(run, DEVICE)) == 10


@pytest.mark.parametrize("name", ["packet", "window", "window_bytes"])
def test_a_peer_that_takes_less_than_it_must_is_refused(name: str) -> None:
    import dataclasses

    lowest = codec.LOWEST_LIMITS
    pair = Pair(device={"limits": dataclasses.replace(lowest, **{name: getattr(lowest, name) - 1})})
    pair.connect()
    pair.flush()
    pair.deliver(DEVICE)
    assert pair.worker.seen(Faulted)[-1].code == "PROTOCOL_HANDSHAKE"


# -- durability


def test_nothing_is_sent_before_it_is_durable() -> None:
    pair = connected()
    pair.device.conn.append(run_id(1), Submit("", bytes(32), {}, {}))
    assert pair.device.conn.poll(0, 0) is None
    pair.device.conn.effects()
    assert pair.device.conn.poll(0, 0) is None
    pair.device.conn.committed(1)
    assert pair.device.conn.poll(0, 0) is not None


def test_nothing_is_acknowledged_or_told_before_it_is_durable() -> None:
    pair = connected()
    pair.open()
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    assert pair.worker.conn.poll(0, 0) is None
    assert pair.worker.seen(Got) == []
    pair.worker.commit()
    assert codec.decode(pair.worker.conn.poll(0, 0) or b"") == [Ack(((1, 1),))]
    assert len(pair.worker.seen(Got)) == 1


def test_a_flush_is_one_transaction_and_one_ack() -> None:
    pair, run = running()
    commits = pair.worker.store.commits
    for number in range(10):
        pair.device.conn.append(run, Start(f"n{number}", 1))
    pair.device.commit()
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    pair.worker.commit()
    pair.flush(WORKER)
    assert pair.worker.store.commits == commits + 1
    assert codec.decode(pair.wire[WORKER][-1][1]) == [Ack(((1, 11),))]


def test_both_logs_arrive_once_and_in_order() -> None:
    pair, run = running()
    orders: list[Known] = [Input("a", 4, 1), Start("b", 1), Close(None)]
    reports: list[Known] = [result("b"), Error("c", 1, 0, "NODE_FAILED", "no", True, False), End(0, 5, {})]
    for order, report in zip(orders, reports, strict=True):
        pair.device.append(run, order)
        pair.worker.append(run, report)
    pair.settle()
    assert pair.worker.records(run, DEVICE)[1:] == orders
    assert pair.device.records(run, WORKER) == reports
    assert [event.record for event in pair.device.seen(Got)] == reports


def test_records_of_many_runs_take_turns() -> None:
    pair = connected()
    runs = [pair.open(number) for number in (1, 2)]
    for run in runs:
        for number in range(100):
            pair.device.conn.append(run, Start(f"n{number}", 1))
    pair.device.commit()
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    order = [message.al for message in pair.said(DEVICE) if isinstance(message, Entry)]
    assert order == [1] * 64 + [2] * 64 + [1] * 37 + [2] * 37


# -- resume


@pytest.mark.parametrize("crashing", [DEVICE, WORKER])
@pytest.mark.parametrize("delivered", [False, True])
def test_a_crash_loses_nothing_durable(crashing: str, delivered: bool) -> None:
    pair, run = running()
    pair.device.append(run, Close(None))
    pair.worker.append(run, result("a"))
    pair.flush()
    if delivered:
        pair.deliver(DEVICE)
        pair.deliver(WORKER)
    pair.drop(lose=True)
    pair.sides[crashing].crash()
    pair.connect()
    pair.settle()
    assert pair.worker.records(run, DEVICE)[1:] == [Close(None)]
    assert pair.device.records(run, WORKER) == [result("a")]


def test_a_record_is_sent_again_with_the_same_bytes() -> None:
    pair, run = running()
    pair.worker.append(run, result("a", {"x": 1.5}))
    pair.flush()
    first = codec.decode(pair.wire[WORKER][-1][1])[-1]
    pair.drop(lose=True)
    pair.worker.crash()
    pair.connect()
    pair.settle()
    again = next(message for message in pair.said(WORKER) if isinstance(message, Entry))
    assert isinstance(first, Entry)
    assert again.encoded == first.encoded


def test_acknowledged_records_are_read_from_the_store_when_the_peer_went_back() -> None:
    pair, run = running()
    pair.device.append(run, Start("a", 1))
    backup = pair.worker.store.backup()
    pair.settle()
    assert len(pair.worker.records(run, DEVICE)) == 2
    pair.drop()
    pair.worker.store = backup
    pair.worker.crash()
    pair.connect()
    pair.settle()
    assert pair.device.seen(NeedRecords) == [NeedRecords(run, STORES[DEVICE], 1, 2)]
    assert pair.worker.records(run, DEVICE)[1:] == [Start("a", 1)]
    assert not pair.device.seen(Diverged)


def test_a_writer_that_lost_records_has_diverged_on_both_sides() -> None:
    pair, run = running()
    pair.drop()
    backup = pair.worker.store.backup()
    pair.connect()
    pair.worker.append(run, result("a"))
    pair.settle()
    pair.drop()
    pair.worker.store = backup
    pair.worker.crash()
    pair.connect()
    pair.settle()
    assert pair.device.seen(Diverged) or pair.worker.seen(Diverged)
    with pytest.raises(LinkCondition, match="contradict"):
        pair.device.conn.append(run, Close(None))
    with pytest.raises(LinkCondition, match="contradict"):
        pair.worker.conn.append(run, result("b"))


@pytest.mark.parametrize("more", [1, 2])
def test_other_records_under_the_same_numbers_are_seen(more: int) -> None:
    pair, run = running()
    pair.drop()
    backup = pair.worker.store.backup()
    pair.connect()
    pair.worker.append(run, result("a"))
    pair.settle()
    pair.drop()
    pair.worker.store = backup
    pair.worker.crash()
    for number in range(more):
        pair.worker.append(run, result(f"other{number}"))
    pair.connect()
    pair.settle()
    for side in (pair.device, pair.worker):
        assert side.seen(Diverged)
    assert pair.device.records(run, WORKER) == [result("a")]


def test_a_run_the_worker_forgot_is_sent_from_its_submit() -> None:
    pair = connected()
    run = pair.open()
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    pair.drop(lose=True)
    pair.worker.crash()  # before its commit
    pair.connect()
    pair.settle()
    assert len(pair.worker.records(run, DEVICE)) == 1


def test_a_tombstone_is_not_executed_again() -> None:
    pair, run = running()
    pair.drop()
    pair.worker.store.logs.clear()
    pair.worker.store.expired.add(run)
    pair.worker.crash()
    pair.connect()
    pair.settle()
    assert pair.device.seen(Refused)[0][:2] == (run, "RUN_EXPIRED")
    assert pair.worker.seen(Got) == []


def test_another_store_at_the_worker_does_not_get_the_run() -> None:
    pair, run = running()
    pair.drop()
    pair.worker.store.store = b"worker-2"
    pair.worker.store.logs.clear()
    pair.worker.crash()
    pair.connect()
    pair.settle()
    assert pair.device.seen(Refused)[0][:2] == (run, "STORE_CHANGED")
    assert pair.worker.seen(Got) == []
    with pytest.raises(LinkCondition):
        pair.device.conn.append(run, Close(None))


# -- end


def test_nothing_follows_end() -> None:
    pair, run = running()
    pair.worker.append(run, End(EndStatus.COMPLETED, 5, {}))
    with pytest.raises(LocalProtocolError):
        pair.worker.conn.append(run, result("a"))
    with pytest.raises(LocalProtocolError):
        pair.worker.conn.append(run, End(0, 5, {}))


def test_an_order_after_end_is_stored_and_has_no_effect() -> None:
    pair, run = running()
    pair.worker.append(run, End(EndStatus.COMPLETED, 5, {}))
    pair.device.append(run, Cancel(None, "user"))
    pair.settle()
    assert pair.worker.records(run, DEVICE)[1:] == [Cancel(None, "user")]


def test_retention_begins_when_the_device_holds_end() -> None:
    pair, run = running()
    pair.worker.append(run, End(EndStatus.COMPLETED, 5, {}))
    assert run not in pair.worker.store.trimmed
    pair.settle()
    assert run in pair.worker.store.trimmed
    pair.worker.store.purge()
    assert pair.device.records(run, WORKER) == [End(0, 5, {})]
    for _ in range(2):
        pair.drop()
        pair.connect()
        pair.settle()
    assert pair.device.seen(Refused) == []
    hello = [message for message in pair.said(DEVICE) if isinstance(message, Hello)][-1]
    assert hello.body["logs"] == [], "a finished run is named once more, then forgotten"


# -- what this side may not do


def test_each_side_writes_its_own_kinds_of_records() -> None:
    pair, run = running()
    with pytest.raises(LocalProtocolError):
        pair.device.conn.append(run, result("a"))
    with pytest.raises(LocalProtocolError):
        pair.worker.conn.append(run, Start("a", 1))
    with pytest.raises(LocalProtocolError):
        pair.worker.conn.append(run_id(9), result("a"))
    with pytest.raises(LocalProtocolError):
        pair.device.conn.append(run, Submit("", bytes(32), {}, {}))
    with pytest.raises(LocalProtocolError):
        pair.worker.conn.delta(run_id(9), 1, ["x"])


# -- bounded memory


def test_a_reader_that_takes_nothing_does_not_fill_the_writers_memory() -> None:
    pair, run = running()
    count = 3 * KEPT
    for number in range(count):
        pair.worker.conn.append(run, result(f"n{number}"))
        if number % 100 == 0:
            pair.worker.commit()
            while pair.worker.conn.poll(pair.now, 0) is not None:  # lost, with the connection
                pass
    pair.worker.commit()
    out = pair.worker.conn._state.runs[run].out
    assert out is not None
    assert len(out._records) <= KEPT
    pair.connect()
    for _ in range(count):
        pair.settle()
        if len(pair.device.log(run, WORKER)) == count:
            break
    assert [each.path for each in pair.device.records(run, WORKER)] == [f"n{number}" for number in range(count)]  # type: ignore[union-attr]


def test_a_thousand_and_twenty_four_runs_are_open_and_no_more() -> None:
    pair = connected()
    tracemalloc.start()
    runs = [pair.open(number) for number in range(1, 1_026)]
    pair.settle()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    refused = pair.device.seen(Refused)
    assert [each.code for each in refused] == ["BUSY"]
    taken = [run for run in runs if run != refused[0].run]
    assert len(taken) == 1_024
    assert all(pair.worker.log(run, DEVICE) for run in taken)
    assert held < 1_024 * 32 * 1_024, "both ends, both stores, and the trace of it"
    for run in taken:
        pair.worker.append(run, End(EndStatus.COMPLETED, 5, {}))
    pair.settle()
    assert all(len(pair.device.log(run, WORKER)) == 1 for run in taken)
