"""The report: suggestions, soft problems of nested graphs, and the order of documents."""

from __future__ import annotations

from graphs.errors import Problem
from graphs.language.load import load_text
from graphs.language.report import CODES, Report, in_document_order


def test_every_code_has_a_title() -> None:
    assert all(code.startswith("GF1") and len(code) == 5 and title for code, title in CODES.items())


def test_suggestions_come_with_their_line_where_there_is_one() -> None:
    marks = load_text("nodes:\n  analyse: {}\n").marks
    report = Report(marks)
    assert (
        report.did_you_mean("Analyze", ["merge", "analyse"], lambda name: ("nodes", name)) == 'did you mean "analyse" (line 2)?'
    )
    assert report.did_you_mean("Analyze", ["merge", "analyse"]) == 'did you mean "analyse"?'
    assert Report().did_you_mean("analyze", ["analyse"], lambda name: ("nodes", name)) == 'did you mean "analyse"?'
    assert report.did_you_mean("colour", ["nodes", "loop"]) is None
    assert report.did_you_mean("x", []) is None


def test_only_so_many_suggestions_are_sought_nested_graphs_included() -> None:
    report = Report()
    inner = report.nested(("nodes", "a", "graph"))
    found = [each.did_you_mean("nodse", ["nodes"]) for _ in range(30) for each in (report, inner)]
    assert sum(each is not None for each in found) == 20


def test_nested_problems_are_soft_and_have_the_whole_path() -> None:
    report = Report(file="g.yaml")
    inner = report.nested(("nodes", "a", "graph")).nested(("nodes", "b", "graph"))
    inner.error("GF102", "x", ("nodes",))
    report.error("GF104", "y", ("z",), suggestion="w")
    assert report.problems == [
        Problem("GF102", "x", ("nodes", "a", "graph", "nodes", "b", "graph", "nodes"), "g.yaml", warning=True),
        Problem("GF104", "y", ("z",), "g.yaml", suggestion="w"),
    ]
    strict = Report(strict=True)
    strict.nested(("a",)).error("GF102", "x", ())
    assert not strict.problems[0].warning


def test_document_order_without_a_text_is_that_of_the_keys() -> None:
    document = {"b": [1, {"x": 1, "a": 2}], "a": 1}
    paths = [("b", 0), ("b", 1), ("b", 1, "x"), ("b", 1, "a"), ("b", 1, "none"), ("a",), ("a", "deeper"), ("gone",)]
    problems = [Problem("GF104", str(path), path) for path in paths]
    for given in (problems, problems[::-1]):
        assert [each.path for each in in_document_order(list(given), document)] == paths
    assert in_document_order([], document) == []
