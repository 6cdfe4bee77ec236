"""Nodes that somebody names from outside, on the command line or in a program: what is named has to be there, and of the kind that is meant. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeAlias

from graphs.errors import UsageError
from graphs.language.spec import is_computed
from graphs.values import Value

__all__ = ["require_computed", "require_static"]

Nodes: TypeAlias = Mapping[str, Mapping[str, Value]]
"""A graph's nodes, as `Graph.nodes` has them."""


def require_static(nodes: Nodes, names: Iterable[str], option: str) -> None:
    """Raises UsageError for the first of these names that is no static node: only those can be given another value; `option` named it."""
    for name in names:
        spec = nodes.get(name)
        if spec is None or is_computed(spec):
            what = "is computed" if spec is not None else "is not in the graph"
            static = [each for each, other in nodes.items() if not is_computed(other)]
            raise UsageError(
                f"{option} {name}: that node {what}; only a node with a value can be given another one", hint=_meant(name, static)
            )


def require_computed(nodes: Nodes, names: Iterable[str], option: str) -> None:
    """Raises UsageError for the first of these names that is no computed node; `option` named it."""
    for name in names:
        spec = nodes.get(name)
        if spec is None or not is_computed(spec):
            computed = [each for each, other in nodes.items() if is_computed(other)]
            raise UsageError(f"{option} {name}: the graph has no computed node of that name", hint=_meant(name, computed))


def _meant(name: str, there: list[str]) -> str | None:
    """What may have been meant, or what there is, if that is not much to read."""
    if close := get_close_matches(name, there, 1):
        return f"Did you mean {close[0]!r}?"
    return f"There are: {', '.join(there)}." if 0 < len(there) <= 10 else None
