"""`graphLoader`: nested graphs that lie in files of their own are put in their place before a graph is checked.

So what is checked, hashed, recorded and shipped is one graph, and nobody has to find the other files again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from graphs.errors import GraphInvalid, Problem
from graphs.language.builder import MAX_DEPTH
from graphs.language.load import Document, load_file
from graphs.language.marks import Path as DocumentPath
from graphs.values import Value

__all__ = ["MAX_LOADED", "GraphLoader", "beside", "load_graph", "text_of", "with_graphs"]

GraphLoader: TypeAlias = Callable[[Mapping[str, Value]], Any]
"""Gives the graph that a node's `graphLoader` ({fileName, option}) names, as data. Raises GraphInvalid, or OSError."""

MAX_LOADED: Final = 256
"""How many graphs one graph may load, those that loaded ones load included: two files that load each other would have no end."""


def with_graphs(document: Document, loader: GraphLoader) -> Document:
    """The document with a `graph` in every node that has only a `graphLoader`; the same one if there is none.

    Raises GraphInvalid with all graphs that could not be loaded, each at its node.
    """
    filling = _Filling(document, loader)
    data = filling.graph(document.data, ())
    if filling.problems:
        raise GraphInvalid(filling.problems, file=document.file)
    return replace(document, data=data, loaded=filling.loaded) if filling.loaded else document


def beside(file: Path) -> GraphLoader:
    """Loads graphs from the folder of a graph's file, and from folders in it; from nowhere else."""
    folder = file.resolve().parent

    def load(about: Mapping[str, Value]) -> Value:
        name = about.get("fileName")
        if not isinstance(name, str) or not name:
            raise OSError("it has no `fileName`")
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise OSError(f"{name} is not in the folder of {file.name}: graphs are loaded from there only")
        return load_file(path, file=name).data

    return load


def load_graph(path: Path, *, file: str | None = None) -> Document:
    """The document in a file, with the graphs that it loads from beside it. Raises GraphInvalid if one cannot be read."""
    return with_graphs(load_file(path, file=file), beside(path))


class _Filling:
    def __init__(self, document: Document, loader: GraphLoader) -> None:
        self.document = document
        self.loader = loader
        self.loaded = 0
        self.problems: list[Problem] = []

    def graph(self, data: Value, path: DocumentPath) -> Value:
        nodes = data.get("nodes") if isinstance(data, Mapping) else None
        if not isinstance(nodes, Mapping):
            return data  # the checker says what is wrong
        filled = {name: self.node(spec, (*path, "nodes", name)) for name, spec in nodes.items()}
        if all(filled[name] is spec for name, spec in nodes.items()):
            return data
        return {**data, "nodes": filled}

    def node(self, spec: Value, path: DocumentPath) -> Value:
        if not isinstance(spec, Mapping):
            return spec
        inner, about = spec.get("graph"), spec.get("graphLoader")
        if inner is None and isinstance(about, Mapping) and (inner := self.load(about, (*path, "graphLoader"))) is None:
            return spec
        if not isinstance(inner, Mapping):
            return spec
        filled = self.graph(inner, (*path, "graph"))
        return spec if filled is spec.get("graph") else {**spec, "graph": filled}

    def load(self, about: Mapping[str, Value], path: DocumentPath) -> Value:
        self.loaded += 1
        if self.loaded > MAX_LOADED or len(path) > MAX_DEPTH:
            if not self.problems:
                limit = f"more than {MAX_LOADED} graphs would be loaded, or more than {MAX_DEPTH} levels"
                self.problem(f"{limit}: do two of them load each other?", path, "GF108")
            return None
        try:
            return self.loader(about)
        except GraphInvalid as error:
            first = error.problems[0]
            where = f"{first.file or about.get('fileName')}{f', line {first.line}' if first.line else ''}"
            self.problem(f"the graph cannot be loaded: {where}: {first.message}", path)
        except OSError as error:
            self.problem(f"the graph cannot be loaded: {error}", path)
        return None

    def problem(self, message: str, path: DocumentPath, code: str = "GF100") -> None:
        marks = self.document.marks
        where = marks.where(path, key=True) if marks is not None else (0, 0, 0)
        self.problems.append(Problem(code, message, path, self.document.file, *where))


def text_of(file: str | None, folder: Path) -> str | None:
    """The graph's text, so that its lines can be shown; the message does without it where it cannot be had."""
    try:
        return (folder / file).read_text(encoding="utf-8") if file else None
    except (OSError, ValueError):
        return None
