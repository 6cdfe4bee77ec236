"""What may be said to a journal, and that it comes back, in any interleaving."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from graphs.errors import JournalError
from graphs.journal import Entry, Head, Journal, Logged, OutOfOrder
from graphs.journal.reader import graph_address
from graphs.journal.schema import Synchronous
from graphs.journal.writer import Item, Writer
from graphs.records import (
    Answer,
    Cancel,
    Close,
    Encoded,
    End,
    Error,
    Event,
    Frame,
    Handover,
    Input,
    Record,
    Result,
    Start,
    Submit,
    Unknown,
    chain,
    encode,
)
from graphs.values import MISSING

BODY = b"\x80"
HASH = graph_address(BODY)
OTHER = b"otherone"

EACH_TYPE: list[Record] = [
    Submit("", HASH, {"topic": [9, "tides"]}, {"budget_ms": 60_000}),
    Input("outline", 4, {"text": "größer"}),
    Input("quiet", 4, MISSING),
    Cancel(["rows[3]/llm"], "not needed"),
    Cancel(None, "by the user"),
    Start("draft", 2),
    Close("rows[3]/"),
    Close(),
    Frame("#2", HASH, {}, {}),
    Answer("ask", 1, "yes"),
    Handover(OTHER, 2),
    Event("draft", 1, 2, 1_700_000_000_000, {"retry": 0}),
    Event(None, 0, 10, 1_700_000_000_001, {"why": "QUOTA"}),
    Result("draft", 1, 0, {"image": b"\x00\xff", "score": 0.5}, 1_700_000_000_002, {"model": "small"}, {"in": 3}),
    Error("draft", 1, 0, "NODE_FAILED", "no", True, False, None, {"line": 3}),
    End(0, 1_700_000_000_003, {"tokens": 7}),
    Unknown(0x2F, b"\x01\x02"),
]


def run_id(number: int) -> bytes:
    return bytes.fromhex("0190") + number.to_bytes(14, "big")


def create(journal: Journal, number: int = 1) -> bytes:
    run = run_id(number)
    journal.create_run(run, role="root", graph_hash=HASH, graph=BODY, name="news.yaml", started=number)
    return run


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db", synchronous="normal") as journal:
        yield journal


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_each_type_of_record_comes_back(tmp_path: Path, synchronous: Synchronous) -> None:
    with Journal.open(tmp_path / "journal.db", synchronous=synchronous) as journal:
        run = create(journal)
        assert [journal.append(run, encode(record)) for record in EACH_TYPE] == list(range(1, len(EACH_TYPE) + 1))
        store = journal.store_id
    with Journal.open(tmp_path / "journal.db") as journal:
        found = list(journal.records(run))
        assert [entry.record for entry in found] == EACH_TYPE
        assert found[0] == Logged(store, 1, Submit.TYPE, EACH_TYPE[0])
        chk = 0
        for entry, record in zip(journal.entries(run, store), EACH_TYPE, strict=True):
            type_, fields, tail = encode(record)
            chk = chain(chk, type_, tail)
            assert entry == Entry(store, entry.seq, type_, fields, tail, chk)


def test_two_runs_interleaved(journal: Journal) -> None:
    one, two = create(journal, 1), create(journal, 2)
    for number in range(1, 301):
        run = one if number % 3 else two
        journal.append(run, encode(Start("node", number)))
    journal.flush()
    for run, expected in ((one, [n for n in range(1, 301) if n % 3]), (two, list(range(3, 301, 3)))):
        found = list(journal.records(run))
        assert [entry.record for entry in found] == [Start("node", number) for number in expected]
        assert [entry.seq for entry in found] == list(range(1, len(expected) + 1))


def test_the_same_bytes_give_the_same_checksum_in_every_store(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "device.db") as device, Journal.open(tmp_path / "worker.db") as worker:
        run = create(device)
        create(worker)
        for record in EACH_TYPE:
            device.append(run, encode(record))
        device.flush()
        for entry in device.entries(run, device.store_id):
            worker.accept(run, entry.writer, entry.seq, Encoded(entry.type, entry.fields, entry.tail))
        worker.flush()
        assert worker.heads() == device.heads()
        assert list(worker.records(run, device.store_id)) == list(device.records(run))


def test_only_the_next_record_of_another_writer_is_accepted(journal: Journal) -> None:
    run = create(journal)
    journal.accept(run, OTHER, 1, encode(Start("a", 1)))
    for seq in (0, 1, 3, 100):
        with pytest.raises(OutOfOrder, match=rf"record {seq} of writer {OTHER.hex()} .* does not follow record 1") as caught:
            journal.accept(run, OTHER, seq, encode(Start("a", seq)))
        error = caught.value
        assert (error.run, error.writer, error.seq, error.have, error.code) == (run, OTHER, seq, 1, "GAP")
    journal.accept(run, OTHER, 2, encode(Start("a", 2)))
    with pytest.raises(OutOfOrder):
        journal.accept(run, b"thirdone", 2, encode(Start("a", 2)))
    journal.flush()
    assert [(head.writer, head.last) for head in journal.heads(run)] == [(OTHER, 2)]


def test_a_store_never_takes_its_own_records_from_another(journal: Journal) -> None:
    run = create(journal)
    with pytest.raises(JournalError, match="bears this store's own id"):
        journal.accept(run, journal.store_id, 1, encode(Start("a", 1)))
    assert journal.have(run) == 0


def test_a_run_and_its_first_record_are_one_commit(journal: Journal) -> None:
    before = journal.commits
    journal.create_run(run_id(1), role="root", graph_hash=HASH, name="news.yaml", started=1, first=encode(EACH_TYPE[0]))
    journal.flush()
    assert journal.commits == before + 1
    assert [logged.record for logged in journal.records(run_id(1))] == [EACH_TYPE[0]]
    assert journal.append(run_id(1), encode(Start("a", 1))) == 2


def test_a_run_is_created_once_and_before_anything_else(journal: Journal) -> None:
    nowhere = run_id(9)
    for call in (
        lambda: journal.append(nowhere, encode(Start("a", 1))),
        lambda: journal.write(nowhere, encode(Start("a", 1))),
        lambda: journal.accept(nowhere, OTHER, 1, encode(Start("a", 1))),
        lambda: journal.finish_run(nowhere, "completed", ended=1),
        lambda: journal.reopen_run(nowhere),
        lambda: journal.have(nowhere),
    ):
        with pytest.raises(JournalError, match="there is no run 01900000-"):
            call()
    assert not journal.knows(nowhere)
    create(journal, 9)
    assert journal.knows(nowhere)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"is in .* already"):
            create(journal, 9)
        journal.flush()
    assert journal.append(nowhere, encode(Start("a", 1))) == 1


def test_wrong_words_and_wrong_bytes_are_refused_before_they_are_queued(journal: Journal) -> None:
    run = create(journal)
    with pytest.raises(JournalError, match="'done' is not how a run ends"):
        journal.finish_run(run, "done", ended=1)
    with pytest.raises(JournalError, match="its bytes have another hash"):
        journal.put_graph(HASH, b"\x90")
    with pytest.raises(JournalError, match="its bytes have another hash"):
        journal.create_run(run_id(2), role="root", graph_hash=HASH, graph=b"\x90", name="x", started=1)
    journal.flush()
    assert [row.run for row in journal.runs()] == [run]


def test_a_child_run_may_come_without_its_graph_and_its_parent(journal: Journal) -> None:
    run = run_id(2)
    journal.create_run(run, role="child", parent=run_id(1), graph_hash=HASH, name="news.yaml", started=1)
    journal.flush()
    assert journal.graph(HASH) is None
    assert journal.run(run).parent == run_id(1)


def test_a_finished_run_is_still_written_to_in_order(journal: Journal) -> None:
    run = create(journal)
    journal.accept(run, OTHER, 1, encode(Start("a", 1)))
    with journal._writer._draining:  # all in one commit
        journal.append(run, encode(End(0, 1, {})))
        journal.finish_run(run, "completed", ended=1)
        journal.append(run, encode(Start("late", 1)))
    journal.flush()
    with journal._writer._draining:
        journal.accept(run, OTHER, 2, encode(Start("late", 2)))
        assert journal.append(run, encode(Start("later", 1))) == 3
        assert journal.durable_seq(run, OTHER) == 1
    journal.flush()
    assert [(head.writer, head.last) for head in journal.heads(run)] == sorted([(OTHER, 2), (journal.store_id, 3)])
    assert [entry.seq for entry in journal.records(run)] == [1, 2, 1, 2, 3]


def test_records_and_the_end_of_a_run_keep_their_order_in_one_commit(journal: Journal) -> None:
    run = create(journal)
    with journal._writer._draining:
        for number in range(1, 4):
            journal.append(run, encode(Start("a", number)))
        journal.finish_run(run, "completed", ended=1)
    journal.flush()
    db = sqlite3.connect(journal.path)
    with db:
        db.execute("DELETE FROM records WHERE seq = 3")
    db.close()
    with pytest.raises(JournalError, match="the log once had 3 records"):
        list(journal.records(run))


def test_a_record_queued_while_its_run_is_being_finished_keeps_its_number(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create(journal)
    journal.append(run, encode(Start("a", 1)))
    journal.flush()
    numbers: list[int] = []
    apply = Writer._apply

    def apply_slowly(self: Writer, batch: Sequence[Item]) -> None:
        apply(self, batch)
        if not numbers:
            numbers.append(journal.append(run, encode(Start("during the commit", 1))))

    def after_commit(heads: object) -> None:
        if len(numbers) == 1:
            numbers.append(journal.append(run, encode(Start("before the next one", 1))))

    monkeypatch.setattr(Writer, "_apply", apply_slowly)
    journal.on_durable(after_commit)
    with journal._writer._draining:
        journal.accept(run, OTHER, 1, encode(Start("a", 1)))
        journal.finish_run(run, "completed", ended=1)
    journal.flush()
    journal.flush()
    assert numbers == [2, 3]
    assert [entry.seq for entry in journal.records(run, journal.store_id)] == [1, 2, 3]


def test_a_removed_run_is_gone_with_its_records(journal: Journal) -> None:
    before, run, after = (create(journal, number) for number in (1, 2, 3))
    for each in (before, run, after):
        journal.append(each, encode(Start("a", 1)))
        journal.accept(each, OTHER, 1, encode(Start("a", 1)))
    journal.flush()
    with journal._writer._draining:
        journal.append(run, encode(Start("a", 2)))
        journal.remove_run(run)
        assert not journal.knows(run)
        for call in (lambda: journal.append(run, encode(Start("a", 3))), lambda: journal.remove_run(run)):
            with pytest.raises(JournalError, match="there is no run"):
                call()
    journal.flush()
    assert [row.run for row in journal.runs()] == [after, before]
    assert [head.run for head in journal.heads()] == [before, before, after, after]
    db = sqlite3.connect(journal.path)
    assert db.execute("SELECT count(*) FROM records").fetchone() == (4,)
    db.close()
    assert create(journal, 2) == run
    assert journal.append(run, encode(Start("again", 1))) == 1
    journal.flush()
    assert [entry.record for entry in journal.records(run)] == [Start("again", 1)]


def test_a_run_is_made_again_only_when_it_is_gone(journal: Journal) -> None:
    run = create(journal)
    journal.flush()
    with journal._writer._draining:
        journal.remove_run(run)
        with pytest.raises(JournalError, match=r"is in .* already"):
            create(journal)
    journal.flush()
    assert create(journal) == run


def test_connection_numbers_only_rise(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path, synchronous="normal") as journal:
        assert [journal.next_conn(), journal.next_conn(), journal.next_conn(above=40), journal.next_conn(above=7)] == [
            1,
            2,
            41,
            42,
        ]
        with Journal.open(path) as other:
            assert [other.next_conn(), journal.next_conn()] == [43, 44]
        run = create(journal)
        journal.append(run, encode(Start("a", 1)))
        journal.next_conn()
        assert journal.durable_seq(run) == 1


def test_importing_the_package_loads_no_database() -> None:
    script = (
        "import sys, graphs.journal; print('sqlite3' in sys.modules); graphs.journal.Journal; print('sqlite3' in sys.modules)"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


class Interleavings(RuleBasedStateMachine):
    """A journal against three dictionaries, whatever the order of calls, drains and reopenings."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.db"
        self.journal = Journal.open(self.path, synchronous="normal")
        self.said: dict[tuple[bytes, bytes], list[Record]] = {}
        self.sure: dict[tuple[bytes, bytes], int] = {}
        self.status: dict[bytes, str] = {}

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()

    def all_is_durable(self) -> None:
        self.sure = {log: len(records) for log, records in self.said.items()}

    @precondition(lambda self: len(self.status) < 4)
    @rule()
    def create(self) -> None:
        self.status[create(self.journal, len(self.status) + 1)] = "running"

    @precondition(lambda self: self.status)
    @rule(data=st.data(), records=st.lists(st.sampled_from(EACH_TYPE), min_size=1, max_size=80))
    def append(self, data: st.DataObject, records: list[Record]) -> None:
        run = data.draw(st.sampled_from(sorted(self.status)))
        log = self.said.setdefault((run, self.journal.store_id), [])
        for record in records:
            log.append(record)
            assert self.journal.append(run, encode(record)) == len(log)

    @precondition(lambda self: self.status)
    @rule(data=st.data(), record=st.sampled_from(EACH_TYPE), writer=st.sampled_from([OTHER, b"thirdone"]))
    def accept(self, data: st.DataObject, record: Record, writer: bytes) -> None:
        run = data.draw(st.sampled_from(sorted(self.status)))
        log = self.said.setdefault((run, writer), [])
        log.append(record)
        self.journal.accept(run, writer, len(log), encode(record))

    @precondition(lambda self: self.status)
    @rule(data=st.data(), record=st.sampled_from(EACH_TYPE))
    def write(self, data: st.DataObject, record: Record) -> None:
        run = data.draw(st.sampled_from(sorted(self.status)))
        log = self.said.setdefault((run, self.journal.store_id), [])
        log.append(record)
        assert self.journal.write(run, encode(record)) == len(log)
        self.all_is_durable()

    @precondition(lambda self: self.status)
    @rule(data=st.data(), status=st.sampled_from(["completed", "suspended", "running"]))
    def mark(self, data: st.DataObject, status: str) -> None:
        run = data.draw(st.sampled_from(sorted(self.status)))
        if status == "running":
            self.journal.reopen_run(run)
        else:
            self.journal.finish_run(run, status, ended=1)
        self.status[run] = status

    @rule(full=st.booleans())
    def barrier(self, full: bool) -> None:
        asyncio.run(self.journal.barrier(full=full))
        self.all_is_durable()

    @rule(full=st.booleans())
    def flush(self, full: bool) -> None:
        self.journal.flush(full=full)
        self.all_is_durable()

    @rule()
    def reopen(self) -> None:
        store = self.journal.store_id
        self.journal.close()
        self.journal = Journal.open(self.path, synchronous="normal")
        assert self.journal.store_id == store
        self.all_is_durable()
        assert {row.run: row.status for row in self.journal.runs()} == self.status

    @invariant()
    def what_is_durable_is_a_prefix_of_what_was_said(self) -> None:
        heads = {(head.run, head.writer): head for head in self.journal.heads()}
        for (run, writer), records in self.said.items():
            assert self.journal.have(run, writer) == len(records)
            head = heads.get((run, writer), Head(run, writer, 0, 0))
            assert self.sure.get((run, writer), 0) <= self.journal.durable_seq(run, writer) <= len(records)
            assert self.sure.get((run, writer), 0) <= head.last <= len(records)
            found = [entry.record for entry in self.journal.records(run, writer)]
            assert found[: head.last] == records[: head.last]
            assert self.journal.chk(run, writer, head.last) == head.chk


Interleavings.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
test_interleavings = Interleavings.TestCase


def test_the_end_of_a_log_can_be_written_anew(tmp_path: Path) -> None:
    texts = [f"{number} {'the tide comes in ' * 60}" for number in range(6)]
    olds, news = ([encode(Result("a", 1, 0, [kind, text], 5, {})) for text in texts] for kind in ("old", "new"))
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        run, own = create(journal), journal.store_id
        for each in olds:
            journal.append(run, each)
        with pytest.raises(JournalError, match="another"):
            journal.rewrite(run, own, 2, news[2:5])
        journal.rewrite(run, own, 2, news[2:])
        assert journal.append(run, olds[0]) == 7
    with Journal.open(path) as journal:  # what is read refers to nothing that is gone, and every checksum holds
        whole = [Encoded(entry.type, entry.fields, entry.tail) for entry in journal.entries(run, own)]
        assert whole == [*olds[:2], *news[2:], olds[0]]
        assert journal.have(run) == 7


def test_a_log_is_read_again_that_another_process_appended_to(journal: Journal) -> None:
    run = create(journal)
    journal.append(run, encode(Close()))
    with Journal.open(journal.path) as other:
        journal.flush()
        other.append(run, encode(Close()))
    journal.renew(run)
    assert journal.append(run, encode(Close())) == 3
    journal.flush()
