"""Opening a journal: new, old, newer, foreign, damaged."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from graphs.errors import JournalError
from graphs.journal import Journal, schema


def test_a_new_file_is_private_and_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "edge" / "journal.db"
    with Journal.open(path) as journal:
        store = journal.store_id
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert len(store) == 8
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
    assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
    with Journal.open(path) as journal:
        assert journal.store_id == store


def test_a_second_connection_of_a_process_does_not_open_the_file_to_others(tmp_path: Path) -> None:
    """To close any descriptor of a file takes away all locks that its process has on it. Another process would then think that it is the last one
    to use the journal, and remove its log under the connection that is still there.
    """
    path = tmp_path / "journal.db"
    log = path.with_name("journal.db-wal")
    with Journal.open(path) as first:
        first.set_meta("one", b"1")
        first.flush()
        before = log.stat().st_ino
        Journal.open(path).close()
        other = "import sys; from graphs.journal import Journal; Journal.open(sys.argv[1]).close()"
        subprocess.run([sys.executable, "-c", other, str(path)], check=True)
        assert log.stat().st_ino == before
        first.set_meta("two", b"2")
        first.flush()
    with Journal.open(path) as journal:
        assert (journal.meta("one"), journal.meta("two")) == (b"1", b"2")


def test_two_stores_have_two_ids(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.db") as one, Journal.open(tmp_path / "b.db") as other:
        assert one.store_id != other.store_id


def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal.open(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="was written by a newer graphferry") as caught:
        Journal.open(path)
    assert "Update graphferry" in str(caught.value)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE notes (text)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="is not a journal of graphferry; it was not touched"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Remember the milk. " * 100)
    with pytest.raises(JournalError, match=r"notes\.txt cannot be opened: file is not a database"):
        Journal.open(path)
    assert path.read_text() == "Remember the milk. " * 100


def test_a_place_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"file/journal\.db cannot be opened"):
        Journal.open(tmp_path / "file" / "journal.db")


def test_migrations_run_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        store = journal.store_id
    steps = (
        *schema.MIGRATIONS,
        lambda db: db.execute("CREATE TABLE colours (name TEXT)"),
        lambda db: db.execute("INSERT INTO colours VALUES ('blue')"),
    )
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    for _ in range(2):
        with Journal.open(path) as journal:
            assert journal.store_id == store
    db = sqlite3.connect(path)
    assert db.execute("SELECT name FROM colours").fetchall() == [("blue",)]
    assert db.execute("PRAGMA user_version").fetchone() == (len(steps),)
    db.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    Journal.open(path).close()
    before = _dump(path)

    def m002_broken(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE colours (name TEXT)")
        db.execute("INSERT INTO colors VALUES ('blue')")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, m002_broken))
    with pytest.raises(JournalError, match="no such table: colors"):
        Journal.open(path)
    assert _dump(path) == before


def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    start = threading.Barrier(4)

    def open_one(_: int) -> bytes:
        start.wait()
        with Journal.open(path) as journal:
            return journal.store_id

    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(open_one, range(4)))
    assert len(stores) == 4
    assert len(set(stores)) == 1


@pytest.mark.parametrize(("code", "patience"), [(sqlite3.SQLITE_BUSY_RECOVERY, True), (sqlite3.SQLITE_IOERR, False)])
def test_only_a_lock_is_waited_for(code: int, patience: bool) -> None:
    class Stub:
        """SQLite answers so when two processes make one file."""

        asked = 0

        def execute(self, statement: str) -> None:
            assert statement == "PRAGMA journal_mode = WAL"
            self.asked += 1
            if self.asked == 1:
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = code
                raise error

    stub = Stub()
    if patience:
        schema._set_wal(cast("sqlite3.Connection", stub))
    else:
        with pytest.raises(sqlite3.OperationalError):
            schema._set_wal(cast("sqlite3.Connection", stub))
    assert stub.asked == (2 if patience else 1)


def _dump(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    try:
        return [*db.iterdump(), str(db.execute("PRAGMA user_version").fetchone())]
    finally:
        db.close()


def test_the_log_grows_ahead_of_its_use_and_holds_what_is_written_then(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    log = Path(f"{path}-wal")
    with Journal.open(path) as journal:
        journal.set_meta("before", b"1")
        journal.flush()
        was = log.stat().st_size
        db = sqlite3.connect(path, isolation_level=None)
        assert schema.grow_log(db, path)
        assert log.stat().st_size >= was + schema.AHEAD
        assert not db.in_transaction
        assert db.execute("SELECT key FROM meta").fetchall() == [("before",)]
        db.close()
        grown = log.stat().st_size
        for number in range(8):
            journal.set_meta(f"after {number}", b"2")
            journal.flush()
        assert log.stat().st_size == grown, "commits go where there is room already"
    with Journal.open(path) as journal:
        assert journal.meta("after 7") == b"2"
    assert path.stat().st_size < schema.AHEAD


def test_a_log_that_is_long_enough_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    monkeypatch.setattr(schema, "LOG_PAGES", 1)
    with Journal.open(path) as journal:
        journal.set_meta("a", b"1")
        journal.flush()
        db = sqlite3.connect(path, isolation_level=None)
        assert not schema.grow_log(db, path)
        db.close()


def test_a_journal_that_syncs_often_grows_its_log(tmp_path: Path) -> None:
    for synchronous, grows in (("full", True), ("normal", False)):
        path = tmp_path / f"{synchronous}.db"
        log = Path(f"{path}-wal")
        with Journal.open(path, synchronous=cast("schema.Synchronous", synchronous)) as journal:
            for number in range(10):
                journal.set_meta(str(number), b"1")
                journal.flush()
            assert log.stat().st_size < schema.AHEAD, "a process that says little does not pay for it"
            for number in range(100):
                journal.set_meta("again", b"%d" % number)
                journal.flush()
            assert (log.stat().st_size > schema.AHEAD) is grows


def test_no_room_to_grow_is_nobodys_problem(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        journal.set_meta("a", b"1")
        journal.flush()
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA max_page_count = 20")
        assert not schema.grow_log(db, path)
        assert not db.in_transaction
        db.close()
        journal.set_meta("b", b"2")
        journal.flush()
        assert journal.meta("b") == b"2"
