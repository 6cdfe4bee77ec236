"""YAML 1.2 on top of a reader of 1.1: the core schema's words, and the places where the scanner would misread."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, strategies as st

from graphs.errors import GraphInvalid, Problem
from graphs.language import yaml12
from graphs.language.builder import Builder
from graphs.language.yaml12 import read_yaml, resolve


def read(text: str) -> Any:
    builder = Builder(text)
    read_yaml(text, builder)
    data, marks = builder.finish()
    assert marks.problems == ()
    return data


def refused(text: str) -> Problem:
    return problems_of(text)[-1]


def problems_of(text: str) -> tuple[Problem, ...]:
    builder = Builder(text)
    try:
        read_yaml(text, builder)
        builder.finish()
    except GraphInvalid as error:
        return error.problems
    return ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((word, word) for word in ("on", "off", "On", "yes", "no", "Yes", "NO", "y", "n", "nUll", "tRue", "None", "NaN")),
        *((word, word) for word in ("12:30", "12:30:45", "2026-10-01", "2026-10-01T12:00:00Z", "1_000", "0b101", "0o18", "0xg")),
        *((word, word) for word in ("+0x1f", "-0o7", "1e", "e3", ".", "+", "-", "--1", "1.2.3", "0x", ".e3", "+.nan", "=", "<")),
        *((word, None) for word in ("null", "Null", "NULL", "~", "")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *[("0", 0), ("012", 12), ("-012", -12), ("+7", 7), ("0o17", 15), ("0x1f", 31), ("0xAb", 171), ("00", 0)],
        *[
            ("1e3", 1000.0),
            ("1E3", 1000.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5", -0.5),
            ("+1.5e-3", 0.0015),
            ("0.1", 0.1),
            ("08.5", 8.5),
        ],
        *[("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63)), ("18446744073709551616", 2.0**64)],
        *[("0xffffffffffffffff", 2**64 - 1), ("0x10000000000000000", 2.0**64)],
        *[(".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf), ("9" * 5000, math.inf), ("0x" + "f" * 5000, math.inf)],
    ],
)
def test_plain_words_mean_what_the_core_schema_says(written: str, meant: Any) -> None:
    found = resolve(written)
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize("word", [".nan", ".NaN", ".NAN"])
def test_not_a_number(word: str) -> None:
    assert math.isnan(resolve(word))


def test_words_in_quotes_and_blocks_are_text() -> None:
    assert read("a: '1'\nb: \"true\"\nc: |\n  null\nd: >-\n  1e3\n") == {"a": "1", "b": "true", "c": "null\n", "d": "1e3"}


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("[:a, :b.c]", [":a", ":b.c"]),
        ("{v: :a, w: [:x.$0, ':y'],}", {"v": ":a", "w": [":x.$0", ":y"]}),
        ("[\n  # the first\n  :a,\n  :b\n]", [":a", ":b"]),
        ("[::a]", ["::a"]),
        ("{a: :b.add(1), c: http://x.y/z}", {"a": ":b.add(1)", "c": "http://x.y/z"}),
        ('{"a":b, "c"::d, "e" :f}', {"a": "b", "c": ":d", "e": "f"}),
        ("{a:b}", {"a:b": None}),
        ("x: :a\ny: '[ :b ]'\nz: |\n  [:c, :d]\n", {"x": ":a", "y": "[ :b ]", "z": "[:c, :d]\n"}),
        ("{a: [:b], c: '\ue000'}", {"a": [":b"], "c": "\ue000"}),
        ("a: b\u2028c\nd: [\x85, '\u2029']", {"a": "b\u2028c", "d": ["\x85", "\u2029"]}),
        ("x: &a 1\ny: &a 2\nz: *a", {"x": 1, "y": 2, "z": 2}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
    ],
)
def test_colons_line_ends_and_anchors_as_in_version_1_2(text: str, data: Any) -> None:
    assert read(text) == data


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a:\n\t- x", 2, 1, "tab"),
        ("a: @now", 1, 4, 'begins with "@" has to stand in quotes'),
        ("a: `x`", 1, 4, "quotes"),
        ("a: %x", 1, 4, "quotes"),
        ("a: 1\n b: 2", 2, 3, "indented deeper"),
        ("a: b: c", 1, 5, "quotes"),
        ("a:\n  b: 'x", 2, 6, "never closed"),
        ("a: [1,\n  2", 1, 4, "this [ is never closed"),
        ("a: {b: ${:c}}", 1, 9, "needs quotes"),
        ("- a\nb: c", 2, 1, "expected"),
        ("a: *x", 1, 4, 'no anchor "&x"'),
        ("a: x\x1by", 1, 5, "U+001B"),
        ("a: \ud800", 1, 4, "U+D800"),
    ],
)
def test_what_is_not_yaml_is_a_problem_with_its_place(text: str, line: int, column: int, says: str) -> None:
    problem = refused(text)
    assert (problem.code, problem.line, problem.column) == ("GF101", line, column)
    assert says in problem.message


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\n---\nb: 1", 2, "second document"),
        ("? [a]\n: b", 1, "a key has to be text"),
        ("a: &a [1, *a]", 1, "never end"),
        ("a: &a {b: {c: *a}}", 1, "never end"),
        ("%YAML 1.2\n" + "%TAG !a! x\n" * 1000 + "---\na: 1", 2, "tags are not supported"),
    ],
)
def test_what_graphs_do_without_is_refused(text: str, line: int, says: str) -> None:
    problem = refused(text)
    assert (problem.code, problem.line) == ("GF109", line)
    assert says in problem.message


@pytest.mark.parametrize("text", ["a: !!str 1", "a: !x {b: c}", "- !!set [1]"])
def test_tags_are_noted_and_the_rest_is_read(text: str) -> None:
    builder = Builder(text)
    read_yaml(text, builder)
    _, marks = builder.finish()
    (problem,) = marks.problems
    assert (problem.code, problem.line) == ("GF109", 1)


def test_it_reads_the_same_without_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: [:b, on, 0o17, &x {c: *y}]\n".replace("&x {c: *y}", "&x {c: 1}, *x") + "d: |\n  e\n"
    expected = read(text)
    monkeypatch.setattr(yaml12, "_Parser", yaml.SafeLoader)
    assert read(text) == expected == {"a": [":b", "on", 15, {"c": 1}, {"c": 1}], "d": "e\n"}
    assert refused("a: [1,\n  2").code == "GF101"


@given(st.text(alphabet="ab:{}[],'\"#&*!|>%@`~- \n\t?<0.\u2028\x1b\ue000", max_size=40))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems_of(text))
