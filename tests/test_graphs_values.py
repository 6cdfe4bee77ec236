"""Values: what is true, what JSON sees, and the one canonical encoding."""

from __future__ import annotations

import copy
import enum
import math
import pickle  # noqa: TID251 - that the sentinel survives it is what is tested
from typing import Any

import msgpack
import pytest
from hypothesis import given, strategies as st

from graphs.errors import ValueUnsupported
from graphs.values import MAX_DEPTH, MISSING, Missing, Value, canonical, clean, decode, digest, graph_hash, is_true

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary() | st.just(MISSING),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_missing_is_one_object_however_it_is_made_and_false() -> None:
    assert Missing() is MISSING
    assert copy.deepcopy(MISSING) is MISSING
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING
    assert not MISSING
    assert repr(MISSING) == "MISSING"


@pytest.mark.parametrize("value", [MISSING, None, False, 0, 0.0, -0.0, math.nan, "", []])
def test_these_are_not_true(value: Value) -> None:
    assert not is_true(value)


@pytest.mark.parametrize("value", [True, 1, -1, 0.1, math.inf, "0", " ", [0], [[]], {}, {"a": 0}])
def test_everything_else_is(value: Value) -> None:
    assert is_true(value)


def test_clean_leaves_missing_entries_out_of_maps_and_makes_them_null_in_lists() -> None:
    value = {"a": MISSING, "b": [1, MISSING, {"c": MISSING}], "d": {"e": [MISSING]}}
    assert clean(value) == {"b": [1, None, {}], "d": {"e": [None]}}
    assert value["a"] is MISSING


def test_clean_gives_the_same_object_where_nothing_had_to_change() -> None:
    value = {"a": [1, {"b": None}]}
    assert clean(value) is value
    half = {"a": value, "b": MISSING}
    assert clean(half)["a"] is value
    assert clean((1, 2)) == [1, 2]


def test_clean_takes_time_in_proportion_to_depth() -> None:
    deep: Value = MISSING
    for _ in range(200):
        deep = {"in": deep, "list": [deep]} if deep is MISSING else {"in": deep}
    result = clean(deep)
    for _ in range(199):
        result = result["in"]
    assert result == {"list": [None]}


@given(VALUES)
def test_every_value_survives_the_canonical_form_with_its_order(value: Value) -> None:
    data = canonical(value)
    again = decode(data)
    assert canonical(again) == data
    assert shape(again) == shape(value)


def shape(value: Value) -> Any:
    """The value with order made visible and NaN equal to itself."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return ["list", *map(shape, value)]
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return (isinstance(value, bool), value)


def test_integral_floats_are_integers_and_other_floats_stay() -> None:
    assert canonical(2.0) == canonical(2) == b"\x02"
    assert canonical(-0.0) == b"\x00"
    assert canonical(0.5) != canonical(0)
    assert decode(canonical(2.0**60)) == 2.0**60
    assert isinstance(decode(canonical(2.0**60)), float)


def test_order_of_keys_is_meaning() -> None:
    assert canonical({"a": 1, "b": 2}) != canonical({"b": 2, "a": 1})


class Word(enum.StrEnum):
    A = "a"


def test_subclasses_count_as_their_plain_value() -> None:
    class Number(int):
        pass

    assert canonical(Number(5)) == canonical(5)
    assert canonical({"word": Word.A}) == canonical({"word": "a"})


@pytest.mark.parametrize(
    "value",
    [object(), {1: 2}, {None: 1}, {"a": {3: 4}}, {1, 2}, 2**64, -(2**63) - 1, "\ud800", 1j, [object()]],
    ids=["object", "int key", "null key", "deep int key", "set", "large", "small", "surrogate", "complex", "in a list"],
)
def test_what_is_no_value_is_refused(value: Any) -> None:
    with pytest.raises(ValueUnsupported):
        canonical(value)


def test_depth_has_a_limit() -> None:
    fits: Value = 1
    for _ in range(MAX_DEPTH + 1):
        fits = [fits]
    assert canonical(fits)
    with pytest.raises(ValueUnsupported, match="deeper"):
        canonical([fits])


@pytest.mark.parametrize("value", [math.nan, math.inf, b"x", MISSING, msgpack.ExtType(1, b"x")])
def test_a_graph_holds_no_numbers_bytes_or_kinds_that_text_cannot(value: Value) -> None:
    assert canonical([value])
    with pytest.raises(ValueUnsupported):
        canonical([value], strict=True)


@pytest.mark.parametrize("data", [b"", b"\x81\x01\x02", b"\x01\x02", b"\xa2\xff\xfe", b"\xc1", b"\x92\x01"])
def test_bytes_that_are_not_one_value_are_refused(data: bytes) -> None:
    with pytest.raises(ValueUnsupported):
        decode(data)


def test_an_unknown_extension_is_kept() -> None:
    data = msgpack.packb(msgpack.ExtType(99, b"later"))
    assert canonical(decode(data)) == data


def test_a_graphs_hash_is_that_of_its_canonical_form_under_its_own_name() -> None:
    document = {"version": 0.5, "nodes": {"a": {"value": 1}}}
    assert graph_hash(document) == digest(b"graphferry.graph.1\n" + canonical(document))
    assert graph_hash(document) == graph_hash({"version": 0.5, "nodes": {"a": {"value": 1.0}}})
    assert graph_hash(document) != graph_hash({"nodes": {"a": {"value": 1}}, "version": 0.5})
