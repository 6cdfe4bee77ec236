"""Plain data: the quick look, and that it agrees with the copy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from graphs.errors import GraphInvalid
from graphs.language.plain import copy_plain, is_plain


@pytest.mark.parametrize("data", [None, 1, "x", [], {}, {"a": [1, 2.5, True, None, {"b": "ü"}]}])
def test_plain_data_is_itself(data: Any) -> None:
    assert is_plain(data)
    assert copy_plain(data) == data


@pytest.mark.parametrize("data", [(1,), {1: 2}, {None: 1}, {"a": {"b": (1, 2)}}, {True: []}])
def test_what_a_copy_makes_plain_is_not_yet(data: Any) -> None:
    assert not is_plain(data)
    assert is_plain(copy_plain(data))


@pytest.mark.parametrize("data", [b"x", {"a": float("inf")}, [2**64], {"\ud800": 1}, ["\ud800"], {"a": {1}}, object()])
def test_what_no_copy_makes_plain(data: Any) -> None:
    assert not is_plain(data)
    with pytest.raises(GraphInvalid):
        copy_plain(data)


def test_depth_and_cycles_end() -> None:
    endless: list[Any] = []
    endless.append({"a": endless})
    deep: Any = 1
    for _ in range(127):
        deep = [deep]
    for data, plain in ((endless, False), ([[deep]], False), ([deep], True)):
        assert is_plain(data) is plain
    with pytest.raises(GraphInvalid, match="deeper than 128"):
        copy_plain([[deep]])
    assert copy_plain([deep]) == [deep]


def test_what_means_too_much_is_refused_in_good_time() -> None:
    wide: Any = ["x"] * 100
    for _ in range(8):
        wide = [wide] * 100
    assert not is_plain(wide)
    with pytest.raises(GraphInvalid, match="1,000,000 values"):
        copy_plain(wide)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_a_copy_is_plain_or_refused(data: Any) -> None:
    try:
        assert is_plain(copy_plain(data))
    except GraphInvalid:
        refused = True
    else:
        refused = False
    assert not (refused and is_plain(data))
