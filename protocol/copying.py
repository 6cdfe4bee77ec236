"""The shell of what is only copied: reads logs for the peer, and fetches the bodies of records before these are kept (protocol.copies)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from graphs.errors import JournalError, LinkCondition
from protocol.events import DigestCame, Event, NeedBodies, NeedCopies
from protocol.payload import Reference
from protocol.pull import Puller
from protocol.session import Conn
from protocol.store import Left, LinkStore

__all__ = ["ABOUT_COPIES", "Copying"]

ABOUT_COPIES: Final = frozenset({DigestCame, NeedBodies, NeedCopies})
"""The events that `Copying.handle` sees to."""

_log = logging.getLogger("graphferry.link")


class Copying:
    """The copies of one link; `said` is called when the session may have something to tell, and to send, `fail` when nothing can be written any
    more.
    """

    def __init__(
        self, conn: Conn, store: LinkStore, bodies: Puller, said: Callable[[], None], fail: Callable[[JournalError], None]
    ) -> None:
        self._conn = conn
        self._store = store
        self._bodies = bodies
        self._said = said
        self._fail = fail
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, event: Event) -> None:
        """See to one of `ABOUT_COPIES`."""
        if isinstance(event, DigestCame):
            self._conn.copies.answer(event, self._store.held_logs(event))
            self._said()
        elif isinstance(event, NeedCopies):
            self._start(self._supply(event))
        elif isinstance(event, NeedBodies):
            self._start(self._fetch(event))

    def close(self) -> None:
        """Fetch nothing any more."""
        for task in self._tasks:
            task.cancel()

    async def _supply(self, need: NeedCopies) -> None:
        try:
            records = await self._store.read(need.run, need.writer, need.after, need.upto)
        except JournalError as error:  # a damaged log holds up no other
            _log.warning("%s", error.message)
            records = ()
        if records:
            labels, size = self._conn.copies.labels_of(need.run, need.writer), sum(len(record.tail) for record in records)
            try:
                await self._store.leaves(Left(need.run, "copy", labels, need.after, size, upto=need.upto, writer=need.writer))
            except JournalError as error:
                self._fail(error)
                return
        self._conn.copies.supply(need.run, need.writer, need.after, records)
        self._said()

    async def _fetch(self, need: NeedBodies) -> None:
        """What cannot be had, or may not come here, holds up nothing; what there is no room for is not done without."""
        try:
            for named in need.named:
                await self._pull(need.run, named)
            graph = (need.about or {}).get("graph")
            if need.document is not None and type(graph) is bytes and not self._store.has_graph(graph):
                await self._pull(None, need.document)
                body = await self._store.load_body(need.document.ref)
                if body is not None:
                    self._store.keep_graph(graph, body)
        except JournalError as error:
            self._conn.copies.failed((need.run, need.writer), error.message)
        except LinkCondition as full:
            self._conn.copies.full((need.run, need.writer), full.message)
        else:
            self._conn.copies.here(need.run, need.writer, need.seq)
        self._said()

    async def _pull(self, run: bytes | None, named: Reference) -> None:
        try:
            await self._bodies.pull(run, named)
        except LinkCondition as condition:
            if condition.condition == "QUOTA":  # the run would lie here for ever without its graph, or with a hole
                raise

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
