"""What earlier processes of this device left of a run: its records and its open child runs, for the process that goes on with it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from edge.ferrying.attached import open_children
from edge.ferrying.contradictions import made_elsewise, own_results, sound
from edge.ferrying.doubt import begun_before
from edge.ferrying.fence import outgrown
from edge.ferrying.refill import Source
from graphs.engine.outcomes import Known, known_outcomes
from graphs.errors import LinkCondition, ValueUnsupported, WorkerUnreachable
from graphs.records import Error, Record, Result
from protocol.payload import Reference, references
from protocol.refill import refill

if TYPE_CHECKING:
    from edge.ferrying.needs import Unread
    from edge.ferrying.worker import WorkerLink
    from edge.placement import Placement
    from graphs.journal import Journal
    from graphs.language.spec import Graph
    from graphs.registry import Agent

__all__ = ["Earlier"]


class Earlier:
    """A run as the journal has it.

    `logged` is its log, `children` are its open child runs, the newest first, `own` the paths whose results this device made, `lacking` results
    whose values do not come, and why. `may_have_begun` tells of a path whether a worker may have begun it.
    """

    def __init__(self, journal: Journal, graph: Graph, run: bytes) -> None:
        self._journal = journal
        self._graph = graph
        self._run = run
        self.logged = list(journal.records(run))
        self._records = [logged.record for logged in self.logged]
        self.children = open_children(journal, run)
        self.own = own_results(self._records)
        self.may_have_begun = begun_before(journal, self.children)
        self.lacking: dict[str, LinkCondition | ValueUnsupported] = {}

    @property
    def withheld(self) -> dict[str, LinkCondition]:
        """What is lacking only as long as no worker is reached."""
        return {path: error for path, error in self.lacking.items() if isinstance(error, WorkerUnreachable)}

    def spoilt(self, children: Collection[bytes], placed: Mapping[str, Placement], agents: Mapping[str, Agent]) -> set[bytes]:
        """Of these child runs, those in which the worker has gone on from a value that is not the result, or that have nodes with effects which
        are no longer at a worker.
        """
        elsewise = {child for child in children if made_elsewise(self._graph, self.own, self._log(child))}
        return elsewise | outgrown(self._journal, children, self._graph, placed, agents)

    async def known(self, link: WorkerLink | None, unread: Callable[[], Unread] | None = None) -> Known:
        """What is known of the run, its values included as far as they can be had. Of `unread`, asked for only if there are any at a worker, the
        references stay: the values stay where they are, and this worker finds them at home.
        """
        records = [*self._records]
        homes = {named.ref: self._run for record in records for named in references(record)}
        for child in self._journal.children(self._run):
            made = self._log(child.run)
            homes.update((named.ref, child.run) for record in made for named in references(record))
            records.extend(sound(made, made_elsewise(self._graph, self.own, made)))
        known = known_outcomes(records)
        source = Source(self._journal, link, homes)
        # A worker that has lost such a value refuses what reads it: then whoever has the value is asked, or it is made again.
        gone = any(isinstance(record, Error) and record.code == "BLOB_GONE" for record in records)
        asked = functools.cache(unread) if unread is not None and not gone else None

        def leaves(path: str, record: Result, named: Sequence[Reference]) -> bool:
            return asked is not None and source.is_away(record, named) and asked()(path, known.outcomes)

        self.lacking = await refill(known, source.value, leaves)
        return known

    def _log(self, run: bytes) -> list[Record]:
        return [logged.record for logged in self._journal.records(run)]
