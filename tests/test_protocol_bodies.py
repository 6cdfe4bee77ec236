"""Bodies between two sessions: asked for, in order, from where they were, checked, refused."""

from __future__ import annotations

import random
from typing import Any

import pytest

from graphs.errors import LinkCondition
from graphs.records import Input, Result
from graphs.values import canonical, digest
from protocol import codec
from protocol.bodies import CHUNK, RANGE, RANGES
from protocol.events import BodyArrived, BodyFailed, Faulted
from protocol.messages import BlobChunk, BlobNeed, BlobState, BodyStatus, Entry
from protocol.payload import Reference, references
from wire.pair import DEVICE, STORES, WORKER, Pair, result, run_id, running

SIZE = 1_000_000


def text(size: int = SIZE, seed: int = 1) -> str:
    return random.Random(seed).randbytes(size // 2).hex()


def sent(**config: Any) -> tuple[Pair, Reference, bytes]:
    """A worker's large result is recorded at the device; nobody asked for its body yet."""
    pair, run = running(**config)
    pair.worker.append(run, Result("a", 1, 0, text(), 5, {}))
    pair.settle()
    (named,) = references(pair.device.records(run, WORKER)[-1])
    return pair, named, canonical(text())


def chunks(pair: Pair, side: str = WORKER) -> list[BlobChunk]:
    return [message for message in pair.said(side) if isinstance(message, BlobChunk)]


def test_a_body_that_nobody_asks_for_stays_where_it_is() -> None:
    pair, named, body = sent()
    assert named == Reference(digest(body), len(body))
    assert not chunks(pair)
    assert not pair.device.store.bodies


def test_a_body_arrives_when_it_is_wanted() -> None:
    pair, named, body = sent()
    pair.device.pull(named)
    pair.settle()
    assert pair.device.store.bodies == {named.ref: body}
    assert pair.device.seen(BodyArrived) == [BodyArrived(named.ref)]
    assert all(len(chunk.data) <= CHUNK for chunk in chunks(pair))
    assert [chunk.off for chunk in chunks(pair)] == list(range(0, len(body), CHUNK))
    assert pair.said(DEVICE)[-1] == BlobState(named.ref, BodyStatus.STORED, len(body))


def test_what_is_on_its_way_is_never_more_than_was_asked_for() -> None:
    pair, named, body = sent()
    pair.device.pull(named)
    pair.flush(DEVICE)
    needs = [message for _, packet in pair.wire[DEVICE] for message in codec.decode(packet) if isinstance(message, BlobNeed)]
    ranges = [each for need in needs for each in need.ranges]
    assert [each[2] for each in ranges] == [RANGE, RANGE, RANGE, len(body) - 3 * RANGE]
    assert len(ranges) == RANGES


def test_the_socket_holds_two_chunks_and_records_go_first() -> None:
    pair, named, _ = sent()
    pair.device.pull(named)
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    worker = pair.worker.conn
    pair.worker.append(run_id(1), result("b", "small"))
    first = codec.decode(worker.poll(pair.now, 0) or b"")
    assert isinstance(first[-1], Entry)
    chunk = codec.decode(worker.poll(pair.now, 0) or b"")
    assert isinstance(chunk[0], BlobChunk)
    assert worker.poll(pair.now, CHUNK + 1) is None
    assert (worker.deadline() or 0) <= pair.now + 10
    pair.worker.append(run_id(1), result("c", "small"))
    assert isinstance(codec.decode(worker.poll(pair.now, CHUNK + 1) or b"")[-1], Entry)
    assert worker.poll(pair.now, CHUNK) is not None


@pytest.mark.parametrize("lose", [True, False])
def test_a_body_goes_on_from_where_it_was(lose: bool) -> None:
    pair, named, body = sent()
    pair.device.pull(named)
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    pair.flush(WORKER)
    pair.deliver(WORKER, 5)
    held = len(pair.device.store.parts[named.ref])
    assert held == 5 * CHUNK
    pair.drop(lose=lose)
    pair.connect()
    pair.settle()
    assert pair.device.store.bodies == {named.ref: body}
    assert sum(len(chunk.data) for chunk in chunks(pair)) <= len(body) + (0 if lose else RANGES * RANGE)


@pytest.mark.parametrize("dies", [DEVICE, WORKER])
def test_a_crash_of_either_side_costs_nothing_that_was_kept(dies: str) -> None:
    pair, named, body = sent()
    pair.device.pull(named)
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    pair.flush(WORKER)
    pair.deliver(WORKER, 4)
    pair.drop(lose=True)
    pair.sides[dies].crash()
    before = sum(len(chunk.data) for chunk in chunks(pair))
    if dies == DEVICE:
        pair.device.pull(named)
    pair.connect()
    pair.settle()
    assert pair.device.store.bodies == {named.ref: body}
    assert sum(len(chunk.data) for chunk in chunks(pair)) == len(body)
    assert before == 4 * CHUNK


def test_a_body_that_is_here_is_not_asked_for() -> None:
    pair, named, _ = sent()
    pair.device.pull(named)
    pair.settle()
    count = len(chunks(pair))
    pair.device.pull(named)
    pair.settle()
    assert len(chunks(pair)) == count


def test_two_bodies_share_the_way() -> None:
    pair, run = running()
    pair.worker.append(run, Result("a", 1, 0, text(4_000_000), 5, {}))
    pair.worker.append(run, Result("b", 1, 0, text(300_000, 2), 5, {}))
    pair.settle()
    large, small = (references(record)[0] for record in pair.device.records(run, WORKER))
    pair.device.pull(large)
    pair.device.pull(small)
    pair.settle()
    order = [event.ref for event in pair.device.seen(BodyArrived)]
    assert order == [small.ref, large.ref]


def spoil(pair: Pair, ref: bytes) -> None:
    body = pair.worker.store.bodies[ref]
    pair.worker.store.bodies[ref] = body[:500] + b"!" + body[501:]


def test_a_damaged_body_is_asked_for_once_more_and_then_given_up() -> None:
    pair, named, body = sent()
    good = pair.worker.store.bodies[named.ref]
    spoil(pair, named.ref)
    pair.device.pull(named)
    pair.settle()
    assert [event.code for event in pair.device.seen(BodyFailed)] == ["BLOB_GONE"]
    assert sum(len(chunk.data) for chunk in chunks(pair)) == 2 * len(body)
    assert [event.code for event in pair.worker.seen(Faulted)] == ["BLOB_MISMATCH"] * 2
    assert not pair.device.store.bodies
    assert not pair.device.store.parts
    pair.worker.store.bodies[named.ref] = good
    pair.device.pull(named)
    pair.settle()
    assert pair.device.store.bodies == {named.ref: body}


def test_a_body_that_is_gone_says_so() -> None:
    pair, named, _ = sent()
    del pair.worker.store.bodies[named.ref]
    pair.device.pull(named)
    pair.settle()
    assert [event.code for event in pair.device.seen(BodyFailed)] == ["BLOB_GONE"]


def test_nobody_gets_what_no_record_refers_to() -> None:
    pair, _, _ = sent()
    secret = canonical("a value of another account")
    pair.worker.store.bodies[digest(secret)] = secret
    pair.device.pull(Reference(digest(secret), len(secret)))
    pair.device.pull(Reference(digest(b"nothing"), 7))
    pair.settle()
    assert [event.code for event in pair.device.seen(BodyFailed)] == ["BLOB_GONE"] * 2
    assert not chunks(pair)


def test_what_nobody_wants_any_more_stops() -> None:
    pair, named, _ = sent()
    pair.device.pull(named)
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    pair.device.told(pair.device.conn.drop_body(named.ref))
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    pair.settle()
    assert len(chunks(pair)) == 0
    assert not pair.device.seen(BodyFailed)


# -- labels


def labelled(allowed: dict[str, bool]) -> tuple[Pair, Reference, str]:
    """A device's labelled value, on record at a worker that was cleared for it."""
    pair, run = running(device={"clear": lambda labels, peer: allowed["now"]})
    value = text(seed=3)
    pair.device.append(run, Input("a", 4, value), labels=["pii"])
    pair.settle()
    (named,) = references(pair.worker.records(run, DEVICE)[-1])
    return pair, named, value


def packets(pair: Pair) -> bytes:
    return b"".join(codec.encode(message) for message in pair.said(DEVICE))


def test_a_labelled_body_is_checked_by_length_and_checksum() -> None:
    pair, named, value = labelled({"now": True})
    assert named.is_handle
    assert named.labels == ("pii",)
    pair.worker.pull(named)
    pair.settle()
    assert pair.worker.store.bodies == {named.ref: canonical(value)}
    assert [chunk.crc for chunk in chunks(pair, DEVICE)[:-1]] == [None] * (len(chunks(pair, DEVICE)) - 1)
    assert chunks(pair, DEVICE)[-1].crc is not None
    assert digest(canonical(value)) not in packets(pair)


def test_of_an_uncleared_body_no_byte_and_no_hash_is_on_the_wire() -> None:
    allowed = {"now": False}
    pair, run = running(device={"clear": lambda labels, peer: allowed["now"]})
    canary = text(seed=4)
    with pytest.raises(LinkCondition) as caught:
        pair.device.append(run, Input("a", 4, canary), labels=["pii"])
    assert caught.value.condition == "LABEL_WITHHELD"
    pair.settle()
    assert digest(canonical(canary)) not in packets(pair)
    pair.worker.pull(Reference(digest(canonical(canary)), len(canonical(canary))))  # a peer that has guessed it learns nothing
    pair.settle()
    assert [event.code for event in pair.worker.seen(BodyFailed)] == ["BLOB_GONE"]
    everything = packets(pair)
    assert not any(canary[at : at + 16].encode() in everything for at in range(0, len(canary), 1000))
    assert not pair.device.store.bodies


@pytest.mark.parametrize("when", ["asked", "read", "half"])
def test_a_clearance_that_ends_stops_a_body_at_any_point(when: str) -> None:
    allowed = {"now": True}
    pair, named, value = labelled(allowed)
    if when == "asked":
        allowed["now"] = False
    pair.worker.pull(named)
    pair.flush(WORKER)
    pair.deliver(WORKER)
    if when == "read":
        allowed["now"] = False
    first = pair.device.conn.poll(pair.now, 0)
    allowed["now"] = False
    if first is not None:
        pair.wire[DEVICE].append((pair.number, first))
    pair.settle()
    assert [event.code for event in pair.worker.seen(BodyFailed)] == ["LABEL_WITHHELD"]
    assert len(chunks(pair, DEVICE)) == (1 if when == "half" else 0)
    assert digest(canonical(value)) not in packets(pair)


def test_a_handle_nobody_has_is_withheld_too() -> None:
    pair, _ = running()
    pair.worker.pull(Reference(bytes(16), 10, ("pii",)))
    pair.settle()
    assert [event.code for event in pair.worker.seen(BodyFailed)] == ["LABEL_WITHHELD"]


# -- peers that lie


def hostile(pair: Pair, message: Any) -> list[Faulted]:
    pair.device.told(pair.device.conn.receive(pair.now, codec.encode(message), pair.number))
    return pair.device.seen(Faulted)


def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    pair, named, body = sent()
    pair.device.pull(named)
    pair.flush(DEVICE)
    assert not hostile(pair, BlobChunk(bytes(32), 0, 5, b"bytes"))
    assert not hostile(pair, BlobChunk(named.ref, CHUNK, len(body), b"later"))
    (fault,) = hostile(pair, BlobChunk(named.ref, 0, len(body), bytes(CHUNK + 1)))
    assert (fault.code, fault.close) == ("LIMIT_WINDOW", 4400)
    assert STORES[DEVICE]


@pytest.mark.parametrize("data", [b"", bytes(CHUNK + 1)])
def test_chunks_have_a_size(data: bytes) -> None:
    pair, named, body = sent()
    pair.device.pull(named)
    pair.flush(DEVICE)
    assert hostile(pair, BlobChunk(named.ref, 0, len(body), data))


def test_another_length_than_the_reference_says_is_a_mismatch() -> None:
    pair, named, body = sent()
    pair.device.pull(named)
    pair.flush(DEVICE)
    for _ in range(2):
        assert not hostile(pair, BlobChunk(named.ref, 0, len(body) + 1, b"lie"))
    assert [event.code for event in pair.device.seen(BodyFailed)] == ["BLOB_GONE"]


@pytest.mark.parametrize(
    "ranges",
    [
        [5],
        [[bytes(32), 0]],
        [[bytes(5), 0, 5]],
        [[bytes(32), -1, 5]],
        [[bytes(32), 0, 0]],
        [[bytes(32), 0, RANGE + 1]],
        [["text", 0, 5]],
    ],
)
def test_what_is_no_range_is_a_fault(ranges: list[Any]) -> None:
    pair, _, _ = sent()
    (fault,) = hostile(pair, BlobNeed(ranges))
    assert fault.code == "PROTOCOL_DECODE"


def test_nobody_may_ask_for_everything_at_once() -> None:
    pair, _, _ = sent()
    (fault,) = hostile(pair, BlobNeed([[bytes(32), 0, RANGE]] * 65))
    assert fault.code == "LIMIT_WINDOW"


def test_ranges_beyond_the_end_are_refused() -> None:
    pair, run = running()
    pair.device.append(run, Input("a", 4, text()))
    pair.settle()
    (named,) = references(pair.worker.records(run, DEVICE)[-1])
    assert not hostile(pair, BlobNeed([[named.ref, named.size, 5], [named.ref, 2**53 - 1, 5]]))
    pair.settle()
    states = [message for message in pair.said(DEVICE) if isinstance(message, BlobState)]
    assert [(state.ref, state.status) for state in states] == [(named.ref, BodyStatus.GONE)]
    assert not chunks(pair, DEVICE)
