"""Loading graphs from files, texts and Python data."""

from __future__ import annotations

import json
from collections import OrderedDict
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from graphs.errors import GraphInvalid, Problem
from graphs.language import builder, load as loading
from graphs.language.load import Document, load, load_data, load_file, load_text
from graphs.values import canonical


def refused(source: Any, **options: Any) -> Problem:
    with pytest.raises(GraphInvalid) as caught:
        load(source, **options)
    return caught.value.problems[-1]


def noticed(text: str) -> list[tuple[str, str, int, int]]:
    marks = load_text(text).marks
    assert marks is not None
    return [(problem.code, problem.message, problem.line, problem.column) for problem in marks.problems]


def test_a_file_knows_its_name_and_text(tmp_path: Path) -> None:
    path = tmp_path / "news.yaml"
    path.write_bytes(b"\xef\xbb\xbfnodes:\r\n  a: {value: \xc3\xa9}\r\n")
    document = load(str(path))
    assert document == load(path)
    assert document.data == {"nodes": {"a": {"value": "é"}}}
    assert document.file == str(path)
    assert document.marks is not None
    assert document.marks.where(("nodes", "a", "value")) == (2, 14, 1)
    assert document.marks.line_text(2) == "  a: {value: é}"
    assert load_file(path, file="shown.yaml").file == "shown.yaml"


def test_a_missing_file_names_the_one_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "news.yaml").write_text("a: 1")
    problem = refused(tmp_path / "new.yaml")
    assert problem.code == "GF100"
    assert "No such file" in problem.message
    assert problem.suggestion == 'did you mean "news.yaml"?'


@pytest.mark.parametrize("name", [".", "no\0name", "nowhere/news.yaml"])
def test_what_cannot_be_read_is_a_problem(name: str) -> None:
    assert refused(name).code == "GF100"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str) -> None:
    assert load("a: ü\n".encode(encoding)).data == {"a": "ü"}


def test_bad_utf_8_is_a_problem_with_its_place() -> None:
    problem = refused("a: 1\nbü: x".encode("latin-1"), file="x.yaml")
    assert (problem.code, problem.file, problem.line, problem.column) == ("GF100", "x.yaml", 2, 2)
    assert "0xfc" in problem.message


def test_a_text_or_the_name_of_a_file() -> None:
    assert load("{a: 1}").data == {"a": 1}
    assert load("a: 1\n").data == {"a": 1}
    assert load(b"a: 1").data == {"a": 1}
    assert refused("a: 1").code == "GF100"


@pytest.mark.parametrize("text", ["", "# only this\n", "\ufeff"])
def test_an_empty_text_has_no_nodes(text: str) -> None:
    with pytest.raises(GraphInvalid, match="Invalid Graph Data: no nodes"):
        load_text(text)


def test_duplicate_keys_are_told_with_both_lines_and_the_first_counts() -> None:
    assert noticed("a:\n  b: 1\n  c: 2\n  b: 3\n") == [("GF107", 'duplicate key "b" (first on line 2)', 4, 3)]
    assert load_text("a: 1\na: 2\n").data == {"a": 1}
    assert noticed('{"a": 1, "b": {"a": 2, "a": 3}}') == [("GF107", 'duplicate key "a" (first on line 1)', 1, 24)]
    assert noticed("1: x\n'1': y\n")[0][0] == "GF107"


def test_keys_are_text_as_in_javascript() -> None:
    assert load_text("1: a\n1.5: b\ntrue: c\n~: d\n1e3: e\n0x10: f\n12:30: g\n").data == {
        "1": "a", "1.5": "b", "true": "c", "": "d", "1000": "e", "16": "f", "12:30": "g",
    }  # fmt: skip


def test_aliases_and_merges() -> None:
    text = """
base: &base {p: 1, q: 2}
more: {<<: *base, q: 3, r: *base}
list:
  q: 0
  <<: [*base, {s: 5, p: 9}]
  s: 6
plain: {'<<': 1}
"""
    data = load_text(text).data
    assert data["more"] == {"p": 1, "q": 3, "r": {"p": 1, "q": 2}}
    assert list(data["list"].items()) == [("q", 0), ("p", 1), ("s", 6)]
    assert data["plain"] == {"<<": 1}
    assert noticed(text) == []
    assert noticed("a: {<<: 3}") == [("GF109", "<< merges a map, or a list of maps, into this one", 1, 9)]
    assert noticed("x: &x {p: 1}\na: {<<: *x, p: 1, p: 2}") == [("GF107", 'duplicate key "p" (first on line 2)', 2, 19)]


def test_marks_lead_through_aliases() -> None:
    marks = load_text("a: &a\n  b: [1, 2]\nc: *a\nd:\n  <<: *a\n").marks
    assert marks is not None
    assert marks.where(("c",)) == (3, 1, 1)
    assert marks.where(("c", "b", 1)) == (2, 10, 1)
    assert marks.where(("d", "b"), key=True) == (2, 3, 1)


def test_numbers_no_graph_can_hold_are_noted() -> None:
    assert [(code, line, column) for code, _, line, column in noticed("a: .inf\nb: [1, .nan]\n")] == [
        ("GF110", 1, 4),
        ("GF110", 2, 8),
    ]
    assert [code for code, *_ in noticed('{"a": NaN, "b": -Infinity, "c": 1e999, "d": "\\ud800"}')] == ["GF110"] * 4
    assert load_text("a: 99999999999999999999").data == {"a": 1e20}


def test_json_is_read_as_json() -> None:
    text = (
        '{\n\t"a": [1, 2.5, -3, true, null, "\\/ \\ud83d\\ude00 \\" :b"],\n"b"\n:\t{"c": ":d"}, "e": 12345678901234567890123\n}'
    )
    document = load_text(text)
    assert document.data == {"a": [1, 2.5, -3, True, None, '/ 😀 " :b'], "b": {"c": ":d"}, "e": 12345678901234567890123.0}
    assert document.marks is not None
    assert document.marks.where(("b", "c"), part="d") == (4, 11, 1)
    assert document.marks.where(("a", 1)) == (2, 11, 3)


def test_flow_yaml_is_no_json_and_still_read() -> None:
    assert load_text('{"a": :b, c: on,}', file="x.json").data == {"a": ":b", "c": "on"}


@pytest.mark.parametrize(
    ("text", "file", "line", "column", "says"),
    [
        ('{"a": 1\n "b": 2}', None, 2, 2, "expecting ',' delimiter"),
        ('{"a": [1, 2}', "x.json", 1, 12, "expecting ',' delimiter"),
        ('{\n"a": tru e: }', "x.json", 2, 6, "expecting value"),
        ('"a": "b" : 1', "x.json", 1, 4, "extra data"),
    ],
)
def test_broken_json_is_told_in_words_of_json(text: str, file: str | None, line: int, column: int, says: str) -> None:
    with pytest.raises(GraphInvalid) as caught:
        load_text(text, file=file)
    (problem,) = caught.value.problems
    assert (problem.code, problem.file, problem.line, problem.column) == ("GF101", file, line, column)
    assert says in problem.message


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 5_000 + "]" * 5_000, "- " * 5_000, "{a: " * 5_000, '{"a":' * 50_000])
def test_depth_is_limited(text: str) -> None:
    problem = refused(text.encode())
    assert (problem.code, problem.message) == ("GF108", f"nested deeper than {builder.MAX_DEPTH} levels")


def test_depth_counts_aliases_written_out() -> None:
    half = builder.MAX_DEPTH // 2 + 1
    deep = f"a: &a {'[' * half}{']' * half}\nb: {'[' * half}*a{']' * half}\n"
    assert refused(deep).message.startswith("nested deeper")
    deepest = builder.MAX_DEPTH - 1
    assert load_text(f"a: {'[' * deepest}{']' * deepest}\n").data["a"] is not None


def test_a_billion_laughs_are_refused_before_they_are_written_out() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{chr(98 + place)}: &{chr(98 + place)} [{','.join(['*' + chr(97 + place)] * 9)}]" for place in range(20)]
    problem = refused("\n".join(lines))
    assert problem.code == "GF108"
    assert f"{builder.MAX_VALUES:,} values" in problem.message
    assert problem.line < 10


def test_size_and_number_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_SIZE", 2**20)
    assert refused(b"a: " + b"x" * 2**20).message == "the graph is larger than 1 MiB"
    monkeypatch.setattr(builder, "MAX_VALUES", 1000)
    assert refused("a: [" + "1," * 1000 + "]\n").code == "GF108"
    assert refused('{"a": [' + "1," * 1000 + "1]}").code == "GF108"


def test_a_graph_of_200_nodes() -> None:
    nodes = "".join(f"  n{i}:\n    agent: copyAgent\n    inputs: {{text: :n{i - 1}.text, n: {i}}}\n" for i in range(1, 200))
    document = load_text("version: 0.5\nnodes:\n  n0: {value: 1}\n" + nodes)
    assert len(document.data["nodes"]) == 200
    assert document.marks is not None
    assert document.marks.where(("nodes", "n150", "inputs", "text"), part="n149") == (453, 21, 4)


class Tier(StrEnum):
    SMALL = "small"


class Level(IntEnum):
    ONE = 1


def test_python_data_becomes_plain() -> None:
    data = OrderedDict([("a", (1, [2.5, Tier.SMALL])), (1, Level.ONE), (None, True)])
    document = load(data)  # type: ignore[arg-type]
    assert document == Document({"a": [1, [2.5, "small"]], "1": 1, "": True})
    assert [type(item) for item in (document.data["a"][1][1], document.data["1"])] == [str, int]


def test_everything_in_python_data_that_is_none_is_told_at_once() -> None:
    data = {"a": {1, 2}, "b": [object(), float("nan")], "c": 2**70, "d": {(1, 2): 3, 1: 0, "1": 0}, "e": b"", "f": "\udc00"}
    with pytest.raises(GraphInvalid) as caught:
        load_data(data, file="x")
    assert [(problem.code, problem.path) for problem in caught.value.problems] == [
        ("GF123", ("a",)),
        ("GF123", ("b", 0)),
        ("GF110", ("b", 1)),
        ("GF110", ("c",)),
        ("GF123", ("d",)),
        ("GF107", ("d", "1")),
        ("GF123", ("e",)),
        ("GF110", ("f",)),
    ]
    assert {problem.file for problem in caught.value.problems} == {"x"}


def test_python_data_without_end_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = [endless]
    assert refused(endless).code == "GF108"
    twice: list[Any] = ["x"] * 10
    for _ in range(9):
        twice = [twice] * 10
    assert refused({"a": twice}).code == "GF108"


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=4), JSON_LIKE, max_size=4))
def test_what_json_writes_is_read_back(data: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        document = load_text(json.dumps(data, ensure_ascii=ascii_only))
        assert document.data == data
        assert canonical(document.data) == canonical(data)
    assert load_data(data).data == data
