"""Logs that two stores bring up to date without executing them: convergence, refusals, cuts, and what stands beside live runs."""

from __future__ import annotations

import random
from typing import Any

import pytest

from graphs.records import Encoded, Input, Result, chain, decode, encode
from graphs.values import digest
from protocol import codec
from protocol.copied_log import IN_FLIGHT
from protocol.digest import PAGE, Held
from protocol.errors import LocalProtocolError
from protocol.events import Copied, CopyRefused, Differs, DigestCame, Got, Synced
from protocol.messages import Digest, Entry, Fault, Log, RunId
from protocol.payload import blobref
from protocol.store import Keep
from wire.memory_store import MemoryStore
from wire.pair import DEVICE, STORES, WORKER, Pair, Side, connected, executing, result, run_id, running

THIRD = b"device-2"


def keep(store: MemoryStore, run: RunId, writer: bytes, *records: Any) -> None:
    """Put a log into a store, as if it had been there for long."""
    log = store.logs.setdefault((run, writer), [])
    store.shared.add(run)
    for each in records:
        encoded = each if isinstance(each, Encoded) else encode(each)
        log.append((encoded, chain(log[-1][1] if log else 0, encoded.type, encoded.tail)))


def sync(pair: Pair) -> None:
    """The device begins, both talk until nothing is left to be said."""
    pair.device.conn.copies.begin(pair.device.store.lines())
    pair.device.told(pair.device.conn.events())
    pair.settle()


def test_each_side_gets_what_it_lacks() -> None:
    pair = connected()
    mine, theirs, both = run_id(1), run_id(2), run_id(3)
    keep(pair.device.store, mine, STORES[DEVICE], *(result(f"a{n}") for n in range(3)))
    keep(pair.worker.store, theirs, THIRD, *(result(f"b{n}") for n in range(5)))
    keep(pair.device.store, both, STORES[DEVICE], result("c0"), result("c1"))
    keep(pair.worker.store, both, STORES[DEVICE], result("c0"))
    keep(pair.worker.store, both, STORES[WORKER], result("d0"))
    sync(pair)
    assert pair.device.store.logs == pair.worker.store.logs
    assert len(pair.device.seen(Synced)) == 1
    assert not [*pair.device.seen(Got), *pair.worker.seen(Got)], "a copy is no order, and no report"
    assert [event.seq for event in pair.worker.seen(Copied) if event.run == both] == [2]


def test_a_second_digest_moves_nothing() -> None:
    pair = connected()
    keep(pair.device.store, run_id(1), THIRD, result("a"))
    sync(pair)
    before = len(pair.trace)
    sync(pair)
    said = [message for _, messages in pair.trace[before:] for message in messages]
    assert [type(message) for message in said] == [Digest, Digest]
    assert len(pair.device.seen(Synced)) == 2


def test_many_logs_go_page_by_page() -> None:
    pair = connected()
    for number in range(2 * PAGE + 10):
        keep(pair.device.store if number % 3 else pair.worker.store, run_id(number + 1), THIRD, result("a"))
    pair.device.conn.copies.begin(pair.device.store.lines())
    pair.flush()
    assert sum(isinstance(each, Digest) for _, packet in pair.wire[DEVICE] for each in codec.decode(packet)) == 1
    for _ in range(200):
        pair.talk(1)
    assert pair.device.store.logs == pair.worker.store.logs
    assert pair.device.seen(Synced)


def test_a_log_that_contradicts_is_named_and_holds_up_nothing() -> None:
    pair = connected()
    bad, good = run_id(1), run_id(2)
    keep(pair.device.store, bad, THIRD, result("a", 1))
    keep(pair.worker.store, bad, THIRD, result("a", 2), result("b"))
    keep(pair.worker.store, good, THIRD, result("a"))
    before = list(pair.device.store.logs[bad, THIRD])
    sync(pair)
    assert pair.device.store.logs[bad, THIRD] == before
    assert (good, THIRD) in pair.device.store.logs
    assert [event.code for event in pair.device.seen(CopyRefused)] == ["RUN_DIVERGED"]
    assert pair.device.seen(Synced)


def test_nobody_has_more_of_a_log_than_its_writer() -> None:
    pair = connected()
    keep(pair.device.store, run_id(1), STORES[WORKER], result("a"))
    sync(pair)
    assert (run_id(1), STORES[WORKER]) not in pair.worker.store.logs
    assert [event.code for event in pair.device.seen(CopyRefused)] == ["RUN_DIVERGED"]


def test_a_log_that_is_refused_gets_a_fault_and_the_others_go_on() -> None:
    bad, good = run_id(1), run_id(2)
    refuse = ("RUN_UNKNOWN", "this run id cannot be opened", None)
    pair = connected(worker={"room": lambda run: refuse if run == bad else None})
    for run in (bad, good):
        keep(pair.device.store, run, STORES[DEVICE], result("a"), result("b"))
    sync(pair)
    assert set(pair.worker.store.logs) == {(good, STORES[DEVICE])}
    refused = pair.device.seen(CopyRefused)
    assert [(event.run, event.code, event.local) for event in refused] == [(bad, "RUN_UNKNOWN", False)]
    fault = next(message for message in pair.said(WORKER) if isinstance(message, Fault))
    alias = next(message.al for message in pair.said(DEVICE) if isinstance(message, Log) and message.run == bad)
    assert (fault.about, fault.fatal) == (alias, False)
    assert pair.device.seen(Synced), "a refused log ends what is waited for"


def test_a_quota_stops_one_log_where_it_is() -> None:
    pair = connected(worker={"accepts": lambda run, _kind, _size: "full" if run == run_id(1) else None})
    for number in (1, 2):
        keep(pair.device.store, run_id(number), STORES[DEVICE], result("a"), result("b"))
    sync(pair)
    assert set(pair.worker.store.logs) == {(run_id(2), STORES[DEVICE])}
    assert [event.code for event in pair.device.seen(CopyRefused)] == ["QUOTA"]
    assert pair.device.seen(Synced)


@pytest.mark.parametrize("giver", [DEVICE, WORKER])
def test_what_cannot_travel_is_said_on_both_sides(giver: str) -> None:
    pair = connected()
    side = pair.sides[giver]
    keep(side.store, run_id(1), THIRD, result("a"), result("b", "x" * 70_000))
    keep(side.store, run_id(2), THIRD, result("a"))
    sync(pair)
    other = pair.sides[WORKER if giver == DEVICE else DEVICE]
    assert (run_id(2), THIRD) in other.store.logs
    assert (run_id(1), THIRD) not in other.store.logs
    for each in (side, other):
        assert [event.code for event in each.seen(CopyRefused)] == ["VALUE_TOO_LARGE"]
    assert pair.device.seen(Synced)


def test_the_gate_is_asked_before_a_labelled_log_leaves() -> None:
    pair = connected()
    keep(pair.device.store, run_id(1), STORES[DEVICE], result("diary", "a secret"))

    def labelled(came: DigestCame) -> list[Held]:
        return [each._replace(labels=("private",)) for each in MemoryStore.held_logs(pair.device.store, came)]

    pair.device.store.held_logs = labelled  # type: ignore[method-assign]
    sync(pair)
    assert not pair.worker.store.logs
    assert [event.code for event in pair.device.seen(CopyRefused)] == ["LABEL_WITHHELD"]
    assert b"a secret" not in b"".join(packet for _, packet in pair.wire[DEVICE])
    assert not [message for message in pair.said(DEVICE) if isinstance(message, Entry)]


@pytest.mark.parametrize("then", [{"labels": ("private",)}, {"gives": False}, {"last": 0, "chk": 0}])
def test_who_asked_for_a_log_that_is_not_given_after_all_does_not_wait_for_it(then: dict[str, Any]) -> None:
    pair = connected()
    keep(pair.worker.store, run_id(1), THIRD, result("a"))
    keep(pair.worker.store, run_id(2), THIRD, result("a"))

    def changed(came: DigestCame) -> list[Held]:
        """What the worker holds when it is asked for what it said before."""
        held = MemoryStore.held_logs(pair.worker.store, came)
        return [each._replace(**then) if came.answer and each.run == run_id(1) else each for each in held]

    pair.worker.store.held_logs = changed  # type: ignore[method-assign]
    sync(pair)
    assert set(pair.device.store.logs) == {(run_id(2), THIRD)}
    assert [(event.run, event.code) for event in pair.device.seen(CopyRefused)] == [(run_id(1), "RUN_UNKNOWN")]
    assert pair.device.seen(Synced)


def test_what_goes_along_with_a_log_is_told_with_its_records() -> None:
    pair = connected()
    keep(pair.device.store, run_id(1), STORES[DEVICE], result("a"))

    def named(came: DigestCame) -> list[Held]:
        return [each._replace(about={"name": "trip.yaml"}) for each in MemoryStore.held_logs(pair.device.store, came)]

    pair.device.store.held_logs = named  # type: ignore[method-assign]
    sync(pair)
    assert [event.about for event in pair.worker.seen(Copied)] == [{"name": "trip.yaml"}]


def test_live_runs_go_first() -> None:
    pair, run = running()
    keep(pair.device.store, run_id(9), THIRD, *(result(f"a{n}", "x" * 1_000) for n in range(500)))
    pair.device.conn.copies.begin(pair.device.store.lines())
    pair.talk(2)
    pair.device.append(run, Input("live", 4, 1))
    pair.flush(DEVICE)
    entries = [each for _, packet in pair.wire[DEVICE] for each in codec.decode(packet) if isinstance(each, Entry)]
    live = next(index for index, each in enumerate(entries) if isinstance(each.record, Input))
    assert all(isinstance(each.record, Result) for each in entries[:live])
    assert live <= 64, "a packet, at most, of what is only copied"


def test_a_digest_needs_a_connection_and_is_alone() -> None:
    side = Side(DEVICE)
    with pytest.raises(LocalProtocolError):
        side.conn.copies.begin([])
    pair = connected()
    pair.device.conn.copies.begin([])
    with pytest.raises(LocalProtocolError):
        pair.device.conn.copies.begin([])


@pytest.mark.parametrize(
    "logs",
    [[[run_id(1), THIRD, 1, 1], [run_id(1), b"device-1", 1, 1]], [[b"", THIRD, 1, 1]]],
)
def test_a_digest_that_is_none_closes(logs: list[object]) -> None:
    pair = connected()
    pair.worker.told(pair.worker.conn.receive(0, codec.encode(Digest(1, False, logs, False)), 1))
    assert pair.worker.conn.closing == 4400


def faults(side: Side) -> list[str]:
    packets = iter(lambda: side.conn.poll(0, 0), None)
    return [each.code for packet in packets for each in codec.decode(packet) if isinstance(each, Fault)]


def test_pages_that_do_not_wait_for_their_answers_close() -> None:
    """Else a packet of small pages asked for more than memory holds."""
    pair = connected()
    pages = b"".join(codec.encode(Digest(number, False, [], False)) for number in range(1, 1_000))
    pair.worker.told(pair.worker.conn.receive(0, pages, 1))
    assert pair.worker.conn.closing == 4400
    assert faults(pair.worker) == ["LIMIT_CONTROL"]


def test_a_peer_that_asks_again_and_does_not_read_is_told_so_and_closed() -> None:
    pair = connected()
    for number in range(8_000):
        keep(pair.worker.store, run_id(number), THIRD, result("b"))
    for number in range(1, 4):
        pair.worker.told(pair.worker.conn.receive(0, codec.encode(Digest(number, False, [], False)), 1))
    assert pair.worker.conn.closing == 4400
    assert faults(pair.worker)[-1] == "LIMIT_CONTROL"


def test_records_that_nobody_asked_for_are_refused() -> None:
    pair = connected()
    packet = codec.encode(Log(1, run_id(5), THIRD, 1))
    pair.worker.told(pair.worker.conn.receive(0, packet, 1))
    answer = codec.decode(pair.worker.conn.poll(0, 0) or b"")[0]
    assert isinstance(answer, Fault)
    assert answer.code == "RUN_UNKNOWN"


@pytest.mark.parametrize("seed", range(60))
def test_two_stores_converge_whatever_is_cut(seed: int) -> None:
    chance = random.Random(seed)
    pair = connected()
    live = pair.open(77)
    pair.settle()
    writers = [STORES[DEVICE], STORES[WORKER], THIRD]
    union: dict[Any, list[Any]] = {}
    for number in range(chance.randrange(1, 12)):
        for writer in chance.sample(writers, chance.randrange(1, 4)):
            records = [executing(f"n{n}") if n % 4 == 0 else result(f"n{n}", "y" * chance.randrange(2_000)) for n in range(30)]
            length = chance.randrange(1, 30)
            shorter = chance.randrange(length + 1)
            device = (
                length if writer == STORES[DEVICE] else shorter if writer == STORES[WORKER] else chance.choice([length, shorter])
            )
            worker = shorter if device == length and writer != STORES[WORKER] else length
            run = run_id(number + 1)
            for store, count in ((pair.device.store, device), (pair.worker.store, worker)):
                if count:
                    keep(store, run, writer, *records[:count])
            store = pair.device.store if device >= worker else pair.worker.store
            union[run, writer] = list(store.logs[run, writer])
    for _ in range(chance.randrange(6)):
        pair.device.conn.copies.begin(pair.device.store.lines())
        for _ in range(chance.randrange(8)):
            pair.flush(chance.choice([None, DEVICE, WORKER]))
            pair.deliver(chance.choice([DEVICE, WORKER]), chance.randrange(3))
            if chance.random() < 0.5:
                chance.choice([pair.device, pair.worker]).commit()
        if chance.random() < 0.3:
            chance.choice([pair.device, pair.worker]).crash()
        pair.drop(lose=chance.random() < 0.7)
        pair.connect()
        pair.settle()
    sync(pair)
    for side in (pair.device, pair.worker):
        logs = {key: log for key, log in side.store.logs.items() if key[0] != live}
        assert logs == union, f"seed {seed}"
        assert not side.seen(CopyRefused), f"seed {seed}"
    assert pair.device.seen(Synced), f"seed {seed}"


def test_a_body_is_never_later_than_the_record_that_names_it() -> None:
    pair = connected()
    body = b"\xc5\x07\xd0" + b"z" * 2_000
    ref = digest(body)
    pair.device.store.write([Keep(run_id(1), ref, body, (), 0)])
    keep(pair.device.store, run_id(1), THIRD, result("a"), result("large", blobref(ref, len(body))), result("b"))
    pair.device.conn.copies.begin(pair.device.store.lines())
    for _ in range(40):
        pair.now += 20
        pair.talk(1)
        taken = [decode(each.type, each.tail) for each, _ in pair.worker.store.logs.get((run_id(1), THIRD), ())]
        assert len(taken) < 2 or ref in pair.worker.store.bodies
    assert pair.device.store.logs == pair.worker.store.logs
    assert pair.device.seen(Synced)


def test_what_is_under_way_is_bounded() -> None:
    pair = connected()
    for number in range(10):
        keep(pair.device.store, run_id(number + 1), THIRD, *(result(f"a{n}", "x" * 60_000) for n in range(60)))
    pair.device.conn.copies.begin(pair.device.store.lines())
    pair.talk(1)
    pair.talk(1)
    pair.flush()
    flying = sum(len(packet) for _, packet in pair.wire[DEVICE])
    assert IN_FLIGHT / 2 < flying < IN_FLIGHT + (1 << 20)
    pair.settle()
    assert pair.device.store.logs == pair.worker.store.logs


def test_a_digest_may_only_look() -> None:
    pair = connected()
    keep(pair.device.store, run_id(1), THIRD, result("a"), result("b"))
    keep(pair.worker.store, run_id(1), THIRD, result("a"))
    keep(pair.worker.store, run_id(2), THIRD, result("a"))
    keep(pair.device.store, run_id(3), THIRD, result("a"))
    before = (dict(pair.device.store.logs), dict(pair.worker.store.logs))
    pair.device.conn.copies.begin(pair.device.store.lines(), look=True)
    pair.settle()
    assert (pair.device.store.logs, pair.worker.store.logs) == before
    assert {(event.run, event.here, event.there) for event in pair.device.seen(Differs)} == {
        (run_id(1), 2, 1), (run_id(2), 0, 1), (run_id(3), 1, 0),
    }  # fmt: skip
    assert pair.device.seen(Synced)
    sync(pair)
    assert pair.device.store.logs == pair.worker.store.logs


def test_a_log_that_grows_while_it_is_given_comes_as_far_as_the_next_digest_says() -> None:
    """Its writer works on the run: the answer to each digest names more than what is on its way for the one before."""
    pair, run = connected(), run_id(1)
    worker, count = pair.worker.store, 0

    def grows(came: DigestCame) -> list[Held]:
        nonlocal count
        count += 1
        body = b"\xc5\x07\xd0" + bytes([count]) * 2_000
        worker.write([Keep(run, digest(body), body, (), 0)])
        keep(worker, run, THIRD, result(f"n{count}", blobref(digest(body), len(body))))
        return MemoryStore.held_logs(worker, came)

    worker.held_logs = grows  # type: ignore[method-assign]
    for number in range(1, 6):
        pair.device.conn.copies.begin(pair.device.store.lines())
        for _ in range(60):
            if len(pair.device.seen(Synced)) == number:
                break
            pair.now += 20
            pair.talk(1)
        assert len(pair.device.seen(Synced)) == number
    pair.settle()
    assert pair.device.store.logs == worker.logs
