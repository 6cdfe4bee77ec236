"""Plain data: whether Python objects are the data a graph is made of, and copies that are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphs.errors import GraphInvalid, Problem
from graphs.language.builder import MAX_DEPTH, MAX_VALUES, key_text, unfit
from graphs.language.marks import Path
from graphs.values import Value

__all__ = ["copy_plain", "is_plain"]


def is_plain(data: Any) -> bool:
    """Whether `data` is made of dict with text keys, list, str, int, float, bool and None only, within a graph's limits."""
    level = [data]
    count = 1
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            kind = value.__class__
            if kind is str:
                if not value.isascii() and unfit(value):
                    return False
            elif kind is dict:
                for key in value:
                    if key.__class__ is not str or (not key.isascii() and unfit(key)):
                        return False
                below.extend(value.values())
                if count + len(below) > MAX_VALUES:
                    return False
            elif kind is list:
                below.extend(value)
                if count + len(below) > MAX_VALUES:
                    return False
            elif kind is int or kind is float:
                if unfit(value):
                    return False
            elif value is not None and kind is not bool:
                return False
        if not below:
            return True
        count += len(below)
        level = below
    return False


def copy_plain(data: Any, file: str | None = None) -> Value:
    """A plain copy: tuples become lists, keys that are numbers, booleans or None their text.

    Raises GraphInvalid with everything that is not data, and for what exceeds `MAX_DEPTH` or `MAX_VALUES`.
    """
    copier = _Copier(file)
    plain = copier.copy(data, ())
    if copier.problems:
        raise GraphInvalid(copier.problems, file=file)
    return plain


class _Copier:
    def __init__(self, file: str | None) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._count = 0

    def copy(self, value: Any, path: Path) -> Value:
        self._count += 1
        if self._count > MAX_VALUES:
            self._fatal(f"the graph has more than {MAX_VALUES:,} values", path)
        if not isinstance(value, (Mapping, list, tuple)):
            return self._scalar(value, path)
        if len(path) >= MAX_DEPTH:
            self._fatal(f"nested deeper than {MAX_DEPTH} levels", path)
        if isinstance(value, Mapping):
            return self._map(value, path)
        return [self.copy(item, (*path, place)) for place, item in enumerate(value)]

    def _map(self, value: Mapping[Any, Any], path: Path) -> Value:
        plain: dict[str, Value] = {}
        for key, item in value.items():
            if not _is_scalar(key):
                self._problem("GF123", f"a key has to be text, this is {type(key).__name__}", path)
                continue
            name = str.__str__(key) if isinstance(key, str) else key_text(key)
            if name in plain:
                self._problem("GF107", f'duplicate key "{name}"', (*path, name))
            elif reason := unfit(name):
                self._problem("GF110", reason, path)
            else:
                plain[name] = self.copy(item, (*path, name))
        return plain

    def _scalar(self, value: Any, path: Path) -> Value:
        if not _is_scalar(value):
            message = f"{type(value).__name__} is not data: use text, numbers, booleans, null, lists and maps"
            self._problem("GF123", message, path)
            return None
        if isinstance(value, str):
            value = str.__str__(value)
        elif isinstance(value, float):
            value = float(value)
        elif value is not None and not isinstance(value, bool):
            value = int(value)
        if reason := unfit(value):
            self._problem("GF110", reason, path)
        return value

    def _problem(self, code: str, message: str, path: Path) -> None:
        self.problems.append(Problem(code, message, path, self.file))

    def _fatal(self, message: str, path: Path) -> None:
        self._problem("GF108", message, path[:_SHOWN])
        raise GraphInvalid(self.problems, file=self.file)


_SHOWN = 8
"""Steps of a path that are worth showing when it is the path's length that is wrong."""


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, bool, int, float))
