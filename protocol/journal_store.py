"""The link's store over a journal: effects in, durable records out. The same on device and worker.

The journal is known here by what is asked of it, so that the protocol depends on no database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from graphs.records import Cancel, Encoded, End, EndStatus, Error, Event, Record, Result, State, Submit, decode
from graphs.values import canonical
from protocol.audit import Departures
from protocol.digest import Held, Line
from protocol.events import DigestCame
from protocol.gate import travels_whole
from protocol.messages import Bytes, Hash, Ref, RunId, StoreId
from protocol.payload import Reference, references
from protocol.shared import Shared
from protocol.store import BodyPart, Copy, Effect, Keep, Left, LogHead, OpenAttempt, Snapshot, Trim, Write

__all__ = ["JournalPort", "JournalStore", "child_name", "device_of"]

_HELD: Final = "graphs held by workers"
_MOST_HELD: Final = 256
_YOUNG: Final = 3_600
"""Seconds for which a body that nobody needs is left alone: its run may be about to be written down."""


class JournalPort(Protocol):
    """What is needed of a journal (graphs.journal.Journal)."""

    store_id: bytes

    def knows(self, run: bytes) -> bool: ...
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
    ) -> None: ...
    def finish_run(self, run: bytes, status: str, *, ended: int, exit_info: Mapping[str, Any] | None = None) -> None: ...
    def append(self, run: bytes, encoded: Encoded) -> int: ...
    def accept(self, run: bytes, writer: bytes, seq: int, encoded: Encoded, chk: int | None = None) -> None: ...
    def together(self) -> AbstractContextManager[None]: ...
    async def barrier(self, *, full: bool = False) -> None: ...
    def heads(self, run: bytes | None = None) -> Sequence[Any]: ...
    def entries(self, run: bytes, writer: bytes, after: int = 0) -> Iterator[Any]: ...
    def next_conn(self, above: int = 0) -> int: ...
    def meta_value(self, key: str, kind: type[Any]) -> Any: ...
    def set_meta(self, key: str, value: bytes) -> None: ...
    @property
    def body_files(self) -> Any: ...
    def pin_body(self, run: bytes, scope: str, name: bytes, size: int, *, own: bool, labels: Collection[str] = ()) -> None: ...
    def body(self, scope: str, name: bytes) -> Any: ...
    def bodies(self, run: bytes | None = None) -> Sequence[Any]: ...
    def settle_run(self, run: bytes, at: int) -> None: ...
    def graph(self, graph_hash: bytes) -> Any: ...
    def put_graph(self, graph_hash: bytes, body: bytes) -> None: ...
    def note_departure(self, run: bytes, t: int, entry: Mapping[str, Any]) -> None: ...


class JournalStore:
    """A `protocol.store.LinkStore`. `scope` is whose bodies these are: a worker keeps those of its devices apart. On a worker `peer` is the
    device it is for: child runs that come from it are named after it. A device has `departures`, where the audit of what leaves it is kept, and
    `claimed`, which queues, with what is said in a run, that nobody else goes on with it.
    """

    def __init__(
        self,
        journal: JournalPort,
        scope: str = "own",
        peer: bytes = b"",
        shared: Shared | None = None,
        departures: Departures | None = None,
        claimed: Callable[[RunId], None] | None = None,
    ) -> None:
        self._journal = journal
        self._claimed = claimed
        self._departures = departures
        self.shared = shared or Shared(journal)
        """What of the journal the peer has a copy of, or may have."""
        self.scope = scope
        """Whose bodies these are."""
        self._peer = peer
        self._places: dict[Ref, str] = {}
        """In whose name bodies are fetched that are not this scope's."""
        self._runs: dict[Ref, RunId | None] = {}
        """For which run each body is fetched."""
        self._asked: Any = None
        """The body that was asked for last: the next range is most often of the same."""

    async def commit(self, effects: Sequence[Effect]) -> None:
        """Everything a peer will see survives a loss of power before this returns, in one transaction (docs/protocol.md §10)."""
        for effect in effects:
            if isinstance(effect, Keep):  # bodies are durable before the records that refer to them
                await asyncio.to_thread(self._journal.body_files.keep, self.scope, effect.ref, effect.data, effect.run)
        firsts: dict[RunId, int] = {}
        with self._journal.together():
            for effect in effects:
                self._queue(effect, effects, firsts)
            if self._departures is not None:
                self._departures.wrote(firsts)
            if self._claimed is not None:
                for run in firsts:
                    self._claimed(run)
        await self._journal.barrier(full=True)

    async def leaves(self, left: Left) -> None:
        """Write down that something is about to leave this device. Raises JournalError."""
        if self._departures is not None:
            await self._departures.leaves(left, lambda: self.shared.runs_of(left.ref))

    def _queue(self, effect: Effect, effects: Sequence[Effect], firsts: dict[RunId, int]) -> None:
        journal = self._journal
        if isinstance(effect, Trim):
            journal.settle_run(effect.run, int(time.time() * 1000))
        elif isinstance(effect, Copy):
            self.shared.take(effect, self.scope)
        elif isinstance(effect, Left):
            if self._departures is not None:
                self._departures.left(effect)
        elif isinstance(effect, Keep):
            run, ref, data, labels = effect[:4]
            if not journal.knows(run):
                self._open_child(run, next(each.record for each in effects if isinstance(each, Write) and each.run == run))
            journal.pin_body(run, self.scope, ref, len(data), own=True, labels=labels)
        else:
            run, writer, seq = effect[:3]
            record, chk = effect.record, effect.chk
            if not journal.knows(run):
                self._open_child(run, record)
            if writer == journal.store_id:
                given = journal.append(run, record)
                assert given == seq, f"the session counted record {seq}, the journal {given}"
                firsts.setdefault(run, seq)
            else:
                journal.accept(run, writer, seq, record, chk)
                if self._departures is not None and not travels_whole(record):
                    self._need(run, record)
            if record.type == End.TYPE:
                journal.finish_run(run, _ending(record), ended=int(time.time() * 1000))

    def _need(self, run: RunId, record: Encoded) -> None:
        """A device needs what its worker's records refer to, read here or not: until then a sync knows what a shared run still lacks."""
        for named in references(decode(record.type, record.tail)):
            scope = self.shared.scope_of(named.ref) or self.scope
            self._journal.pin_body(run, scope, named.ref, named.size, own=False, labels=named.labels)

    def _open_child(self, run: RunId, record: Encoded) -> None:
        """A child run begins with its SUBMIT, here at the worker; a device creates its child runs itself, with their parents."""
        submit = decode(record.type, record.tail)
        graph = submit.graph if isinstance(submit, Submit) else bytes(32)
        root = submit.opts.get("parent") if isinstance(submit, Submit) else None
        parent = root[0] if isinstance(root, (list, tuple)) and root and type(root[0]) is bytes else None
        self._journal.create_run(
            run, role="child", graph_hash=graph, name=child_name(self._peer), started=int(time.time() * 1000), parent=parent
        )

    async def read(self, run: RunId, writer: StoreId, after: int, upto: int) -> Sequence[Encoded]:
        found = []
        for entry in self._journal.entries(run, writer, after):
            if entry.seq > upto:
                break
            found.append(Encoded(entry.type, entry.fields, entry.tail))
        return found

    async def find(self, runs: Collection[RunId]) -> Snapshot:
        logs = [head for run in runs for head in self.heads_of(run)]
        return Snapshot(self._journal.store_id, logs=logs, held=self._held())

    def heads_of(self, run: RunId) -> list[LogHead]:
        """What is here of each log of a run. Blocks. Raises JournalError where one is damaged."""
        return [self._head(run, head.writer) for head in self._journal.heads(run)] if self._journal.knows(run) else []

    def remember_graph(self, store: StoreId, h: Hash) -> None:
        """That worker's store has this graph: later processes of this device need not send it again. Losing this costs a graph's bytes."""
        held = [list(pair) for pair in self._held() if pair != (store, h)]
        self._journal.set_meta(_HELD, canonical([*held, [store, h]][-_MOST_HELD:]))

    def _held(self) -> list[tuple[StoreId, Hash]]:
        return [(store, h) for store, h in self._journal.meta_value(_HELD, list) or ()]

    def _head(self, run: RunId, writer: StoreId) -> LogHead:
        chks: list[int] = []
        ended, cancelled = False, 0
        attempts: dict[str, OpenAttempt] = {}
        for entry in self._journal.entries(run, writer):
            chks.append(entry.chk)
            record: Record = decode(entry.type, entry.tail)
            ended = ended or isinstance(record, End)
            if isinstance(record, Event) and record.path is not None and record.state == State.EXECUTING:
                attempts[record.path] = OpenAttempt(entry.seq, record.path, record.at)
            elif isinstance(record, (Result, Error)) and record.path is not None:
                attempts.pop(record.path, None)
            elif isinstance(record, Cancel) and record.paths is None:
                cancelled = cancelled or entry.seq
        return LogHead(run, writer, chks, ended, tuple(attempts.values()), cancelled)

    # -- bodies

    async def begin_body(self, run: RunId | None, named: Reference) -> tuple[int, bool]:
        ref, size = named.ref, named.size
        scope = self._places[ref] = self.shared.scope_of(ref) or self.scope
        self._runs[ref] = run
        if run is not None:
            self._journal.pin_body(run, scope, ref, size, own=False, labels=named.labels)
        held, whole = self._journal.body_files.held(scope, ref)
        if held > size and not whole:  # what is here was begun under another size, and one of the two is a lie
            self._journal.body_files.remove(scope, ref)
            held = 0
        return held, whole

    async def write_body(self, ref: Ref, off: int, *data: Bytes) -> None:
        await asyncio.to_thread(self._journal.body_files.write, self._place(ref), ref, off, *data)

    async def check_body(self, ref: Ref, size: int, crc: int | None) -> bool:
        run = self._runs.pop(ref, None)
        good: bool = await asyncio.to_thread(self._journal.body_files.check, self._place(ref), ref, size, crc, run)
        return good

    def _place(self, ref: Ref) -> str:
        return self._places.get(ref, self.scope)

    async def read_body(self, ref: Ref, off: int, length: int) -> BodyPart | None:
        known = self._asked if self._asked is not None and self._asked.name == ref else self._journal.body(self.scope, ref)
        if known is None:
            return await asyncio.to_thread(self.shared.part, ref, off, length)
        self._asked = known
        files = self._journal.body_files
        data = files.read_cached(self.scope, ref, off, length)
        if data is None:
            data = await asyncio.to_thread(files.read, self.scope, ref, off, length)
        # only the last part says it, and a hash needs none
        crc = await asyncio.to_thread(files.crc, self.scope, ref) if len(ref) != 32 and off + length >= known.size else None
        return None if data is None else BodyPart(data, known.size, known.labels, crc)

    async def load_body(self, ref: Ref) -> bytes | None:
        data: bytes | None = await asyncio.to_thread(self._journal.body_files.load, self._place(ref), ref)
        return data

    async def sweep(self) -> int:
        """Delete the bodies that no run needs any more. How many they were."""
        self._asked = None
        await self._journal.barrier()
        needed = {(row.scope, row.name) for row in self._journal.bodies()}
        removed: int = await asyncio.to_thread(self._journal.body_files.sweep, needed, time.time() - _YOUNG)
        return removed

    def lines(self) -> list[Line]:
        """What a digest of this store says to this peer. Blocks."""
        return self.shared.lines()

    def held_logs(self, came: DigestCame) -> list[Held]:
        """What is here of the logs of a digest, and of its range. Blocks."""
        return self.shared.held(came)

    def has_graph(self, h: Hash) -> bool:
        return self._journal.graph(h) is not None

    def keep_graph(self, h: Hash, body: bytes) -> None:
        self._journal.put_graph(h, body)

    async def next_connection(self, above: int = 0) -> int:
        return self._journal.next_conn(above)


def child_name(device: bytes) -> str:
    """The name of a child run in a worker's journal: it says whose it is, for the process that goes on with it."""
    return f"cut of device {device.hex()}"


def device_of(name: str) -> bytes | None:
    """The device that a child run of this name came from; None if the name says none."""
    _, found, device = name.partition("cut of device ")
    try:
        return bytes.fromhex(device) or None if found else None
    except ValueError:
        return None


def _ending(record: Encoded) -> str:
    end = decode(record.type, record.tail)
    return EndStatus(end.status).name.lower() if isinstance(end, End) else "completed"
