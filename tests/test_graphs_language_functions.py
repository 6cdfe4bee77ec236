"""Property functions: each with the types it knows and those it does not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from graphs.errors import NodeError
from graphs.language.functions import code_block, compile_property, is_plain_key
from graphs.values import MISSING

FENCED = "intro\n```python\nprint(1)\nprint(2)\n```\noutro"


def get(value: Any, part: str) -> Any:
    return compile_property(part)(value)


@pytest.mark.parametrize(
    ("value", "part", "expected"),
    [
        ([4, 1, 2.5], "length()", 3),
        ([1, [2, [3]]], "flat()", [1, 2, [3]]),
        ([1, {"k": []}], "toJSON()", '[\n  1,\n  {\n    "k": []\n  }\n]'),
        ([], "isEmpty()", True),
        ([0], "isEmpty()", False),
        ([4, 1, 2.5], "sum()", 7.5),
        ([], "sum()", 0),
        ([1, "2", 3], "sum()", "123"),
        ([None, 2, True], "sum()", 3),
        ([1, [2, 3]], "sum()", "12,3"),
        ([4, 1, 2.5], "average()", 2.5),
        ([4, 1, 2.5], "mean()", 2.5),
        ([], "average()", 0),
        (["1", "2"], "average()", 6),
        ([4, "10", None], "max()", 10),
        ([4, "10", None], "min()", 0),
        ([], "max()", 0),
        ([], "min()", 0),
        (["a", "b"], "join()", "ab"),
        (["a", None, MISSING, [1, [2]]], "join(,)", "a,,,1,2"),
        (["a", "b"], "join(-)", "a-b"),
        (["a", "b"], "join( )", "a b"),
        (["a", "b"], "join(\n)", "a\nb"),
        (["a", {"k": 1}], "join(-)", 'a-{"k":1}'),
        (["a", "b"], "keys()", ["0", "1"]),
        (["a", "b"], "values()", ["a", "b"]),
        ({"z": 1, "a": [2]}, "keys()", ["z", "a"]),
        ({"z": 1, "a": [2]}, "values()", [1, [2]]),
        ({"b": 1, "a": {}}, "toJSON()", '{\n  "b": 1,\n  "a": {}\n}'),
        (FENCED, "codeBlock()", "\nprint(1)\nprint(2)"),
        ("```\nfirst\n```\nand\n```js\nsecond\n```", "codeBlock()", "\nfirst"),
        (FENCED, "codeBlockOrRaw()", "\nprint(1)\nprint(2)"),
        ("no fence", "codeBlockOrRaw()", "no fence"),
        ('{"k": [1, 2.0, null]}', "jsonParse()", {"k": [1, 2, None]}),
        ("false", "jsonParse()", False),
        ("42.50", "toNumber()", 42.5),
        ("", "toNumber()", 0),
        ("0x10", "toNumber()", 16),
        ("\ufeff  Mixed\u00a0", "trim()", "Mixed"),
        ("\x1ckept", "trim()", "\x1ckept"),
        ("AbÇ", "toLowerCase()", "abç"),
        ("straße", "toUpperCase()", "STRASSE"),
        ("yes", "equal(yes)", True),
        ("yes", "equal(Yes)", False),
        ("a(b", "equal(a(b)", True),
        ("3", "equal(3)", True),
        (".a", "equal(.a)", True),
        ("abcdef", "slice(2)", "cdef"),
        ("abcdef", "slice(1,3)", "bc"),
        ("abcdef", "slice(1, -1)", "bcde"),
        ("abcdef", "slice(-2)", "ef"),
        ("abc", "slice(2,1)", ""),
        ("a-b-c", "split(-)", ["a", "b", "c"]),
        ("one two", "split( )", ["one", "two"]),
        ("a, b", "split(, )", ["a", "b"]),
        ("a\nb", "split(\n)", ["a", "b"]),
        ("k:v", "split(:)", ["k", "v"]),
        ("", "split(,)", [""]),
        (2.0, "toString()", "2"),
        (1e21, "toString()", "1e+21"),
        (5, "add(3)", 8),
        (5, "add(-8)", -3),
        (1.5, "add(2)", 3.5),
        (3, "equal(3)", True),
        (16, "equal(0x10)", True),
        (3, "equal(x)", False),
        (True, "not()", False),
        (False, "not()", True),
        (MISSING, "default(spare)", "spare"),
        (MISSING, "default(12)", 12),
        (MISSING, "default(-3)", -3),
    ],
)
def test_functions_on_the_types_they_know(value: Any, part: str, expected: Any) -> None:
    found = get(value, part)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("text", "length()"),
        ({"a": 1}, "length()"),
        ({"a": 1}, "sum()"),
        (5, "toJSON()"),
        ("x", "toJSON()"),
        (["a", "b"], "join(.)"),
        (["a", "b"], "join(, )"),
        (["a"], "split(,)"),
        ([1, 2], "slice(1)"),
        ("no fence", "codeBlock()"),
        ("null", "jsonParse()"),
        ("twelve", "toNumber()"),
        (5, "toNumber()"),
        (5, "trim()"),
        ("yes", "equal()"),
        ("two words", "equal(two words)"),
        ("a", "split(x)"),
        ("a", "slice(x)"),
        (5, "add(0.5)"),
        (5, "add(+1)"),
        ("5", "add(1)"),
        (True, "add(1)"),
        (True, "equal(true)"),
        (True, "toString()"),
        (math.nan, "toString()"),
        (math.inf, "add(1)"),
        (1, "not()"),
        (None, "default(x)"),
        ("set", "default(x)"),
        (MISSING, "default()"),
        (MISSING, "default(a b)"),
        (MISSING, "default(.)"),
        (MISSING, "length()"),
        (None, "keys()"),
        (b"bytes", "length()"),
        ("x", "unknown()"),
    ],
)
def test_functions_on_other_types_give_nothing(value: Any, part: str) -> None:
    assert get(value, part) is MISSING


def test_sum_and_extremes_of_what_is_no_number() -> None:
    assert math.isnan(get([1, MISSING], "sum()"))
    assert math.isnan(get([1, "x"], "max()"))
    assert math.isnan(get([{}, 1], "min()"))
    assert math.isnan(get(["x"], "average()"))


def test_bad_json_fails_the_node_and_says_which_function() -> None:
    with pytest.raises(NodeError, match=r"jsonParse\(\): this text is not JSON"):
        get("{oops", "jsonParse()")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("$0", "a"),
        ("$1", ["b"]),
        ("$last", None),
        ("$3", MISSING),
        ("$-1", MISSING),
        ("0", MISSING),
        ("length", MISSING),
        ("a", MISSING),
    ],
)
def test_list_positions(part: str, expected: Any) -> None:
    assert get(["a", ["b"], None], part) == expected


def test_an_empty_list_has_no_last() -> None:
    assert get([], "$last") is MISSING
    assert get([], "$0") is MISSING


@pytest.mark.parametrize("key", ["plain", "with-dash", "two words", "é", "0", "$0", "$last", "$x", "length()", "a()", ""])
def test_any_key_of_a_map_can_be_reached(key: str) -> None:
    assert get({key: 1}, key) == 1
    assert get({}, key) is MISSING


def test_functions_come_before_keys_of_the_same_name() -> None:
    assert get({"keys()": 1}, "keys()") == ["keys()"]


def test_null_is_a_value_and_inherited_names_are_not() -> None:
    assert get({"k": None}, "k") is None
    assert get({}, "constructor") is MISSING


@pytest.mark.parametrize("value", ["text", 5, 2.5, True, None, MISSING, b"x", ["x"]])
def test_only_maps_have_keys(value: Any) -> None:
    assert get(value, "key") is MISSING


@pytest.mark.parametrize("part", ["name", "$x", "a b", "unknown()", "add(0.5)", "équal(x)", "sum( )", "length", "0", ""])
def test_plain_keys(part: str) -> None:
    assert is_plain_key(part)


@pytest.mark.parametrize("part", ["$0", "$last", "length()", "join(-)", "equal(x)", "default(1)", "not()", "add(1)", "slice(1)"])
def test_parts_that_are_more_than_a_key(part: str) -> None:
    assert not is_plain_key(part)


_PARTS = st.sampled_from(["k", "$0", "sum()", "keys()", "foo()", "equal(1)", "default(x)", "", "$", "a b"]) | st.text(max_size=8)
_VALUES = st.sampled_from([MISSING, None, True, 0, 1.5, "t", [], [1], {}, {"k": 1}])


@given(_PARTS, _VALUES)
def test_a_plain_key_may_be_looked_up_directly(part: str, value: Any) -> None:
    if is_plain_key(part):
        direct = value[part] if type(value) is dict and part in value else MISSING
        assert get(value, part) is direct


def test_functions_leave_their_value_alone() -> None:
    value = [3, [1, 2]]
    for part in ("flat()", "sum()", "max()", "values()", "toJSON()", "join(,)"):
        get(value, part)
    assert value == [3, [1, 2]]


def test_code_block_needs_a_fence_at_the_start_of_a_line() -> None:
    assert code_block("x ```\na\n```") is None
    assert code_block("```json\n{}\n```") == "\n{}"
