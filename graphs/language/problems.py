"""Problems for people and programs: the terminal's text with the line and a caret, and plain objects for JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from graphs.errors import Problem
from graphs.language.marks import Mark, Marks
from graphs.values import Value

__all__ = ["MOST_SHOWN", "as_data", "render", "summary"]

MOST_SHOWN: Final = 50
"""Problems that are shown in full; thousands of them have one cause."""

_GRAPHAI = " (GraphAI: "
_WIDEST = 110
_BEFORE = 60

_RED, _YELLOW, _BLUE, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[1m", "\x1b[0m"


def render(problems: Sequence[Problem], text: str | None = None, *, color: bool = False, then: str = "Nothing was run.") -> str:
    """All problems as text for a terminal, the last line their number. `text` is what their lines and columns point into.

    Only ASCII is added to what the graph itself holds; control characters in it are shown as `?`. `then` follows the number
    where there are errors.
    """
    marks = Marks(Mark(0, 0), text) if text is not None else None
    paint = _Paint(color)
    blocks = [_block(problem, marks, paint) for problem in problems[:MOST_SHOWN]]
    if len(problems) > MOST_SHOWN:
        blocks.append(f"... and {len(problems) - MOST_SHOWN} more")
    return "\n".join([*blocks, summary(problems, then=then)])


def summary(problems: Sequence[Problem], *, then: str = "Nothing was run.") -> str:
    """How many problems there are: `2 problems, 1 warning. Nothing was run.`"""
    warnings = sum(problem.warning for problem in problems)
    errors = len(problems) - warnings
    counts = [_count(errors, "problem")] if errors or not warnings else []
    counts += [_count(warnings, "warning")] if warnings else []
    return f"{', '.join(counts)}. {then}" if errors else f"{', '.join(counts)}."


def as_data(problems: Sequence[Problem]) -> list[dict[str, Value]]:
    """The problems as JSON objects: code, file, line, column, message, suggestion, and whether it is a warning.

    Line and column are null where the graph had no text.
    """
    return [
        {
            "code": problem.code,
            "file": problem.file,
            "line": problem.line or None,
            "column": problem.column or None,
            "path": list(problem.path),
            "message": problem.message,
            "suggestion": problem.suggestion,
            "warning": problem.warning,
        }
        for problem in problems
    ]


class _Paint:
    """Colours, if they are wanted."""

    def __init__(self, color: bool) -> None:
        self.color = color

    def __call__(self, code: str, text: str) -> str:
        return f"{code}{text}{_PLAIN}" if self.color else text


def _block(problem: Problem, marks: Marks | None, paint: _Paint) -> str:
    """One problem: headline, place, the line with a caret, GraphAI's words."""
    message, _, graphai = problem.message.partition(_GRAPHAI)
    tint = _YELLOW if problem.warning else _RED
    kind = f"{'warning' if problem.warning else 'error'}[{problem.code}]"
    lines = [paint(tint, kind) + paint(_BOLD, f": {_clean(message)}")]
    gutter = " " * len(str(problem.line))
    place = _clean(problem.file or "graph")
    if problem.line:
        lines.append(f"{gutter}{paint(_BLUE, '-->')} {place}:{problem.line}:{problem.column}")
        if marks is not None:
            lines += _source(problem, marks, gutter, tint, paint)
        elif problem.suggestion:
            lines.append(f"{gutter} {paint(_BLUE, '=')} {_clean(problem.suggestion)}")
    else:
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.path).lstrip(".")
        lines.append(f"{gutter}{paint(_BLUE, '-->')} {place}" + (f": {_clean(where)}" if where else ""))
        if problem.suggestion:
            lines.append(f"{gutter} {paint(_BLUE, '=')} {_clean(problem.suggestion)}")
    if graphai:
        lines.append(f"{gutter} {paint(_BLUE, '=')} GraphAI: {_clean(graphai.removesuffix(')'))}")
    return "\n".join(lines)


def _source(problem: Problem, marks: Marks, gutter: str, tint: str, paint: _Paint) -> list[str]:
    """The line the problem is on, and a caret below it."""
    line = marks.line_text(problem.line)
    start = problem.column - 1
    cut = max(0, start - _BEFORE) if len(line) > _WIDEST else 0
    shown = _clean(line[cut : cut + _WIDEST].replace("\t", " "))
    indent = " " * _width(shown[: start - cut])
    caret = "^" * max(1, _width(shown[start - cut : start - cut + problem.length]))
    dots = "..." if cut else ""
    bar = paint(_BLUE, "|")
    pointer = f"{gutter} {bar} {' ' * len(dots)}{indent}{paint(tint, caret)}"
    if problem.suggestion:
        pointer += f" {paint(tint, _clean(problem.suggestion))}"
    return [f"{gutter} {bar}", f"{paint(_BLUE, str(problem.line))} {bar} {dots}{shown}", pointer]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _clean(text: str) -> str:
    """The text without anything that would steer a terminal: graphs come from others."""
    return text if text.isascii() and text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)


def _width(text: str) -> int:
    """Cells the text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
