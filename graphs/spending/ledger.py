"""A run's ledger: what it may cost, as a whole and by node, and what it has cost so far. Pure.

A budget belongs to a *scope*: the whole run (the empty text), or a node by its place in the document, which stands for everything inside it, too. A
limit that is reached stops nothing that has begun; it is asked about before the next thing begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from graphs.language.check_budget import BUDGETS
from graphs.language.spec import Graph, written_inside
from graphs.paths import escape
from graphs.values import Value

__all__ = ["KINDS", "Ledger", "Reached", "limits_of"]

KINDS: Final = BUDGETS
"""Tokens of prompts and answers; money by the prices that owners of models name; the time nodes worked, added up; what crossed the link for them."""


_UNITS: Final[Mapping[str, str]] = {"usd": "dollars", "seconds": "seconds of work", "bytes": "bytes over the link"}
_COUNTED: Final = ("tokens", "usd")
"""What nobody knows of an attempt whose tokens are unknown."""


class Reached(NamedTuple):
    """A limit that is reached: of which scope and kind, what was spent, and what may be; `unpriced` names a model whose price nobody knows,
    `untold` is of how many attempts nobody here knows how many tokens they used: then `spent` is the least that it was.
    """

    scope: str
    kind: str
    spent: float
    allowed: float
    unpriced: str | None = None
    untold: int = 0

    @property
    def limit(self) -> tuple[str, str, float]:
        """What tells it from any other limit, and from itself once it was raised."""
        return self.scope, self.kind, self.allowed

    def __str__(self) -> str:
        whose = f"node {self.scope!r}" if self.scope else "this run"
        if self.unpriced is not None:
            return f"{whose} has a budget of ${self.allowed:g}, and nobody knows what the model {self.unpriced!r} costs"
        unit = _UNITS.get(self.kind, self.kind)
        if self.untold and self.spent < self.allowed:
            what = "one attempt" if self.untold == 1 else f"{self.untold} attempts"
            return f"{whose} has a budget of {self.allowed:,.6g} {unit}, and only the worker knows what {what} used"
        return f"{whose} has used {'at least ' if self.untold else ''}{self.spent:,.6g} of {self.allowed:,.6g} {unit}"


def limits_of(graph: Graph, said: Mapping[str, float] | None = None) -> dict[str, dict[str, float]]:
    """The limits by scope, as the graph and everything written in it say; `said` is what counts for the whole run instead."""
    written = "budget" in graph.document or not graph.attributes.isdisjoint(("budget", "graph"))
    found = dict(_limits(graph, "")) if written else {}
    if said:
        found[""] = {**found.get("", {}), **said}
    return found


def _limits(graph: Graph, scope: str) -> Iterator[tuple[str, dict[str, float]]]:
    own = _numbers(graph.document.get("budget"))
    if own:
        yield scope, own
    for name, spec in graph.nodes.items():
        place = f"{scope}/{escape(name)}" if scope else escape(name)
        mine, inner = _numbers(spec.get("budget")), written_inside(spec)
        inside = dict(_limits(inner, place)) if inner is not None else {}
        both = [each for each in (mine, inside.pop(place, {})) if each]
        if both:  # a node's own and that of the graph in it are the same scope: the tighter counts
            yield (
                place,
                {kind: min(each[kind] for each in both if kind in each) for kind in KINDS if any(kind in each for each in both)},
            )
        yield from inside.items()


def _numbers(said: Value) -> dict[str, float]:
    pairs = said.items() if isinstance(said, Mapping) else ()
    return {kind: float(value) for kind, value in pairs if kind in KINDS and isinstance(value, (int, float))}


class Ledger:
    """What was spent against these limits, which `limits_of` gives."""

    def __init__(self, limits: Mapping[str, Mapping[str, float]]) -> None:
        self._limits = {scope: dict(of) for scope, of in limits.items()}
        self._spent: dict[tuple[str, str], float] = {}
        self._raised: dict[tuple[str, str], int] = {}
        self._unpriced: dict[str, str] = {}
        self._untold: dict[str, int] = {}

    def charge(self, place: str, amounts: Mapping[str, float], *, unpriced: str | None = None, untold: bool = False) -> None:
        """Something at this place of the document has cost so much by kind; `unpriced` is the model it asked, if nobody knows its price, `untold`
        says that nobody here knows how many tokens it used.
        """
        for scope in self._scopes(place):
            for kind, amount in amounts.items():
                self._spent[scope, kind] = self._spent.get((scope, kind), 0.0) + amount
            if unpriced is not None and "usd" in self._limits[scope]:
                self._unpriced.setdefault(scope, unpriced)
            self._untold[scope] = self._untold.get(scope, 0) + untold

    def reached(self, place: str) -> Reached | None:
        """The first limit that is reached for what is to begin at this place, the run's before a node's; None if it may begin."""
        for scope in self._scopes(place):
            for kind, limit in self._limits[scope].items():
                raised = self._raised.get((scope, kind), 0)
                allowed, spent = limit * (1 + raised), self._spent.get((scope, kind), 0.0)
                untold = self._untold.get(scope, 0) if kind in _COUNTED else 0
                if spent >= allowed or (untold and not raised):
                    return Reached(scope, kind, spent, allowed, untold=untold)
                if kind == "usd" and not raised and (model := self._unpriced.get(scope)) is not None:
                    return Reached(scope, kind, spent, allowed, model)
        return None

    def allow(self, scope: str, kind: str) -> None:
        """As much again may be spent."""
        self._raised[scope, kind] = self._raised.get((scope, kind), 0) + 1

    @property
    def raised(self) -> int:
        """How often more was allowed."""
        return sum(self._raised.values())

    def spent(self, scope: str = "") -> dict[str, float]:
        """What was spent in this scope, by kind."""
        return {kind: self._spent.get((scope, kind), 0.0) for kind in KINDS}

    def _scopes(self, place: str) -> Iterable[str]:
        """The scopes with limits that a place is in, the widest first."""
        parts = place.split("/")
        names = ["", *("/".join(parts[:count]) for count in range(1, len(parts) + 1))]
        return [name for name in names if name in self._limits]
