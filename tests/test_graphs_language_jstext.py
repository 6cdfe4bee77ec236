"""Conversions, table by table, against what JavaScript gives."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from graphs.bounds import Bounds
from graphs.budget import Budget, current
from graphs.errors import LimitReached, NodeError
from graphs.language import jstext
from graphs.language.jstext import (
    entries,
    identical,
    join,
    js_add,
    json_text,
    number_text,
    parse_json,
    text,
    tidy,
    to_number,
    truthy,
)
from graphs.values import MISSING


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, "0"),
        (-0.0, "0"),
        (7, "7"),
        (-3, "-3"),
        (2.0, "2"),
        (1.5, "1.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1.5e17, "150000000000000000"),
        (1.2345678901234567e16, "12345678901234568"),
        (1e21, "1e+21"),
        (-1e21, "-1e+21"),
        (1.25e25, "1.25e+25"),
        (10**21, "1e+21"),
        (1e-6, "0.000001"),
        (-1.5e-5, "-0.000015"),
        (1e-7, "1e-7"),
        (1.234e-7, "1.234e-7"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740993, "9007199254740993"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
    ],
)
def test_numbers_are_written_as_javascript_writes_them(number: float, written: str) -> None:
    assert number_text(number) == written


@given(st.floats(allow_nan=False))
def test_a_written_float_reads_back_the_same(number: float) -> None:
    assert float(number_text(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_written_float_has_no_more_digits_than_needed(number: float) -> None:
    written = number_text(number)
    assert len(written.partition("e")[0].strip("-0.").replace(".", "")) <= 17
    assert not written.endswith(".0")


@given(st.integers(min_value=-(2**63), max_value=2**64 - 1))
def test_integers_of_64_bits_keep_all_digits(number: int) -> None:
    assert number_text(number) == str(number)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("as is", "as is"),
        (MISSING, "undefined"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (4.0, "4"),
        ([1, [2, "z"]], "1,2,z"),
        ([None, MISSING, "", 0], ",,,0"),
        ([], ""),
        ([[], [[]]], ","),
        ({"k": [1, 2.0], "é": None}, '{"k":[1,2],"é":null}'),
        ([1, {"a": MISSING}], "[1,{}]"),
        ([[[{"deep": True}]]], '[[[{"deep":true}]]]'),
        (b"l\xc3\xadnea", "línea"),
    ],
)
def test_values_become_text(value: Any, written: str) -> None:
    assert text(value) == written


def test_what_is_no_value_is_written_as_python_writes_it() -> None:
    assert text(range(3)) == "range(0, 3)"


def test_joined_elements_are_text_each_for_itself() -> None:
    assert join([1, None, MISSING, [2, 3], {"a": 1}, "z"], " | ") == '1 |  |  | 2,3 | {"a":1} | z'


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        (2.5, 2.5),
        (True, 1),
        (False, 0),
        (None, 0),
        ("", 0),
        (" \t\ufeff", 0),
        ("  42.50 ", 42.5),
        ("-7", -7),
        ("+.5", 0.5),
        ("5.", 5),
        ("1e3", 1000),
        ("0x10", 16),
        ("0b101", 5),
        ("0o17", 15),
        ("-Infinity", -math.inf),
        ("1e999", math.inf),
        ([], 0),
        (["7"], 7),
        ([[3]], 3),
        ([None], 0),
    ],
)
def test_values_read_as_numbers(value: Any, number: float) -> None:
    assert to_number(value) == number


@pytest.mark.parametrize(
    "value",
    [MISSING, "x", ".", "1_0", "inf", "nan", "-0x10", "1 2", "\u0661", "\x1c8", "12px", [1, 2], ["x"], {}, {"a": 1}, [{}], b"1"],
)
def test_everything_else_is_no_number(value: Any) -> None:
    assert math.isnan(to_number(value))


@pytest.mark.parametrize("source", ["1000", "1e3", "2.0", "0x10"])
def test_integral_text_is_an_integer(source: str) -> None:
    assert type(to_number(source)) is int


@pytest.mark.parametrize(
    ("number", "kept"),
    [(2.0, 2), (-0.0, 0), (2.5, 2.5), (2.0**53, 2.0**53), (2**64 - 1, 2**64 - 1), (2**64, 2.0**64), (10**400, math.inf)],
)
def test_tidy_numbers_have_the_type_canonical_values_have(number: float, kept: float) -> None:
    assert tidy(number) == kept
    assert type(tidy(number)) is type(kept)


@pytest.mark.parametrize(
    ("a", "b", "total"),
    [
        (1, 2, 3),
        (0.5, 0.5, 1),
        (0, None, 0),
        (0, True, 1),
        (0, "a", "0a"),
        ("0a", 1, "0a1"),
        (1, [2, 3], "12,3"),
        (0, {"k": 1}, '0{"k":1}'),
        ("", None, "null"),
        ("", MISSING, "undefined"),
        (2**64 - 1, 1, 2.0**64),
    ],
)
def test_addition(a: Any, b: Any, total: Any) -> None:
    assert js_add(a, b) == total
    assert type(js_add(a, b)) is type(total)


def test_adding_nothing_gives_no_number() -> None:
    assert math.isnan(js_add(1, MISSING))


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (MISSING, False),
        (None, False),
        (False, False),
        (0, False),
        (0.0, False),
        (math.nan, False),
        ("", False),
        ([], True),
        ({}, True),
        ("0", True),
        (-1, True),
        (b"", True),
        (True, True),
    ],
)
def test_truth(value: Any, holds: bool) -> None:
    assert truthy(value) is holds


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (1, "1", False),
        (0, None, False),
        (None, None, True),
        (None, MISSING, False),
        (MISSING, MISSING, True),
        (True, True, True),
        (True, False, False),
        ("a", "a", True),
        ("a", "b", False),
        (math.nan, math.nan, False),
        ([], [], False),
        ({}, {}, False),
        (b"a", b"a", False),
    ],
)
def test_identity(a: Any, b: Any, same: bool) -> None:
    assert identical(a, b) is same
    assert identical(b, a) is same


def test_a_list_does_not_even_equal_itself() -> None:
    value = [1]
    assert not identical(value, value)


def test_entries() -> None:
    assert list(entries({"b": 1, "a": 2})) == [("b", 1), ("a", 2)]
    assert list(entries(["x", None])) == [("0", "x"), ("1", None)]
    assert list(entries("hé")) == [("0", "h"), ("1", "é")]
    assert list(entries(7)) == list(entries(None)) == list(entries(MISSING)) == []


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (MISSING, "undefined"),
        (None, "null"),
        (True, "true"),
        (2.0, "2"),
        (1e-7, "1e-7"),
        (math.nan, "null"),
        (-math.inf, "null"),
        ("", '""'),
        ('é"\\\n\t\x00\x1f\x7f\u2028', '"é\\"\\\\\\n\\t\\u0000\\u001f\x7f\u2028"'),
        ("\ud800x", '"\\ud800x"'),
        ("😀", '"😀"'),
        ([], "[]"),
        ({}, "{}"),
        ([1, MISSING, None], "[1,null,null]"),
        ({"gone": MISSING, "b": 1, "a": {"c": []}}, '{"b":1,"a":{"c":[]}}'),
        ({'k"': b"hi"}, '{"k\\"":"aGk="}'),
    ],
)
def test_compact_json(value: Any, written: str) -> None:
    assert json_text(value) == written


def test_json_with_indentation() -> None:
    value = {"b": 1, "gone": MISSING, "a": {"c": [True, {"x": 1.5}], "d": {}, "e": []}}
    assert json_text(value, 2).split("\n") == [
        "{",
        '  "b": 1,',
        '  "a": {',
        '    "c": [',
        "      true,",
        "      {",
        '        "x": 1.5',
        "      }",
        "    ],",
        '    "d": {},',
        '    "e": []',
        "  }",
        "}",
    ]


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-(2.0**53), 2.0**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(_json_values, st.sampled_from([None, 2]))
def test_written_json_reads_back_the_same(value: Any, indent: int | None) -> None:
    assert parse_json(json_text(value, indent)) == value
    assert json.loads(json_text(value, indent)) == value


@pytest.mark.parametrize(
    "source", ["", "{oops", "NaN", "[Infinity]", "-Infinity", "01", "'a'", "[1,]", '"a\nb"', "\ufeff1", "[" * 100_000]
)
def test_what_is_not_json_is_a_failure_of_the_node(source: str) -> None:
    with pytest.raises(NodeError, match="JSON"):
        parse_json(source)


def test_the_failure_names_the_place_but_not_the_text() -> None:
    with pytest.raises(NodeError, match=r"line 2, column 3") as caught:
        parse_json('{"a": 1,\n  secret}')
    assert "secret" not in str(caught.value)


def test_numbers_in_json() -> None:
    assert parse_json("[2.0, 1e2, 18446744073709551615, 18446744073709551616]") == [2, 100, 2**64 - 1, 2.0**64]
    assert parse_json("9" * 5000) == math.inf


def test_all_names_exist() -> None:
    assert all(hasattr(jstext, name) for name in jstext.__all__)


def test_a_short_text_of_a_value_that_stands_for_many_is_not_read_to_its_end() -> None:
    value: list[Any] = [1]
    for _ in range(18):
        value = [value, value]
    token = current.set(Budget(Bounds(value_bytes=2**20)))
    try:
        with pytest.raises(LimitReached, match="value_bytes"):
            text(value)  # half of what a value may have, but a million lists
    finally:
        current.reset(token)
