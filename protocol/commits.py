"""Group commit: what a session asks to be made durable goes to the store one transaction at a time; what is asked meanwhile makes the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from graphs.errors import JournalError
from protocol.events import Event, Faulted
from protocol.session import Conn
from protocol.store import LinkStore

__all__ = ["Commits"]


class Commits:
    """The commits of one session. `tell` takes what it says of them, `turn` comes after each commit that
    took its time: something may be sent now.
    """

    def __init__(
        self,
        conn: Conn,
        store: LinkStore,
        tell: Callable[[Sequence[Event]], None],
        turn: Callable[[], None],
    ) -> None:
        self._conn = conn
        self._asks = conn.asks
        self._store = store
        self._tell = tell
        self._turn = turn
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.task: asyncio.Future[None] | None = None
        """The commit that is under way."""
        self._between: list[Callable[[], None]] = []
        self.failure: JournalError | None = None
        """Why nothing can be made durable any more."""

    def run(self) -> None:
        """Commit what is asked for. A store that is done at once costs no turn of the loop."""
        if self.task is not None or self.failure is not None:
            return
        conn, asks = self._conn, self._asks
        while asks:
            effects = conn.effects()
            try:
                pending = self._store.commit(effects)
            except Exception as error:  # noqa: BLE001 - whatever the store raises, nothing may be called durable any more
                self.fail(error)
                return
            if pending is not None:
                self.task = asyncio.ensure_future(pending)
                self.task.add_done_callback(partial(self._finished, len(effects)))
                return
            if events := self._conn.committed(len(effects)):  # _done, inlined
                self._tell(events)
            if self._waiting:
                self._release()

    def between(self, act: Callable[[], None]) -> None:
        """`act` while no commit is under way: now, or when this one is over. What was asked for and is gone then is waited for no more."""
        if self.task is not None:
            self._between.append(act)
            return
        act()
        if self._waiting:
            self._release()

    def close(self) -> None:
        """Begin no commit any more: the loop that would carry it out may be about to end."""
        if self.failure is None:
            self.failure = JournalError("this link is closed: nothing can be written through it any more.")
            self._release()

    async def durable(self) -> None:
        """Returns when everything asked for so far is durable. Raises JournalError if it cannot be written."""
        self.run()
        if self.failure is not None:
            raise self.failure
        target = self._conn.staged
        if self._conn.durable < target:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((target, waiter))
            await waiter

    def fail(self, error: BaseException) -> None:
        """Nothing can be made durable any more: the connection ends, and who waits is told."""
        if self.failure is not None:
            return
        self.failure = error if isinstance(error, JournalError) else JournalError(f"The journal cannot be written: {error}")
        self._release()
        self._tell([Faulted("INTERNAL", self.failure.message, True)])
        asyncio.get_running_loop().call_soon(self._turn)

    def _finished(self, count: int, commit: asyncio.Future[None]) -> None:
        self.task = None
        if commit.cancelled():
            return  # the loop is about to end
        if (error := commit.exception()) is not None:
            self.fail(error)
        else:
            self._done(count)
        acts, self._between = self._between, []
        for act in acts:
            self.between(act)
        self._turn()

    def _done(self, count: int) -> None:
        self._tell(self._conn.committed(count))
        if self._waiting:
            self._release()

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for target, waiter in waiting:
            if waiter.done():
                continue
            if self.failure is not None:
                waiter.set_exception(self.failure)
            elif self._conn.durable >= target:
                waiter.set_result(None)
            else:
                self._waiting.append((target, waiter))
