"""What the reference interpreter keeps: the turns of graphs, and the nodes that have a place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphs.values import MISSING, Value

__all__ = ["Job", "Trouble", "Turn"]


class Trouble(Exception):
    """A node's failure; `late` if it ran out of time."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


@dataclass(eq=False)
class Turn:
    """One turn of one graph instance. `there` are the nodes that have given a value, or completed without one."""

    graph: Mapping[str, Any]
    base: str
    number: int
    given: dict[str, Value]
    parent: Job | None = None
    row: int = 0
    values: dict[str, Value] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Trouble] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)
    by_default: set[str] = field(default_factory=set)
    broken: Trouble | None = None
    undecided: int = 0
    nothing_started: bool = False
    alive: bool = True

    def path(self, node: str) -> str:
        return f"{self.base}{node}" + (f"#{self.number}" if self.number else "")

    def trouble(self) -> Trouble | None:
        """What decides that this turn failed: the failed node first in written order (§6.7)."""
        failed = [self.errors[name] for name in self.graph["nodes"] if name in self.errors]
        return self.broken or (failed[0] if failed else None)

    def results(self, *, all: bool) -> dict[str, Value]:
        return {
            name: self.values[name]
            for name, node in self.graph["nodes"].items()
            if (all or node.get("isResult")) and self.values.get(name, MISSING) is not MISSING
        }


@dataclass(eq=False)
class Job:
    """A node that has a place. `outside` if its agent's answer is the test's to give; `rows` are the graphs it opened."""

    turn: Turn
    name: str
    retry: int = 0
    outside: bool = False
    rows: list[Turn] = field(default_factory=list)
    values: dict[int, Value] = field(default_factory=dict)
    inputs: Value = MISSING
    params: Mapping[str, Value] = field(default_factory=dict)

    @property
    def node(self) -> Mapping[str, Any]:
        node: Mapping[str, Any] = self.turn.graph["nodes"][self.name]
        return node

    @property
    def path(self) -> str:
        return self.turn.path(self.name)
