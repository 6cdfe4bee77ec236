"""Group commit, waiting for it, and what a crash or a full disk leaves behind."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.journal.reader import graph_address
from graphs.journal.writer import Writer
from graphs.records import Result, encode

BODY = b"\x80"
HASH = graph_address(BODY)
RUN = bytes.fromhex("0190") + bytes(14)
LATER = bytes.fromhex("0191") + bytes(14)


def result(number: int) -> Result:
    return Result("node", 1, 0, {"number": number}, 1, {})


def create(journal: Journal, run: bytes = RUN) -> None:
    journal.create_run(run, role="root", graph_hash=HASH, graph=BODY, name="news.yaml", started=1)
    journal.flush()


def append(journal: Journal, count: int, run: bytes = RUN) -> None:
    for _ in range(count):
        journal.append(run, encode(result(journal.have(run) + 1)))


def numbers(journal: Journal, run: bytes = RUN) -> list[int]:
    """The whole log, which must count from 1 without a gap."""
    found = [entry.record.value["number"] for entry in journal.records(run) if isinstance(entry.record, Result)]
    assert found == list(range(1, len(found) + 1))
    return found


@contextmanager
def busy(path: Path) -> Iterator[None]:
    """Another process is in the middle of a commit."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        db.execute("ROLLBACK")
        db.close()


@contextmanager
def held(journal: Journal) -> Iterator[None]:
    """No drain begins, so all that is queued meanwhile goes into one commit."""
    with journal._writer._draining:
        yield


def let_thread_sleep(journal: Journal) -> None:
    """Until it is woken, the writer thread takes nothing from the queue."""
    while not journal._writer._asleep:
        time.sleep(0.001)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db", synchronous="normal") as journal:
        create(journal)
        yield journal


# Group commit


def test_what_is_appended_while_a_commit_runs_makes_up_the_next_one(journal: Journal) -> None:
    before = journal.commits

    async def node() -> None:
        append(journal, 1)
        await journal.barrier()

    async def main() -> None:
        nodes = [asyncio.create_task(node()) for _ in range(700)]
        with held(journal):
            await asyncio.sleep(0)
        await asyncio.gather(*nodes)

    asyncio.run(main())
    assert journal.commits - before == 1
    assert len(numbers(journal)) == 700


def test_appending_alone_reaches_the_disk(journal: Journal) -> None:
    grew = threading.Event()
    journal.on_durable(lambda heads: grew.set())
    append(journal, 1)
    assert grew.wait(120)
    assert numbers(journal) == [1]


def test_writing_one_record_is_one_commit(journal: Journal) -> None:
    before = journal.commits
    for number in range(1, 6):
        assert journal.write(RUN, encode(result(number))) == number
        assert numbers(journal) == list(range(1, number + 1))
    assert journal.commits - before == 5


@pytest.mark.parametrize("count", [1, 2, 4, 5, 85, 255, 256, 257, 1_365])
def test_every_size_of_a_commit(journal: Journal, count: int) -> None:
    before = journal.commits
    with held(journal):
        append(journal, count)
    journal.flush()
    assert journal.commits - before == 1
    assert len(numbers(journal)) == count


def test_nothing_to_do_is_no_commit(journal: Journal) -> None:
    before = journal.commits
    journal.flush()
    asyncio.run(journal.barrier())
    assert journal.commits == before


def test_full_sync_on_demand_even_when_nothing_is_queued(journal: Journal) -> None:
    statements: list[str] = []
    journal._writer._db.set_trace_callback(statements.append)

    async def main() -> None:
        await journal.barrier(full=True)
        with held(journal):
            append(journal, 1)
            waiting = [asyncio.create_task(journal.barrier(full=full)) for full in (False, True)]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        journal.flush(full=True)

    asyncio.run(main())
    words = [statement.split()[0] for statement in statements]
    nothing = ["PRAGMA", "BEGIN", "UPDATE", "COMMIT", "PRAGMA"]
    assert words == [*nothing, "PRAGMA", "BEGIN", "UPDATE", "INSERT", "INSERT", "COMMIT", "PRAGMA", *nothing]
    pragmas = [statement for statement in statements if statement.startswith("PRAGMA")]
    assert pragmas == ["PRAGMA synchronous = full", "PRAGMA synchronous = normal"] * 3


def test_full_sync_of_a_single_record(journal: Journal) -> None:
    statements: list[str] = []
    journal.write(RUN, encode(result(1)))
    let_thread_sleep(journal)
    with journal._mutex:  # `append` would wake the writer thread, which might be first
        journal._writer.record(journal._log(RUN, None), encode(result(2)), ring=False)
    journal._writer._db.set_trace_callback(statements.append)
    journal.flush(full=True)
    assert [statement.split()[0] for statement in statements] == ["PRAGMA", "BEGIN", "UPDATE", "INSERT", "COMMIT", "PRAGMA"]


def test_a_journal_with_full_sync_has_nothing_to_add(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "full.db") as journal:
        create(journal)
        before = journal.commits
        asyncio.run(journal.barrier(full=True))
        journal.flush(full=True)
        assert journal.commits == before


# Waiting


def test_the_loop_goes_on_while_a_commit_is_stuck(journal: Journal) -> None:
    async def main() -> None:
        with busy(journal.path):
            append(journal, 3)
            waiting = [asyncio.create_task(journal.barrier()), asyncio.create_task(journal.durable(RUN, 2))]
            for _ in range(1_000):
                await asyncio.sleep(0)
            assert not any(task.done() for task in waiting)
            assert journal.durable_seq(RUN) == 0
            assert journal.have(RUN) == 3
            assert numbers(journal) == []
        await asyncio.gather(*waiting)
        assert journal.durable_seq(RUN) == 3
        await journal.durable(RUN, 3)

    asyncio.run(main())
    assert numbers(journal) == [1, 2, 3]


def test_several_loops_wait_at_once(journal: Journal) -> None:
    reached: list[bool] = []
    started = threading.Barrier(4)

    async def wait() -> None:
        journal.append(RUN, encode(result(0)))
        started.wait()
        await journal.barrier()
        reached.append(journal.durable_seq(RUN) >= 1)

    threads = [threading.Thread(target=lambda: asyncio.run(wait())) for _ in range(3)]
    with busy(journal.path):
        for thread in threads:
            thread.start()
        started.wait()
    for thread in threads:
        thread.join()
    assert reached == [True] * 3
    assert [entry.seq for entry in journal.records(RUN)] == [1, 2, 3]


def test_who_gave_up_waiting_harms_nobody(journal: Journal) -> None:
    async def main() -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        with busy(journal.path):
            append(journal, 1)
            patient, impatient = (asyncio.create_task(journal.barrier()) for _ in range(2))
            await asyncio.sleep(0)
            impatient.cancel()
        await patient
        assert impatient.cancelled()
        assert complaints == []

    asyncio.run(main())


def test_a_loop_that_ended_while_it_waited_harms_nobody(journal: Journal) -> None:
    async def leave() -> None:
        append(journal, 1)
        task = asyncio.create_task(journal.barrier())
        await asyncio.sleep(0)
        assert not task.done()

    with busy(journal.path):
        asyncio.run(leave())
    append(journal, 1)
    journal.flush()
    assert numbers(journal) == [1, 2]


def test_hooks_learn_which_logs_grew(journal: Journal) -> None:
    create(journal, LATER)
    heard: list[Mapping[tuple[bytes, bytes], int]] = []
    stop = journal.on_durable(heard.append)
    with busy(journal.path):
        append(journal, 3)
        append(journal, 2, LATER)
        journal.accept(LATER, b"otherone", 1, encode(result(1)))
    journal.flush()
    last: dict[tuple[bytes, bytes], int] = {}
    for heads in heard:
        last.update(heads)
    assert last == {(RUN, journal.store_id): 3, (LATER, journal.store_id): 2, (LATER, b"otherone"): 1}
    stop()
    stop()
    heard.clear()
    journal.write(RUN, encode(result(4)))
    assert heard == []


def test_a_hook_that_fails_is_reported_and_stops_nothing(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    def broken(heads: Mapping[tuple[bytes, bytes], int]) -> None:
        raise LookupError("no such link")

    journal.on_durable(broken)
    journal.on_durable(heard.append)
    with caplog.at_level(logging.ERROR):
        journal.write(RUN, encode(result(1)))
        append(journal, 1)
        asyncio.run(journal.barrier())
    assert "no such link" in caplog.text
    assert heard[-1] == {(RUN, journal.store_id): 2}


# Failures


def test_a_full_disk_is_one_clear_error_and_leaves_no_half_of_a_commit(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    async def main(journal: Journal) -> None:
        append(journal, 2)
        await journal.barrier()
        limit_pages(journal)
        with held(journal):
            append(journal, 2_000)
            waiting = asyncio.create_task(journal.barrier())
            await asyncio.sleep(0)
        with pytest.raises(JournalError, match="could not be written: the disk is full") as caught:
            await waiting
        assert caught.value.hint == "Free some space, then try again."
        for attempt in (journal.barrier(), journal.durable(RUN, 3)):
            with pytest.raises(JournalError, match="the disk is full"):
                await attempt

    journal = Journal.open(path)
    create(journal)
    asyncio.run(main(journal))
    for call in (
        journal.flush,
        journal.next_conn,
        lambda: append(journal, 1),
        lambda: journal.write(RUN, encode(result(1))),
        lambda: journal.set_meta("offer", b""),
        lambda: journal.finish_run(RUN, "failed", ended=1),
    ):
        with pytest.raises(JournalError, match="the disk is full"):
            call()
    assert journal.durable_seq(RUN) == 2
    assert numbers(journal) == [1, 2]
    with pytest.raises(JournalError, match="the disk is full"):
        journal.close()
    journal.close()
    with Journal.open(path) as again:
        assert numbers(again) == [1, 2]
        assert again.have(RUN) == 2
        append(again, 2_000)
        again.flush()
        assert len(numbers(again)) == 2_002


def limit_pages(journal: Journal) -> None:
    """The disk has room for three more pages."""
    db = journal._writer._db
    with journal._writer._draining:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 3}")


def fill_the_disk(journal: Journal) -> None:
    limit_pages(journal)
    with held(journal):
        append(journal, 2_000)


def test_closing_says_what_nobody_waited_for(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    create(journal)
    fill_the_disk(journal)
    with pytest.raises(JournalError, match="the disk is full"), journal:
        pass


def test_closing_does_not_hide_the_error_on_its_way_out(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    create(journal)
    fill_the_disk(journal)
    with pytest.raises(LookupError), journal:
        raise LookupError


def test_two_that_append_to_one_run_do_not_both_succeed(journal: Journal) -> None:
    other = Journal.open(journal.path, synchronous="normal")
    assert journal.have(RUN) == other.have(RUN) == 0
    journal.write(RUN, encode(result(1)))
    with pytest.raises(JournalError, match="another process works on the same run"):
        other.write(RUN, encode(result(1)))
    with pytest.raises(JournalError, match="another process works on the same run"):
        other.close()
    assert numbers(journal) == [1]


def test_ctrl_c_in_a_commit_fails_the_journal_rather_than_guess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    journal = Journal.open(path)
    create(journal)

    def interrupted(self: Writer, batch: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_apply", interrupted)
        let_thread_sleep(journal)
        with pytest.raises(KeyboardInterrupt):
            journal.next_conn()
    with pytest.raises(JournalError, match="KeyboardInterrupt"):
        append(journal, 1)
    with pytest.raises(JournalError, match="KeyboardInterrupt"):
        journal.close()
    with Journal.open(path) as again:
        append(again, 1)
        again.flush()
        assert numbers(again) == [1]


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    create(journal)
    append(journal, 3)
    journal.close()
    journal.close()
    for call in (lambda: append(journal, 1), journal.flush, journal.next_conn, lambda: journal.append(LATER, encode(result(1)))):
        with pytest.raises(JournalError, match="is closed"):
            call()
    with Journal.open(tmp_path / "journal.db") as again:
        assert numbers(again) == [1, 2, 3]
