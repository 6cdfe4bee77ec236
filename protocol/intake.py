"""The intake: where references in the peer's records become values again, before an engine or a table of results sees them.

Records go on in the order of their log, but those that wait for a body hold up only what may not overtake them: what opens a frame comes before all
that follows, and what closes one, or ends the run, after all that came before it (docs/protocol.md §14). Nor is anything told before the value
that it was made from: who gets another value meanwhile must not read both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphs.errors import GraphferryError, JournalError, LinkCondition
from graphs.records import Cancel, Close, End, Frame, Record, Submit
from protocol.messages import RunId
from protocol.payload import Reference, references
from protocol.pull import Puller

__all__ = ["Intake"]

Obey: TypeAlias = Callable[[RunId, Record, int], None]
Lack: TypeAlias = Callable[[RunId, Record, LinkCondition], None]


class _Entry:
    """A record that waits: for its own bodies, or for those of one before it."""

    __slots__ = ("bytes", "lacks", "record", "task")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.bytes = 0
        self.lacks: LinkCondition | None = None
        self.task: asyncio.Task[None] | None = None


class Intake:
    """The records of one peer, for all its runs. All methods belong to one event loop.

    `obey(run, record, size)` takes a record with its values, of which `size` bytes came as bodies; `lack(run, record, condition)` one whose values do
    not come. `reads(run, record)` names those that somebody here reads: the other references stay, and nothing of them is transferred. Of a record
    of which only some are read these are counts of what it took, and it goes on without them if they do not come. `follows(run, record, earlier)`
    says that a record may tell of what was made from the values of an earlier one.
    """

    def __init__(
        self,
        bodies: Puller,
        obey: Obey,
        lack: Lack,
        reads: Callable[[RunId, Record], Sequence[Reference]] = lambda _run, record: references(record),
        follows: Callable[[RunId, Record, Record], bool] = lambda _run, _record, _earlier: False,
    ) -> None:
        self._bodies = bodies
        self._obey = obey
        self._lack = lack
        self._reads = reads
        self._follows = follows
        self._waiting: dict[RunId, list[_Entry]] = {}

    def take(self, run: RunId, record: Record) -> None:
        """The peer's record is durable here."""
        waiting = self._waiting.get(run)
        if isinstance(record, Cancel) and record.paths is None:  # whatever was to come is of no use any more
            self.give_up(run, LinkCondition("CANCELLED", "the run was cancelled before its values came", retryable=False))
            self._obey(run, record, 0)
            return
        named = self._reads(run, record)
        if waiting is None and not named:
            self._obey(run, record, 0)
            return
        entry = _Entry(record)
        if waiting is None:
            waiting = self._waiting[run] = []
        waiting.append(entry)
        if named:
            entry.task = asyncio.get_running_loop().create_task(self._fetch(run, entry, named))
        self._go_on(run)

    def submits(self) -> list[tuple[RunId, Submit]]:
        """The runs that have not begun, as values of their SUBMIT are still to come."""
        first = [(run, waiting[0].record) for run, waiting in self._waiting.items()]
        return [(run, record) for run, record in first if isinstance(record, Submit)]

    def give_up(self, run: RunId, condition: LinkCondition) -> None:
        """Forget what waits of a run. If it has not even begun, that is told: somebody has to end it."""
        submit = dict(self.submits()).get(run)
        self.forget(run)
        if submit is not None:
            self._lack(run, submit, condition)

    def forget(self, run: RunId) -> None:
        """Nobody waits for this run's records any more."""
        for entry in self._waiting.pop(run, ()):
            if entry.task is not None:
                entry.task.cancel()

    @property
    def is_empty(self) -> bool:
        """Whether no record waits."""
        return not self._waiting

    def leave(self, run: RunId) -> list[Record]:
        """Another intake goes on with the run: the records that wait here, in their order."""
        waiting = [entry.record for entry in self._waiting.get(run, ())]
        self.forget(run)
        return waiting

    def close(self) -> None:
        """Nobody waits for anything any more."""
        for run in list(self._waiting):
            self.forget(run)

    async def _fetch(self, run: RunId, entry: _Entry, named: Sequence[Reference]) -> None:
        whole = len(named) == len(references(entry.record))
        try:
            entry.record = await self._bodies.resolved(run, entry.record, named)
            entry.bytes = sum(each.size for each in named)
        except LinkCondition as condition:
            entry.lacks = condition
        except JournalError as error:
            entry.lacks = LinkCondition("INTERNAL", error.message)
        except GraphferryError as error:  # the bytes are what their name says, but no value
            entry.lacks = LinkCondition("BLOB_GONE", f"A value that came by reference cannot be read: {error}", retryable=False)
        if not whole:
            entry.lacks = None
        entry.task = None
        self._go_on(run)

    def _go_on(self, run: RunId) -> None:
        """Hand on what may go now."""
        while (entry := self._next(run)) is not None:
            if entry.lacks is not None:
                self._lack(run, entry.record, entry.lacks)
            else:
                self._obey(run, entry.record, entry.bytes)

    def _waits(self, run: RunId, entry: _Entry, before: list[_Entry]) -> bool:
        return isinstance(entry.record, (Close, End)) or any(self._follows(run, entry.record, each.record) for each in before)

    def _next(self, run: RunId) -> _Entry | None:
        waiting = self._waiting.get(run, [])
        for place, entry in enumerate(waiting):
            if entry.task is None and (place == 0 or not self._waits(run, entry, waiting[:place])):
                del waiting[place]
                if not waiting:
                    del self._waiting[run]
                return entry
            if isinstance(entry.record, (Submit, Frame)):
                return None
        return None
