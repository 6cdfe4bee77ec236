"""Budgets: what a run has used of its bounds. Pure but for one thing: which budget is meant is a context variable.

What multiplies data (templates, property functions, the agents of the catalogue) asks here before it does: `spend` where the size of
what comes out is known beforehand, a `Room` where it shows only on the way. Values share their parts, so a few short turns can stand
for more than any memory holds; therefore everything that walks a value as a whole does it in a room.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

from graphs.bounds import TRUSTED, Bounds
from graphs.errors import LimitReached
from graphs.values import MAX_DEPTH, Value

__all__ = ["ITEM", "Budget", "Room", "current", "measure", "size", "spend"]

ITEM: Final = 16
"""Bytes that an element of a list counts, besides its own."""

_NUMBERS: Final = frozenset({int, float, bool, type(None)})
_TEXT: Final = frozenset({str})


class Budget:
    """What one run, or one graph made at run time, may have, and how much of that is used.

    `within` is the budget of the run around it, which is charged, too; `floor` how deep in that run it begins.
    """

    __slots__ = ("bounds", "bytes", "counted", "floor", "graphs", "nodes", "seconds", "within")

    def __init__(self, bounds: Bounds, within: Budget | None = None, *, floor: int = 0) -> None:
        self.bounds = bounds
        self.within = within
        self.floor = floor
        self.nodes = 0
        self.graphs = 0
        self.bytes = 0
        self.seconds = 0.0
        """The time that the shell has counted, and on its clock when it did so last."""
        self.counted = float("-inf")

    def begin(self, count: int, what: str, *, ahead: int = 0) -> None:
        """That many nodes are about to begin, and `ahead` more soon, which are not counted yet.

        Raises LimitReached; from then on nothing more can begin.
        """
        most = self.bounds.nodes
        if most is not None and self.nodes + count + ahead > most:
            self.nodes = most
            raise LimitReached("nodes", most, what)
        if self.within is not None:
            self.within.begin(count, what, ahead=ahead)
        self.nodes += count

    def has_begun(self, count: int) -> bool:
        """As `begin`, where there is nothing to say: False, and nothing counted, if `begin` has to look closer."""
        most = self.bounds.nodes
        if self.within is not None or (most is not None and self.nodes + count > most):
            return False
        self.nodes += count
        return True

    def open(self, what: str) -> None:
        """A graph out of a value is about to be read. Raises LimitReached."""
        most = self.bounds.graphs
        if most is not None and self.graphs >= most:
            raise LimitReached("graphs", most, what)
        if self.within is not None:
            self.within.open(what)
        self.graphs += 1

    def retry(self, retry: int, what: str) -> None:
        """A node failed that often, and is to be tried again. Raises LimitReached."""
        if self.bounds.retries is not None and retry >= self.bounds.retries:
            raise LimitReached("retries", self.bounds.retries, what)
        self.begin(1, what)

    def turn(self, done: int, what: str) -> None:
        """So many turns of a loop are done and it wants another. Raises LimitReached."""
        if self.bounds.turns is not None and done >= self.bounds.turns:
            raise LimitReached("turns", self.bounds.turns, what)

    def rows(self, count: int, what: str) -> None:
        """A map has so many rows. Raises LimitReached."""
        if self.bounds.rows is not None and count > self.bounds.rows:
            raise LimitReached("rows", self.bounds.rows, f"{what} has {count:,}")

    def depth(self, depth: int, what: str) -> None:
        """A graph is opened inside `depth` others. Raises LimitReached."""
        if self.bounds.nesting is not None and depth - self.floor >= self.bounds.nesting:
            raise LimitReached("nesting", self.bounds.nesting, what)

    def spend(self, amount: int, what: str = "") -> None:
        """A value of so many bytes is about to be made. Raises LimitReached."""
        bounds = self.bounds
        if bounds.value_bytes is not None and amount > bounds.value_bytes:
            raise LimitReached("value_bytes", bounds.value_bytes, what or f"a value would have {amount:,}")
        if bounds.run_bytes is not None and self.bytes + amount > bounds.run_bytes:
            raise LimitReached("run_bytes", bounds.run_bytes, what or f"{amount:,} more would be made")
        self.bytes += amount


_DEFAULT: Final = Budget(TRUSTED)
"""Where no run is: only single values are bounded."""

current: ContextVar[Budget] = ContextVar("graphferry_budget", default=_DEFAULT)
"""The budget of the run that this code works for."""


def spend(amount: int) -> None:
    """A value of so many bytes is about to be made for the current run. Raises LimitReached."""
    budget = current.get()
    if budget is not _DEFAULT:
        budget.spend(amount)
    elif amount > (TRUSTED.value_bytes or amount):
        _DEFAULT.spend(amount)


class Room:
    """How much one operation may make or walk through: as much as one value may have."""

    __slots__ = ("_budget", "left")

    def __init__(self) -> None:
        self._budget = current.get()
        most = self._budget.bounds.value_bytes
        self.left: float = float("inf") if most is None else most

    def take(self, amount: int) -> None:
        """So much of it is used. Raises LimitReached."""
        self.left -= amount
        if self.left < 0:
            most = self._budget.bounds.value_bytes
            assert most is not None
            raise LimitReached("value_bytes", most, "a value, written out, has more")


def size(value: Value, most: float) -> int:
    """Bytes the value has written out, about; something beyond `most` as soon as it is known to have more, or to be nested deeper than
    values may be.
    """
    if value.__class__ is dict and _NUMBERS.issuperset(map(type, value.values())) and _TEXT.issuperset(map(type, value)):
        return ITEM + 11 * len(value) + sum(map(len, value))  # as most results are; the way below gives the same
    total = 0
    stack: list[Iterator[Value]] = [iter((value,))]
    while stack:
        for item in stack[-1]:
            kind = item.__class__
            if kind is str:
                total += 2 + (len(item) if item.isascii() else 4 * len(item))
            elif kind is dict:
                total += ITEM
                for key in item:
                    total += 2 + len(key) if key.__class__ is str else ITEM
                stack.append(iter(item.values()))
                break
            elif kind is list or kind is tuple:
                total += ITEM
                stack.append(iter(item))
                break
            else:
                total += len(item) if kind is bytes else 9
        else:
            stack.pop()
            continue
        if total > most:
            return total
        if len(stack) > MAX_DEPTH:
            return int(max(most, total)) + 1
    return total


def measure(value: Value, bounds: Bounds, what: str) -> int:
    """Bytes the value has written out. Raises LimitReached if it has more than one value may have, or is nested too deeply."""
    most = bounds.value_bytes
    if most is None:
        return size(value, float("inf"))
    found = size(value, most)
    if found > most:
        raise LimitReached("value_bytes", most, f"{what} is larger, or nested deeper than {MAX_DEPTH} levels")
    return found
