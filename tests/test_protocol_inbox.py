"""What a peer says: rules it may break, types it may send, and what it offers."""

from __future__ import annotations

import pytest

from graphs.records import Close, Submit
from protocol import codec
from protocol.events import (
    Faulted,
    GoingAway,
    Got,
    Offered,
    Refused,
)
from protocol.messages import Ack, Delta, Entry, Fault, GraphState, Hello, Log, Ping, StateShown
from wire.pair import DEVICE, STORES, WORKER, connected, result, run_id, running

# -- rules a peer may break


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


@pytest.mark.parametrize("type_", [0x45, 0x2, 0x50, 0x0B])
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
    pair.worker.append(run, result("first"))
    pair.settle()
    packet = codec.encode(Log(7, run_id(99), STORES[WORKER], 1)) + codec.encode(entry(7, 1, result("x")))
    pair.device.told(pair.device.conn.receive(0, packet, 1))
    answer = codec.decode(pair.device.conn.poll(0, 0) or b"")
    assert [(fault.code, fault.fatal, fault.about) for fault in answer if isinstance(fault, Fault)] == [("RUN_UNKNOWN", False, 7)]
    pair.worker.append(run, result("a"))
    pair.settle()
    assert pair.device.records(run, WORKER) == [result("first"), result("a")]


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


def test_a_new_run_has_to_find_room_and_one_that_is_known_does_not() -> None:
    asked: list[bytes] = []
    answers: list[tuple[str, str, int | None] | None] = [None, ("QUOTA", "full", None)]

    def room(run: bytes) -> tuple[str, str, int | None] | None:
        asked.append(run)
        return answers[len(asked) - 1]

    pair = connected(worker={"room": room})
    first = pair.open()
    pair.settle()
    second = pair.open(2)
    pair.settle()
    assert asked == [first, second], "once for each new run"
    assert pair.device.seen(Refused) == [Refused(second, "QUOTA", "full", None)]
    assert len(pair.worker.records(first, DEVICE)) == 1
    assert pair.worker.records(second, DEVICE) == []


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
