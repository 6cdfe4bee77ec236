"""Where the values of a resumed run come from that its journal only refers to: from here if somebody here read them, else from the worker
that made them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from graphs.errors import LinkCondition, WorkerUnreachable
from graphs.records import Result
from graphs.values import Value, decode
from protocol.payload import Reference
from protocol.run_log import OWN

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["Source"]


class Source:
    """Gives values by reference; `home` names the run that refers to a body, if any does. Without a `link` only what is here."""

    def __init__(self, journal: Journal, link: WorkerLink | None, home: Callable[[bytes], bytes | None]) -> None:
        self._journal = journal
        self._link = link
        self._home = home

    def is_away(self, record: Result, named: Sequence[Reference]) -> bool:
        """Whether the values of a result are at the worker that this link leads to, or at any if there is none, and not here."""
        files = self._journal.body_files
        if any(files.held(OWN, each.ref)[1] for each in named):
            return False
        homes = {home for each in named if (home := self._home(each.ref)) is not None}
        copied: Any = record.by.get("from")
        writers = {writer for home in homes for writer in self._journal.writers(home)} | ({copied[1]} if copied else set())
        return self._link is None or self._link.store in writers

    async def value(self, named: Reference) -> Value:
        """The value. Raises LinkCondition if it cannot be had, ValueUnsupported if its bytes are no value."""
        from protocol.journal_store import JournalStore

        data = await JournalStore(self._journal).load_body(named.ref)
        if data is not None:
            return decode(data)
        home = self._home(named.ref)
        if home is None:
            raise LinkCondition("BLOB_GONE", "A value that this device made is not in its journal's folder any more.")
        if self._link is None:
            raise WorkerUnreachable("", "a value is at a worker that cannot be reached")
        return await self._link.value(home, named)
