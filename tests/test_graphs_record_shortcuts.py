"""Shortcuts say nothing else than the long way, about good records and bad ones."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given, strategies as st

from graphs import records
from graphs.errors import ValueUnsupported
from graphs.packing import is_flat
from graphs.record_fields import MAX_UINT
from graphs.records import (
    RECORDS,
    Encoded,
    End,
    Error,
    Event,
    Input,
    Result,
    Start,
    State,
    encode,
    encode_plain,
    from_fields,
)
from graphs.values import MISSING, canonical

PLAIN: list[Any] = [
    Start("a", 1),
    Input("a", State.COMPLETED, "text"),
    Event("a", 1, State.EXECUTING, 5, {"retry": 0}),
    Event("a", 0, State.SKIPPED, 5),
    Result("a", 1, 0, {"text": "ü"}, 5, {}),
    Result("a", 1, 0, None, 5, {"model": "m"}, {"out": 3}),
    Error("a", 1, 0, "NODE_FAILED", "why", True, False),
    Error("a", 1, 0, "NODE_FAILED", "why", True, False, 5, {"line": 3}),
    End(0, 5, {}),
]

FIELDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, MAX_UINT + 1),
    st.sampled_from([*State]),
    st.text(max_size=3),
    st.sampled_from(["x" * 513, "ä" * 300, "\ud800", ""]),
    st.binary(max_size=3),
    st.floats(),
    st.dictionaries(st.text(max_size=2), st.none() | st.integers() | st.text(max_size=2), max_size=2),
    st.just({1: 2}),
    st.just([1, ["a"]]),
    st.just(MISSING),
)


@pytest.mark.parametrize("record", PLAIN, ids=str)
def test_a_plain_record_takes_the_shortcut_both_ways(record: Any) -> None:
    encoded = encode_plain(record)
    assert encoded == _the_long_way(record)
    unpacker = msgpack.Unpacker()
    unpacker.feed(encoded.tail)
    fields = list(unpacker)
    assert len(fields) == encoded.fields
    read = records._READERS[record.TYPE](*fields)
    assert read == record
    assert type(read) is type(record)


@given(st.sampled_from(sorted(records._USUAL, key=str)), st.data())
def test_a_shortcut_writes_what_the_long_way_writes_or_leaves_it_to_it(cls: Any, data: st.DataObject) -> None:
    record = cls(*(data.draw(FIELDS) for _ in range(records._COUNT[cls.TYPE])))
    if (found := encode_plain(record)) is not None:
        assert found == _the_long_way(record)


@given(st.sampled_from(sorted(records._USUAL, key=str)), st.data())
def test_a_shortcut_reads_what_the_long_way_reads_or_leaves_it_to_it(cls: Any, data: st.DataObject) -> None:
    fields = data.draw(st.lists(FIELDS, max_size=records._COUNT[cls.TYPE]))
    if (found := records._READERS[cls.TYPE](*fields)) is not None:
        padded = fields + [None] * (records._COUNT[cls.TYPE] - len(fields))
        records._check(cls.TYPE, padded)
        assert _same(records.to_fields(found), padded)


def test_fields_too_many_or_too_few_are_left_to_the_long_way() -> None:
    assert from_fields(0x23, ["a", 1, "of a newer version"], b"") == Start("a", 1)
    with pytest.raises(ValueUnsupported, match="field 2"):
        from_fields(0x23, ["a"], b"")


def test_flat_is_a_map_of_plain_values_only() -> None:
    plain = frozenset({int})
    assert is_flat({}, plain)
    assert is_flat({"a": 1}, plain)
    others: list[Any] = [{"a": "b"}, {1: 1}, [("a", 1)], {"a": {}}]
    assert not any(is_flat(each, plain) for each in others)


def _the_long_way(record: Any) -> Encoded:
    fields = records.to_fields(record)
    records._check(record.TYPE, fields)
    while fields and fields[-1] is None:
        fields.pop()
    return Encoded(record.TYPE, len(fields), canonical(fields)[1:])


def _same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def test_every_type_without_rules_of_its_own_has_shortcuts() -> None:
    assert set(records._READERS) == {0x21, 0x23, 0x30, 0x31, 0x33, 0x34} <= set(RECORDS)
    assert encode(Start("a", 1)) == Encoded(0x23, 2, b"\xa1a\x01")
