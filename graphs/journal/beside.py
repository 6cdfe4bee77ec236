"""What a journal keeps beside its logs: graphs, which run needs which body, the audit, what nodes took, plans, and small facts about the store."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from graphs.errors import JournalError
from graphs.journal.history import HistoryRow, noting
from graphs.journal.reader import Reader, graph_address
from graphs.journal.writer import Statement, Writer
from graphs.values import Value

__all__ = ["Beside"]

_REQUIRE_META: Final = "INSERT INTO meta SELECT '', NULL WHERE (SELECT value FROM meta WHERE key = ?) IS NOT ?"


class Beside(Reader):
    """That part of a `Journal`; nothing here blocks."""

    _writer: Writer
    _mutex: threading.RLock

    def put_graph(self, graph_hash: bytes, body: bytes, *, source: str | None = None, file: str | None = None) -> None:
        """Queues a graph or cut graph under its hash; a source text is kept with the first one that has it."""
        if graph_address(body) != graph_hash:
            raise JournalError(f"a graph was to be stored as {graph_hash.hex()}, but its bytes have another hash.")
        sql = (
            "INSERT INTO graphs (hash, body, source, file) VALUES (?, ?, ?, ?) ON CONFLICT (hash)"
            " DO UPDATE SET source = excluded.source, file = excluded.file WHERE source IS NULL AND excluded.source IS NOT NULL"
        )
        self._queue(sql, (graph_hash, body, source, file))

    def drop_graph(self, graph_hash: bytes) -> None:
        """Queues the removal of this graph."""
        self._queue("DELETE FROM graphs WHERE hash = ?", (graph_hash,))

    def drop_graphs(self) -> None:
        """Queues the removal of graphs that no run begins with, unless a run is going on, which may use any.

        For a worker: who sent them has them, and sends them again when asked.
        """
        sql = (
            "DELETE FROM graphs WHERE hash NOT IN (SELECT graph FROM runs)"
            " AND NOT EXISTS (SELECT 1 FROM runs WHERE status IN ('running', 'suspended'))"
        )
        self._queue(sql, ())

    def pin_body(self, run: bytes, scope: str, name: bytes, size: int, *, own: bool, labels: Collection[str] = ()) -> None:
        """Queues that a run needs a body; `own` if a record of this store refers to it, so that its peer may ask for it.

        Nothing if there is no such run any more.
        """
        sql = (
            "INSERT INTO bodies (run, name, scope, size, own, labels) SELECT run, ?, ?, ?, ?, ? FROM runs WHERE run = ?"
            " ON CONFLICT DO UPDATE SET own = max(own, excluded.own)"
        )
        words = json.dumps(list(labels)) if labels else None
        self._queue(sql, (name, scope, size, int(own), words, run))

    def note_departure(self, run: bytes, t: int, entry: Mapping[str, Value]) -> None:
        """Queues a line of the run's audit: at `t` (ms since 1970) something left this device, or is about to. Nothing if there is no such run
        any more. An entry never has a value in it, nor a hash of one.
        """
        sql = "INSERT INTO audit (run, t, entry) SELECT run, ?, ? FROM runs WHERE run = ?"
        self._queue(sql, (t, json.dumps(entry, ensure_ascii=False), run))

    def set_meta(self, key: str, value: bytes) -> None:
        """Queues a small fact about this store, for instance a worker's last offer, to be read with `meta`."""
        self._queue("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    def drop_meta(self, key: str) -> None:
        """Queues that such a fact is forgotten."""
        self._queue("DELETE FROM meta WHERE key = ?", (key,))

    def require_meta(self, key: str, value: bytes | None) -> None:
        """Queues that the transaction which this belongs to fails unless this is what is stored under `key`; None is nothing."""
        self._queue(_REQUIRE_META, (key, value))

    def note_history(self, rows: Iterable[HistoryRow], now: int) -> None:
        """Queues what the nodes of a run took, to be read with `history`; `now`: ms since 1970."""
        with self._mutex:
            for sql, values in noting(rows, now):
                self._writer.push(Statement(sql, values))

    def keep_plan(self, run: bytes, plan: bytes) -> None:
        """Queues what is expected of a run, to be read with `plan`; nothing if there is no such run any more."""
        sql = "INSERT OR REPLACE INTO plans (run, plan) SELECT run, ? FROM runs WHERE run = ?"
        self._queue(sql, (plan, run))

    def _queue(self, sql: str, values: tuple[Any, ...]) -> None:
        with self._mutex:
            self._writer.push(Statement(sql, values))
