"""Group commit: many callers queue, one transaction writes.

A *drain* takes all that is queued and commits it at once. The writer thread drains whenever there is something, so what is queued
while one commit runs makes up the next one; a caller who needs each record durable before the next step drains in its own thread,
which saves two thread switches.

Two locks: `mutex` guards memory and is never held across a commit; `_draining` is held by the one drain that runs. Whoever holds `mutex` over
several calls (`together`) has what they queue in one transaction: no drain takes a part of it.
After a write failed the writer stays failed: every later call raises that JournalError, nothing is pretended.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from zlib import crc32

from graphs.errors import JournalError
from graphs.journal.epoch import READ, Epoch, TakenOver
from graphs.journal.repeats import LEAST
from graphs.journal.rows import INSERT_BASED, INSERT_ONE, Log, Row, Rows
from graphs.journal.schema import AHEAD, BUSY_MS, PAGE, SEQ_BITS, Synchronous, grow_log
from graphs.records import TYPE_BYTES, Encoded

if TYPE_CHECKING:
    import asyncio

__all__ = ["DurableHook", "Item", "Statement", "Writer"]

DurableHook: TypeAlias = Callable[[Mapping[tuple[bytes, bytes], int]], None]

_FEW_COMMITS: Final = 16
"""Commits before the log is lengthened ahead of its use: a process that makes fewer gains nothing by it."""

_OFTEN: Final = AHEAD // PAGE // 2
"""Commits until it is lengthened again: most touch one or two pages."""


@dataclass(slots=True)
class Statement:
    """A change other than a record. `row` is what it returned; `done` is called with `mutex` held once it is committed."""

    sql: str
    values: Sequence[Any]
    done: Callable[[], None] | None = None
    row: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Waiter:
    """Somebody in `barrier`."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]
    full: bool


Item: TypeAlias = Row | Statement | _Waiter


class Writer:
    """Owns the write connection, the queue before it, and the writer thread. `close` ends all three.

    What calls it to work is in `_begin`, `_ring` and `_end`, so that a subclass may commit without a thread.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, synchronous: Synchronous) -> None:
        self.path = path
        self.mutex = threading.RLock()
        self.commits = 0
        self.epoch: Epoch | None = None
        """Outside of which nothing is committed."""
        self._hooks: dict[object, DurableHook] = {}
        self._db = db
        self._execute = db.cursor().execute  # a cursor a statement costs more than the statement's own Python
        self._synchronous = synchronous
        self._lengthen_at: float = _FEW_COMMITS if synchronous == "full" else inf
        self._barriers = 0
        """Commits with full sync in a journal that has not always that."""
        self._rows = Rows(db)
        self._queue: list[Item] = []
        self._draining = threading.Lock()
        self._in_flight = False
        self._failure: JournalError | None = None
        self._closing = False
        self._asleep = False
        self._begin()

    # Queueing; the caller holds `mutex`

    def record(self, log: Log, encoded: Encoded, *, ring: bool = True) -> int:
        """Queues the log's next record; returns its sequence number."""
        type_, count, tail = encoded
        if self._failure is not None or self._closing:
            self.check()
        seq = log.last + 1
        chk = crc32(tail, crc32(TYPE_BYTES[type_], log.chk))  # records.chain, inlined: the event loop waits for this line
        # Queued before it is counted: if Ctrl-C comes in between, the next record collides and fails aloud instead of leaving a gap.
        self._queue.append((log, seq, type_, count, tail, chk))
        log.last = seq
        log.chk = chk
        if ring and self._asleep:
            self._ring()
        return seq

    def write(self, log: Log, encoded: Encoded) -> int:
        """`record` and `flush` in one, for a caller who needs each record durable by itself; the caller does not hold `mutex`."""
        type_, count, tail = encoded
        with self._draining:
            batch: list[Item] = []
            try:
                with self.mutex:
                    if self._queue or log.id is None or self._failure is not None or self._closing or self.epoch is not None:
                        seq = self.record(log, encoded, ring=False)
                        batch, self._queue = self._queue, batch
                    else:
                        log.last = seq = log.last + 1
                        log.chk = crc32(tail, crc32(TYPE_BYTES[type_], log.chk))
                    self._in_flight = True
                if self.commits >= self._lengthen_at:
                    self._lengthen()
                if batch:
                    self._commit(batch, full=False)
                else:  # nothing else is queued: one statement is a transaction of its own, a fifth faster
                    at = (log.id << SEQ_BITS) + seq  # type: ignore[operator]
                    if len(tail) >= LEAST:
                        tail, base = self._rows.shorten(log, seq, tail)
                        self._execute(INSERT_BASED, (at, type_, count, tail, log.chk, base))
                    else:
                        self._execute(INSERT_ONE, (at, type_, count, tail, log.chk))
                    self.commits += 1
            except JournalError:
                raise  # it was closed, or had failed before
            except BaseException as error:  # Ctrl-C in the caller's thread: whether it was committed is anybody's guess
                failure = self._fail(error)
                self._settle(batch)
                if isinstance(error, Exception):
                    raise _again(failure) from error
                raise
            if batch:
                self._settle(batch)
            else:
                log.durable = seq  # before the next line: who finds nothing in flight relies on it
                self._in_flight = False
                if self._hooks:
                    self._tell({(log.run, log.writer): seq})
        return seq

    def push(self, item: Statement | _Waiter, *, ring: bool = True) -> None:
        """Queues a change other than a record."""
        self.check()
        self._queue.append(item)
        if ring and self._asleep:
            self._ring()

    def check(self) -> None:
        """Raises JournalError if the writer is closed or failed."""
        if self._failure is not None:
            raise _again(self._failure)
        if self._closing:
            raise JournalError(f"the journal {self.path} is closed.")

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is queued inside becomes durable at once or not at all. Nothing inside may wait, flush or `write`.

        If it ends with an exception, the part that was queued is dropped, and the writer has failed: the heads of its logs have counted it.
        """
        with self.mutex:
            first = len(self._queue)
            try:
                yield
            except BaseException as error:
                if len(self._queue) > first:
                    del self._queue[first:]
                    self._failure = self._failure or _write_failed(self.path, error)
                raise

    # Waiting; the caller does not hold `mutex`

    async def barrier(self, *, full: bool) -> None:
        """Waits until all that is queued now is durable."""
        from asyncio import get_running_loop

        full = full and self._synchronous != "full"
        loop = get_running_loop()
        with self.mutex:
            self.check()
            if not (self._queue or self._in_flight or full):
                return
            waiter = _Waiter(loop, loop.create_future(), full)
            self.push(waiter)
        await waiter.future

    def flush(self, *, full: bool = False) -> None:
        """Commits all that is queued, in this thread."""
        self._drain(full=full and self._synchronous != "full")
        self.check()

    def add_hook(self, hook: DurableHook) -> Callable[[], None]:
        """Calls `hook` after each commit that made logs grow; returns the function that ends it."""
        key = object()
        with self.mutex:
            self._hooks[key] = hook

        def remove() -> None:
            with self.mutex:
                self._hooks.pop(key, None)

        return remove

    def close(self) -> None:
        """Commits what is queued, ends the thread and closes the connection. Idempotent. Raises JournalError if a write failed."""
        with self.mutex:
            if self._closing:
                return
            self._closing = True
            if self._asleep:
                self._ring()
        self._end()
        self._db.close()
        if self._failure is not None:
            raise _again(self._failure)

    # The writer thread

    def _begin(self) -> None:
        self._bell = threading.Lock()
        self._bell.acquire()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def _ring(self) -> None:
        """There is something to commit, or nothing will come any more; `mutex` is held."""
        self._asleep = False
        self._bell.release()

    def _end(self) -> None:
        """Wait until the last was committed."""
        self._thread.join()

    def _work(self) -> None:
        while True:
            self._drain()
            with self.mutex:
                if self._queue:
                    continue
                if self._closing:
                    return
                self._asleep = True
            self._bell.acquire()

    # Committing

    def _drain(self, *, full: bool = False) -> None:
        """Commits all that is queued and tells who waits for it; a failure is kept for `check`."""
        with self._draining:
            batch: list[Item] = []
            try:
                with self.mutex:
                    batch, self._queue = self._queue, []
                    if not (batch or full) or self._failure is not None:
                        return
                    self._in_flight = True
                if self.commits >= self._lengthen_at:
                    self._lengthen()
                self._commit(batch, full)
            except Exception as error:  # noqa: BLE001  whatever it is, the write failed, and `check` says so
                self._fail(error)
            except BaseException as error:  # Ctrl-C in the caller's thread: whether it was committed is anybody's guess
                self._fail(error)
                raise
            finally:
                self._settle(batch)

    def _lengthen(self) -> None:
        """The commits to come are quicker within the length that the write-ahead log has."""
        self._lengthen_at = self.commits + _OFTEN if grow_log(self._db, self.path) else inf

    def _commit(self, batch: Sequence[Item], full: bool) -> None:
        db = self._db
        full = full or any(type(item) is _Waiter and item.full for item in batch)
        if full:
            self._barriers += 1
            if self._barriers % _OFTEN == _FEW_COMMITS:
                grow_log(db, self.path)
            db.execute("PRAGMA synchronous = full")
        db.execute("BEGIN IMMEDIATE")
        if self.epoch is not None and (over := self.epoch.over(db.execute(READ).fetchall())) is not None:
            raise TakenOver(over)
        if full:
            db.execute("UPDATE store SET conn = conn")  # a commit that changes nothing is not written, let alone synced
        self._apply(batch)
        db.execute("COMMIT")
        self.commits += 1
        if full:
            db.execute(f"PRAGMA synchronous = {self._synchronous}")

    def _apply(self, batch: Sequence[Item]) -> None:
        rows: list[Row] = []
        for item in batch:
            if isinstance(item, tuple):
                rows.append(item)
            elif isinstance(item, Statement):
                self._rows.insert(rows)
                rows.clear()
                item.row = self._db.execute(item.sql, item.values).fetchone()
        self._rows.insert(rows)

    def _settle(self, batch: Sequence[Item]) -> None:
        """Notes what a drain made durable, or that it failed, and wakes those who wait for it."""
        grown: dict[tuple[bytes, bytes], int] = {}
        waiters: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        with self.mutex:
            self._in_flight = False
            failure = self._failure
            for item in batch:
                if isinstance(item, _Waiter):
                    waiters.setdefault(item.loop, []).append(item.future)
                elif failure is not None:
                    continue
                elif isinstance(item, tuple):
                    log, seq = item[0], item[1]
                    log.durable = seq
                    grown[log.run, log.writer] = seq
                elif item.done is not None:
                    item.done()
        for loop, futures in waiters.items():
            try:
                loop.call_soon_threadsafe(_wake, futures, failure)
            except RuntimeError:  # that loop is closed: nobody waits there any more
                continue
        if grown and self._hooks:
            self._tell(grown)

    def _tell(self, grown: Mapping[tuple[bytes, bytes], int]) -> None:
        with self.mutex:
            hooks = tuple(self._hooks.values())
        for hook in hooks:
            try:
                hook(grown)
            except Exception:  # an observer's mistake must neither stop the writer nor look like a failed write
                logging.getLogger(__name__).exception("a hook of the journal failed")

    def _fail(self, error: BaseException) -> JournalError:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the connection is of no use any more; what was not committed is gone with it
        failure = _write_failed(self.path, error)
        failure.__cause__ = error
        with self.mutex:
            self._failure = failure
        return failure


def _wake(futures: Sequence[asyncio.Future[None]], failure: JournalError | None) -> None:
    """In the loop of those who wait; some may have been cancelled."""
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(_again(failure))


def _again(failure: JournalError) -> JournalError:
    """A copy to raise: one exception raised in several places would collect all their tracebacks."""
    error = JournalError(failure.message, hint=failure.hint)
    error.__cause__ = failure.__cause__
    return error


def _write_failed(path: Path, error: BaseException) -> JournalError:
    if isinstance(error, TakenOver):
        return error.error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    what, hint = {
        sqlite3.SQLITE_FULL: ("the disk is full", "Free some space, then try again."),
        sqlite3.SQLITE_BUSY: (
            f"another process kept it locked for {BUSY_MS // 1000} s",
            "End that process, then try again.",
        ),
        sqlite3.SQLITE_CONSTRAINT: ("another process works on the same run", "Let one of them finish the run."),
    }.get(code, (str(error) or type(error).__name__, "Check the disk, then try again."))
    return JournalError(
        f"the journal {path} could not be written: {what}. What was durable before is kept; nothing of this commit counts.",
        hint=hint,
    )
