"""Reading a journal: runs, graphs, and records whose integrity was checked.

Everything here sees what is committed, never what is queued, on a connection of its own that does not disturb the writer.
A record is handed out only if its log has no gap before it and its checksum holds (docs/protocol.md §10).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from graphs.errors import JournalError, UsageError, ValueUnsupported
from graphs.journal.history import SELECT, HistoryRow
from graphs.journal.ids import id_prefix_range, run_id_short, run_id_text
from graphs.journal.repeats import LEAST, Kept, Memory, loosen, restore
from graphs.journal.schema import SEQ_BITS, connect_reader, unreadable
from graphs.records import Record, chain, decode
from graphs.values import Value, decode as decode_value, digest

__all__ = ["BodyRow", "Entry", "Head", "Logged", "Reader", "RunRow", "StoredGraph", "graph_address"]

_PAGE: Final = 512
_REMEMBERED: Final = 64 << 20
"""Bytes of records that are remembered while a log is read, since later ones may repeat parts of them."""
_SELECT_RUNS: Final = "SELECT run, parent, role, graph, name, status, started, ended, exit_info FROM runs"
_SELECT_WITHIN: Final = _SELECT_RUNS + " WHERE run BETWEEN ? AND ? AND role {} 'root' ORDER BY run DESC LIMIT 9"
_SELECT_SOME: Final = (
    "SELECT one.seq, one.type, one.tail, one.chk, one.base, before.chk FROM records AS one LEFT JOIN records AS before"
    " ON before.id = one.id - 1 AND one.seq > 1 WHERE one.id > ? AND one.id < ? AND one.type IN (?, ?, ?, ?) ORDER BY one.id"
)
_MOST_TYPES: Final = 4
_SELECT_HEADS: Final = (
    "SELECT logs.run, writer, seq, chk FROM logs JOIN records ON records.id ="
    " (SELECT max(id) FROM records WHERE id BETWEEN logs.id << 32 AND (logs.id << 32) + 4294967295)"
)

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as lists show it. Times are ms since 1970; `exit_info` says how it ended, for people and for resume."""

    run: bytes
    parent: bytes | None
    role: str
    graph: bytes
    name: str
    status: str
    started: int
    ended: int | None
    exit_info: Mapping[str, Value] | None


@dataclass(frozen=True, slots=True)
class StoredGraph:
    """A graph by its hash: canonical bytes and, for graphs of root runs, the document's text and file name as first seen."""

    hash: bytes
    body: bytes
    source: str | None
    file: str | None


class BodyRow(NamedTuple):
    """A body a run needs: whose it is, its name, its size in bytes; a handle's have labels."""

    scope: str
    name: bytes
    size: int
    labels: tuple[str, ...]


class Head(NamedTuple):
    """How far a log goes here: its last sequence number and the checksum up to there."""

    run: bytes
    writer: bytes
    last: int
    chk: int


class Entry(NamedTuple):
    """A record as it is stored and sent."""

    writer: bytes
    seq: int
    type: int
    fields: int
    tail: bytes
    chk: int


class Logged(NamedTuple):
    """A decoded record and its place."""

    writer: bytes
    seq: int
    type: int
    record: Record


class Reader:
    """The reading half of a `Journal`. Safe in any thread; raises JournalError where the file is damaged."""

    path: Path

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reading = threading.Lock()
        self._reader = connect_reader(path)

    def runs(self, limit: int | None = None, *, role: str | None = None, status: str | None = None) -> list[RunRow]:
        """Runs, newest first, of this role and status where given."""
        query = _SELECT_RUNS + " WHERE (?1 IS NULL OR role = ?1) AND (?2 IS NULL OR status = ?2) ORDER BY run DESC LIMIT ?3"
        return [self._run_row(row) for row in self._query(query, (role, status, -1 if limit is None else limit))]

    def children(self, parent: bytes) -> list[RunRow]:
        """The child runs of a root run, oldest first."""
        return [self._run_row(row) for row in self._query(_SELECT_RUNS + " WHERE parent = ? ORDER BY run", (parent,))]

    def run(self, run: bytes | str) -> RunRow:
        """The run with this id, or whose id is the only one to begin so; of root runs and child runs, which begin soon after them, the root run.
        Raises UsageError for none or several.
        """
        if isinstance(run, bytes):
            name, rows = run_id_text(run), self._query(_SELECT_RUNS + " WHERE run = ?", (run,))
        else:
            name, ends = run, id_prefix_range(run)
            rows = self._query(_SELECT_WITHIN.format("="), ends) or self._query(_SELECT_WITHIN.format("<>"), ends)
        if not rows:
            raise UsageError(f"there is no run {name} in {self.path}.", hint="graphferry runs lists them.")
        if len(rows) > 1:
            some = ", ".join(run_id_text(row[0]) for row in rows[:8]) + (" and more" if len(rows) > 8 else "")
            raise UsageError(f"several runs begin with {name}: {some}.", hint="Give more digits.")
        return self._run_row(rows[0])

    def graph(self, graph_hash: bytes) -> StoredGraph | None:
        """The graph with this hash, or None if it is not here."""
        rows = self._query("SELECT body, source, file FROM graphs WHERE hash = ?", (graph_hash,))
        if not rows:
            return None
        body, source, file = rows[0]
        if graph_address(body) != graph_hash:
            raise JournalError(
                f"the journal {self.path} is damaged: graph {graph_hash.hex()} has another content than was stored."
            )
        return StoredGraph(graph_hash, body, source, file)

    def damaged_graphs(self) -> list[bytes]:
        """The hashes of graphs that have another content than was stored. Blocks: reads them all."""
        return [address for address, body in self._query("SELECT hash, body FROM graphs") if graph_address(body) != address]

    def meta(self, key: str) -> bytes | None:
        """What `set_meta` stored under `key`."""
        rows = self._query("SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def meta_value(self, key: str, kind: type[_Kind]) -> _Kind | None:
        """The value whose canonical bytes `set_meta` stored under `key`. Raises JournalError if that is no value of this kind."""
        stored = self.meta(key)
        return None if stored is None else self._meta_value(key, stored, kind)

    def meta_values(self, prefix: str, kind: type[_Kind]) -> dict[str, _Kind]:
        """As `meta_value`, of all keys that begin so, without that beginning."""
        return {key.removeprefix(prefix): self._meta_value(key, stored, kind) for key, stored in self.metas(prefix).items()}

    def metas(self, prefix: str) -> dict[str, bytes]:
        """All that `set_meta` stored under keys that begin so."""
        return dict(self._query("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", (len(prefix), prefix)))

    def history(self, what: Sequence[str]) -> list[HistoryRow]:
        """What the nodes and agents of these names took in earlier runs, the newest first."""
        return [HistoryRow(*row) for row in self._query(SELECT, (json.dumps(list(what)),))]

    def plan(self, run: bytes) -> bytes | None:
        """What `keep_plan` stored with the run."""
        rows = self._query("SELECT plan FROM plans WHERE run = ?", (run,))
        return rows[0][0] if rows else None

    def sizes(self, run: bytes | None = None) -> dict[bytes, int]:
        """The bytes that the records of each run, or of one, take here."""
        query = (
            "SELECT logs.run, sum(length(tail)) FROM logs JOIN records ON records.id BETWEEN logs.id << 32 AND (logs.id << 32) + 4294967295"
            " WHERE ?1 IS NULL OR logs.run = ?1 GROUP BY logs.run"
        )
        return dict(self._query(query, (run,)))

    def body(self, scope: str, name: bytes) -> BodyRow | None:
        """What is known of a body that a record of this store refers to; None if there is none of that name."""
        query = "SELECT scope, name, size, labels FROM bodies WHERE name = ? AND scope = ? AND own = 1 LIMIT 1"
        rows = self._query(query, (name, scope))
        return self._body_row(rows[0]) if rows else None

    def bodies(self, run: bytes | None = None) -> list[BodyRow]:
        """The bodies that a run needs, or all."""
        rows = self._query("SELECT scope, name, size, labels FROM bodies WHERE ?1 IS NULL OR run = ?1", (run,))
        return [self._body_row(row) for row in rows]

    def pinned(self) -> list[tuple[bytes, BodyRow]]:
        """Which run needs which body."""
        return [(run, self._body_row(row)) for run, *row in self._query("SELECT run, scope, name, size, labels FROM bodies")]

    def departures(self, run: bytes) -> list[tuple[int, Mapping[str, Value]]]:
        """The lines of a run's audit, in the order they were written: when (ms since 1970), and what `note_departure` was told."""
        rows = self._query("SELECT t, entry FROM audit WHERE run = ? ORDER BY id", (run,))
        return [(t, self._json(entry)) for t, entry in rows]

    def heads(self, run: bytes | None = None) -> list[Head]:
        """The heads of all logs, or of a run's, by run and writer: what is durable here (docs/protocol.md §6, §11)."""
        rows = self._query(_SELECT_HEADS + " WHERE ?1 IS NULL OR logs.run = ?1 ORDER BY logs.run, writer", (run,))
        return [Head(*row) for row in rows]

    def heads_between(self, least: bytes, greatest: bytes) -> list[Head]:
        """The heads of all logs of the runs with these ids and those between, by run and writer."""
        rows = self._query(_SELECT_HEADS + " WHERE logs.run BETWEEN ? AND ? ORDER BY logs.run, writer", (least, greatest))
        return [Head(*row) for row in rows]

    def bodies_named(self, name: bytes) -> list[tuple[bytes, BodyRow]]:
        """Which runs need the body of this name."""
        rows = self._query("SELECT run, scope, name, size, labels FROM bodies WHERE name = ?", (name,))
        return [(run, self._body_row(row)) for run, *row in rows]

    def chk(self, run: bytes, writer: bytes, seq: int) -> int:
        """The checksum of a log up to `seq`; 0 for seq 0. Raises JournalError if the log does not go that far."""
        if seq == 0:
            return 0
        query = "SELECT chk FROM records WHERE id = ((SELECT id FROM logs WHERE run = ? AND writer = ?) << 32) + ?"
        rows = self._query(query, (run, writer, seq))
        if not rows:
            raise self._damaged(run, writer, seq, "it is not there")
        return int(rows[0][0])

    def entries(self, run: bytes, writer: bytes, after: int = 0) -> Iterator[Entry]:
        """The records of a log that follow `after`, as they are sent, each checked before it is handed out."""
        for entry, _ in self.kept(run, writer, after):
            yield entry

    def kept(self, run: bytes, writer: bytes, after: int = 0) -> Iterator[tuple[Entry, Kept]]:
        """As `entries`, each with how its bytes are kept here."""
        rows = self._query("SELECT id, noted FROM logs WHERE run = ? AND writer = ?", (run, writer))
        if not rows:
            return
        log, noted = rows[0]
        seq, chk = after, self.chk(run, writer, after)
        memory = Memory(_REMEMBERED)
        while page := self._page(log, seq):
            for found, type_, count, tail, stored, base in page:
                seq += 1
                if found != seq:
                    raise self._damaged(run, writer, seq, "it is not there, but later ones are")
                if not _are_columns(type_, tail, base) or type(count) is not int:
                    raise self._damaged(run, writer, seq, "its columns hold what no record has")
                whole = tail
                if base is not None and base <= 0:
                    try:
                        tail, base = loosen(Kept(tail, base))
                    except ValueError as error:
                        raise self._damaged(run, writer, seq, f"its bytes cannot be read ({error})") from error
                    whole = tail
                if base is not None:
                    try:
                        whole = restore(self._whole(log, base, memory), tail)
                    except ValueError as error:
                        what = f"it repeats a part of record {base}, which is not there or does not have it ({error})"
                        raise self._damaged(run, writer, seq, what) from error
                if len(whole) >= LEAST:
                    memory.put(seq, seq, whole)
                chk = chain(chk, type_, whole)
                if chk != stored:
                    raise self._damaged(run, writer, seq, "its checksum does not hold")
                yield Entry(writer, seq, type_, count, whole, chk), Kept(tail, base)
        if type(noted) is not int:
            raise unreadable(self.path, ValueError(f"how many records a log of run {run_id_text(run)} had is no number"))
        if seq < noted:
            raise self._damaged(run, writer, seq + 1, f"it is not there, but the log once had {noted} records")

    def writers(self, run: bytes) -> list[bytes]:
        """Whose logs of a run are here, in the order in which they began here."""
        return [row[0] for row in self._query("SELECT writer FROM logs WHERE run = ? ORDER BY id", (run,))]

    def records(self, run: bytes, writer: bytes | None = None) -> Iterator[Logged]:
        """The decoded records of a run, log by log in the order in which the logs began here, or of one writer's log."""
        for each in self.writers(run) if writer is None else [writer]:
            for entry in self.entries(run, each):
                try:
                    record = decode(entry.type, entry.tail, entry.fields)
                except ValueUnsupported as error:
                    raise self._damaged(run, each, entry.seq, error.message) from error
                yield Logged(each, entry.seq, entry.type, record)

    def records_of(self, run: bytes, *types: int) -> Iterator[Logged]:
        """The decoded records of these types, at most four, log by log as `records`, each checked by itself: for types of which a log has few,
        whatever its length.

        That the rest of the log is sound is not looked at.
        """
        wanted = (*types, *(types[:1] * (_MOST_TYPES - len(types))))
        for log, writer in self._query("SELECT id, writer FROM logs WHERE run = ? ORDER BY id", (run,)):
            for seq, type_, tail, chk, base, before in self._query(
                _SELECT_SOME, (log << SEQ_BITS, (log + 1) << SEQ_BITS, *wanted)
            ):
                sound = _are_columns(type_, tail, base)
                if sound:
                    with suppress(ValueError):
                        tail, base = loosen(Kept(tail, base))
                if not sound or base is not None or chain(before or 0, type_, tail) != chk:
                    # Kept in parts, or damaged: the long way tells which.
                    tail = next(entry.tail for entry in self.entries(run, writer, seq - 1))
                try:
                    yield Logged(writer, seq, type_, decode(type_, tail))
                except ValueUnsupported as error:
                    raise self._damaged(run, writer, seq, error.message) from error

    def first(self, run: bytes, writer: bytes) -> Logged | None:
        """The first record of a log, which says what it is: quicker than the whole. None if there is no such log."""
        query = (
            "SELECT type, tail, chk, base FROM records WHERE id = ((SELECT id FROM logs WHERE run = ? AND writer = ?) << 32) + 1"
        )
        rows = self._query(query, (run, writer))
        if not rows:
            return None
        type_, tail, chk, base = rows[0]
        if not _are_columns(type_, tail, base):
            raise self._damaged(run, writer, 1, "its columns hold what no record has")
        try:
            tail, base = loosen(Kept(tail, base))
        except ValueError as error:
            raise self._damaged(run, writer, 1, f"its bytes cannot be read ({error})") from error
        if base is not None or chain(0, type_, tail) != chk:
            raise self._damaged(run, writer, 1, "its checksum does not hold")
        try:
            return Logged(writer, 1, type_, decode(type_, tail))
        except ValueUnsupported as error:
            raise self._damaged(run, writer, 1, error.message) from error

    def _whole(self, log: int, seq: int, memory: Memory) -> bytes:
        """The bytes of an earlier record of which a later one repeats a part. Raises ValueError."""
        above: list[tuple[int, bytes]] = []
        whole: bytes | None = None
        while whole is None:
            if (remembered := memory.get(seq)) is not None:
                whole = remembered[1]
                continue
            rows = self._query("SELECT tail, base FROM records WHERE id = ?", ((log << SEQ_BITS) + seq,))
            if not rows:
                raise ValueError(f"record {seq} is not there")
            if not _are_columns(0, *rows[0]):
                raise ValueError(f"the columns of record {seq} hold what no record has")
            tail, base = loosen(Kept(*rows[0]))
            if base is None:
                whole = tail
            elif 0 < base < seq:
                above.append((seq, tail))
                seq = base
            else:
                raise ValueError(f"record {seq} would repeat record {base}")
        for number, parts in reversed(above):
            whole = restore(whole, parts)
            memory.put(number, number, whole)
        return whole

    def _page(self, log: int, after: int) -> list[tuple[Any, ...]]:
        # Page by page, so that a long log neither fills memory nor keeps the write-ahead log from being folded in.
        query = "SELECT seq, type, fields, tail, chk, base FROM records WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
        return self._query(query, ((log << SEQ_BITS) + after, (log + 1) << SEQ_BITS, _PAGE))

    def _query(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._reading:
                return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise unreadable(self.path, error) from error

    def _own_id(self) -> bytes:
        """The name of the store that this file is of. Raises JournalError, and reads nothing any more, if it does not say so."""
        try:
            for (found,) in self._query("SELECT id FROM store"):
                if type(found) is bytes and len(found) == 8:
                    return found
            raise unreadable(self.path, ValueError("it does not say whose it is"))
        except JournalError:
            self._reader.close()
            raise

    def _meta_value(self, key: str, stored: bytes, kind: type[_Kind]) -> _Kind:
        try:
            value = decode_value(stored)
        except ValueUnsupported as error:
            raise unreadable(self.path, ValueError(f"its note {key!r} is damaged ({error.message})")) from error
        if not isinstance(value, kind):
            raise unreadable(
                self.path, ValueError(f"its note {key!r} is damaged (a {type(value).__name__}, not a {kind.__name__})")
            )
        return value

    def _body_row(self, row: Sequence[Any]) -> BodyRow:
        scope, name, size, labels = row
        return BodyRow(scope, name, size, tuple(self._json(labels)) if labels else ())

    def _run_row(self, row: tuple[Any, ...]) -> RunRow:
        run, parent, role, graph, name, status, started, ended, exit_info = row
        return RunRow(
            run, parent, role, graph, name, status, started, ended, None if exit_info is None else self._json(exit_info)
        )

    def _json(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise unreadable(self.path, error) from error

    def _damaged(self, run: bytes, writer: bytes, seq: int, what: str) -> JournalError:
        place = f"record {seq} of writer {writer.hex()} in run {run_id_text(run)}"
        hint = f"graphferry runs show {run_id_short(run)} shows what is readable; restore the file from a backup, or run the graph again."
        return JournalError(f"the journal {self.path} is damaged: {place}: {what}.", hint=hint)


def _are_columns(type_: object, tail: object, base: object) -> bool:
    """Whether these can be a record's: SQLite keeps whatever it is given, and whatever damage makes of it."""
    return type(type_) is int and type(tail) is bytes and (base is None or type(base) is int)


def graph_address(body: bytes) -> bytes:
    """The hash by which a graph with these canonical bytes is known (docs/protocol.md §7)."""
    return digest(b"graphferry.graph.1\n" + body)
