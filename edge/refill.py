"""Where the values of a resumed run come from that its journal only refers to: from here if somebody here read them, else from the worker
that made them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from edge.contradictions import made_elsewise, sound
from graphs.errors import LinkCondition, WorkerUnreachable
from graphs.values import Value, decode
from protocol.journal_store import JournalStore
from protocol.payload import Reference, references

if TYPE_CHECKING:
    from edge.worker import WorkerLink
    from graphs.journal import Journal
    from graphs.language.spec import Graph
    from graphs.records import Record

__all__ = ["Source", "read_children"]


def read_children(journal: Journal, run: bytes, graph: Graph, own: Collection[str]) -> tuple[list[Record], dict[bytes, bytes]]:
    """The records of a run's child runs, without outcomes that follow from nothing in the run, and which child run refers to each body.

    `own` are the paths whose results the run's holder made itself.
    """
    records: list[Record] = []
    homes: dict[bytes, bytes] = {}
    for child in journal.children(run):
        made = [logged.record for logged in journal.records(child.run)]
        homes.update((named.ref, child.run) for record in made for named in references(record))
        records.extend(sound(made, made_elsewise(graph, own, made)))
    return records, homes


class Source:
    """Gives values by reference; `homes` names the child run that refers to each body. Without a `link` only what is here."""

    def __init__(self, journal: Journal, link: WorkerLink | None, homes: Mapping[bytes, bytes]) -> None:
        self._store = JournalStore(journal)
        self._link = link
        self._homes = homes

    async def value(self, named: Reference) -> Value:
        """The value. Raises LinkCondition if it cannot be had, ValueUnsupported if its bytes are no value."""
        data = await self._store.load_body(named.ref)
        if data is not None:
            return decode(data)
        home = self._homes.get(named.ref)
        if home is None:
            raise LinkCondition("BLOB_GONE", "A value that this device made is not in its journal's folder any more.")
        if self._link is None:
            raise WorkerUnreachable("", "a value is at a worker that cannot be reached")
        return await self._link.value(home, named)
