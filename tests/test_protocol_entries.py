"""Records that come: one by one or many in a packet, those that were here before, and those that must not come."""

from __future__ import annotations

import pytest

from graphs.records import Close, End, Known, Start, Submit, encode
from protocol import codec
from protocol.events import Faulted, Got
from protocol.messages import Ack, Entry, Fault, Log
from protocol.store import Write
from wire.pair import DEVICE, STORES, WORKER, Pair, connected, result, run_id, running

SUBMIT = Submit("", bytes(32), {}, {})


def entry(al: int, seq: int, record: Known) -> Entry:
    """A record on the wire."""
    return Entry(al, seq, encode(record), record)


def log(al: int, number: int) -> Log:
    """A run's log of the device is announced."""
    return Log(al, run_id(number), STORES[DEVICE], 1)


def come(pair: Pair, *messages: Log | Entry) -> None:
    """These come to the worker in one packet."""
    pair.worker.told(pair.worker.conn.receive(pair.now, b"".join(map(codec.encode, messages)), pair.number))


def test_records_of_several_logs_in_one_packet_each_come_into_theirs() -> None:
    pair = connected()
    come(
        pair,
        log(1, 1),
        log(2, 2),
        entry(1, 1, SUBMIT),
        entry(2, 1, SUBMIT),
        entry(2, 2, Start("b", 1)),
        entry(1, 2, Start("a", 1)),
    )
    pair.worker.commit()
    assert pair.worker.records(run_id(1), DEVICE) == [SUBMIT, Start("a", 1)]
    assert pair.worker.records(run_id(2), DEVICE) == [SUBMIT, Start("b", 1)]
    order = [(event.run, event.seq) for event in pair.worker.seen(Got)]
    assert order == [(run_id(1), 1), (run_id(2), 1), (run_id(2), 2), (run_id(1), 2)]
    assert codec.decode(pair.worker.conn.poll(0, 0) or b"") == [Ack(((1, 2), (2, 2)))]


def test_what_is_here_already_is_acknowledged_again_and_what_follows_it_is_taken() -> None:
    pair = connected()
    come(pair, log(1, 1), entry(1, 1, SUBMIT), entry(1, 2, Start("a", 1)))
    pair.worker.commit()
    assert pair.worker.conn.poll(0, 0)
    come(pair, entry(1, 1, SUBMIT), entry(1, 2, Start("a", 1)), entry(1, 3, Close(None)), entry(1, 3, Close(None)))
    pair.worker.commit()
    assert pair.worker.records(run_id(1), DEVICE) == [SUBMIT, Start("a", 1), Close(None)]
    assert codec.decode(pair.worker.conn.poll(0, 0) or b"") == [Ack(((1, 3),))]


def test_what_was_refused_does_not_make_the_next_record_the_first_one() -> None:
    full = ["no room"]
    pair = connected(worker={"accepts": lambda *_: full.pop() if full else None})
    come(pair, log(1, 1), entry(1, 1, SUBMIT), entry(1, 2, Start("a", 1)))
    answers = codec.decode(pair.worker.conn.poll(0, 0) or b"")
    assert [(fault.code, fault.about) for fault in answers if isinstance(fault, Fault)] == [("QUOTA", 1)]
    come(pair, log(2, 1), entry(2, 1, Start("a", 1)))
    assert [(event.code, event.close) for event in pair.worker.seen(Faulted)] == [("PROTOCOL_ORDER", 4400)]
    assert pair.worker.conn.effects() == []


def test_a_fault_in_the_middle_of_a_packet_takes_nothing_back() -> None:
    pair = connected()
    come(pair, log(1, 1), entry(1, 1, SUBMIT), entry(1, 2, Start("a", 1)), entry(1, 4, Start("b", 1)))
    assert [event.code for event in pair.worker.seen(Faulted)] == ["GAP"]
    pair.worker.commit()
    assert pair.worker.records(run_id(1), DEVICE) == [SUBMIT, Start("a", 1)]


@pytest.mark.parametrize("alias", [0, 9])
def test_a_record_of_an_alias_that_nobody_gave_is_a_fault(alias: int) -> None:
    pair = connected()
    come(pair, log(1, 1), entry(1, 1, SUBMIT), entry(alias, 2, Start("a", 1)))
    assert [event.code for event in pair.worker.seen(Faulted)] == ["PROTOCOL_ALIAS"]


def test_a_record_after_end_is_a_fault() -> None:
    pair, run = running()
    pair.worker.append(run, End(0, 5, {}))
    pair.flush()
    pair.deliver(WORKER)
    pair.device.told(pair.device.conn.receive(pair.now, codec.encode(entry(1, 2, result("a"))), pair.number))
    assert pair.device.seen(Faulted)[-1].code == "PROTOCOL_ORDER"


@pytest.mark.parametrize("limits", [codec.Limits(window=4), codec.Limits(window_bytes=50)], ids=["records", "bytes"])
def test_more_records_than_the_window_are_a_fault(limits: codec.Limits) -> None:
    pair = connected(worker={"limits": limits})
    come(pair, log(1, 1), entry(1, 1, SUBMIT), *(entry(1, seq, Start("a", 1)) for seq in (2, 3)))
    assert pair.worker.conn.closing is None
    come(pair, *(entry(1, seq, Start("a", 1)) for seq in range(4, 8)))
    assert pair.worker.seen(Faulted)[-1].code == "LIMIT_WINDOW"


def test_records_are_told_when_they_are_durable_and_none_before_though_others_are() -> None:
    pair = connected()
    worker = pair.worker
    come(pair, log(1, 1), log(2, 2), entry(1, 1, SUBMIT), entry(2, 1, SUBMIT))
    worker.conn.append(run_id(1), result("a"))
    come(pair, entry(2, 2, Start("b", 1)), entry(1, 2, Start("a", 1)))
    taken = list(worker.conn.effects())
    assert [effect.writer for effect in taken if isinstance(effect, Write)] == [
        STORES[each] for each in (DEVICE, DEVICE, WORKER, DEVICE, DEVICE)
    ]
    told = []
    for count in (2, 2, 1):
        worker.store.write(taken[:count])
        del taken[:count]
        told.append([(event.run, event.seq) for event in worker.conn.committed(count) if isinstance(event, Got)])
        # the rest is not durable, and counts as such
        assert worker.conn.unwritten == sum(
            len(effect.tail) for effect in taken if isinstance(effect, Write) and effect.writer == STORES[DEVICE]
        )
    assert told == [[(run_id(1), 1), (run_id(2), 1)], [(run_id(2), 2)], [(run_id(1), 2)]]
    assert codec.decode(worker.conn.poll(0, 0) or b"")[0] == Ack(((1, 2), (2, 2)))


def test_what_was_acknowledged_makes_room_in_the_window_and_what_only_came_does_not() -> None:
    pair = connected(worker={"limits": codec.Limits(window=3)})
    come(pair, log(1, 1), entry(1, 1, SUBMIT), entry(1, 2, Start("a", 1)))
    taken = pair.worker.conn.effects()
    come(pair, entry(1, 3, Start("a", 1)))  # while the first two are being written
    pair.worker.store.write(taken)
    pair.worker.told(pair.worker.conn.committed(len(taken)))
    assert pair.worker.conn.unwritten == len(encode(Start("a", 1)).tail)
    assert codec.decode(pair.worker.conn.poll(0, 0) or b"") == [Ack(((1, 2),))]
    come(pair, entry(1, 4, Start("a", 1)), entry(1, 5, Start("a", 1)))
    assert pair.worker.conn.closing is None
    come(pair, entry(1, 6, Start("a", 1)))
    assert pair.worker.seen(Faulted)[-1].code == "LIMIT_WINDOW"
