"""Archives: a run in one file, to keep, to move or to send; and back into a journal, only if every hash in it holds.

    "graphferry run 1\\n", then a sequence of msgpack arrays, then the SHA-256 of all before it (32 bytes)

    [0, {run, parent, role, graph, name, status, started, ended, exit_info}]   a run: the root first, then its child runs
    [1, hash, body, source, file]                                              a graph that one of them begins with, or opens
    [2, run, writer]                                                           a log begins,
    [3, type, fields, tail, chk, base?]                                        its records from 1 on, with the checksum of the chain
    [4, run, scope, name, size, labels, crc]                                   a body that a run needs begins,
    [5, bytes]                                                                 its bytes, piece by piece
    [6]                                                                        the end
    [7, run, t, entry]                                                         a line of the run's audit; before the end, like everything
    [8, run, plan]                                                             what was expected of the run when it began
    [9, note]                                                                  what is known of the root run's labels; b"" for none but the graph's
    [9, note]                                                                  what was heard of them beside that, if anything was

With a base, the number of an earlier record of the log, `tail` has the parts of the bytes (graphs.journal.repeats). A reader remembers the last
64 MiB of a log's records of 512 bytes and more: no base is older.

What is labelled is in the file like everything else: whoever has the file has the run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

import msgpack

from graphs.errors import UsageError
from graphs.journal.ids import run_id_text
from graphs.journal.reader import BodyRow, RunRow, graph_address
from graphs.journal.removals import forget_removal, is_older_than_removed
from graphs.journal.repeats import LEAST, Memory, restore
from graphs.journal.store import ENDINGS, OVER, Journal
from graphs.records import Encoded, Frame, Submit, chain

__all__ = ["HEARD", "LABELS", "Archived", "export_run", "import_run"]

MAGIC: Final = b"graphferry run 1\n"
LABELS: Final = "labels "
HEARD: Final = "heard labels "
"""Before a run's id, in the journal's table of notes (protocol.noted)."""
_RUN, _GRAPH, _LOG, _RECORD, _BODY, _BYTES, _END, _AUDIT, _PLAN, _LABELS = range(10)
_BLOCK: Final = 1 << 20
_MOST: Final = 1 << 28
"""Bytes of one entry: no record and no graph has more."""
_REMEMBERED: Final = 64 << 20


@dataclass(slots=True)
class Archived:
    """What an archive has: its root run, and how many runs, records and bytes of bodies."""

    run: RunRow
    runs: int = 0
    records: int = 0
    bodies: int = 0
    told: bool = False
    """Whether it says what is known of its labels."""
    _writers: set[bytes] = field(default_factory=set)
    _lasts: dict[bytes, int] = field(default_factory=dict)
    """The number of the last record of each log, by run and writer."""


def export_run(journal: Journal, run: bytes, out: IO[bytes]) -> Archived:
    """Write a root run with its child runs, graphs and bodies. What is queued is committed first. Blocks.

    Raises UsageError if there is no such root run, JournalError where the journal is damaged, OSError.
    """
    journal.flush()
    root = journal.run(run)
    if root.role != "root":
        raise UsageError(f"{run_id_text(run)} is the part of a run that a worker ran; export the run itself.")
    archived = Archived(root)
    writer = _Writer(out)
    rows = [root, *journal.children(run)]
    for row in rows:
        writer.put(_RUN, {name: getattr(row, name) for name in _RUN_FIELDS})
        archived.runs += 1
    writer.put(_LABELS, journal.meta(LABELS + run.hex()) or b"")
    if (heard := journal.meta(HEARD + run.hex())) is not None:
        writer.put(_LABELS, heard)
    for address in _graphs(journal, rows):
        graph = journal.graph(address)
        if graph is not None:
            writer.put(_GRAPH, graph.hash, graph.body, graph.source, graph.file)
    for row in rows:
        for each in journal.writers(row.run):
            writer.put(_LOG, row.run, each)
            earlier = Memory(_REMEMBERED)
            for entry, kept in journal.kept(row.run, each):
                if kept.base is not None and earlier.get(kept.base):
                    writer.put(_RECORD, entry.type, entry.fields, kept.data, entry.chk, kept.base)
                else:
                    writer.put(_RECORD, entry.type, entry.fields, entry.tail, entry.chk)
                if len(entry.tail) >= LEAST:
                    earlier.put(entry.seq, entry.seq, entry.tail)
                archived.records += 1
        if (plan := journal.plan(row.run)) is not None:
            writer.put(_PLAN, row.run, plan)
        for t, said in journal.departures(row.run):
            writer.put(_AUDIT, row.run, t, said)
        for body in journal.bodies(row.run):
            archived.bodies += _put_body(journal, row.run, body, writer)
    writer.put(_END)
    out.write(writer.hashed.digest())
    return archived


def import_run(journal: Journal, source: IO[bytes], untold: bytes = b"") -> Archived:
    """Take a run in. `source` can be read from any place. Blocks. Nothing is taken in unless all of it is sound. `untold` is noted of its labels if
    it says nothing of them.

    Raises UsageError for a file that is none or is damaged, for a run that is here already, and for one that may go on and that another store
    holds, or that had come further when it was removed here: going on with it here would make two holders of one run, or do its work twice.
    JournalError if it cannot be written.
    """
    _check_digest(source)
    try:
        archived = _look_through(source)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise _damaged(f"an entry is none of its kind: {error}") from error
    run = archived.run.run
    text = run_id_text(run)
    begun = f"importing {text}"
    if journal.knows(run):
        if journal.meta(begun) is None:
            raise UsageError(f"run {text} is here already.")
        for each in (run, *(child.run for child in journal.children(run))):  # an import that was cut off
            journal.remove_run(each)
        journal.flush()
    if archived.run.status not in OVER and journal.store_id not in archived._writers:
        raise UsageError(
            f"run {text} is not over and another device holds it: a copy that went on here would do its work twice.",
            hint="Finish or cancel it there, and export it again.",
        )
    if archived.run.status not in _FINAL and is_older_than_removed(journal, run, archived._lasts):
        raise UsageError(
            f"run {text} had come further when it was removed here than it has in this file: going on from there would do again what was done since.",
            hint="Nothing was taken in. If it was synced, the worker and your other devices may have all of it.",
        )
    _take_in_bodies(journal, source)
    journal.set_meta(begun, b"")
    if not archived.told and untold:
        journal.set_meta(LABELS + run.hex(), untold)
    _take_in(journal, source)
    journal.drop_meta(begun)
    forget_removal(journal, run)
    journal.flush(full=True)
    return archived


_FINAL: Final = ("completed", "cancelled")
_RUN_FIELDS: Final = ("run", "parent", "role", "graph", "name", "status", "started", "ended", "exit_info")


class _Writer:
    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.hashed = hashlib.sha256()
        self._write(MAGIC)

    def put(self, *entry: Any) -> None:
        self._write(msgpack.packb(entry))

    def _write(self, data: bytes) -> None:
        self.hashed.update(data)
        self._out.write(data)


def _graphs(journal: Journal, rows: list[RunRow]) -> dict[bytes, None]:
    """The hashes of the graphs that runs begin with or open on the way, in order."""
    found: dict[bytes, None] = {}
    for row in rows:
        found[row.graph] = None
        for logged in journal.records(row.run):
            if isinstance(logged.record, (Submit, Frame)):
                found[bytes(logged.record.graph)] = None
    return found


def _put_body(journal: Journal, run: bytes, body: BodyRow, writer: _Writer) -> int:
    size, whole = journal.body_files.held(body.scope, body.name)
    if not whole:  # it never came here: what it is made of is at the side that made it
        return 0
    files = journal.body_files
    writer.put(_BODY, run, body.scope, body.name, size, list(body.labels), files.crc(body.scope, body.name))
    for piece in files.pieces(body.scope, body.name, size):
        writer.put(_BYTES, piece)
    return size


class _Log:
    """A log while it is read."""

    def __init__(self) -> None:
        self.seq = 0
        self._earlier = Memory(_REMEMBERED)

    def next(self, fields: list[Any]) -> bytes:
        """The bytes of the next record, whose entry has these fields."""
        self.seq += 1
        tail: bytes = fields[2]
        if len(fields) > 4:
            base = self._earlier.get(fields[4])
            if base is None:
                raise _damaged(f"record {self.seq} of a log repeats a part of record {fields[4]}, which is not there")
            tail = restore(base[1], tail)
        if len(tail) >= LEAST:
            self._earlier.put(self.seq, self.seq, tail)
        return tail


def _check_digest(source: IO[bytes]) -> None:
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    hashed = hashlib.sha256()
    left = size - 32
    if left < len(MAGIC) or source.read(len(MAGIC)) != MAGIC:
        raise UsageError("this is no file that `graphferry runs export` wrote, or one of a newer version.")
    hashed.update(MAGIC)
    left -= len(MAGIC)
    while left and (block := source.read(min(_BLOCK, left))):
        hashed.update(block)
        left -= len(block)
    if hashed.digest() != source.read(32):
        raise _damaged("its checksum does not hold")


def _entries(source: IO[bytes]) -> Iterator[list[Any]]:
    source.seek(len(MAGIC))
    unpacker = msgpack.Unpacker(source, max_buffer_size=_MOST, strict_map_key=True)
    try:
        for entry in unpacker:
            kind = entry[0]
            if kind == _END:
                return
            if kind not in range(_LABELS + 1):
                raise ValueError(f"its kind is {kind!r}")
            yield entry
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise _damaged(f"an entry cannot be read: {error}") from error
    raise _damaged("its end is missing")


def _look_through(source: IO[bytes]) -> Archived:
    """Check all that can be checked without writing."""
    archived: Archived | None = None
    runs: set[bytes] = set()
    log, name = _Log(), b""
    chk = 0
    for kind, *rest in _entries(source):
        if kind == _RUN:
            row = _row(rest[0])
            if archived is None:
                archived = Archived(row)
            if (row.role == "root") is not (not runs) or (runs and row.parent != archived.run.run):
                raise _damaged("its runs do not belong together")
            runs.add(row.run)
            archived.runs += 1
        elif archived is None:
            raise _damaged("it does not begin with a run")
        elif kind == _GRAPH:
            if graph_address(rest[1]) != rest[0]:
                raise _damaged("a graph is not what its hash says")
        elif kind == _LOG:
            if rest[0] not in runs or not isinstance(rest[1], bytes) or len(rest[1]) != 8:
                raise _damaged("a log belongs to none of its runs")
            log, chk, name = _Log(), 0, rest[0] + rest[1]
            if rest[0] == archived.run.run:
                archived._writers.add(rest[1])
        elif kind == _RECORD:
            chk = chain(chk, rest[0], log.next(rest))
            if chk != rest[3]:
                raise _damaged("the checksum of a record does not hold")
            archived.records += 1
            archived._lasts[name] = log.seq
        elif kind == _BODY:
            archived.bodies += rest[3]
        elif kind in (_AUDIT, _PLAN, _LABELS) and not _is_beside(kind, rest, runs):
            raise _damaged("a line of an audit, a plan, or a note of labels belongs to none of its runs")
        archived.told |= kind == _LABELS
    if archived is None:
        raise _damaged("it has no run")
    return archived


def _is_beside(kind: int, rest: list[Any], runs: set[bytes]) -> bool:
    """Whether what lies beside the records of a run is of its kind, and the run is one of these."""
    if kind == _LABELS:
        return list(map(type, rest)) == [bytes]
    kinds = [int, dict] if kind == _AUDIT else [bytes]
    return rest[0] in runs and list(map(type, rest[1:])) == kinds


def _take_in_bodies(journal: Journal, source: IO[bytes]) -> None:
    """They come first, since they alone may still turn out wrong; one that no run needs is swept up."""
    for run, body, crc in _bodies(journal, source):
        if not journal.body_files.check(body.scope, body.name, body.size, crc, run):
            raise _damaged("a body is not what its name says")


def _take_in(journal: Journal, source: IO[bytes]) -> None:
    """The runs, with what they need."""
    rows: list[RunRow] = []
    pins: list[tuple[bytes, BodyRow]] = []
    notes = iter((LABELS, HEARD))
    run = writer = b""
    log = _Log()
    for kind, *rest in _entries(source):
        if kind == _RUN:
            row = _row(rest[0])
            journal.create_run(
                row.run, role=row.role, graph_hash=row.graph, name=row.name, started=row.started, parent=row.parent
            )
            rows.append(row)
        elif kind == _GRAPH:
            journal.put_graph(rest[0], rest[1], source=rest[2], file=rest[3])
        elif kind == _LOG:
            run, writer, log = rest[0], rest[1], _Log()
        elif kind == _RECORD:
            encoded = Encoded(rest[0], rest[1], log.next(rest))
            if writer == journal.store_id:
                journal.append(run, encoded)
            else:
                journal.accept(run, writer, log.seq, encoded)
        elif kind == _AUDIT:
            journal.note_departure(*rest)
        elif kind == _PLAN:
            journal.keep_plan(*rest)
        elif kind == _LABELS and (key := next(notes, None)) is not None and rest[0]:
            journal.set_meta(key + rows[0].run.hex(), rest[0])
        elif kind == _BODY:
            pins.append((rest[0], _body(rest)))
    for run, body in pins:
        journal.pin_body(run, body.scope, body.name, body.size, own=False, labels=body.labels)
    for row in rows:
        status = row.status if row.status in ENDINGS else "suspended"
        journal.finish_run(row.run, status, ended=row.ended or row.started, exit_info=row.exit_info)


def _bodies(journal: Journal, source: IO[bytes]) -> Iterator[tuple[bytes, BodyRow, int | None]]:
    """Writes the bodies beside the journal; gives each that has come whole, to be checked, with its run and its checksum."""
    files = journal.body_files
    body: tuple[bytes, BodyRow, int | None] | None = None
    off = 0
    for kind, *rest in _entries(source):
        if kind == _BODY:
            if body is not None:
                yield body
            body, off = (rest[0], _body(rest), rest[-1]), 0
            if files.held(body[1].scope, body[1].name)[1]:
                off = -1  # it is here
        elif kind == _BYTES and body is not None and off >= 0:
            files.write(body[1].scope, body[1].name, off, rest[0])
            off += len(rest[0])
    if body is not None:
        yield body


def _body(fields: list[Any]) -> BodyRow:
    _, scope, name, size, labels, _crc = fields
    if not isinstance(name, bytes) or len(name) not in (16, 32) or not isinstance(scope, str) or not scope.isalnum():
        raise _damaged("a body has no proper name")
    return BodyRow(scope, name, size, tuple(labels))


def _row(fields: Any) -> RunRow:
    try:
        row = RunRow(**fields)
    except TypeError as error:
        raise _damaged("a run lacks what every run has") from error
    if not isinstance(row.run, bytes) or len(row.run) != 16 or row.role not in ("root", "child"):
        raise _damaged("a run has no proper id")
    return row


def _damaged(why: str) -> UsageError:
    return UsageError(
        f"the archive is damaged: {why}.", hint="Nothing of it was taken in. Export the run again, or copy the file again."
    )
