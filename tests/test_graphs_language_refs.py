"""References: which strings are special, what they name, and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from graphs.errors import NodeError
from graphs.language.refs import (
    compile_output,
    compile_path,
    compile_source,
    compile_value,
    helper_known,
    is_source,
    names,
    names_in,
    split_path,
)
from graphs.values import MISSING, Value


@dataclass
class Turn:
    """What a frame shows to helpers."""

    turn: int = 4

    def now_ms(self) -> int:
        return 1_700_000_000_123


INDEX = {"a": 0, "b": 1, "gone": 2, "key with space": 3}
RESULTS: list[Any] = [{"x": {"y": [10, 20]}, "text": "t", "none": None}, 7, MISSING, {"x": "spaced"}, Turn()]


def get(value: Value) -> Value:
    getter = compile_value(value, INDEX)
    return value if getter is None else getter(RESULTS)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (":a.x.y", [10, 20]),
        (":a.x.y.$1", 20),
        (":a.x.y.$last", 20),
        (":a.x.y.$2", MISSING),
        (":a.x.y.length()", 2),
        (":a.text", "t"),
        (":a.text.deeper", MISSING),
        (":a.none", None),
        (":a.none.deeper", MISSING),
        (":b", 7),
        (":b.add(1)", 8),
        (":gone", MISSING),
        (":gone.a.b", MISSING),
        (":gone.default(5)", 5),
        (":nobody", MISSING),
        (":nobody.x.default(spare)", "spare"),
        (":", MISSING),
        (":key with space.x", "spaced"),
        (":__loopIndex", 4),
        (":__loopIndex.add(1)", 5),
    ],
)
def test_a_source_follows_its_path_and_leads_nowhere_without_error(source: str, value: Value) -> None:
    assert get(source) == value
    assert compile_source(source, INDEX)(RESULTS) == value


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("<${:a.text}>", "<t>"),
        ("${:a.text}${:b}", "t7"),
        ("${:gone}/${:a.none}", "undefined/null"),
        ("${:a.x.y}", "10,20"),
        ("${:a.x}", '{"y":[10,20]}'),
        ("${@loop}-${:b}", "4-7"),
        ("at ${@now_s}", "at 1700000000"),
        (":b and ${:b}", ":b and 7"),
        ("${:a.text} costs $5 ${x} $& $$", "t costs $5 ${x} $& $$"),
        ("${@nothing}!", "!"),
    ],
)
def test_a_template_is_filled_in_one_pass_and_is_always_text(text: str, filled: str) -> None:
    assert get(text) == filled


def test_text_that_was_filled_in_is_not_filled_again() -> None:
    assert compile_value("${:a}${:b}", {"a": 0, "b": 1})(["${:b}", "$&", Turn()]) == "${:b}$&"  # type: ignore[misc]


@pytest.mark.parametrize("text", ["", " :a", "see :a", "${x}", "$0", "12:30", "${ :a}", "a@now", "${:a"])
def test_everything_else_is_a_literal_and_costs_nothing(text: str) -> None:
    assert compile_value(text, INDEX) is None
    assert names(text) == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [("@now", 1_700_000_000_123), ("@now_ms", 1_700_000_000_123), ("@now_s", 1_700_000_000), ("@loop", 4), ("@maria", "")],
)
def test_helpers(text: str, value: Value) -> None:
    assert get(text) == value
    assert helper_known(text) is (text != "@maria")


def test_maps_and_lists_are_filled_at_any_depth_and_keep_their_order() -> None:
    value = {"z": ":b", "literal": [1, None], "deep": [{"a": ":a.text"}, [":gone", "x"]], "tail": 0}
    filled = get(value)
    assert filled == {"z": 7, "literal": [1, None], "deep": [{"a": "t"}, [MISSING, "x"]], "tail": 0}
    assert list(filled) == ["z", "literal", "deep", "tail"]
    assert value["z"] == ":b"


def test_all_ways_a_list_is_compiled_agree() -> None:
    assert get([":a.text", ":a.none", ":gone.x"]) == ["t", None, MISSING]
    assert get([":a.text", ":b", ":a.x.y.$0"]) == ["t", 7, 10]
    assert get([":b.x", 5]) == [MISSING, 5]
    assert compile_value([], INDEX) is None
    assert compile_value([1, {"a": "b"}], INDEX) is None


def test_filled_values_are_handed_on_by_reference() -> None:
    assert get({"v": ":a"})["v"] is RESULTS[0]


def test_an_error_in_a_property_function_passes_through() -> None:
    with pytest.raises(NodeError, match="jsonParse"):
        compile_source(":a.text.jsonParse()", INDEX)([{"text": "{"}])


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (":n.split(.).$0", ("n", ["split(.)", "$0"])),
        (":n.join(.)", ("n", ["join(.)"])),
        (":n.equal(a.b).c", ("n", ["equal(a", "b)", "c"])),
        (":n", ("n", [])),
        (":n.a-b.c d.1", ("n", ["a-b", "c d", "1"])),
    ],
)
def test_dots_beside_a_bracket_do_not_separate(source: str, parts: tuple[str, list[str]]) -> None:
    name, properties = split_path(source)
    assert (name, list(properties)) == parts


def test_what_a_text_names() -> None:
    assert names(":a.b") == ("a",)
    assert names("${:a.x} ${@now} ${:b}") == ("a", "b")
    assert names(":__loopIndex") == ()
    assert names(":") == ()
    assert list(names_in({"x": [":a", {"y": "${:b}${:a}"}], "z": 5})) == ["a", "b", "a"]


def test_a_source_is_text_with_a_colon_in_front() -> None:
    assert is_source(":a")
    assert not is_source("a:")
    assert not is_source(None)


def test_output_takes_paths_into_the_value_and_everything_else_as_it_is() -> None:
    shape = compile_output({"t": ".text", "n": {"deep": [".x.y.$0", ":a", "${:b}", 5]}, "whole": ".", "len": ".x.y.length()"})
    assert shape(RESULTS[0]) == {"t": "t", "n": {"deep": [10, ":a", "${:b}", 5]}, "whole": MISSING, "len": 2}
    assert shape(MISSING) == {"t": MISSING, "n": {"deep": [MISSING, ":a", "${:b}", 5]}, "whole": MISSING, "len": MISSING}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".text", "t"),
        (".x.y", [10, 20]),
        (".x.y.$1", 20),
        (".x.y.$9", MISSING),
        (".x.y.length()", MISSING),
        (".none", None),
        (".q.r", MISSING),
    ],
)
def test_the_path_of_repeat_until_knows_no_functions(path: str, value: Value) -> None:
    assert compile_path(path)(RESULTS[0]) == value
