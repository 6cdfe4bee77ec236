"""The report: collects a graph's problems, each with its place and, where a word was misspelt, the word that was meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from graphs.errors import Problem
from graphs.language.marks import Marks, Path
from graphs.values import Value

__all__ = ["CODES", "Report", "in_document_order"]

CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "GF100": "the file cannot be read",
        "GF101": "not well-formed YAML or JSON",
        "GF102": "no nodes, or a node that is none",
        "GF103": "a node that does not exist",
        "GF104": "an attribute that does not exist",
        "GF105": "an agent that is not known",
        "GF106": "an attribute with a wrong value",
        "GF107": "a key that is there twice",
        "GF108": "larger or deeper than the limits",
        "GF109": "a part of YAML that graphs do without",
        "GF110": "a number or character that graphs cannot hold",
        "GF111": "agent and value in one node",
        "GF112": "loop",
        "GF113": "concurrency",
        "GF114": "a literal where a source has to stand",
        "GF115": "nodes that wait for each other",
        "GF116": "no node that can start",
        "GF117": "inputs that are no map",
        "GF119": "place",
        "GF120": "inputs of the graph",
        "GF121": "a concurrency label that is a sensitivity word",
        "GF122": "an attribute of cut graphs only",
        "GF123": "a Python object that is not data",
        "GF124": "a second asking: escalate or hedge",
        "GF125": "several implementations: any",
        "GF126": "budget",
        "GF127": "a node that must not act upon strangers' words does",
        "GF128": "labels taken off without a reason",
        "GF129": "a node placed where its labels forbid it",
        "GF150": "an unknown helper: it gives empty text",
        "GF151": "anyInput does not wait for the condition",
        "GF152": "a default value that counts as none",
        "GF153": "a property function that never gives a value",
        "GF154": "version",
        "GF155": "an input named like an option of `run`",
        "GF156": "a nesting agent that lacks what it needs",
        "GF157": "a loop without an end of its own",
        "GF158": "a model that is not known here",
        "GF159": "a node that never starts",
    }
)
"""Every code with its short title; from GF150 on they only warn."""

_MOST_SUGGESTIONS = 20
_MOST_CANDIDATES = 2000
_LENGTH_APART = 3


class Report:
    """The problems of one graph, or of a graph nested in it: those are warnings unless `strict`, as they matter only once it runs."""

    def __init__(self, marks: Marks | None = None, file: str | None = None, *, strict: bool = False) -> None:
        self.problems: list[Problem] = []
        self.strict = strict
        self._marks = marks
        self._file = file if file is not None or marks is None else marks.file
        self._root: Path = ()
        self._soft = False
        self._suggested = [0]

    def nested(self, path: Path) -> Report:
        """The report of the graph at `path`: its paths begin there, its problems are added here."""
        inner = Report(self._marks, self._file, strict=self.strict)
        inner.problems = self.problems
        inner._root = (*self._root, *path)
        inner._soft = not self.strict
        inner._suggested = self._suggested
        return inner

    def error(
        self, code: str, message: str, path: Path, *, key: bool = False, part: str | None = None, suggestion: str | None = None
    ) -> None:
        """Something that refuses the graph. Points at the value at `path`, at its key, or at the node's name `part` inside it."""
        self._add(code, message, path, key, part, suggestion, self._soft)

    def warn(
        self, code: str, message: str, path: Path, *, key: bool = False, part: str | None = None, suggestion: str | None = None
    ) -> None:
        """Something that is likely not meant, but does what GraphAI does."""
        self._add(code, message, path, key, part, suggestion, True)

    def did_you_mean(self, word: str, known: Iterable[str], path_of: Callable[[str], Path] | None = None) -> str | None:
        """A question naming the closest of the `known` words, with its line if `path_of` tells where it stands.

        Looked for a few times only: a graph with thousands of problems has one cause.
        """
        if self._suggested[0] >= _MOST_SUGGESTIONS:
            return None
        self._suggested[0] += 1
        near = sorted(each for each in known if abs(len(each) - len(word)) <= _LENGTH_APART)[:_MOST_CANDIDATES]
        lower = {each.lower(): each for each in reversed(near)}
        close = get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
        if not close:
            return None
        found = lower[close[0]]
        line = self._marks.line((*self._root, *path_of(found))) if self._marks is not None and path_of is not None else 0
        return f'did you mean "{found}" (line {line})?' if line else f'did you mean "{found}"?'

    def _add(
        self, code: str, message: str, path: Path, key: bool, part: str | None, suggestion: str | None, warning: bool
    ) -> None:
        path = (*self._root, *path)
        where = self._marks.where(path, key=key, part=part) if self._marks is not None else (0, 0, 1)
        self.problems.append(Problem(code, message, path, self._file, *where, suggestion, warning))


def in_document_order(problems: list[Problem], document: Value) -> list[Problem]:
    """The problems in the order of the text, or where there was none, of the document's keys."""
    if all(problem.line for problem in problems):
        return sorted(problems, key=lambda problem: (problem.line, problem.column))
    places: dict[Path, dict[str | int, int]] = {}

    def position(path: Path) -> tuple[int, ...]:
        found: list[int] = []
        value = document
        for depth, step in enumerate(path):
            if isinstance(value, dict):
                places_here = places.setdefault(path[:depth], {}) or {key: place for place, key in enumerate(value)}
                places[path[:depth]] = places_here
                found.append(places_here.get(step, len(value)))
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int):
                found.append(step)
                value = value[step] if step < len(value) else None
            else:
                break
        return tuple(found)

    return sorted(problems, key=lambda problem: (position(problem.path), len(problem.path)))
