"""The journal's tables, how they came to be, and how a connection to them is opened.

A migration is a function that takes the write connection; they run in order, all in one transaction, and `PRAGMA user_version`
counts those that ran. A migration that has been released is never changed, only followed by another.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from graphs.errors import JournalError, why_failed

__all__ = [
    "AHEAD",
    "APPLICATION_ID",
    "BUSY_MS",
    "MIGRATIONS",
    "PAGE",
    "SEQ_BITS",
    "Synchronous",
    "connect",
    "connect_reader",
    "grow_log",
    "unreadable",
]

Synchronous = Literal["full", "normal"]
"""What a commit survives: `full` loss of power, `normal` a crash of the process (docs/protocol.md §10)."""

APPLICATION_ID: Final = 0x6766_6A31
"""`gfj1`: tells a journal from other SQLite files."""

BUSY_MS: Final = 30_000
"""How long a writer waits for another process to finish its commit."""


PAGE: Final = 2048
"""Bytes a page of a new file has. A commit writes each page it touched once more, whole: with half the usual size one of a single
record costs a third less.
"""

LOG_PAGES: Final = 8_000
"""How long the write-ahead log grows before it is worked into the file, which syncs twice: 16 MiB."""

AHEAD: Final = 1 << 20
"""By how many bytes `grow_log` lengthens the write-ahead log, and how often a writer should call it."""

SEQ_BITS: Final = 32
"""A record's key is its log's number in the upper bits and its sequence number in these."""


def m001_first(db: sqlite3.Connection) -> None:
    for statement in (
        # One row. `conn` is the device's connection counter (docs/protocol.md §6).
        "CREATE TABLE store (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL, conn INTEGER NOT NULL DEFAULT 0)",
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        # A run may come before its graph and a child run lives without its parent, so neither is a foreign key.
        """CREATE TABLE runs (
            run BLOB PRIMARY KEY CHECK (length(run) = 16),
            parent BLOB,
            role TEXT NOT NULL,
            graph BLOB NOT NULL,
            name TEXT NOT NULL,
            status TEXT NOT NULL,
            started INTEGER NOT NULL,
            ended INTEGER,
            exit_info TEXT
        ) WITHOUT ROWID""",
        "CREATE INDEX runs_parent ON runs (parent) WHERE parent IS NOT NULL",
        "CREATE TABLE graphs (hash BLOB PRIMARY KEY, body BLOB NOT NULL, source TEXT, file TEXT)",
        # `noted` is the head when the run last ended: a log that is shorter has lost records.
        """CREATE TABLE logs (
            id INTEGER PRIMARY KEY,
            run BLOB NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
            writer BLOB NOT NULL CHECK (length(writer) = 8),
            noted INTEGER NOT NULL DEFAULT 0,
            UNIQUE (run, writer)
        )""",
        # The key is (log, seq) in one integer: SQLite's own row number, so a record is one row in one b-tree and lies there in order.
        # With a primary key of two columns a commit took up to 1.8 times as long. `log` and `seq` are there for people.
        """CREATE TABLE records (
            id INTEGER PRIMARY KEY,
            type INTEGER NOT NULL,
            fields INTEGER NOT NULL,
            tail BLOB NOT NULL,
            chk INTEGER NOT NULL,
            log INTEGER GENERATED ALWAYS AS (id >> 32) VIRTUAL,
            seq INTEGER GENERATED ALWAYS AS (id & 4294967295) VIRTUAL
        )""",
        """CREATE TRIGGER logs_deleted AFTER DELETE ON logs BEGIN
            DELETE FROM records WHERE id BETWEEN old.id << 32 AND (old.id << 32) + 4294967295;
        END""",
    ):
        db.execute(statement)
    db.execute("INSERT INTO store (one, id) VALUES (1, ?)", (secrets.token_bytes(8),))


def m002_bodies(db: sqlite3.Connection) -> None:
    for statement in (
        # Which run needs which body (graphs.journal.bodies has the bytes). `own`: a record of this store refers to it, so peers may ask for it.
        """CREATE TABLE bodies (
            run BLOB NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
            name BLOB NOT NULL,
            scope TEXT NOT NULL,
            size INTEGER NOT NULL,
            own INTEGER NOT NULL,
            labels TEXT,
            crc INTEGER,
            PRIMARY KEY (run, name)
        ) WITHOUT ROWID""",
        "CREATE INDEX bodies_name ON bodies (name)",
        # When the peer held the whole log, END included: retention begins (ms since 1970).
        "ALTER TABLE runs ADD COLUMN settled INTEGER",
    ):
        db.execute(statement)


def m003_repeats(db: sqlite3.Connection) -> None:
    # With a base, the sequence number of an earlier record of the same log, `tail` has the parts of the bytes (graphs.journal.repeats).
    db.execute("ALTER TABLE records ADD COLUMN base INTEGER")


def m004_history(db: sqlite3.Connection) -> None:
    for statement in (
        # What the nodes of a run took, all executions of one together: what estimates are made of (edge.planning.history). A run has
        # one row of each `what`, so to note it again changes nothing; ids of runs rise with time, so the key has the newest last.
        """CREATE TABLE history (
            what TEXT NOT NULL,
            place TEXT NOT NULL,
            model TEXT NOT NULL,
            run BLOB NOT NULL,
            t INTEGER NOT NULL,
            runs INTEGER NOT NULL,
            whole INTEGER NOT NULL,
            ms INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            prompt INTEGER,
            completion INTEGER,
            PRIMARY KEY (what, place, model, run)
        ) WITHOUT ROWID""",
        "CREATE INDEX history_t ON history (t)",
        # What was expected of a run before it began (edge.planning.kept).
        "CREATE TABLE plans (run BLOB PRIMARY KEY REFERENCES runs (run) ON DELETE CASCADE, plan BLOB NOT NULL)",
    ):
        db.execute(statement)


def m005_audit(db: sqlite3.Connection) -> None:
    # What left this device in a run, and what else an audit wants to know (protocol.audit): `entry` is a map in JSON, never with a value in it.
    db.execute(
        """CREATE TABLE audit (
            id INTEGER PRIMARY KEY,
            run BLOB NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
            t INTEGER NOT NULL,
            entry TEXT NOT NULL
        )"""
    )
    db.execute("CREATE INDEX audit_run ON audit (run)")


def m006_squeezed(_db: sqlite3.Connection) -> None:
    # From here on `tail` may be squeezed, which a `base` of 0 or less says (graphs.journal.repeats); so may the parts of short bodies. Nothing is
    # written anew: the number keeps versions away that would take it for damage.
    pass


def m007_checksums(db: sqlite3.Connection) -> None:
    # They lie beside the bodies: a body may be here before the run that needs it.
    db.execute("ALTER TABLE bodies DROP COLUMN crc")


MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = (
    m001_first,
    m002_bodies,
    m003_repeats,
    m004_history,
    m005_audit,
    m006_squeezed,
    m007_checksums,
)


def connect(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """The write connection; makes the file, readable by its owner only, and brings its tables up to date.

    Raises JournalError if it cannot be opened, is no journal, or was written by a newer version.
    """
    try:
        _create(path)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
    except (OSError, sqlite3.Error) as error:
        raise _unopened(path, error) from error
    try:
        db.execute("BEGIN")  # one look at the file, not three between which another process makes it
        version = _version(db, path)
        db.execute("COMMIT")
        db.execute(f"PRAGMA page_size = {PAGE}")  # heeded where the file is new
        _set_wal(db)
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("PRAGMA foreign_keys = ON")
        if version < len(MIGRATIONS):
            _migrate(db, path)
    except sqlite3.Error as error:
        db.close()
        raise _unopened(path, error) from error
    except BaseException:
        db.close()
        raise
    return db


def grow_log(db: sqlite3.Connection, path: Path) -> bool:
    """Lengthen the write-ahead log ahead of its use, unless it has its full length: then False.

    A commit whose bytes lie within the file's length syncs in half to two thirds of the time, as the file system need not note a new length. The
    way is SQLite's own: a transaction too large for the cache spills into the log, and is rolled back.
    """
    try:
        if Path(f"{path}-wal").stat().st_size >= LOG_PAGES * PAGE:
            return False
        (kept,) = db.execute("PRAGMA cache_size").fetchone()
        db.execute("PRAGMA cache_size = 8")
        try:
            db.execute("BEGIN")
            db.execute("INSERT INTO meta (key, value) VALUES ('', zeroblob(?))", (AHEAD,))
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
            db.execute(f"PRAGMA cache_size = {kept}")
    except (OSError, sqlite3.Error):  # a full disk, say: what is really to be written will tell
        return False
    return True


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for an existing journal; it reads while others write."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
    db.execute("PRAGMA query_only = ON")
    return db


def unreadable(path: Path, error: BaseException) -> JournalError:
    """What to tell a person when the file cannot be read."""
    return JournalError(
        f"the journal {path} cannot be read: {why_failed(error)}.",
        hint="If the file is damaged, restore it from a backup or move it away: a new one is made.",
    )


def _unopened(path: Path, error: BaseException) -> JournalError:
    elsewhere = "set GRAPHFERRY_HOME to use another one"
    foreign = getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB"
    return JournalError(
        f"the journal {path} cannot be opened: {why_failed(error)}.",
        hint=f"Move that file away and a new journal is made, or {elsewhere}."
        if foreign
        else f"Check that the place may be written and has room; {elsewhere}.",
    )


def _create(path: Path) -> None:
    """Make an empty file that only its owner may read, unless there is one.

    One that is there is not opened, not even for a moment: to close any descriptor of a file takes all locks from it that the process has, those of
    another connection too. Another process would then take away the write-ahead log under that one, as nobody seems to use it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _set_wal(db: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # Two processes that make the same file: SQLite does not wait here, for fear of a deadlock.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.005)


def _version(db: sqlite3.Connection, path: Path) -> int:
    """How many migrations the file has seen; 0 for an empty one."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = db.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise JournalError(f"{path} is not a journal of graphferry; it was not touched.", hint="Name another file.")
    if version > len(MIGRATIONS):
        raise JournalError(
            f"the journal {path} was written by a newer graphferry (format {version}, this one knows {len(MIGRATIONS)}); "
            "it was not touched.",
            hint="Update graphferry, or set GRAPHFERRY_HOME to another folder.",
        )
    return version


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for migration in MIGRATIONS[_version(db, path) :]:  # asked again: another process may have been first
            migration(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
