"""The session: every rule of the link, without a socket."""

from __future__ import annotations

import pytest

from graphs.errors import LinkCondition
from graphs.records import Cancel, Close, End, EndStatus, Error, Event, Input, Result, Start, State, Submit
from protocol import codec
from protocol.errors import LocalProtocolError
from protocol.events import (
    Acked,
    DeltaSeen,
    Diverged,
    Faulted,
    GoingAway,
    Got,
    GraphJudged,
    GraphReceived,
    NeedGraph,
    NeedRecords,
    Offered,
    Ready,
    Refused,
    StateSeen,
)
from protocol.messages import Ack, Delta, Entry, Fault, GraphState, GraphStatus, Hello, Log, Ping, PutGraph, StateShown, Welcome
from wire.pair import DEVICE, STORES, WORKER, Pair, run_id

GRAPH = b"\x81\xa5nodes\x80"


def result(path: str, value: object = None) -> Result:
    return Result(path, 1, 0, value, 5, {"model": "m"})


def executing(path: str, at: int = 1, **info: object) -> Event:
    return Event(path, at, State.EXECUTING, 5, {"retry": 0, **info})


def connected(**config: object) -> Pair:
    pair = Pair(**config)  # type: ignore[arg-type]
    pair.connect()
    pair.settle()
    return pair


def running(**config: object) -> tuple[Pair, bytes]:
    pair = connected(**config)
    run = pair.open()
    pair.settle()
    return pair, run


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
    orders = [Input("a", 4, 1), Start("b", 1), Close(None)]
    reports = [result("b"), Error("c", 1, 0, "NODE_FAILED", "no", True, False), End(0, 5, {})]
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


# -- rules a peer may break: each is a fault, and the connection ends where the byte stream cannot be trusted


def entry(al: int, seq: int, record: object) -> Entry:
    from graphs.records import encode

    return Entry(al, seq, encode(record), record)  # type: ignore[arg-type]


SUBMIT = Submit("", bytes(32), {}, {})
LOG = Log(1, run_id(1), STORES[DEVICE], 1)


@pytest.mark.parametrize(
    ("messages", "code", "close"),
    [
        ([entry(1, 1, SUBMIT)], "PROTOCOL_ALIAS", 4400),
        ([LOG, entry(1, 2, SUBMIT)], "GAP", 4400),
        ([Log(1, run_id(1), STORES[DEVICE], 2)], "GAP", 4400),
        ([LOG, entry(1, 1, Close(None))], "PROTOCOL_ORDER", 4400),
        ([LOG, entry(1, 1, SUBMIT), entry(1, 2, SUBMIT)], "PROTOCOL_ORDER", 4400),
        ([LOG, entry(1, 1, result("a"))], "PROTOCOL_WRITER", 4400),
        ([Ack(((1, 1),))], "PROTOCOL_ALIAS", 4400),
        ([Delta(1, 1, 0, ["x"])], "PROTOCOL_ORDER", 4400),
        ([StateShown(1, "a", 1, 2, 5)], "PROTOCOL_ORDER", 4400),
        ([GraphState(bytes(32), 0)], "PROTOCOL_ORDER", 4400),
        ([Hello({})], "PROTOCOL_HANDSHAKE", 4400),
    ],
    ids=repr,
)
def test_a_broken_rule_is_a_fault(messages: list[object], code: str, close: int) -> None:
    pair = connected()
    packet = b"".join(codec.encode(message) for message in messages)  # type: ignore[arg-type]
    pair.worker.told(pair.worker.conn.receive(pair.now, packet, pair.number))
    assert [(event.code, event.close, event.local) for event in pair.worker.seen(Faulted)] == [(code, close, True)]
    assert pair.worker.conn.closing == close
    fault = codec.decode(pair.worker.conn.poll(pair.now, 0) or b"")[0]
    assert isinstance(fault, Fault)
    assert (fault.code, fault.fatal) == (code, True)
    assert pair.worker.conn.poll(pair.now, 0) is None
    assert pair.worker.conn.receive(pair.now, codec.encode(Ping(1, 1)), pair.number) == []


def test_an_ack_of_what_was_not_sent_is_a_fault() -> None:
    pair, _ = running()
    pair.device.told(pair.device.conn.receive(pair.now, codec.encode(Ack(((1, 2),))), pair.number))
    assert pair.device.seen(Faulted)[-1].code == "PROTOCOL_ACK"


def test_a_record_after_end_is_a_fault() -> None:
    pair, run = running()
    pair.worker.append(run, End(0, 5, {}))
    pair.flush()
    pair.deliver(WORKER)
    pair.device.told(pair.device.conn.receive(pair.now, codec.encode(entry(1, 2, result("a"))), pair.number))
    assert pair.device.seen(Faulted)[-1].code == "PROTOCOL_ORDER"


def test_more_records_than_the_window_are_a_fault() -> None:
    pair = connected(worker={"limits": codec.Limits(window=4)})
    messages = [LOG, entry(1, 1, SUBMIT), *(entry(1, seq, Start("a", 1)) for seq in (2, 3, 4))]
    packet = b"".join(map(codec.encode, messages))  # type: ignore[arg-type]
    pair.worker.told(pair.worker.conn.receive(0, packet, 1))
    assert pair.worker.conn.closing is None
    pair.worker.told(pair.worker.conn.receive(0, codec.encode(entry(1, 5, Start("a", 1))), 1))
    assert pair.worker.seen(Faulted)[-1].code == "LIMIT_WINDOW"


@pytest.mark.parametrize("type_", [0x13, 0x14, 0x15, 0x44, 0x2, 0x50, 0x0B])
def test_what_is_not_spoken_is_answered_clearly(type_: int) -> None:
    pair = connected()
    pair.worker.told(pair.worker.conn.receive(0, bytes((0x92, type_, 1)), 1))
    answer = codec.decode(pair.worker.conn.poll(0, 0) or b"")[0]
    assert isinstance(answer, Fault)
    if type_ == 2:
        assert pair.worker.conn.closing == 4400
    else:
        assert (answer.code, answer.fatal, answer.about) == ("PROTOCOL_TYPE", False, type_)
        assert pair.worker.conn.closing is None


def test_additions_that_may_be_skipped_are_skipped() -> None:
    pair = connected()
    for type_ in (0x3A, 0x60, 0x7F):
        assert pair.worker.conn.receive(0, bytes((0x92, type_, 1)), 1) == []
    assert pair.worker.conn.poll(0, 0) is None


def test_an_unknown_record_is_stored_acknowledged_and_told() -> None:
    pair, run = running()
    pair.worker.told(pair.worker.conn.receive(0, b"\x95\x2f\x01\x02\xa1x\x07", 1))
    pair.worker.commit()
    assert pair.worker.log(run, DEVICE)[-1][0].tail == b"\xa1x\x07"
    assert pair.worker.seen(Got)[-1].record == pair.worker.records(run, DEVICE)[-1]
    assert codec.decode(pair.worker.conn.poll(0, 0) or b"") == [Ack(((1, 2),))]


def test_a_log_of_an_unknown_run_does_not_hold_up_the_others() -> None:
    pair, run = running()
    packet = codec.encode(Log(7, run_id(99), STORES[WORKER], 1)) + codec.encode(entry(7, 1, result("x")))
    pair.device.told(pair.device.conn.receive(0, packet, 1))
    answer = codec.decode(pair.device.conn.poll(0, 0) or b"")
    assert [(fault.code, fault.fatal, fault.about) for fault in answer if isinstance(fault, Fault)] == [("RUN_UNKNOWN", False, 7)]
    pair.worker.append(run, result("a"))
    pair.settle()
    assert pair.device.records(run, WORKER) == [result("a")]


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
        pair.device.conn.append(run, SUBMIT)
    with pytest.raises(LocalProtocolError):
        pair.worker.conn.delta(run_id(9), 1, ["x"])


# -- busy, draining, offer


def test_a_busy_worker_writes_nothing_and_is_asked_again() -> None:
    pair = connected(worker={"offer": {"queue": 0}, "busy_ms": 700})
    run = pair.open()
    pair.talk()
    assert pair.device.seen(Refused) == [Refused(run, "BUSY", "this worker has no free places", 700)]
    assert pair.worker.store.logs == {}
    pair.worker.conn.offer({"queue": 1})
    pair.talk()
    assert pair.device.seen(Offered) == [Offered({"queue": 1})]
    assert pair.worker.store.logs == {}
    assert (pair.device.conn.deadline() or 0) <= pair.now + 700
    pair.now += 700
    pair.device.told(pair.device.conn.tick(pair.now))
    pair.settle()
    assert len(pair.worker.records(run, DEVICE)) == 1


def test_offers_change_at_most_once_a_second() -> None:
    pair = connected()
    for queue in (1, 2, 3):
        pair.worker.conn.offer({"queue": queue})
        pair.talk(1)
    assert pair.device.seen(Offered) == [Offered({"queue": 1})]
    assert pair.worker.conn.deadline() == pair.now + 1000
    pair.now += 1000
    pair.talk(1)
    assert pair.device.seen(Offered)[-1] == Offered({"queue": 3})


def test_a_draining_worker_takes_no_new_runs_finishes_the_others_and_closes() -> None:
    pair, run = running()
    pair.worker.conn.drain(pair.now, "shutdown", 5_000, 30_000)
    pair.talk()
    assert pair.device.seen(GoingAway) == [GoingAway("shutdown", 5_000, 30_000)]
    late = pair.open(2)
    pair.worker.append(run, result("a"))
    pair.talk()
    assert pair.device.records(run, WORKER) == [result("a")]
    assert pair.worker.records(late, DEVICE) == []
    pair.now += 5_000
    pair.worker.conn.tick(pair.now)
    assert pair.worker.conn.closing == 4503
    pair.drop()
    pair.worker.crash()
    pair.connect()
    pair.settle()
    assert len(pair.worker.records(late, DEVICE)) == 1


def test_a_run_that_was_on_its_way_to_a_draining_worker_is_refused_with_a_time() -> None:
    pair = connected()
    run = pair.open()
    pair.worker.conn.drain(pair.now, "shutdown", 5_000, 30_000)
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    pair.talk()
    assert pair.device.seen(Refused)[0][:2] == (run, "DRAINING")
    assert pair.device.seen(Refused)[0].retry_ms == 30_000


# -- graphs


def graph_hash() -> bytes:
    from graphs.values import digest

    return digest(b"graphferry.graph.1\n" + GRAPH)


def test_a_small_graph_goes_ahead_of_the_run_that_needs_it_and_only_once() -> None:
    pair = Pair()
    h = graph_hash()
    assert pair.device.conn.put_graph(h, GRAPH)
    pair.device.append(run_id(1), Submit("", h, {}, {}))
    pair.connect()
    pair.settle()
    assert [type(message) for message in pair.trace[0][1]] == [Hello, PutGraph, Log, Entry]
    assert pair.worker.seen(GraphReceived) == [GraphReceived(h, GRAPH)]
    pair.worker.conn.graph_state(h, GraphStatus.OK)
    pair.settle()
    assert pair.device.seen(GraphJudged) == [GraphJudged(h, 0, ())]
    for _ in range(2):
        assert pair.device.conn.put_graph(h, GRAPH)
        pair.settle()
        pair.drop()
        pair.connect()
        pair.settle()
    assert len([message for message in pair.said(DEVICE) if isinstance(message, PutGraph)]) == 1


def test_a_graph_the_worker_lacks_is_asked_for() -> None:
    pair, _ = running()
    h = graph_hash()
    pair.worker.conn.graph_state(h, GraphStatus.UNKNOWN)
    pair.settle()
    assert pair.device.seen(NeedGraph) == [NeedGraph(h)]
    pair.drop()
    pair.connect()
    pair.settle()
    assert pair.device.seen(NeedGraph) == [NeedGraph(h)] * 2, "the request is not replayed, so it is made again"
    assert pair.device.conn.put_graph(h, GRAPH)
    pair.settle()
    assert pair.worker.seen(GraphReceived) == [GraphReceived(h, GRAPH)]
    pair.drop()
    pair.connect()
    pair.settle()
    assert len(pair.device.seen(NeedGraph)) == 2


def test_an_evicted_graph_is_sent_again() -> None:
    pair = connected()
    h = graph_hash()
    pair.device.conn.put_graph(h, GRAPH)
    pair.settle()
    pair.worker.conn.graph_state(h, GraphStatus.UNKNOWN)
    pair.settle()
    assert pair.worker.seen(GraphReceived) == [GraphReceived(h, GRAPH)] * 2


@pytest.mark.parametrize(
    "message",
    [
        PutGraph(bytes(32), 0, GRAPH, len(GRAPH)),
        PutGraph(bytes(32), 0, GRAPH, len(GRAPH) + 1),
        PutGraph(bytes(32), 1, b"no zlib", 5),
        PutGraph(bytes(32), 2, GRAPH, len(GRAPH)),
        PutGraph(bytes(32), 0, GRAPH, 5 * 1024 * 1024),
    ],
    ids=repr,
)
def test_a_graph_that_is_not_what_it_says_is_invalid(message: PutGraph) -> None:
    pair = connected()
    assert pair.worker.conn.receive(0, codec.encode(message), 1) == []
    answer = codec.decode(pair.worker.conn.poll(0, 0) or b"")[0]
    assert isinstance(answer, GraphState)
    assert answer.status == GraphStatus.INVALID
    assert pair.worker.conn.closing is None


def test_a_zlib_bomb_is_not_inflated() -> None:
    import zlib

    pair = connected()
    pair.worker.conn.receive(0, codec.encode(PutGraph(bytes(32), 1, zlib.compress(bytes(100_000_000)), 1000)), 1)
    answer = codec.decode(pair.worker.conn.poll(0, 0) or b"")[0]
    assert isinstance(answer, GraphState)
    assert answer.status == GraphStatus.INVALID


def test_a_graph_too_large_for_the_link_is_refused_here() -> None:
    import random

    pair = connected()
    with pytest.raises(LinkCondition, match="compression") as caught:
        pair.device.conn.put_graph(bytes(32), random.Random(1).randbytes(200_000))
    assert caught.value.condition == "VALUE_TOO_LARGE"


# -- the gate


def test_without_a_policy_nothing_labelled_leaves() -> None:
    import msgpack

    pair, run = running()
    with pytest.raises(LinkCondition, match="private") as caught:
        pair.device.conn.append(run, Input("a", 4, "secret"), labels=["private"])
    assert caught.value.condition == "LABEL_WITHHELD"
    handle = msgpack.ExtType(7, msgpack.packb([b"id", ["pii"], 10]))
    with pytest.raises(LinkCondition, match="pii"):
        pair.device.conn.append(run, Input("a", 4, {"deep": [handle]}))
    with pytest.raises(LinkCondition, match="unreadable"):
        pair.device.conn.append(run, Input("a", 4, msgpack.ExtType(7, b"\xc1")))
    assert not pair.device.conn.put_graph(graph_hash(), GRAPH, ["private"])
    pair.settle()
    assert not any(b"secret" in repr(message).encode() for message in pair.said(DEVICE))
    assert not [message for message in pair.said(DEVICE) if isinstance(message, PutGraph)]
    assert pair.device.log(run, DEVICE)[1:] == []


def test_a_policy_decides_for_each_peer() -> None:
    asked = []

    def clear(labels: object, peer: str) -> bool:
        asked.append((sorted(labels), peer))  # type: ignore[call-overload]
        return True

    pair, run = running(device={"clear": clear, "peer": "wss://w"})
    pair.device.append(run, Input("a", 4, "cleared"), labels=["pii"])
    assert pair.device.conn.put_graph(graph_hash(), GRAPH, ["pii"])
    pair.settle()
    assert set(map(repr, asked)) == {"(['pii'], 'wss://w')"}
    assert pair.worker.records(run, DEVICE)[1:] == [Input("a", 4, "cleared")]


def test_tokens_of_a_labelled_attempt_stay() -> None:
    pair, run = running()
    start = pair.worker.append(run, executing("a", labels=["pii"]))
    pair.worker.conn.delta(run, start, ["secret"])
    pair.settle()
    assert not [message for message in pair.said(WORKER) if isinstance(message, Delta)]


def test_a_policy_that_was_withdrawn_stops_a_graph_on_its_way() -> None:
    allowed = {"now": True}
    pair = Pair(device={"clear": lambda labels, peer: allowed["now"]})
    assert pair.device.conn.put_graph(graph_hash(), GRAPH, ["pii"])
    allowed["now"] = False
    pair.connect()
    pair.settle()
    assert not pair.worker.seen(GraphReceived)


# -- values that cannot travel are refused before they are in the log


@pytest.mark.parametrize(
    ("value", "says"),
    [("x" * 70_000, "bytes"), ([0] * 4097, "entries"), ({str(n): 0 for n in range(4097)}, "entries"), (b"x" * 66_000, "bytes")],
    ids=["text", "list", "map", "bytes"],
)
def test_a_value_over_the_limits_is_refused_with_a_reason(value: object, says: str) -> None:
    pair, run = running()
    with pytest.raises(LinkCondition, match=says) as caught:
        pair.device.conn.append(run, Input("node", 4, value))
    assert caught.value.condition == "VALUE_TOO_LARGE"
    assert "node" in caught.value.message
    pair.device.append(run, Close(None))
    pair.settle()
    assert pair.worker.records(run, DEVICE)[1:] == [Close(None)]


def nested(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [34, 35])
def test_depth_is_limited(levels: int) -> None:
    pair, run = running()
    if levels > 34:
        with pytest.raises(LinkCondition, match="nested"):
            pair.device.conn.append(run, Input("a", 4, nested(levels)))
        return
    pair.device.append(run, Input("a", 4, nested(levels)))
    pair.settle()
    assert pair.worker.records(run, DEVICE)[1:] == [Input("a", 4, nested(levels))]


def test_the_largest_record_travels() -> None:
    pair, run = running()
    pair.device.append(run, Input("a", 4, "x" * (64 * 1024 - 6)))
    with pytest.raises(LinkCondition):
        pair.device.conn.append(run, Input("a", 4, "x" * (64 * 1024 - 5)))
    pair.settle()
    assert len(pair.worker.records(run, DEVICE)) == 2
    assert not pair.worker.seen(Faulted)


# -- tokens and states


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


# -- liveness


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
