"""What a worker made too late: results that do not count in a run, since another one was first, but that may count in a fork of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from edge.ferrying.contradictions import made_elsewise, own_results
from edge.ferrying.refill import Source
from edge.policies import acts
from graphs.engine.events import Outcome
from graphs.engine.retrace import handed_on
from graphs.errors import LinkCondition, ValueUnsupported
from graphs.paths import split_path
from graphs.records import Result, State
from protocol.payload import references, resolve

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal
    from graphs.language.spec import Graph
    from graphs.registry import Agent

__all__ = ["Late", "Made", "late_results"]

Made: TypeAlias = tuple[Result, tuple[bytes, bytes, int]]
"""A result, and where it stands: run, writer, number."""

Handed: TypeAlias = Callable[[Mapping[str, Outcome]], Mapping[str, bytes | None]]
"""What each execution is handed in a run with these outcomes."""


@dataclass(slots=True)
class Late:
    """Late results, to be asked for by what an execution is handed. What was given is in `taken`.

    Each child run is a course of things of its own: the worker went on there from its own values, so what it handed each node is found by running the
    graph with these.
    """

    courses: list[tuple[dict[str, Made], Mapping[str, bytes | None]]] = field(default_factory=list)
    taken: dict[str, Made] = field(default_factory=dict)

    @classmethod
    def of(cls, found: list[dict[str, Made]], outcomes: Mapping[str, Outcome], handed: Handed) -> Late:
        """The late results of some child runs; `outcomes` are those that count in the run."""
        courses = []
        for results in found:
            values = {path: Outcome(State.COMPLETED, result.value) for path, (result, _) in results.items()}
            courses.append((results, handed({**outcomes, **values})))
        return cls(courses)

    def __call__(self, path: str, handed: bytes | None) -> Outcome | None:
        """The outcome of an execution at that path that is handed this, if a worker has made it so."""
        if handed is None:
            return None
        for results, those in self.courses:
            if path in results and those.get(path) == handed:
                self.taken[path] = results[path]
                return Outcome(State.COMPLETED, results[path][0].value)
        return None


async def late_results(
    journal: Journal, source: bytes, graph: Graph, link: WorkerLink | None, agents: Mapping[str, Agent]
) -> list[dict[str, Made]]:
    """The late results in each child run of a run, by path. Values that somebody has to look at to find out what holds come over the link if they are
    not here; those that are only handed on stay where they are, and their references count for them, unless their node, of these `agents`, has
    effects. Results whose values cannot be had are left out.
    """
    stay = {name for name in handed_on(graph, agents) if not acts(graph.nodes[name], agents)}
    own = own_results(logged.record for logged in journal.records(source))
    found = []
    for child in journal.children(source):
        logged = list(journal.records(child.run))
        late = own | made_elsewise(graph, own, [each.record for each in logged])
        made: dict[str, Made] = {}
        for each in logged:
            record = each.record
            if isinstance(record, Result) and record.path in late and record.path not in made and not record.by.get("degraded"):
                whole = await _whole(journal, child.run, record, link, stays=_name(record.path) in stay)
                if whole is not None:
                    made[record.path] = whole, (child.run, each.writer, each.seq)
        if made:
            found.append(made)
    return found


def _name(path: str) -> str:
    """The node of the graph itself that a path is of, whatever the turn; "" for one inside another."""
    return "" if "/" in path else split_path(path)[1]


async def _whole(journal: Journal, run: bytes, record: Result, link: WorkerLink | None, *, stays: bool) -> Result | None:
    """The result with its values in it, unless what is at the worker `stays` there; None if they cannot be had."""
    named = references(record)
    source = Source(journal, link, lambda _ref: run)
    if stays and named and link is not None and not any(each.is_handle for each in named) and source.is_away(record, named):
        return record
    try:
        found = resolve(record, {each.ref: await source.value(each) for each in named})
    except (LinkCondition, ValueUnsupported):
        return None
    assert isinstance(found, Result)
    return found
