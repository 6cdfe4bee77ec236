"""The link's store over a journal: effects in, durable records out. The same on device and worker.

The journal is known here by what is asked of it, so that the protocol depends on no database.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from graphs.records import Encoded, End, EndStatus, Error, Event, Record, Result, State, Submit, decode
from graphs.values import canonical, decode as decode_value
from protocol.messages import Hash, RunId, StoreId
from protocol.store import Effect, LogHead, OpenAttempt, Snapshot, Write

__all__ = ["JournalPort", "JournalStore", "child_name", "device_of"]

_HELD: Final = "graphs held by workers"
_MOST_HELD: Final = 256


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
    def accept(self, run: bytes, writer: bytes, seq: int, encoded: Encoded) -> None: ...
    async def barrier(self, *, full: bool = False) -> None: ...
    def heads(self, run: bytes | None = None) -> Sequence[Any]: ...
    def entries(self, run: bytes, writer: bytes, after: int = 0) -> Iterator[Any]: ...
    def next_conn(self, above: int = 0) -> int: ...
    def meta(self, key: str) -> bytes | None: ...
    def set_meta(self, key: str, value: bytes) -> None: ...


class JournalStore:
    """A `protocol.store.LinkStore`. On a worker `peer` is the device it is for: child runs that come from it are named after it."""

    def __init__(self, journal: JournalPort, peer: bytes = b"") -> None:
        self._journal = journal
        self._peer = peer

    async def commit(self, effects: Sequence[Effect]) -> None:
        """Everything a peer will see survives a loss of power before this returns (docs/protocol.md §10)."""
        journal = self._journal
        for effect in effects:
            if not isinstance(effect, Write):
                continue
            run, writer, seq, record, _chk = effect
            if not journal.knows(run):
                self._open_child(run, record)
            if writer == journal.store_id:
                given = journal.append(run, record)
                assert given == seq, f"the session counted record {seq}, the journal {given}"
            else:
                journal.accept(run, writer, seq, record)
            if record.type == End.TYPE:
                journal.finish_run(run, _ending(record), ended=int(time.time() * 1000))
        await journal.barrier(full=True)

    def _open_child(self, run: RunId, record: Encoded) -> None:
        """A child run begins with its SUBMIT, here at the worker; a device creates its child runs itself, with their parents."""
        submit = decode(record.type, record.tail)
        graph = submit.graph if isinstance(submit, Submit) else bytes(32)
        self._journal.create_run(
            run, role="child", graph_hash=graph, name=child_name(self._peer), started=int(time.time() * 1000)
        )

    async def read(self, run: RunId, writer: StoreId, after: int, upto: int) -> Sequence[Encoded]:
        found = []
        for entry in self._journal.entries(run, writer, after):
            if entry.seq > upto:
                break
            found.append(Encoded(entry.type, entry.fields, entry.tail))
        return found

    async def find(self, runs: Collection[RunId]) -> Snapshot:
        logs = [self._head(run, head.writer) for run in runs if self._journal.knows(run) for head in self._journal.heads(run)]
        return Snapshot(self._journal.store_id, logs=logs, held=self._held())

    def remember_graph(self, store: StoreId, h: Hash) -> None:
        """That worker's store has this graph: later processes of this device need not send it again. Losing this costs a graph's bytes."""
        held = [list(pair) for pair in self._held() if pair != (store, h)]
        self._journal.set_meta(_HELD, canonical([*held, [store, h]][-_MOST_HELD:]))

    def _held(self) -> list[tuple[StoreId, Hash]]:
        stored = self._journal.meta(_HELD)
        return [(store, h) for store, h in decode_value(stored)] if stored is not None else []

    def _head(self, run: RunId, writer: StoreId) -> LogHead:
        chks: list[int] = []
        ended = False
        attempts: dict[str, OpenAttempt] = {}
        for entry in self._journal.entries(run, writer):
            chks.append(entry.chk)
            record: Record = decode(entry.type, entry.tail)
            ended = ended or isinstance(record, End)
            if isinstance(record, Event) and record.path is not None and record.state == State.EXECUTING:
                attempts[record.path] = OpenAttempt(entry.seq, record.path, record.at)
            elif isinstance(record, (Result, Error)) and record.path is not None:
                attempts.pop(record.path, None)
        return LogHead(run, writer, chks, ended, tuple(attempts.values()))

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
