"""Marks: where in a text each key and value of a document stands.

A mark is kept as offsets into the text, lines and columns are worked out only when a problem has to point at something.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from graphs.errors import Problem

__all__ = ["Mark", "Marks", "Path", "Span", "Where"]

Path: TypeAlias = tuple[str | int, ...]
"""Keys and positions from the root of a document."""

Span: TypeAlias = tuple[int, int]
"""Start and end of a piece of text."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_AFTER_NAME = frozenset(".}\"', \t\r\n])")


class Mark(NamedTuple):
    """Where a value stands; for a map also where its keys stand, for maps and lists also the marks of what is in them."""

    start: int
    end: int
    keys: dict[str, Span] | None = None
    inside: dict[str, Mark] | list[Mark] | None = None


class Where(NamedTuple):
    """A place to point at: line and column count from 1, `length` is the caret's width."""

    line: int
    column: int
    length: int


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of one document, the text they point into, and what was noticed while it was read (duplicate keys, ...)."""

    root: Mark
    text: str
    file: str | None = None
    problems: tuple[Problem, ...] = ()
    _lines: list[int] = field(default_factory=list, repr=False, compare=False)

    def where(self, path: Path, *, key: bool = False, part: str | None = None) -> Where:
        """The place of the value at `path`, or of its key.

        With `part` the place of that node's name inside the value's text. A path that leads nowhere gives the last place on
        the way that exists; so does an empty value, which has nothing to point at.
        """
        span, own_key = self._span(path)
        if own_key is not None and (key or span[0] == span[1] or self._is_container(path)):
            return self.at(*own_key)
        if part is not None:
            found = self._name_in(part, *span)
            if found is not None:
                return self.at(found, found + len(part))
        return self.at(*span)

    def at(self, start: int, end: int) -> Where:
        """The place of a piece of the text; the caret ends with the line."""
        if not self._lines:
            self._lines.extend([0, *(match.end() for match in _LINE_END.finditer(self.text))])
        line = bisect_right(self._lines, start)
        line_end = self._lines[line] if line < len(self._lines) else len(self.text)
        shown = self.text[start : min(end, line_end)].rstrip()
        return Where(line, start - self._lines[line - 1] + 1, max(1, len(shown)))

    def line(self, path: Path) -> int:
        """The line on which the key or value at `path` begins."""
        return self.where(path, key=True).line

    def line_text(self, line: int) -> str:
        """A line without its end."""
        self.at(0, 0)
        start = self._lines[line - 1]
        end = self._lines[line] if line < len(self._lines) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def _span(self, path: Path) -> tuple[Span, Span | None]:
        mark, key = self.root, None
        for step in path:
            inside = _step(mark, step)
            if inside is None:
                break
            key = mark.keys.get(step) if mark.keys is not None and isinstance(step, str) else None
            mark = inside
        return (mark.start, mark.end), key

    def _is_container(self, path: Path) -> bool:
        mark = self.root
        for step in path:
            inside = _step(mark, step)
            if inside is None:
                break
            mark = inside
        return mark.inside is not None

    def _name_in(self, name: str, start: int, end: int) -> int | None:
        first = None
        at = self.text.find(":" + name, start, end)
        while at >= 0:
            after = at + 1 + len(name)
            if after >= end or self.text[after] in _AFTER_NAME:
                return at + 1
            first = at + 1 if first is None else first
            at = self.text.find(":" + name, at + 1, end)
        return first


def _step(mark: Mark, step: str | int) -> Mark | None:
    inside: dict[str, Mark] | list[Mark] | None = mark.inside
    if isinstance(inside, dict):
        return inside.get(step) if isinstance(step, str) else None
    if inside is None or not isinstance(step, int) or step >= len(inside):
        return None
    return inside[step]
