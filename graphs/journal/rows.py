"""Records as rows of the journal: how many of them go into one statement, and what becomes of those that are there already."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from graphs.journal.repeats import LEAST, Shortener
from graphs.journal.schema import SEQ_BITS

__all__ = ["INSERT_BASED", "INSERT_ONE", "Log", "Row", "Rows"]

# sqlite3 gives up the interpreter lock for each statement and, when the loop is busy, gets it back only after 5 ms; so a
# commit inserts many rows a statement, in a few fixed sizes that stay in the statement cache.
_INSERT: Final = "INSERT INTO records (id, type, fields, tail, chk, base) VALUES "
_COLUMNS: Final = 6
_INSERTS: Final = tuple((size, _INSERT + ", ".join(["(?, ?, ?, ?, ?, ?)"] * size)) for size in (256, 64, 16, 4, 1))
INSERT_BASED: Final = _INSERTS[-1][1]
"""One record whose tail may be written as what is new in it."""
INSERT_ONE: Final = "INSERT INTO records (id, type, fields, tail, chk) VALUES (?, ?, ?, ?, ?)"
"""One record with a short tail."""


@dataclass(slots=True, eq=False)
class Log:
    """A log's head in memory: `last` and `chk` count what is queued, `durable` what is committed; `id` is None until then. `copied`: it is of another
    store, so that several processes of this one may be given its records.
    """

    run: bytes
    writer: bytes
    id: int | None
    last: int
    chk: int
    durable: int
    copied: bool = False


Row: TypeAlias = tuple[Log, int, int, int, bytes, int]
"""Log, sequence number, type, number of fields, tail, checksum of the log with it."""


class Rows:
    """Inserts records over one connection, inside the transaction of who calls."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._shortener = Shortener()

    def shorten(self, log: Log, seq: int, tail: bytes) -> tuple[bytes, int | None]:
        """What to write of a tail, and the record on which that rests."""
        return self._shortener.keep(log, seq, tail)

    def insert(self, rows: Sequence[Row]) -> None:
        """Insert these records, but copies that another process of this store has inserted. Raises sqlite3.IntegrityError if another record is
        where one of these goes.
        """
        start = 0
        for size, sql in _INSERTS:
            while len(rows) - start >= size:
                values: list[Any] = []
                for row in rows[start : start + size]:
                    values += self._values(row, row[0].id or self._begin_log(row[0]))
                try:
                    self._db.execute(sql, values)
                except sqlite3.IntegrityError:
                    self._insert_one_by_one(rows[start : start + size], values)
                start += size

    def _insert_one_by_one(self, rows: Sequence[Row], values: Sequence[Any]) -> None:
        for place, (log, *_, chk) in enumerate(rows):
            own = values[place * _COLUMNS : (place + 1) * _COLUMNS]
            try:
                self._db.execute(INSERT_BASED, own)
            except sqlite3.IntegrityError:
                there = self._db.execute("SELECT chk FROM records WHERE id = ?", own[:1]).fetchone()
                if not log.copied or there != (chk,):  # the checksum is that of the whole log up to there
                    raise

    def _values(self, row: Row, log: int) -> tuple[Any, ...]:
        whose, seq, type_, count, tail, chk = row
        base = None
        if len(tail) >= LEAST:
            tail, base = self.shorten(whose, seq, tail)
        return ((log << SEQ_BITS) + seq, type_, count, tail, chk, base)

    def _begin_log(self, log: Log) -> int:
        try:
            log.id = self._db.execute("INSERT INTO logs (run, writer) VALUES (?, ?)", (log.run, log.writer)).lastrowid
        except sqlite3.IntegrityError:
            there = self._db.execute("SELECT id FROM logs WHERE run = ? AND writer = ?", (log.run, log.writer)).fetchone()
            if not log.copied or there is None:
                raise
            log.id = there[0]
        assert log.id is not None
        return log.id
