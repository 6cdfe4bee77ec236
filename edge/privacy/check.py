"""Labels when a graph is checked: each node that is placed, or could only be, where the labels of what it reads forbid it, at its line. Pure."""

from __future__ import annotations

from typing import Any

from edge.placement import label_conflicts
from edge.placing.facts import Facts
from graphs.errors import Problem
from graphs.language.labels import label_graph
from graphs.language.marks import Marks
from graphs.language.report import Report
from graphs.language.spec import Graph

__all__ = ["has_labels", "label_problems"]


def has_labels(graph: Graph, facts: Facts) -> bool:
    """Whether there is anything to look at."""
    return bool(label_graph(graph, facts.agents).touched)


def label_problems(graph: Graph, facts: Facts, marks: Marks | None = None, file: str | None = None) -> list[Problem]:
    """The problems, in the order of the document."""
    report = Report(marks, file)
    for names, conflict in label_conflicts(graph, facts):
        path: list[Any] = []
        spec: Any = graph.document
        for name in names:
            path += [*(["graph"] if path else []), "nodes", name]
            spec = (spec["graph"] if "graph" in spec and "nodes" not in spec else spec)["nodes"][name]
        at = next((key for key in ("place", "model") if key in spec), None)
        where = tuple(path) if at is None else (*path, at)
        report.error("GF129", str(conflict), where, key=at is None, suggestion=conflict.remedy)
    return report.problems
