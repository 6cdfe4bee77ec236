"""The builder: makes data and marks of what a reader of YAML or JSON pushes, and refuses what has no end.

Readers call `scalar`, `alias`, `open_map`, `open_list` and `close` in the order of the text. Limits count what a document
*means*, aliases written out, so that a few lines cannot stand for a billion values.
"""

from __future__ import annotations

import math
from typing import Final, NoReturn

from graphs.errors import GraphInvalid, Problem
from graphs.language.jstext import text as as_text
from graphs.language.marks import Mark, Marks, Path, Span
from graphs.values import Value

__all__ = ["MAX_DEPTH", "MAX_VALUES", "Builder", "key_text", "unfit"]

MAX_DEPTH: Final = 128
"""Levels of maps and lists a graph may have."""

MAX_VALUES: Final = 1_000_000
"""Keys and values a graph may have, aliases written out."""

_GREATEST, _LEAST = 2**64 - 1, -(2**63)


class _Open:
    """A map or list whose end has not been read yet."""

    __slots__ = ("anchor", "before", "height", "start")

    def __init__(self, start: int, anchor: str | None, before: int) -> None:
        self.start = start
        self.anchor = anchor
        self.before = before
        self.height = 1

    def add(self, value: Value, mark: Mark, builder: Builder) -> None:
        raise NotImplementedError

    def step(self) -> str | int | None:
        raise NotImplementedError

    def finished(self, end: int) -> tuple[Value, Mark]:
        raise NotImplementedError


class _OpenList(_Open):
    __slots__ = ("marks", "values")

    def __init__(self, start: int, anchor: str | None, before: int) -> None:
        super().__init__(start, anchor, before)
        self.values: list[Value] = []
        self.marks: list[Mark] = []

    def add(self, value: Value, mark: Mark, builder: Builder) -> None:  # noqa: ARG002 - maps need it
        self.values.append(value)
        self.marks.append(mark)

    def step(self) -> int:
        return len(self.values)

    def finished(self, end: int) -> tuple[Value, Mark]:
        return self.values, Mark(self.start, end, None, self.marks)


class _OpenMap(_Open):
    """`key` waits for its value; `merging` says that the value is to be merged in, `twice` that it is to be dropped."""

    __slots__ = ("key", "keys", "marks", "merged", "merging", "twice", "values")

    def __init__(self, start: int, anchor: str | None, before: int) -> None:
        super().__init__(start, anchor, before)
        self.values: dict[str, Value] = {}
        self.marks: dict[str, Mark] = {}
        self.keys: dict[str, Span] = {}
        self.merged: set[str] = set()
        self.key: str | None = None
        self.merging = False
        self.twice = False

    def add(self, value: Value, mark: Mark, builder: Builder) -> None:
        if self.merging:
            self.merging = False
            self._merge(value, mark, builder)
        elif self.key is None:
            self._begin(value, mark, builder)
        else:
            if self.twice:
                self.twice = False
            else:
                self.values[self.key] = value
                self.marks[self.key] = mark
            self.key = None

    def _begin(self, value: Value, mark: Mark, builder: Builder) -> None:
        if mark.inside is not None:
            builder.fatal("GF109", "a key has to be text, this is a map or list", mark.start, mark.end)
        self.key = key = value if type(value) is str else key_text(value)
        if key in self.values and key not in self.merged:
            line = builder.line(self.keys[key][0])
            builder.problem("GF107", f'duplicate key "{key}" (first on line {line})', mark.start, mark.end)
            self.twice = True
            return
        self.merged.discard(key)
        self.keys[key] = (mark.start, mark.end)

    def _merge(self, value: Value, mark: Mark, builder: Builder) -> None:
        sources = list(zip(value, mark.inside, strict=True)) if isinstance(mark.inside, list) else [(value, mark)]
        for source, source_mark in sources:
            if not isinstance(source, dict) or not isinstance(source_mark.inside, dict) or source_mark.keys is None:
                builder.problem("GF109", "<< merges a map, or a list of maps, into this one", mark.start, mark.end)
                return
            for key, item in source.items():
                if key not in self.values:
                    self.values[key] = item
                    self.marks[key] = source_mark.inside[key]
                    self.keys[key] = source_mark.keys[key]
                    self.merged.add(key)

    def step(self) -> str | None:
        return self.key

    def finished(self, end: int) -> tuple[Value, Mark]:
        return self.values, Mark(self.start, end, self.keys, self.marks)


class Builder:
    """Builds one document from pushes; `finish` gives data and marks. Every method may raise GraphInvalid."""

    def __init__(self, text: str, file: str | None = None) -> None:
        self.problems: list[Problem] = []
        self._places = Marks(Mark(0, 0), text, file)
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Value, Mark, int, int] | None] = {}
        self._count = 0
        self._done: tuple[Value, Mark] | None = None

    def scalar(self, value: Value, start: int, end: int, anchor: str | None = None) -> None:
        """A text, number, boolean or null."""
        self._count += 1
        if self._count > MAX_VALUES:
            self._too_many(start, end)
        if value is not None and (reason := unfit(value)):
            self.problem("GF110", reason, start, end)
            value = None
        mark = Mark(start, end)
        if anchor is not None:
            self._anchors[anchor] = (value, mark, 1, 0)
        self._add(value, mark, 0)

    def merge_key(self) -> bool:
        """Take `<<` as the key of a merge; False if it is none here."""
        inner = self._stack[-1] if self._stack else None
        if not isinstance(inner, _OpenMap) or inner.key is not None or inner.merging:
            return False
        inner.merging = True
        return True

    def alias(self, name: str, start: int, end: int) -> None:
        """The value of an anchor once more."""
        if name not in self._anchors:
            self.fatal("GF101", f'there is no anchor "&{name}" before this alias', start, end)
        known = self._anchors[name]
        if known is None:
            self.fatal("GF109", f'"*{name}" stands inside the value it names, which would never end', start, end)
        value, mark, size, height = known
        self._count += size
        if self._count > MAX_VALUES:
            self._too_many(start, end)
        if len(self._stack) + height > MAX_DEPTH:
            self._too_deep(start, end)
        self._add(value, mark._replace(start=start, end=end), height)

    def open_map(self, start: int, end: int, anchor: str | None = None) -> None:
        """A map begins: its keys and values follow in turn."""
        self._open(_OpenMap(start, anchor, self._count), end)

    def open_list(self, start: int, end: int, anchor: str | None = None) -> None:
        """A list begins."""
        self._open(_OpenList(start, anchor, self._count), end)

    def close(self, end: int) -> None:
        """The innermost map or list ends."""
        inner = self._stack.pop()
        value, mark = inner.finished(end)
        if inner.anchor is not None:
            self._anchors[inner.anchor] = (value, mark, self._count - inner.before, inner.height)
        self._add(value, mark, inner.height)

    def finish(self) -> tuple[Value, Marks]:
        """The data and its marks. Duplicate keys and the like are in the marks' `problems`."""
        if self._done is None:
            self.fatal("GF102", "Invalid Graph Data: no nodes; the text is empty", 0, 0)
        value, mark = self._done
        return value, Marks(mark, self._places.text, self._places.file, tuple(self.problems))

    def problem(self, code: str, message: str, start: int, end: int) -> None:
        """Note something wrong that does not keep the rest from being read."""
        steps = (inner.step() for inner in self._stack)
        path: Path = tuple(step for step in steps if step is not None)
        self.problems.append(Problem(code, message, path, self._places.file, *self._places.at(start, end)))

    def fatal(self, code: str, message: str, start: int, end: int) -> NoReturn:
        """Give up: raises GraphInvalid with this and everything noticed before."""
        self.problem(code, message, start, end)
        raise GraphInvalid(self.problems, file=self._places.file)

    def line(self, offset: int) -> int:
        """The line of an offset into the text."""
        return self._places.at(offset, offset).line

    def _open(self, inner: _Open, end: int) -> None:
        self._count += 1
        if len(self._stack) >= MAX_DEPTH:
            self._too_deep(inner.start, end)
        if inner.anchor is not None:
            self._anchors[inner.anchor] = None
        self._stack.append(inner)

    def _add(self, value: Value, mark: Mark, height: int) -> None:
        if not self._stack:
            self._done = (value, mark)
            return
        inner = self._stack[-1]
        if height >= inner.height:
            inner.height = height + 1
        inner.add(value, mark, self)

    def _too_many(self, start: int, end: int) -> NoReturn:
        self.fatal("GF108", f"the graph has more than {MAX_VALUES:,} values, aliases written out", start, end)

    def _too_deep(self, start: int, end: int) -> NoReturn:
        self.fatal("GF108", f"nested deeper than {MAX_DEPTH} levels", start, end)


def key_text(value: Value) -> str:
    """The text of a key that was written as number, boolean or null, as GraphAI's reader has it."""
    return "" if value is None else as_text(value)


def unfit(value: Value) -> str:
    """Why a number or text cannot be part of a graph; empty if it can."""
    kind = type(value)
    if kind is str:
        return "" if value.isascii() or _is_encodable(value) else "half a surrogate pair is no character"
    if kind is float and not math.isfinite(value):
        return f"{as_text(value)} cannot be part of a graph: write a number that JSON knows, or text in quotes"
    if kind is int and not _LEAST <= value <= _GREATEST:
        return "a whole number beyond 64 bits cannot be part of a graph: write it with a decimal point, or as text in quotes"
    return ""


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
