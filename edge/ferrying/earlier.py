"""What earlier processes of this device left of a run: its records and its open child runs, for the process that goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from edge.ferrying.attached import open_children
from edge.ferrying.contradictions import made_elsewise, own_results, sound
from edge.ferrying.doubt import begun_before, is_gone
from edge.ferrying.fence import outgrown
from edge.ferrying.refill import Source
from edge.runs.writers import place_of_writer
from graphs.engine.events import Outcome
from graphs.engine.outcomes import KEY, Known, known_outcomes
from graphs.engine.recall import keyed_results
from graphs.errors import LinkCondition, ValueUnsupported
from graphs.records import Error, Record, Result
from protocol.payload import Reference, references
from protocol.refill import refill

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from edge.placing.facts import Place as Side, Placement
    from graphs.journal import Journal
    from graphs.language.spec import Graph
    from graphs.registry import Agent

__all__ = ["Earlier", "Place"]

Place: TypeAlias = tuple[bytes, bytes, int]
"""A record's run, writer and number."""


Stays: TypeAlias = Callable[[Known, str], bool]
"""Says of what is known of a path whether its value may stay where it is."""


class Earlier:
    """A run as the journal has it.

    `logged` is its log, `children` are its open child runs, the newest first, `own` the paths whose results this device made and has not
    lost, `lacking` results whose values do not come, and why. `may_have_begun` tells of a path whether a worker may have begun it.
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
        self.away: dict[str, Outcome] = {}
        """The outcomes of those, with references for values."""
        self.gone = False
        """Whether a worker has lost a value: it refuses what reads that. Then whoever has the value is asked, or it is made again."""

    @property
    def withheld(self) -> dict[str, LinkCondition]:
        """What is lacking and not lost: there is no worker now, or this device may not have it."""
        return {path: error for path, error in self.lacking.items() if isinstance(error, LinkCondition) and not is_gone(error)}

    def done(self) -> Callable[[str], bool]:
        """Whether the node at a path has its result here, whole: then nobody runs it again. Of a loop, whose next turn runs all its nodes, it
        is never so. What is known now is read when it is first asked.
        """
        found: set[str] | None = None

        def done(path: str) -> bool:
            nonlocal found
            if found is None:
                found = set() if "loop" in self._graph.document else self._whole()
            return path in found

        return done

    def _whole(self) -> set[str]:
        """The paths whose results are here, with nothing that would have to be fetched."""
        logs = (self._log(child.run) for child in self._journal.children(self._run))
        known = known_outcomes(self._records, *(sound(each, made_elsewise(self._graph, self.own, each)) for each in logs))
        return {path for path, record in known.made.items() if not references(record)}

    def made_at(self, known: Known) -> dict[str, Side | None]:
        """On which side each result that is known was made, by path; None for what came with a fork, of which only the other run knows, and for what
        nobody made, as a person said it.
        """
        place = place_of_writer(self._journal, self._run)
        said: dict[str, Side] = {}
        for logged in self.logged:
            record = logged.record
            if isinstance(record, Result) and record.path not in said and not record.by.get("alt") and KEY not in record.by:
                said[record.path] = place(logged.writer)
        unsaid = {"from", "assumed"}
        return {path: said.get(path, "cloud") if unsaid.isdisjoint(record.by) else None for path, record in known.made.items()}

    def spoilt(self, children: Collection[bytes], placed: Mapping[str, Placement], agents: Mapping[str, Agent]) -> set[bytes]:
        """Of these child runs, those in which the worker has gone on from a value that is not the result, or that have nodes with effects which
        are no longer at a worker.
        """
        elsewise = {child for child in children if made_elsewise(self._graph, self.own, self._log(child))}
        return elsewise | outgrown(self._journal, children, self._graph, placed, agents)

    async def known(self, link: WorkerLink | None, stays: Stays | None = None) -> Known:
        """What is known of the run, its values included as far as they can be had. Of results that are at a worker, and whose path `stays`, the
        references stay: the values stay where they are, and this worker finds them at home.
        """
        logs = {self._run: self._records}
        parts: list[Sequence[Record]] = []
        for child in self._journal.children(self._run):
            made = logs[child.run] = self._log(child.run)
            parts.append(sound(made, made_elsewise(self._graph, self.own, made)))
        known = known_outcomes(self._records, *parts)
        before = dict(known.outcomes)
        told = (record for part in (self._records, *parts) for record in part)
        self.gone = any(isinstance(record, Error) and record.code == "BLOB_GONE" for record in told)
        source = Source(self._journal, link, _homes(logs))
        self.lacking = await refill(known, source.value, _leaving(source, known, stays))
        self.away = {path: before[path] for path in self.lacking}
        self.own -= {path for path, error in self.lacking.items() if is_gone(error)}
        return known

    async def keyed(self, link: WorkerLink | None, known: Known, stays: Stays | None = None) -> dict[str, Result]:
        """The results that count only for who is handed the same (graphs.engine.recall), by path, where none counts yet, beside what is `known`.
        Their values stay as there.
        """
        kept = keyed_results(self._records, self.own)
        source = Source(self._journal, link, _homes({self._run: self._records}))
        await refill(kept, source.value, _leaving(source, known, stays))
        return kept.made

    def places(self) -> dict[str, Place]:
        """Where the result of each path stands: run, writer and number."""
        found: dict[str, Place] = {}
        for run in (self._run, *(child.run for child in self._journal.children(self._run))):
            elsewise = set() if run == self._run else made_elsewise(self._graph, self.own, self._log(run))
            for writer, seq, _, record in self.logged if run == self._run else self._journal.records(run):
                if (
                    isinstance(record, Result)
                    and not record.by.get("alt")
                    and KEY not in record.by
                    and record.path not in elsewise
                ):
                    found.setdefault(record.path, (run, writer, seq))
        return found

    def _log(self, run: bytes) -> list[Record]:
        return [logged.record for logged in self._journal.records(run)]


def _leaving(source: Source, known: Known, stays: Stays | None) -> Callable[[str, Result, Sequence[Reference]], bool]:
    """Says of a result whether its references stay: it is at the worker, and nobody here reads it."""
    return lambda path, record, named: stays is not None and source.is_away(record, named) and stays(known, path)


def _homes(logs: Mapping[bytes, Sequence[Record]]) -> Callable[[bytes], bytes | None]:
    """Which run a body belongs to, the last that refers to it. Found out when it is first asked: most runs refer to none."""
    found: dict[bytes, bytes] | None = None

    def home(ref: bytes) -> bytes | None:
        nonlocal found
        if found is None:
            found = {named.ref: run for run, records in logs.items() for record in records for named in references(record)}
        return found.get(ref)

    return home
