"""A hostile peer: no bytes make the core raise anything but its typed faults, change what is durable, or take memory beyond its limits."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st

from fuzz import target
from fuzz.packets import BOMBS, hostile_packets, pack
from fuzz.victim import STATES, Victim, attack
from graphs.values import digest
from protocol import codec
from protocol.errors import FAULTS, RemoteProtocolError
from protocol.events import DeltaSeen, Faulted
from protocol.messages import Fault, Message
from wire.pair import DEVICE, DEVICE_ID, STORES, WORKER, run_id

ROLES = (DEVICE, WORKER)
MIB = 1 << 20


def read(packet: bytes) -> tuple[list[Message], str | None]:
    """The messages of a packet, or the fault that refuses it."""
    try:
        return codec.decode(packet), None
    except RemoteProtocolError as error:
        return [], error.fault


@given(packet=hostile_packets)
@example(packet=bytes.fromhex("921391c70005"))  # no value where a message has a map
@settings(max_examples=150)
def test_the_codec_gives_messages_or_a_fault(packet: bytes) -> None:
    messages, fault = read(packet)
    assert fault is None or fault in FAULTS
    for message in messages:
        if type(message).__name__ != "Unhandled":
            again = codec.decode(codec.encode(message))
            assert again == [message] or repr(again) == repr([message])  # a NaN among the tokens is not equal to itself


@given(role=st.sampled_from(ROLES), state=st.sampled_from(STATES), packets=st.lists(hostile_packets, max_size=8))
@settings(max_examples=150)
def test_a_session_takes_anything_and_still_works_afterwards(role: str, state: str, packets: list[bytes]) -> None:
    attack(role, state, packets).check()


def peak(work: Callable[[], object]) -> int:
    """Bytes held at the most while this ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_a_bounded_multiple_of_its_packet(name: str) -> None:
    assert len(BOMBS[name]) <= codec.MAX_PACKET
    assert peak(lambda: read(BOMBS[name])) < 32 * MIB


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("role", ROLES)
def test_a_session_survives_a_bomb(role: str, name: str) -> None:
    victim = Victim(role, "streaming")
    assert peak(lambda: victim.feed(BOMBS[name])) < 64 * MIB
    victim.check()


# -- floods: what a peer can make this side keep


def flood(victim: Victim, packets: Iterator[bytes], *, reads: bool) -> int:
    """Bytes that the victim holds after these packets more than before; `reads`: whether the peer takes what it is sent."""
    side, pair = victim.side, victim.pair
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for packet in packets:
            pair.now += 1
            side.conn.receive(pair.now, packet, pair.number)
            while reads and side.conn.poll(pair.now, 0) is not None:
                pass
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def full(envelope: Callable[[int], list[object]], packets: int = 2) -> Iterator[bytes]:
    """Packets of the largest size, of numbered envelopes."""
    number = 0
    for _ in range(packets):
        parts: list[bytes] = []
        size = 0
        while size < 64 * 1024:
            number += 1
            parts.append(pack(envelope(number)))
            size += len(parts[-1])
        yield b"".join(parts)


FLOODS: dict[str, tuple[str, Callable[[int], list[object]]]] = {
    "PINGs": (WORKER, lambda n: [3, n, n]),
    "types nobody speaks": (DEVICE, lambda n: [0x50]),
    "LOGs of runs that nobody opened": (WORKER, lambda n: [6, n, run_id(10_000 + n), STORES[DEVICE], 1]),
    "LOGs of runs a device does not know": (DEVICE, lambda n: [6, n, run_id(10_000 + n), STORES[WORKER], 1]),
    "LOGs of one run": (DEVICE, lambda n: [6, n, run_id(1), STORES[WORKER], 1]),
    "LOGs of a third store": (WORKER, lambda n: [6, n, run_id(1), b"third-st", 1]),
    "verdicts about graphs nobody sent": (DEVICE, lambda n: [0x11, digest(n.to_bytes(8, "big")), 0]),
    "questions for graphs nobody has": (DEVICE, lambda n: [0x11, digest(n.to_bytes(8, "big")), 1]),
    "graphs that are none": (WORKER, lambda n: [0x10, digest(n.to_bytes(8, "big")), 0, b"x", 1]),
    "faults": (DEVICE, lambda n: [8, "NO_SUCH_CODE", "x", False]),
}


@pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_leaves_little_behind(name: str, reads: bool) -> None:
    role, envelope = FLOODS[name]
    victim = Victim(role, "running")
    assert flood(victim, full(envelope), reads=reads) < MIB
    victim.check()


def test_a_peer_that_does_not_read_its_answers_is_told_once_and_closed() -> None:
    victim = Victim(WORKER, "running")
    for _ in range(2):
        victim.side.conn.receive(victim.pair.now, pack([3, 2**40, 2**40]) * 12_000, victim.pair.number)
    conn = victim.side.conn
    assert conn.closing == 4400
    (fault,) = [message for message in codec.decode(conn.poll(victim.pair.now, 0) or b"") if isinstance(message, Fault)]
    assert fault.code == "LIMIT_CONTROL"
    assert conn.poll(victim.pair.now, 0) is None


def test_aliases_rise() -> None:
    victim = Victim(DEVICE, "greeted")
    victim.feed(pack([6, 5, run_id(9), STORES[WORKER], 1]))
    assert victim.side.seen(Faulted) == []
    victim.feed(pack([6, 5, run_id(9), STORES[WORKER], 1]))
    assert [event.code for event in victim.side.seen(Faulted)] == ["PROTOCOL_ALIAS"]


def test_records_of_a_log_that_is_not_taken_are_dropped() -> None:
    victim = Victim(DEVICE, "greeted")
    victim.feed(pack([6, 3, run_id(9), STORES[WORKER], 1], [0x24, 3, 1], [0x24, 2, 1]))
    assert victim.side.seen(Faulted) == []
    victim.feed(pack([0x24, 4, 1]))
    assert [event.code for event in victim.side.seen(Faulted)] == ["PROTOCOL_ALIAS"]


def test_tokens_that_count_for_more_than_a_number_can_hold_are_none() -> None:
    victim = Victim(DEVICE, "streaming")
    before = len(victim.side.seen(DeltaSeen))
    victim.feed(pack([0x38, 1, 2, 2, ["x"], 2**53 - 1]))
    assert len(victim.side.seen(DeltaSeen)) == before
    victim.pair.drop(lose=True)
    victim.pair.connect()
    victim.pair.settle()
    assert victim.pair.worker.seen(Faulted) == []


def test_a_hello_whose_answer_fits_into_no_packet_is_a_fault() -> None:
    victim = Victim(WORKER, "running")
    side, pair = victim.side, victim.pair
    pair.drop()
    pair.connect()
    side.conn.offer({"models": {f"m{number}": {"digest": "x" * 64} for number in range(820)}})
    logs = [[run_id(1), STORES[DEVICE], 1, 1]] * 2048
    hello = {
        "v": [1, 1],
        "device": DEVICE_ID,
        "store": STORES[DEVICE],
        "conn": pair.number,
        "logs": logs,
        "limits": {"packet": 131_072},
    }
    assert len(pack([1, hello])) <= 131_072
    side.told(side.conn.receive(pair.now, pack([1, hello]), pair.number))
    assert [event.code for event in side.seen(Faulted)] == ["LIMIT_PACKET"]
    assert side.conn.closing == 4413


@pytest.mark.parametrize(
    "offer", [{"models": 5}, {"models": {"large": 1}}, {"agents": ["echo"]}, {"queue": -1}, {"slots": "4"}], ids=repr
)
def test_an_offer_that_placement_could_not_read_is_a_fault(offer: dict[str, object]) -> None:
    victim = Victim(DEVICE, "running")
    victim.side.told(victim.side.conn.receive(victim.pair.now, pack([10, offer]), victim.pair.number))
    assert [event.code for event in victim.side.seen(Faulted)] == ["PROTOCOL_DECODE"]
    fresh = Victim(DEVICE, "fresh")
    welcome = {"v": 1, "store": STORES[WORKER], "hb_ms": 15_000, "logs": [], "offer": offer}
    fresh.side.told(fresh.side.conn.receive(fresh.pair.now, pack([2, welcome]), fresh.pair.number))
    assert [event.code for event in fresh.side.seen(Faulted)] == ["PROTOCOL_HANDSHAKE"]


def test_the_target_of_the_coverage_guided_fuzzer_runs_from_its_seeds(tmp_path: Path) -> None:
    target.seeds(tmp_path)
    inputs = [each.read_bytes() for each in tmp_path.iterdir()]
    assert len(inputs) > 40
    for each in inputs[:10]:
        assert target.packets(each)[2]
        target.one_input(each)
