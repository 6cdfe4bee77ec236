"""What the tests of the checker share: graphs as text, checked, and the places of what was found."""

from __future__ import annotations

from typing import Any

from graphs.errors import Problem
from graphs.language.check import check
from graphs.language.load import load_text

AGENTS = ("copyAgent", "nestedAgent", "mapAgent", "llmAgent", "declassifyAgent")

OK = "b: {agent: copyAgent, inputs: {v: :a}}"
"""A node that can start, for graphs whose problem is elsewhere."""


def checked(text: str, **options: Any) -> list[Problem]:
    document = load_text(text, file="g.yaml")
    return check(document.data, AGENTS, marks=document.marks, **options)


def graph(*nodes: str, **attributes: str) -> str:
    head = {"version": "0.5", **attributes}
    return "\n".join([*(f"{key}: {value}" for key, value in head.items()), "nodes:", *(f"  {node}" for node in nodes)]) + "\n"


def places(problems: list[Problem]) -> list[tuple[str, int, int, int]]:
    return [(each.code, each.line, each.column, each.length) for each in problems]
