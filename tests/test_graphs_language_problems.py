"""Problems as a terminal and a program see them."""

from __future__ import annotations

import json
import re

import pytest

from graphs.errors import Problem
from graphs.language.check import check
from graphs.language.load import load_text
from graphs.language.problems import MOST_SHOWN, as_data, render, summary

NEWS = """\
version: 0.5
nodes:
  analyse:
    agent: copyAgent
    timeout: 10
    timeout: 20
  merge:
    agent: copyAgent
    inputs:
      text: :analyze.text
"""


def problems_of(text: str) -> list[Problem]:
    document = load_text(text, file="news.yaml")
    return check(document.data, ["copyAgent"], marks=document.marks)


def test_the_line_a_caret_and_what_was_meant() -> None:
    assert render(problems_of(NEWS), NEWS) == (
        """\
error[GF107]: duplicate key "timeout" (first on line 5)
 --> news.yaml:6:5
  |
6 |     timeout: 20
  |     ^^^^^^^
error[GF103]: node "merge" reads from "analyze", which does not exist
  --> news.yaml:10:14
   |
10 |       text: :analyze.text
   |              ^^^^^^^ did you mean "analyse" (line 3)?
   = GraphAI: Inputs not match: NodeId merge, Inputs: analyze
2 problems. Nothing was run."""
    )


def test_without_the_text_the_place_and_the_suggestion_stay() -> None:
    assert render(problems_of(NEWS)[1:]).splitlines() == [
        'error[GF103]: node "merge" reads from "analyze", which does not exist',
        "  --> news.yaml:10:14",
        '   = did you mean "analyse" (line 3)?',
        "   = GraphAI: Inputs not match: NodeId merge, Inputs: analyze",
        "1 problem. Nothing was run.",
    ]


def test_without_a_line_the_path_is_shown() -> None:
    problem = Problem("GF106", "wrong", ("nodes", "a", "inputs", 3, "x"), suggestion="write it right", warning=True)
    assert render([problem]).splitlines() == [
        "warning[GF106]: wrong",
        " --> graph: nodes.a.inputs[3].x",
        "  = write it right",
        "1 warning.",
    ]
    assert render([Problem("GF100", "gone", file="x.yaml")]).splitlines()[1] == " --> x.yaml"


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a: :gone", 41),
        ('"日本": :gone', 46),  # each of the two characters takes two cells
        ("'e\u0301': :gone", 43),  # the accent takes none
        ("\ta:\t:gone", 42),  # a tab is shown as one blank
    ],
)
def test_the_caret_stands_below_its_word(text: str, cells: int) -> None:
    source = f"version: 0.5\nnodes:\n  b: {{agent: copyAgent, inputs: {{{text}}}}}\n"
    lines = render(problems_of(source), source).splitlines()
    assert lines[3] == "3 |   b: {agent: copyAgent, inputs: {" + text.replace("\t", " ") + "}}"
    assert lines[4] == "  |" + " " * (cells - 4) + " ^^^^"


def test_long_lines_are_cut_around_the_caret() -> None:
    source = f"version: 0.5\nnodes:\n  b: {{agent: copyAgent, params: {{p: {'x' * 500}}}, inputs: {{a: :gone}}, output: {{p: {'y' * 500}}}}}\n"
    lines = render(problems_of(source), source).splitlines()
    start = lines[4].index("^")
    assert lines[3][start : start + 4] == "gone"
    assert lines[3].startswith("3 | ...x")
    assert len(lines[3]) < 130


def test_nothing_in_a_graph_steers_the_terminal() -> None:
    problem = Problem("GF104", "no \x1b[31m\x07", ("\x1b",), "a\x1bb.yaml", suggestion="\x1b]0;x")
    shown = render([problem])
    assert "\x1b" not in shown
    assert "\x07" not in shown
    source = 'a: "\u202e :b"\n'
    placed = Problem("GF104", "x", (), "f", 1, 4, 3)
    assert "\u202e" not in render([placed], source)


def test_only_ascii_is_added() -> None:
    assert render(problems_of(NEWS), NEWS, color=True).isascii()


def test_colours_are_optional_and_change_nothing_else() -> None:

    plain, coloured = (render(problems_of(NEWS), NEWS, color=color) for color in (False, True))
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[[0-9]+m", "", coloured) == plain


def test_of_thousands_the_first_are_shown() -> None:
    problems = [Problem("GF104", f"number {place}") for place in range(5000)]
    lines = render(problems).splitlines()
    assert len(lines) == 2 * MOST_SHOWN + 2
    assert lines[-2:] == ["... and 4950 more", "5000 problems. Nothing was run."]


@pytest.mark.parametrize(
    ("errors", "warnings", "text"),
    [
        (1, 0, "1 problem. Nothing was run."),
        (2, 1, "2 problems, 1 warning. Nothing was run."),
        (0, 2, "2 warnings."),
        (0, 0, "0 problems."),
    ],
)
def test_how_many(errors: int, warnings: int, text: str) -> None:
    problems = [Problem("GF104", "x")] * errors + [Problem("GF150", "y", warning=True)] * warnings
    assert summary(problems) == text


def test_as_objects() -> None:
    first, second = as_data([problems_of(NEWS)[1], Problem("GF150", "y", ("a", 0), warning=True)])
    assert first == {
        "code": "GF103",
        "file": "news.yaml",
        "line": 10,
        "column": 14,
        "path": ["nodes", "merge", "inputs", "text"],
        "message": 'node "merge" reads from "analyze", which does not exist (GraphAI: Inputs not match: NodeId merge, Inputs: analyze)',
        "suggestion": 'did you mean "analyse" (line 3)?',
        "warning": False,
    }
    assert (second["line"], second["column"], second["warning"]) == (None, None, True)
    json.dumps([first, second])
