"""Who takes a journal over ends the time of whoever had it: nothing of that one is written any more, and it says why."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.records import Cancel, encode

RUN = bytes(range(16))
RECORD = encode(Cancel(None, "enough"))
GONE = r"another process has taken the journal .* over \(epoch 2, this one's was 1\)"


def begun(path: Path, *, alone: bool = True) -> Journal:
    """A journal with a run that has one record, which is durable."""
    journal = Journal.open(path, alone=alone)
    journal.create_run(RUN, role="root", graph_hash=bytes(32), name="x", started=0)
    journal.write(RUN, RECORD)
    return journal


def ended(journal: Journal) -> None:
    with pytest.raises(JournalError, match=GONE):
        journal.close()


def test_who_had_it_before_writes_nothing_any_more(tmp_path: Path) -> None:
    zombie = begun(tmp_path / "journal.db")
    zombie.require_epoch()
    with Journal.open(tmp_path / "journal.db", alone=True) as heir:
        with pytest.raises(JournalError, match=GONE):
            zombie.write(RUN, RECORD)
        with pytest.raises(JournalError, match=GONE):
            zombie.append(RUN, RECORD)
        assert heir.have(RUN) == 1
        heir.write(RUN, RECORD)
        assert heir.durable_seq(RUN) == 2
    ended(zombie)


def test_nothing_of_a_commit_in_its_way_is_left(tmp_path: Path) -> None:
    zombie = begun(tmp_path / "journal.db")

    async def main() -> None:
        with Journal.open(tmp_path / "journal.db", alone=True) as heir:
            with zombie.together():
                zombie.append(RUN, RECORD)
                zombie.set_meta("x", b"y")
            with pytest.raises(JournalError, match=GONE):
                await zombie.barrier()
            assert (heir.have(RUN), heir.meta("x")) == (1, None)

    asyncio.run(main())
    ended(zombie)


def test_who_had_it_before_can_tell_without_writing(tmp_path: Path) -> None:
    """It must say nothing any more: what it believes of runs is over."""
    zombie = begun(tmp_path / "journal.db")
    with Journal.open(tmp_path / "journal.db", alone=True) as heir:
        heir.require_epoch()
        with pytest.raises(JournalError, match=GONE):
            zombie.require_epoch()
    zombie.close()


def test_processes_that_do_not_take_it_over_share_it(tmp_path: Path) -> None:
    """A device's commands work with one journal at a time, each with its own run."""
    first = begun(tmp_path / "journal.db", alone=False)
    with Journal.open(tmp_path / "journal.db") as second:
        second.set_meta("x", b"y")
        second.flush()
    first.write(RUN, RECORD)
    first.require_epoch()
    first.close()


def test_a_journal_that_cannot_be_written_is_not_taken_over(tmp_path: Path) -> None:
    begun(tmp_path / "journal.db").close()
    db = sqlite3.connect(tmp_path / "journal.db")
    db.execute("CREATE TRIGGER full BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'no room'); END")
    db.close()
    with pytest.raises(JournalError, match="cannot be taken over: no room"):
        Journal.open(tmp_path / "journal.db", alone=True)
