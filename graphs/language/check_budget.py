"""Checking `budget`: what a run or a node may spend before a person is asked."""

from __future__ import annotations

from typing import Final

from graphs.language.fields import word_for
from graphs.language.marks import Path
from graphs.language.report import Report
from graphs.values import Value

__all__ = ["BUDGETS", "check_budget"]

BUDGETS: Final = ("tokens", "usd", "seconds", "bytes")
"""What can be limited."""


def check_budget(said: Value, path: Path, report: Report) -> None:
    """What `budget` says at `path`, of a graph or a node."""
    if not isinstance(said, dict):
        return  # null is nothing; any other type is reported as such
    for kind, value in said.items():
        if kind not in BUDGETS:
            hint = report.did_you_mean(kind, BUDGETS)
            report.error(
                "GF126", f"`budget` has tokens, usd, seconds and bytes, no {kind}", (*path, kind), key=True, suggestion=hint
            )
        elif not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
            report.error("GF126", f"a budget is a number greater than 0, not {word_for(value)}", (*path, kind))
