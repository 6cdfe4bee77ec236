"""The codec: packets survive, limits hold to the byte, and no bytes raise anything but RemoteProtocolError."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import msgpack
import pytest
from hypothesis import given, settings, strategies as st

from graphs.records import MAX_UINT, Answer, Close, Input, Result, Start, encode as encode_record
from protocol import codec
from protocol.codec import MAX_PACKET, MAX_RECORD, decode, encode, encode_entry, uint
from protocol.config import Config, Role
from protocol.errors import FAULTS, RemoteProtocolError
from protocol.messages import (
    CATALOGUE,
    Ack,
    BlobChunk,
    BlobNeed,
    BlobState,
    Delta,
    Digest,
    Entry,
    Fault,
    GoAway,
    GraphState,
    Hello,
    Log,
    Message,
    Offer,
    Ping,
    Pong,
    PutGraph,
    StateShown,
    Unhandled,
    Welcome,
)
from protocol.session import Conn
from wire.pair import DEVICE_ID, STORES, WORKER, Pair, run_id


def entry(al: int, seq: int, record: Any) -> Entry:
    return Entry(al, seq, encode_record(record), record)


EXAMPLES: list[Message] = [
    Hello({"v": [1, 1], "logs": []}),
    Welcome({"v": 1, "offer": {"models": {"large": {"context": 4096}}}}),
    Ping(1, 123456789),
    Pong(1, 123456789, 5),
    Ack(((1, 2), (300, 70000))),
    Log(1, run_id(7), STORES[WORKER], 3),
    GoAway("restart", 5000, 30000),
    Fault("BUSY", "full", False, 1, 500),
    Fault("GAP", "x", True),
    Fault("RUN_DIVERGED", "x", False, [run_id(1), STORES[WORKER]]),
    Offer({"queue": 3}),
    PutGraph(bytes(32), 1, b"packed", 900),
    GraphState(bytes(32), 2, [["a.b", "AGENT_UNKNOWN", "no such agent"]]),
    GraphState(bytes(32), 0),
    BlobNeed([[bytes(32), 0, 262_144], [bytes(16), 65_536, 1]]),
    BlobChunk(bytes(32), 0, 5, b"bytes"),
    BlobChunk(bytes(16), 65_536, 65_541, b"bytes", 0xFFFFFFFF),
    BlobState(bytes(32), 3, 0),
    PutGraph(bytes(32), 1, msgpack.ExtType(1, b"\x92"), 900_000),
    Delta(1, 3, 0, ["The", " tide"]),
    Delta(1, 3, 2, [" rises and falls"], 3),
    Delta(1, 3, 2, [{"row": [1, 2]}, b"\x00"]),
    StateShown(1, "chat#2", 1, 2, 1_700_000_000_000),
    Log(2, bytes(16), bytes(8), 1, {"name": "g.yaml"}),
    Digest(1, False, [], False),
    Digest(1, True, [[bytes(16), bytes(8), 7, 0xFFFFFFFF, 3]], True),
    entry(1, 1, Start("a", 1)),
    entry(1000, 70_000, Input("a", 4, {"x": [1.5, None, b"y"]})),
    entry(1, 2, Close(None)),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=repr)
def test_a_message_survives_its_bytes(message: Message) -> None:
    assert decode(encode(message)) == [message]


def test_every_spoken_type_has_an_example() -> None:
    spoken = {kind.message for kind in CATALOGUE.values() if kind.message is not None}
    assert spoken == {type(message) for message in EXAMPLES}


@pytest.mark.parametrize("alias", [0, 127, 128, 300])
@pytest.mark.parametrize("seq", [0, 127, 128, 255, 256, 65_535, 65_536, MAX_UINT])
def test_an_ack_of_one_log_is_read_alone_and_before_other_messages(alias: int, seq: int) -> None:
    ack = Ack(((alias, seq),))
    ping = Ping(1, 2)
    wide = b"\x93\x05" + b"".join(b"\xcf" + number.to_bytes(8, "big") for number in (alias, seq))  # a peer need not be brief
    for envelope in (encode(ack), wide):
        assert decode(envelope) == [ack]
        assert decode(envelope + encode(ping) + envelope) == [ack, ping, ack]
    with pytest.raises(RemoteProtocolError):
        decode(encode(ack)[:-1])


def test_a_packet_is_envelopes_one_after_the_other() -> None:
    assert decode(b"".join(map(encode, EXAMPLES))) == EXAMPLES


def test_a_records_bytes_are_the_same_whatever_numbers_stand_before_them() -> None:
    record = encode_record(Result("a", 1, 0, {"x": 1}, 5, {}))
    for al, seq in [(1, 1), (127, 128), (255, 256), (65_535, 65_536), (2**32, 2**53 - 1)]:
        message = decode(encode_entry(uint(al), seq, record))[0]
        assert isinstance(message, Entry)
        assert (message.al, message.seq, message.encoded) == (al, seq, record)


def test_a_peer_need_not_write_numbers_shortly() -> None:
    record = encode_record(Start("a", 1))
    packet = b"\xdc\x00\x05\x23\xcf" + (7).to_bytes(8, "big") + b"\xd3" + (9).to_bytes(8, "big") + record.tail
    message = decode(packet)[0]
    assert isinstance(message, Entry)
    assert (message.al, message.seq, message.encoded.tail) == (7, 9, record.tail)
    assert decode(b"\xdd\x00\x00\x00\x03\x03\x01\x02") == [Ping(1, 2)]


def test_fields_a_newer_peer_added_are_ignored_and_kept_in_records() -> None:
    assert decode(b"\x94\x03\x01\x02\xa1x") == [Ping(1, 2)]
    message = decode(b"\x96\x23\x01\x05\xa1a\x01\xa3new")[0]
    assert isinstance(message, Entry)
    assert message.record == Start("a", 1)
    assert (message.encoded.fields, message.encoded.tail) == (3, b"\xa1a\x01\xa3new")
    assert encode(message) == b"\x96\x23\x01\x05\xa1a\x01\xa3new"


def test_unknown_types_are_records_skipped_or_unhandled() -> None:
    unknown = decode(b"\x94\x36\x01\x05\x07")[0]
    assert isinstance(unknown, Entry)
    assert encode(unknown) == b"\x94\x36\x01\x05\x07"
    for type_ in (0x3A, 0x3F, 0x60, 0x6F, 0x70, 0x7F):
        assert decode(bytes((0x91, type_))) == []
    for type_ in (0x00, 0x09, 0x12, 0x16, 0x1F, 0x40, 0x45, 0x5F):
        assert decode(bytes((0x91, type_))) == [Unhandled(type_)]


def test_an_extension_in_a_value_is_kept_and_elsewhere_a_fault() -> None:
    value = {"x": msgpack.ExtType(42, b"later")}
    message = decode(encode(entry(1, 1, Answer("a", 1, value))))[0]
    assert isinstance(message, Entry)
    assert message.record == Answer("a", 1, value)
    assert fault(b"\x93\x03\x01" + msgpack.packb(msgpack.ExtType(42, b"x"))) == "PROTOCOL_DECODE"


_LONG = bytes(range(256)) * 200


@given(
    st.sampled_from((16, 32)),
    st.integers(0, MAX_UINT),
    st.integers(0, MAX_UINT),
    st.none() | st.integers(0, MAX_UINT),
    st.lists(st.tuples(st.integers(-12, 80), st.integers(0, 255)), max_size=2),
    st.sampled_from((b"", b"\x05", b"\xc0")),
)
def test_bytes_of_a_body_are_read_where_they_are_and_mean_what_they_mean_to_everybody(
    named: int, off: int, total: int, crc: int | None, changes: list[tuple[int, int]], more: bytes
) -> None:
    packet = bytearray(encode(BlobChunk(bytes(named), off, total, _LONG, crc)))
    whole = decode(packet)
    assert whole == [BlobChunk(bytes(named), off, total, _LONG, crc)]
    assert isinstance(whole[0], BlobChunk)
    assert isinstance(whole[0].data, memoryview)
    del whole
    for place, byte in changes:
        packet[place] = byte
    packet += more
    with patch.object(codec, "read_chunk", lambda _packet: None):
        expected = outcome(bytes(packet))
    assert outcome(memoryview(packet)) == expected


def outcome(packet: bytes | memoryview) -> list[Message] | str:
    """What a packet means, or what is wrong with it."""
    try:
        return decode(packet)
    except RemoteProtocolError as error:
        return error.fault


# -- what is refused


def fault(packet: bytes, limit: int = MAX_PACKET) -> str | None:
    try:
        decode(packet, limit)
    except RemoteProtocolError as error:
        return error.fault if error.fatal else "not fatal"
    return None


def nested(levels: int) -> bytes:
    return b"\x91" * levels + b"\x00"


def record_of(value: bytes) -> bytes:
    """An ANSWER with this value."""
    return b"\x96\x26\x01\x01\xa1a\x01" + value


@pytest.mark.parametrize(
    "packet",
    [
        b"", b"\xc1", b"\x01", b"\xa1x", b"\x90", b"\x80", b"\x91\xa1x", b"\x91\xff", b"\x91\xcc\x03", b"\x91\xcc\x80", b"\x93\x03\x01",
        b"\x93\x03\x01\x02\x93", b"\x92\x01\x81\x01\x02", b"\x92\x01\x81\xc4\x01k\x02", b"\x92\x08\xa2\xff\xff", b"\x93\x23\x01\x01",
        b"\x95\x23\xa1x\x01\xa1a\x01", b"\x95\x23\x01\xff\xa1a\x01", b"\x92\x23\x01", b"\xdf\xff\xff\xff\xff"[:3], b"\xdd\xff\xff",
        record_of(b"\x81\x01\x02"), record_of(b"\x81\xc4\x01k\x02"), record_of(b"\xd6\xff\x00\x00\x00\x00"), record_of(b"\xd4\xff\x00"),
    ],
    ids=bytes.hex,
)  # fmt: skip
def test_malformed_bytes_are_one_kind_of_fault(packet: bytes) -> None:
    assert fault(packet) == "PROTOCOL_DECODE"


@pytest.mark.parametrize(
    ("inside", "outside", "code"),
    [
        (record_of(nested(34)), record_of(nested(35)), "LIMIT_DEPTH"),
        (b"\x92\x0a" + b"\x81\xa1a" * 8 + b"\x00", b"\x92\x0a" + b"\x81\xa1a" * 9 + b"\x00", "LIMIT_DEPTH"),
        (record_of(msgpack.packb([0] * 4096)), record_of(msgpack.packb([0] * 4097)), "LIMIT_ITEMS"),
        (
            record_of(msgpack.packb({str(key): 0 for key in range(4096)})),
            record_of(msgpack.packb({str(key): 0 for key in range(4097)})),
            "LIMIT_ITEMS",
        ),
        (
            record_of(msgpack.packb("x" * (MAX_RECORD - 6))),
            record_of(msgpack.packb("x" * (MAX_RECORD - 5))),
            "LIMIT_RECORD",
        ),
    ],
    ids=["depth of a record", "depth of control", "list", "map", "record"],
)
def test_limits_hold_to_the_last_one(inside: bytes, outside: bytes, code: str) -> None:
    assert fault(inside) is None
    assert fault(outside) == code


def test_a_packets_size_is_looked_at_first() -> None:
    packet = encode(Ping(1, 1)) * 100
    assert fault(packet, len(packet)) is None
    assert fault(packet, len(packet) - 1) == "LIMIT_PACKET"
    assert fault(b"\xc1" * (MAX_PACKET + 1)) == "LIMIT_PACKET"


@pytest.mark.parametrize("levels", [1000, 1100, 200_000])
def test_absurd_nesting_is_refused(levels: int) -> None:
    assert fault(record_of(nested(levels))) in ("LIMIT_DEPTH", "LIMIT_RECORD")


def test_false_lengths_are_refused_without_memory() -> None:
    for head in (b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01"):
        assert fault(record_of(head)) == "PROTOCOL_DECODE"
    for head in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"):
        assert fault(record_of(head)) == "LIMIT_ITEMS"


# -- fuzz

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.binary(max_size=40)
)
anything = st.recursive(
    scalars | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=8)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=4),
    max_leaves=12,
)
envelopes = st.builds(
    lambda type_, fields: msgpack.packb([type_, *fields]),
    st.sampled_from(sorted(CATALOGUE)) | st.integers(0, 127),
    st.lists(anything | st.sampled_from([bytes(16), bytes(32), STORES[WORKER], 1, 2, "a"]), max_size=9),
)
valid = st.sampled_from([encode(message) for message in EXAMPLES])


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    packet = b"".join(draw(st.lists(envelopes | valid, max_size=4)))
    if packet and draw(st.booleans()):
        at = draw(st.integers(0, len(packet) - 1))
        packet = packet[:at] + draw(st.binary(max_size=3)) + packet[at + draw(st.integers(0, 3)) :]
    return packet


@settings(max_examples=400)
@given(packet=packets() | st.binary(max_size=200))
def test_no_bytes_raise_anything_else(packet: bytes) -> None:
    if (code := fault(packet)) is not None:
        assert code in FAULTS
        return
    for message in decode(packet):
        if not isinstance(message, Unhandled):
            encode(message)


@settings(max_examples=300)
@given(stream=st.lists(packets() | valid, max_size=6), greeted=st.booleans(), role=st.sampled_from(list(Role)))
def test_no_input_makes_a_session_raise(stream: list[bytes], greeted: bool, role: Role) -> None:
    """I12: whatever a peer sends, at whatever moment, the session goes on or closes."""
    if greeted:
        pair = Pair()
        run = pair.open()
        pair.connect()
        pair.settle()
        conn = pair.sides[role.value].conn
        if role is Role.WORKER:
            pair.worker.append(run, Result("a", 1, 0, 1, 5, {}))
    else:
        from protocol.store import Snapshot

        conn = Conn(Config(role, "x", DEVICE_ID), Snapshot(b"store-id"))
        conn.connected(0, 1)
    for now, packet in enumerate(stream, 100):
        conn.receive(now, packet, 1)
        conn.committed(len(conn.effects()))
        conn.tick(now)
        for _ in range(10):
            if (out := conn.poll(now, 0)) is None:
                break
            decode(out, codec.MAX_PACKET)
        assert conn.closing is None or conn.closing in set(range(4400, 4504))
    conn.deadline()
    conn.disconnected()
    conn.connected(1000, 2)
    conn.poll(1000, 0)
