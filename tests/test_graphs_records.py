"""Records and their bytes: what is encoded once is stored, sent and checked unchanged."""

from __future__ import annotations

import zlib
from types import MappingProxyType
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings, strategies as st

from graphs.errors import ValueUnsupported
from graphs.records import (
    RECORDS,
    Answer,
    Cancel,
    Close,
    Encoded,
    End,
    EndStatus,
    Error,
    Event,
    Frame,
    Handover,
    Input,
    Record,
    Result,
    Start,
    State,
    Submit,
    Unknown,
    chain,
    decode,
    encode,
    to_fields,
)
from graphs.values import MISSING, canonical

GRAPH = bytes(range(32))

EXAMPLES: list[Record] = [
    Submit(
        "", GRAPH, {"topic": [9, "sea"]}, {"parent": [bytes(16), 1], "begun": {"a": 2}, "demand": ["a"], "gone": ["cancel", 5]}
    ),
    Frame("#2", GRAPH, {}, {"demand": True, "gone": "keep"}),
    Input("outline", State.COMPLETED, {"text": "x", "score": 0.5}),
    Input("outline", State.COMPLETED, MISSING),
    Input("outline", State.INJECTED, None),
    Cancel(None, "user"),
    Cancel(["a", "b#2"], "deadline"),
    Start("a", 1),
    Close(None),
    Close("#2"),
    Answer("ask", 1, b"\x00\x01"),
    Answer("ask", 1, None),
    Handover(b"12345678", 2),
    Event("final", 1, State.EXECUTING, 1_700_000_000_000, {"retry": 0}),
    Event(None, 0, State.SUSPENDED, 1, {"why": "QUOTA"}),
    Result("final", 1, 0, {"text": "hi", "list": [1, -1, 2**63, 1.5, None, True]}, 5, {"model": "m"}, {"out": 3}),
    Result("final", 1, 0, MISSING, 5, {}),
    Error("final", 1, 0, "NODE_FAILED", "it broke", True, False),
    Error(None, 0, 0, "INTERNAL", "it broke", False, True, 500, {"at": "x"}),
    End(EndStatus.COMPLETED, 5, {"tokens": 3}),
]


@pytest.mark.parametrize("record", EXAMPLES, ids=repr)
def test_a_record_survives_its_bytes(record: Record) -> None:
    encoded = encode(record)
    assert decode(encoded.type, encoded.tail) == record
    assert encode(decode(encoded.type, encoded.tail)) == encoded
    unpacker = msgpack.Unpacker()
    unpacker.feed(encoded.tail)
    assert len(list(unpacker)) == encoded.fields


@pytest.mark.parametrize("record", EXAMPLES, ids=repr)
def test_the_fields_are_the_canonical_bytes_of_each_without_nil_at_the_end(record: Record) -> None:
    assert not isinstance(record, Unknown)
    items = to_fields(record)
    while items and items[-1] is None:
        items.pop()
    assert encode(record) == Encoded(record.TYPE, len(items), b"".join(canonical(item) for item in items))


def test_every_type_has_an_example() -> None:
    assert {encode(record).type for record in EXAMPLES} == set(RECORDS)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.just(MISSING),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200)
@given(value=values)
def test_any_value_is_packed_as_its_canonical_form(value: Any) -> None:
    tail = encode(Answer("a", 1, value)).tail
    expected = b"" if value is None else canonical(value)
    assert tail == canonical("a") + canonical(1) + expected


small = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=4)


@settings(max_examples=300)
@given(
    path=st.text(min_size=1, max_size=4),
    value=small | st.dictionaries(st.text(max_size=4), small, max_size=3) | values,
    by=st.dictionaries(st.text(max_size=4), small, max_size=3),
    usage=st.none() | st.dictionaries(st.text(max_size=4), small, max_size=3),
)
def test_the_results_of_nodes_are_packed_as_their_canonical_form(path: str, value: Any, by: Any, usage: Any) -> None:
    fields = [path, 1, 0, value, 5, by, *([] if usage is None else [usage])]
    assert encode(Result(path, 1, 0, value, 5, by, usage)).tail == b"".join(map(canonical, fields))


def test_integral_floats_are_integers_wherever_they_stand() -> None:
    assert encode(Answer("a", 1, {"x": [2.0]})) == encode(Answer("a", 1, {"x": [2]}))
    assert encode(Answer("a", 1, 2.0**60)).tail[-9:] == msgpack.packb(2.0**60)


def test_tuples_and_read_only_maps_are_data() -> None:
    assert encode(Cancel(("a",), "x")) == encode(Cancel(["a"], "x"))
    assert encode(End(0, 1, MappingProxyType({"n": 1}))) == encode(End(0, 1, {"n": 1}))


@pytest.mark.parametrize("value", [object(), {1: 2}, {b"k": 1}, 2**64, "\ud800", {"a": [{"b": {1}}]}], ids=repr)
def test_what_is_no_data_is_refused(value: Any) -> None:
    with pytest.raises(ValueUnsupported):
        encode(Answer("a", 1, value))


def test_a_value_nested_deeper_than_any_value_may_be_is_refused() -> None:
    value: Any = []
    for _ in range(600):
        value = [value]
    with pytest.raises(ValueUnsupported):
        encode(Answer("a", 1, value))


WRONG: list[tuple[int, list[Any]]] = [
    (Submit.TYPE, ["", b"short", {}, {}]),
    (Submit.TYPE, ["", GRAPH, [], {}]),
    (Submit.TYPE, ["", GRAPH, {"a": 1}, {}]),
    (Submit.TYPE, ["", GRAPH, {"a": [1]}, {}]),
    (Submit.TYPE, ["", GRAPH, {"a": ["x", 1]}, {}]),
    (Submit.TYPE, ["", GRAPH, {}, {"parent": "x"}]),
    (Submit.TYPE, ["", GRAPH, {}, {"begun": {"a": -1}}]),
    (Submit.TYPE, ["", GRAPH, {}, {"demand": [1]}]),
    (Submit.TYPE, ["", GRAPH, {}, {"gone": "later"}]),
    (Submit.TYPE, ["", GRAPH, {}, {"budget_ms": 1.5}]),
    (Submit.TYPE, ["x" * 513, GRAPH, {}, {}]),
    (Submit.TYPE, ["", GRAPH]),
    (Frame.TYPE, [None, GRAPH, {}, {}]),
    (Input.TYPE, ["", 4, 1]),
    (Input.TYPE, ["x" * 513, 4, 1]),
    (Input.TYPE, ["é" * 257, 4, 1]),
    (Input.TYPE, [1, 4, 1]),
    (Input.TYPE, ["a", True, 1]),
    (Input.TYPE, ["a", -1, 1]),
    (Input.TYPE, ["a", 2**53, 1]),
    (Cancel.TYPE, ["a", "why"]),
    (Cancel.TYPE, [[1], "why"]),
    (Cancel.TYPE, [[""], "why"]),
    (Start.TYPE, ["a"]),
    (Close.TYPE, [1]),
    (Handover.TYPE, [b"1234567", 1]),
    (Event.TYPE, ["a", 1, 2, 3, "info"]),
    (Result.TYPE, ["a", 1, 0, 1, 5]),
    (Result.TYPE, ["a", 1, 0, 1, 5, {b"k": 1}]),
    (Error.TYPE, ["a", 1, 0, "X", "text", 1, 0]),
    (End.TYPE, ["0", 5, {}]),
]


@pytest.mark.parametrize(("type_", "items"), WRONG, ids=repr)
def test_wrong_fields_are_refused_when_read(type_: int, items: list[Any]) -> None:
    with pytest.raises(ValueUnsupported):
        decode(type_, b"".join(map(msgpack.packb, items)))


def test_wrong_fields_are_refused_when_written() -> None:
    with pytest.raises(ValueUnsupported, match="START record: field 2"):
        encode(Start("a", None))  # type: ignore[arg-type]
    with pytest.raises(ValueUnsupported, match="INPUT record"):
        encode(Input("x" * 600, 4, 1))


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("path", ""), ("path", "x" * 600), ("path", 1), ("at", -1), ("at", True), ("at", 2**53), ("retry", "1"), ("retry", -1), ("t", 2**53),
        ("t", 1.5), ("by", None), ("by", {1: 2}), ("by", []), ("usage", {"n": 2**64}), ("usage", [1]), ("value", {"a": "\ud800"}),
        ("value", {"a": 2**64}), ("value", {1: 1}), ("value", object()),
    ],
)  # fmt: skip
def test_a_result_with_a_wrong_field_is_refused(field: str, wrong: Any) -> None:
    good = {"path": "a", "at": 1, "retry": 0, "value": {"v": 1}, "t": 5, "by": {"agent": "x"}, "usage": {"ms": 1}}
    encode(Result(**good))  # type: ignore[arg-type]
    with pytest.raises(ValueUnsupported):
        encode(Result(**{**good, field: wrong}))


@settings(max_examples=300)
@given(
    type_=st.sampled_from(sorted(RECORDS)),
    tail=st.binary(max_size=40) | st.lists(values, max_size=8).map(lambda v: b"".join(map(canonical, v))),
)
def test_no_bytes_raise_anything_else(type_: int, tail: bytes) -> None:
    try:
        record = decode(type_, tail)
    except ValueUnsupported:
        return
    assert encode(record).type == type_


@pytest.mark.parametrize("tail", [b"\xa1", b"\x92\x01", b"\xc1", b"\xa2\xff\xff", b"\x81\x01\x01"], ids=repr)
def test_torn_bytes_are_refused(tail: bytes) -> None:
    with pytest.raises(ValueUnsupported):
        decode(Answer.TYPE, b"\xa1a\x01" + tail)


def test_fields_left_out_at_the_end_are_nil_and_further_ones_are_ignored() -> None:
    assert decode(Close.TYPE, b"") == Close(None)
    assert decode(Answer.TYPE, b"\xa1a\x01") == Answer("a", 1, None)
    assert decode(Start.TYPE, b"\xa1a\x01\xa1z\x93\x01\x02\x03") == Start("a", 1)


def test_an_unknown_type_keeps_its_bytes() -> None:
    unknown = decode(0x36, b"\x01\x93\x01\x02\x03")
    assert unknown == Unknown(0x36, b"\x01\x93\x01\x02\x03")
    assert encode(unknown) == Encoded(0x36, 2, unknown.tail)


def test_the_checksum_chains_type_and_bytes() -> None:
    first, second = encode(Start("a", 1)), encode(Close("x"))
    one = chain(0, first.type, first.tail)
    assert one == zlib.crc32(bytes((first.type,)) + first.tail)
    assert chain(one, second.type, second.tail) == zlib.crc32(
        bytes((first.type,)) + first.tail + bytes((second.type,)) + second.tail
    )
