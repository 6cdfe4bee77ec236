"""What travels inside a record and what beside it."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings, strategies as st

from graphs.errors import LinkCondition
from graphs.records import (
    Answer,
    Cancel,
    Close,
    Encoded,
    End,
    Error,
    Event,
    Frame,
    Input,
    Known,
    Record,
    Result,
    Submit,
    decode,
    encode,
)
from graphs.values import MISSING, Value, canonical, digest
from protocol import codec
from protocol.payload import MAX_BODY, Reference, blobref, handle_id, lighten, reference, references, resolve


def name(number: int) -> bytes:
    return handle_id(b"r" * 16, b"w" * 8, 1, number)


def travel(record: Known, labels: tuple[str, ...] = ()) -> tuple[Record, Encoded, dict[bytes, bytes]]:
    """A record on its way: made light, sent in a packet, read, and filled again from the bodies."""
    light, encoded, bodies = lighten(record, encode(record), labels, name)
    assert encode(light) == encoded
    packet = codec.encode_entry(codec.uint(1), 1, encoded)
    (entry,) = codec.decode(packet, codec.MIN_PACKET)
    here = {body.ref: body.data for body in bodies}
    from graphs.values import decode as decode_value

    return resolve(entry.record, {ref: decode_value(data) for ref, data in here.items()}), encoded, here  # type: ignore[union-attr]


BIG = "x" * 70_000


@pytest.mark.parametrize(
    "record",
    [
        Input("a", 4, BIG),
        Input("a", 4, list(range(5000))),
        Input("a", 4, {str(n): n for n in range(5000)}),
        Input("a", 4, BIG.encode()),
        Answer("a", 1, {"deep": BIG}),
        Submit("", bytes(32), {"s": [9, BIG], "t": [4, BIG + "y"], "small": [4, 1]}, {"options": {"config": {"k": BIG}}}),
        Frame("#2", bytes(32), {"s": [9, BIG]}, {"demand": True}),
        Result("a", 1, 0, BIG, 5, {"model": "m", "seen": {"b": BIG}}, {"tokens": 3}),
        Error("a", 1, 0, "NODE_FAILED", BIG, True, True, None, {"more": BIG}),
        Event("a", 1, 2, 5, {"retry": 0, "note": BIG}),
        End(0, 5, {"words": BIG}),
    ],
    ids=lambda record: type(record).__name__,
)
def test_every_record_that_is_too_large_crosses(record: Known) -> None:
    arrived, encoded, bodies = travel(record)
    assert arrived == record
    assert len(encoded.tail) <= 64 * 1024
    assert all(digest(data) == ref for ref, data in bodies.items())


def test_the_largest_value_goes_first_and_small_ones_stay() -> None:
    record = Submit("", bytes(32), {"a": [9, "x" * 40_000], "b": [9, "y" * 50_000], "c": [9, "z"]}, {})
    _, encoded, bodies = travel(record)
    assert list(bodies.values()) == [canonical("y" * 50_000)]
    assert b"x" * 40_000 in encoded.tail


def nested(levels: int) -> Value:
    value: Value = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(("levels", "bodies"), [(34, 0), (35, 1), (511, 1)])
def test_a_value_nested_too_deeply_travels_beside(levels: int, bodies: int) -> None:
    arrived, _, made = travel(Input("a", 4, nested(levels)))
    assert len(made) == bodies
    assert arrived == Input("a", 4, nested(levels))


def test_the_largest_record_that_fits_stays_as_it_is() -> None:
    assert not travel(Input("a", 4, "x" * (64 * 1024 - 6)))[2]
    assert len(travel(Input("a", 4, "x" * (64 * 1024 - 5)))[2]) == 1


def test_what_has_no_large_value_to_take_out_is_refused() -> None:
    with pytest.raises(LinkCondition, match="spread") as caught:
        travel(Submit("", bytes(32), {f"node {n}": [9, "x" * 40] for n in range(3000)}, {}))
    assert caught.value.condition == "VALUE_TOO_LARGE"
    assert "run" in caught.value.message


def test_a_labelled_value_has_a_name_that_says_nothing() -> None:
    record = Input("a", 4, BIG)
    light, encoded, (body,) = lighten(record, encode(record), ["pii", "a"], name)
    assert isinstance(light, Input)
    named = reference(light.value)
    assert named == Reference(name(0), len(body.data), ("a", "pii"))
    assert named.is_handle
    assert digest(body.data) not in encoded.tail
    assert resolve(decode(encoded.type, encoded.tail), {name(0): BIG}) == record


def test_names_of_handles_differ_by_place_and_stay_the_same() -> None:
    made = {handle_id(run, b"w" * 8, seq, n) for run in (b"r" * 16, b"s" * 16) for seq in (1, 2) for n in (0, 1)}
    assert len(made) == 8
    assert handle_id(b"r" * 16, b"w" * 8, 1, 0) in made


@pytest.mark.parametrize(
    "item",
    [
        "text",
        None,
        msgpack.ExtType(42, b""),
        msgpack.ExtType(1, b"\xc1"),
        msgpack.ExtType(1, canonical([b"short", 5])),
        msgpack.ExtType(1, canonical([bytes(32), -5])),
        msgpack.ExtType(1, canonical([bytes(32)])),
        msgpack.ExtType(1, canonical(7)),
        msgpack.ExtType(7, canonical([bytes(32), ["a"], 5])),
        msgpack.ExtType(7, canonical([bytes(16), [3], 5])),
        msgpack.ExtType(7, canonical([bytes(16), None, 5])),
    ],
)
def test_what_only_looks_like_a_reference_is_a_value(item: Any) -> None:
    assert reference(item) is None
    record = Input("a", 4, [item])
    assert references(record) == []
    assert resolve(record, {bytes(32): 1}) == record


def test_references_are_found_at_any_depth_each_once() -> None:
    ref = blobref(bytes(32), 5)
    record = Result("a", 1, 0, {"x": [ref, {"y": ref}]}, 5, {"seen": ref})
    assert references(record) == [Reference(bytes(32), 5)]
    assert resolve(record, {bytes(32): "v"}) == Result("a", 1, 0, {"x": ["v", {"y": "v"}]}, 5, {"seen": "v"})
    assert references(Close(None)) == references(Cancel(["a"], "x")) == references(decode(0x36, b"\x01")) == []


def test_a_body_has_a_limit() -> None:
    assert MAX_BODY == 1024**3


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.just(MISSING)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60)
@given(value=values, times=st.sampled_from([1, 1, 100, 5000, 20_000]), depth=st.sampled_from([0, 0, 30, 40, 60]))
def test_every_value_that_the_local_engine_accepts_crosses(value: Value, times: int, depth: int) -> None:
    whole: Value = [value] * times if times > 1 else value
    for _ in range(depth):
        whole = {"in": whole}
    arrived, encoded, _ = travel(Result("a", 1, 0, whole, 5, {}))
    assert len(encoded.tail) <= 64 * 1024
    assert isinstance(arrived, Result)
    assert canonical(arrived.value) == canonical(whole), json.dumps(repr(whole))[:200]
