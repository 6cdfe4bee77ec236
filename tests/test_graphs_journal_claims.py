"""Of two processes that go on with one run, the one that claimed it last begins parts of it; each journal here is one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.journal.claims import claim, forget_claim, require_claim, while_claimed
from graphs.journal.ids import new_run_id
from graphs.records import Close, encode
from protocol.journal_store import JournalStore
from protocol.store import Write


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[Journal]]:
    """Three processes; the run of `root` is there."""
    opened = [Journal.open(tmp_path / "journal.db") for _ in range(3)]
    yield opened
    for each in opened:
        with suppress(JournalError):  # one that has lost a run says so again
            each.close()


@pytest.fixture
def root(processes: list[Journal]) -> bytes:
    return begin(processes[0], None)


def begin(journal: Journal, parent: bytes | None) -> bytes:
    run = new_run_id()
    role = "root" if parent is None else "child"
    journal.create_run(run, role=role, parent=parent, graph_hash=bytes(32), name="g.yaml", started=1)
    journal.flush()
    return run


def part(journal: Journal, root: bytes) -> bytes:
    with while_claimed(journal, root):
        run = new_run_id()
        journal.create_run(run, role="child", parent=root, graph_hash=bytes(32), name="cut", started=1)
    journal.flush()
    return run


def children(journal: Journal, root: bytes) -> list[bytes]:
    return [row.run for row in journal.children(root)]


def test_who_began_a_run_needs_no_claim(processes: list[Journal], root: bytes) -> None:
    parts = [part(processes[0], root), part(processes[0], root)]
    assert children(processes[0], root) == parts


def test_who_claims_later_sees_every_part_and_no_other_begins_one(processes: list[Journal], root: bytes) -> None:
    first, second, third = processes
    before = part(first, root)
    claim(second, root)
    second.flush()
    assert children(second, root) == [before]
    with pytest.raises(JournalError, match="another process works on the same run"):
        part(first, root)
    after = part(second, root)
    claim(third, root)
    third.flush()
    with pytest.raises(JournalError, match="another process works on the same run"):
        part(second, root)
    last = part(third, root)
    assert children(third, root) == [before, after, last]


def test_a_claim_of_one_run_says_nothing_of_another(processes: list[Journal], root: bytes) -> None:
    other = begin(processes[0], None)
    claim(processes[1], other)
    processes[1].flush()
    part(processes[0], root)


def test_nothing_of_the_transaction_is_there(processes: list[Journal], root: bytes) -> None:
    claim(processes[1], root)
    processes[1].flush()
    with while_claimed(processes[0], root):
        processes[0].set_meta("key", b"value")
    with pytest.raises(JournalError):
        processes[0].flush()
    assert processes[1].meta("key") is None


def said(journal: Journal, run: bytes, records: int) -> None:
    """A record is written in a child run."""
    store = JournalStore(journal, claimed=partial(require_claim, journal))
    asyncio.run(store.commit([Write(run, journal.store_id, records, *encode(Close(None)), records)]))


def test_nothing_is_said_in_a_part_of_a_run_that_another_process_has_claimed(processes: list[Journal], root: bytes) -> None:
    """Else a worker would hear more of it than the other process knows, and take that for two copies that contradict each other."""
    first, second, _ = processes
    child = part(first, root)
    first.claims.parts[child] = root
    said(first, child, 1)
    claim(second, root)
    second.flush()
    assert second.have(child) == 1
    with pytest.raises(JournalError, match="another process works on the same run"):
        said(first, child, 2)
    second.claims.parts[child] = root
    said(second, child, 2)
    assert [len(list(each.records(child))) for each in processes] == [2, 2, 2]


def test_who_only_tells_the_worker_what_is_over_needs_no_claim(processes: list[Journal], root: bytes) -> None:
    first, second, third = processes
    child = part(first, root)
    claim(second, root)
    second.flush()
    said(third, child, 1)


def test_only_who_claimed_a_run_last_gets_a_greater_number(processes: list[Journal], root: bytes) -> None:
    """Else a worker would take a process that knows less for the one that goes on with the run."""
    first, second, third = processes
    claim(first, root)
    number = first.next_conn()
    claim(second, root)
    second.flush()
    assert third.next_conn() > number, "it goes on with no run"
    with pytest.raises(JournalError, match="another process works on the same run"):
        first.next_conn(above=100)
    assert number < second.next_conn() < 100


def test_a_run_that_is_removed_leaves_no_claim(processes: list[Journal], root: bytes) -> None:
    claim(processes[0], root)
    forget_claim(processes[0], root)
    processes[0].flush()
    assert processes[0].metas("claim ") == {}
