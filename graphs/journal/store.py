"""The journal: runs, graphs and records of one store, in one SQLite file.

A `Journal` reads (`reader`) and writes through one group-committing `writer`. Here is what may be said to it: which run, which log, which
number comes next. `append` is called from the event loop for each record and does not touch the disk.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from graphs.errors import JournalError
from graphs.journal.beside import Beside
from graphs.journal.bodies import BodyFiles
from graphs.journal.claims import Claims, require_claims
from graphs.journal.epoch import READ, Epoch
from graphs.journal.ids import run_id_text
from graphs.journal.rows import Log
from graphs.journal.schema import SEQ_BITS, Synchronous, connect
from graphs.journal.writer import DurableHook, Statement, Writer
from graphs.records import Encoded
from graphs.values import Value

__all__ = ["ENDINGS", "OVER", "Journal", "OutOfOrder"]

ENDINGS: Final = frozenset({"completed", "failed", "suspended", "cancelled", "expired", "diverged"})
"""What a run may come to, for now (suspended) or for good."""
OVER: Final = ENDINGS - {"suspended"}
"""What a run has come to for good."""

_NOTE_HEADS: Final = (
    "UPDATE logs SET noted = (SELECT coalesce(max(seq), 0) FROM records"
    " WHERE records.id BETWEEN logs.id << 32 AND (logs.id << 32) + 4294967295) WHERE run = ?"
)


class OutOfOrder(JournalError):
    """A record of another writer that does not follow the last one held here. `have` is that one's number."""

    code = "GAP"

    def __init__(self, run: bytes, writer: bytes, seq: int, have: int) -> None:
        self.run = run
        self.writer = writer
        self.seq = seq
        self.have = have
        super().__init__(
            f"record {seq} of writer {writer.hex()} in run {run_id_text(run)} does not follow record {have}, the last one held here."
        )


class Journal(Beside):
    """A store's journal, open for reading and writing. Make one with `open`; close it, or use it in `with`.

    Writing methods return at once unless they say that they block; what they queued is durable when a later `barrier`, `durable`,
    `flush` or `write` returns. All methods are safe in any thread, and the same file may be open in several processes, as long
    as each run is appended to by one of them.

    After a write failed, every writing method raises the same JournalError until the file is opened anew.
    """

    store_id: bytes
    """This store's name as a writer, 8 bytes, made with the file."""

    committer: ClassVar[type[Writer]] = Writer
    """What commits; a subclass may have another."""

    def __init__(self, path: Path, db: sqlite3.Connection, synchronous: Synchronous) -> None:
        """Not for callers; see `open`."""
        super().__init__(path)
        self.store_id = self._own_id()
        self.body_files = BodyFiles(path)
        """The bytes of bodies; which run needs which is in the journal (`pin_body`)."""
        self._writer = self.committer(path, db, synchronous)
        self._mutex = self._writer.mutex
        self._logs: dict[tuple[bytes, bytes], Log] = {}
        self._own: dict[bytes, Log] = {}
        self._known: set[bytes] = set()
        self._removing: set[bytes] = set()
        self.claims = Claims()

    @classmethod
    def open(cls, path: str | Path, *, synchronous: Synchronous = "full", alone: bool = False) -> Self:
        """Opens the journal at `path`, making it if there is none. `alone` takes it over: no process that did so before can write to it any more.

        `synchronous` is what a commit survives: "full" loss of power, "normal" only a crash of this process; before anything is
        sent or done that cannot be undone, a "normal" journal needs `barrier(full=True)`. Raises JournalError.
        """
        place = Path(path)
        db = connect(place, synchronous)
        epoch = Epoch(db, place) if alone else None
        try:
            journal = cls(place, db, synchronous)
        except BaseException:
            db.close()
            raise
        journal._writer.epoch = epoch
        return journal

    def require_epoch(self) -> None:
        """Raises JournalError if this process took the journal over and another has done so since. Blocks."""
        epoch = self._writer.epoch
        if epoch is not None and (over := epoch.over(self._query(READ))) is not None:
            raise over

    @property
    def commits(self) -> int:
        """How many transactions were committed since the journal was opened."""
        return self._writer.commits

    def on_durable(self, hook: DurableHook) -> Callable[[], None]:
        """Calls `hook` after each commit, in the thread that committed, with {(run, writer): last durable seq} of the logs that grew.

        It must be quick and not block. Returns the function that ends it.
        """
        return self._writer.add_hook(hook)

    # Runs and graphs

    def create_run(
        self,
        run: bytes,
        *,
        role: str,
        graph_hash: bytes,
        name: str,
        started: int,
        graph: bytes | None = None,
        source: str | None = None,
        parent: bytes | None = None,
        first: Encoded | None = None,
    ) -> None:
        """Queues a new run of role "root" or "child", and its graph where given, in state "running".

        `name` is the graph's name or file for display, `source` the document's text, `started` ms since 1970. `first` is the first record of
        this store's own log, committed together with the run: there never is a run of which nobody knows what it was to do.
        Raises JournalError if there is such a run or the graph's bytes do not have its hash.
        """
        if graph is not None:
            self.put_graph(graph_hash, graph, source=source, file=name if source is not None else None)
        sql = "INSERT INTO runs (run, parent, role, graph, name, status, started) VALUES (?, ?, ?, ?, ?, 'running', ?)"
        with self._mutex:
            if run in self._removing or self._knows(run):
                raise JournalError(f"run {run_id_text(run)} is in {self.path} already.")
            self._writer.push(Statement(sql, (run, parent, role, graph_hash, name, started)), ring=first is None)
            self._known.add(run)
            if first is not None:
                self._writer.record(self._load(run, self.store_id), first)

    def finish_run(self, run: bytes, status: str, *, ended: int, exit_info: Mapping[str, Value] | None = None) -> None:
        """Queues how a run ended or stopped: one of `ENDINGS`, when (ms since 1970), and details as JSON."""
        if status not in ENDINGS:
            raise JournalError(f"{status!r} is not how a run ends; that is one of {', '.join(sorted(ENDINGS))}.")
        info = None if exit_info is None else json.dumps(exit_info, ensure_ascii=False)
        with self._mutex:
            self._require(run)
            self._writer.push(
                Statement("UPDATE runs SET status = ?, ended = ?, exit_info = ? WHERE run = ?", (status, ended, info, run))
            )
            self._writer.push(Statement(_NOTE_HEADS, (run,), lambda: self._forget(run)))

    def reopen_run(self, run: bytes) -> None:
        """Queues that a suspended run goes on."""
        with self._mutex:
            self._require(run)
            self._writer.push(
                Statement("UPDATE runs SET status = 'running', ended = NULL, exit_info = NULL WHERE run = ?", (run,))
            )

    def remove_run(self, run: bytes) -> None:
        """Queues the removal of a run with its records; its graph stays. Child runs are runs of their own.

        That nobody still works on the run, and that its peers have all of it, is for the caller to know (docs/protocol.md §10).
        """
        with self._mutex:
            self._require(run)
            self._writer.push(Statement("DELETE FROM runs WHERE run = ?", (run,), lambda: self._removing.discard(run)))
            self._removing.add(run)
            self._known.discard(run)
            for log in [log for log in self._logs.values() if log.run == run]:
                self._drop(log)

    def settle_run(self, run: bytes, at: int) -> None:
        """Queues that the peer holds all of an ended run, since `at` (ms since 1970)."""
        with self._mutex:
            self._writer.push(Statement("UPDATE runs SET settled = coalesce(settled, ?) WHERE run = ?", (at, run)))

    def knows(self, run: bytes) -> bool:
        """Whether the run is here, queued or committed."""
        with self._mutex:
            return self._knows(run)

    # Records

    def append(self, run: bytes, encoded: Encoded) -> int:
        """Queues a record of this store's own log of the run; returns its sequence number at once."""
        with self._mutex:
            log = self._own.get(run) or self._load(run, self.store_id)
            return self._writer.record(log, encoded)

    def accept(self, run: bytes, writer: bytes, seq: int, encoded: Encoded, chk: int | None = None) -> None:
        """Queues a copy of another writer's record; nothing if it is here already, with this checksum of its log: another process of this store took
        it. Raises OutOfOrder unless it follows the last one.
        """
        if writer == self.store_id:
            raise JournalError(
                f"record {seq} of run {run_id_text(run)} bears this store's own id; a store only appends to its own log."
            )
        with self._mutex:
            log = self._logs.get((run, writer)) or self._load(run, writer)
            if seq != log.last + 1:
                if chk is not None and 0 < seq <= log.durable and self.chk(run, writer, seq) == chk:
                    return
                raise OutOfOrder(run, writer, seq, log.last)
            self._writer.record(log, encoded)

    def rewrite(self, run: bytes, writer: bytes, after: int, records: Sequence[Encoded]) -> None:
        """Put others in the place of all records of a log that follow `after`, as many, in one commit. Blocks.

        For a log of which no other store has any of these, and that nobody appends to meanwhile: that is for the caller to know. Raises JournalError.
        """
        self.flush()
        with self._mutex:
            old = self._log(run, writer)
            if old.id is None or old.last - after != len(records):
                raise JournalError(
                    f"the log of {writer.hex()} in run {run_id_text(run)} has {old.last} records; {after} and {len(records)} is another."
                )
            # another one: nothing repeats what is not there any more
            log = Log(run, writer, old.id, after, self.chk(run, writer, after), after, old.copied)
            sql = "DELETE FROM records WHERE id > ? AND id < ?"
            self._writer.push(Statement(sql, ((old.id << SEQ_BITS) + after, (old.id + 1) << SEQ_BITS)), ring=False)
            for encoded in records:
                self._writer.record(log, encoded, ring=False)
            self._drop(old)
            self._logs[run, writer] = log
            if writer == self.store_id:
                self._own[run] = log
        self._writer.flush(full=True)

    def renew(self, run: bytes) -> None:
        """Read how far the run's logs go again where that is needed: another process appended to them, perhaps, who does not any more. Blocks."""
        self.flush()
        with self._mutex:
            self._forget(run)

    def have(self, run: bytes, writer: bytes | None = None) -> int:
        """The last sequence number of a log, queued ones included; `writer` None is this store."""
        with self._mutex:
            return self._log(run, writer).last

    def durable_seq(self, run: bytes, writer: bytes | None = None) -> int:
        """The last sequence number that this journal made durable; `writer` None is this store. 0 for no record."""
        with self._mutex:
            return self._log(run, writer).durable

    # Durability

    def together(self) -> AbstractContextManager[None]:
        """What is queued inside `with journal.together():` is one transaction: all of it is durable, or nothing of it ever.

        For calls that return at once; nothing inside may block or await. After an exception inside the journal counts as failed.
        """
        return self._writer.together()

    async def barrier(self, *, full: bool = False) -> None:
        """Waits until all that is queued now is durable, without blocking the loop; `full`: with full sync in a "normal" journal too.

        Raises JournalError if it could not be written.
        """
        await self._writer.barrier(full=full)

    async def durable(self, run: bytes, seq: int, writer: bytes | None = None) -> None:
        """Waits until the log's record `seq` is durable. Raises JournalError if it could not be written."""
        if self.durable_seq(run, writer) < seq:
            await self.barrier()

    def flush(self, *, full: bool = False) -> None:
        """Commits all that is queued, in this thread; `full` as in `barrier`. Blocks. Raises JournalError if it could not be written."""
        self._writer.flush(full=full)

    def write(self, run: bytes, encoded: Encoded) -> int:
        """`append` and `flush` in one, at half the cost: the writer thread is not woken. Blocks. For durability node by node."""
        log = self._own.get(run)
        if log is None:
            with self._mutex:
                log = self._load(run, self.store_id)
        return self._writer.write(log, encoded)

    def next_conn(self, above: int = 0) -> int:
        """A connection number greater than all before it and than `above`. Blocks.

        It and everything queued before it are committed with full sync, as must be before HELLO says what is held
        (docs/protocol.md §6, §10). Raises JournalError, too, if another process has claimed a run that this one goes on with: the greater number
        is for who claimed it last.
        """
        raised = Statement("UPDATE store SET conn = max(conn, ?) + 1", (above,))
        read = Statement("SELECT conn FROM store", ())
        with self._mutex:  # what is queued together is committed together
            require_claims(self)
            self._writer.push(raised, ring=False)
            self._writer.push(read, ring=False)
        self._writer.flush(full=True)
        assert read.row is not None
        return int(read.row[0])

    def close(self) -> None:
        """Commits what is queued and closes the file. Idempotent. Raises JournalError if something could not be written."""
        try:
            self._writer.close()
        finally:
            self._reader.close()
            self.body_files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except JournalError:
            if error is None:  # whatever is on its way out says more
                raise

    # Heads in memory; `_mutex` is held

    def _knows(self, run: bytes) -> bool:
        if run in self._known:
            return True
        if run in self._removing or not self._query("SELECT 1 FROM runs WHERE run = ?", (run,)):
            return False
        self._known.add(run)
        return True

    def _require(self, run: bytes) -> None:
        if not self._knows(run):
            raise JournalError(
                f"there is no run {run_id_text(run)} in {self.path}: a run is created before anything is said about it."
            )

    def _log(self, run: bytes, writer: bytes | None) -> Log:
        key = (run, self.store_id if writer is None else writer)
        return self._logs.get(key) or self._load(*key)

    def _load(self, run: bytes, writer: bytes) -> Log:
        """The head of a log that this process has not used yet."""
        self._writer.check()
        known = "SELECT id FROM logs WHERE run = ? AND writer = ?"
        rows = [] if run in self._removing else self._query(known, (run, writer))
        if rows:
            log_id = int(rows[0][0])
            head = "SELECT seq, chk FROM records WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1"
            heads = self._query(head, (log_id << SEQ_BITS, (log_id + 1) << SEQ_BITS))
            last, chk = heads[0] if heads else (0, 0)
            log = Log(run, writer, log_id, last, chk, last, writer != self.store_id)
        else:
            self._require(run)
            log = Log(run, writer, None, 0, 0, 0, writer != self.store_id)
        self._logs[run, writer] = log
        if writer == self.store_id:
            self._own[run] = log
        return log

    def _forget(self, run: bytes) -> None:
        """Drops the heads of a run: of one that ended, so that a worker which serves for months does not keep them all."""
        for log in [log for log in self._logs.values() if log.run == run and log.last == log.durable]:
            self._drop(log)
        self._known.discard(run)

    def _drop(self, log: Log) -> None:
        del self._logs[log.run, log.writer]
        if log.writer == self.store_id:
            del self._own[log.run]
