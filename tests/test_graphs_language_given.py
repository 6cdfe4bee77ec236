"""What a program gives by name: values pass as plain data, and what is none is told with its place."""

from __future__ import annotations

import enum
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from graphs.errors import UsageError, ValueUnsupported
from graphs.language.given import as_values
from graphs.values import MISSING, canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


class Colour(enum.StrEnum):
    RED = "red"


@given(value=VALUES)
def test_what_passes_is_what_is_recorded(value: Any) -> None:
    assert canonical(as_values({"x": value}, "inputs")["x"]) == canonical(value)


def test_kinds_of_values_become_plain_ones() -> None:
    plain = as_values({"a": (1, (2,)), "b": Colour.RED, "c": {Colour.RED: b"x"}, "d": MISSING, "e": math.inf}, "inputs")
    assert plain == {"a": [1, [2]], "b": "red", "c": {"red": b"x"}, "d": MISSING, "e": math.inf}
    assert type(plain["b"]) is str


def test_what_stands_twice_is_not_inside_itself() -> None:
    twice = [1, b"x"]
    assert as_values({"a": [twice, twice]}, "inputs") == {"a": [[1, b"x"], [1, b"x"]]}


def endless() -> list[Any]:
    inside: list[Any] = []
    inside.append({"again": inside})
    return inside


def deep() -> Any:
    value: Any = b""
    for _ in range(600):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1, 2}, "inputs: topic: set is not data"),
        ({"a": [1, {"b": object()}]}, "inputs: topic.a[1].b: object is not data"),
        ([{1: 2}], "inputs: topic[0]: a map's keys are text, this one is int 1"),
        (endless(), "inputs: topic[0].again: it contains itself"),
        (deep(), "nested deeper than 512 levels"),
        ([2**70], "inputs: topic[0]: a whole number beyond 64 bits"),
        (["\ud800"], "inputs: topic[0]: half a surrogate pair"),
        ({"\ud800": 1}, "inputs: topic: half a surrogate pair"),
        (bytearray(b"x"), "inputs: topic: bytearray is not data"),
    ],
)
def test_what_is_no_value_is_told_with_its_place(value: Any, words: str) -> None:
    with pytest.raises(ValueUnsupported) as raised:
        as_values({"topic": value}, "inputs")
    assert words in raised.value.message


@pytest.mark.parametrize("wrong", [[1], "text", {1: 2}])
def test_what_has_no_names_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="inputs"):
        as_values(wrong, "inputs")
