"""The link's store over a real journal."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.journal.reader import BodyRow
from graphs.records import Close, Encoded, End, EndStatus, Error, Event, Known, Result, State, Submit, chain, encode
from protocol.audit import Departures
from protocol.journal_store import JournalStore
from protocol.marks import mark
from protocol.payload import Reference, blobref, lighten
from protocol.store import BodyPart, Effect, Keep, OpenAttempt, Trim, Write

PEER = b"\x01" * 8
H = bytes(range(32))


def writes(run: bytes, writer: bytes, records: Sequence[Known], *, after: int = 0, chk: int = 0) -> list[Effect]:
    effects: list[Effect] = []
    for seq, record in enumerate(records, after + 1):
        encoded = encode(record)
        chk = chain(chk, encoded.type, encoded.tail)
        effects.append(Write(run, writer, seq, *encoded, chk))
    return effects


def submit() -> Submit:
    return Submit("", H, {}, {})


def result(path: str) -> Result:
    return Result(path, 1, 0, "v", 0, {}, None)


def test_the_worker_opens_a_run_with_its_first_record(tmp_path: Path) -> None:
    run = new_run_id()
    with Journal.open(tmp_path / "journal.db") as journal:
        store = JournalStore(journal)
        asyncio.run(store.commit([*writes(run, PEER, [submit(), Close(None)]), Trim(run, PEER, 2)]))
        row = journal.run(run)
        assert (row.role, row.graph, row.status) == ("child", H, "running")
        assert journal.durable_seq(run, PEER) == 2


def test_both_logs_of_a_run_are_kept_and_read_back_byte_by_byte(tmp_path: Path) -> None:
    run = new_run_id()
    mine = [result("a"), result("b"), result("c")]
    with Journal.open(tmp_path / "journal.db") as journal:
        store = JournalStore(journal)
        asyncio.run(store.commit([*writes(run, PEER, [submit()]), *writes(run, journal.store_id, mine)]))
        read = asyncio.run(store.read(run, journal.store_id, 1, 2))
        assert read == [Encoded(*encode(result("b")))]
        assert asyncio.run(store.read(run, PEER, 0, 9)) == [Encoded(*encode(submit()))]
        assert asyncio.run(store.read(new_run_id(), PEER, 0, 9)) == []


@pytest.mark.parametrize("device", [True, False])
def test_what_a_workers_result_refers_to_is_fetched_with_the_next_sync(tmp_path: Path, device: bool) -> None:
    """A run that ends before anybody here reads a large value still has it on all its devices; a worker reads what it needs of a device."""
    root, run = new_run_id(), new_run_id()
    named = Reference(b"\x07" * 32, 300_000, ())
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.create_run(root, role="root", graph_hash=H, name="g.yaml", started=1)
        journal.create_run(run, role="child", graph_hash=H, name="cut", started=1, parent=root)
        mark(journal, root)
        store = JournalStore(journal, departures=Departures(journal, "ws://w") if device else None)
        large = Result("large", 1, 0, blobref(named.ref, named.size), 0, {}, None)
        asyncio.run(store.commit(writes(run, PEER, [large, result("small")])))
        assert store.shared.missing() == ([(run, named)] if device else [])
        mark(journal, root, on=False)
        journal.flush()
        assert store.shared.missing() == []


def test_a_record_that_another_process_of_this_store_took_meanwhile_is_here(tmp_path: Path) -> None:
    """Two commands of one device are told of the same child run: the second finds what the first wrote down."""
    run = new_run_id()
    came = writes(run, PEER, [result("a"), result("b"), result("c")])
    with Journal.open(tmp_path / "journal.db") as one, Journal.open(tmp_path / "journal.db") as other:
        one.create_run(run, role="child", graph_hash=H, name="cut", started=1)
        asyncio.run(JournalStore(one).commit(came[:2]))
        asyncio.run(JournalStore(other).commit(came[1:]))
        assert [each.record for each in other.records(run, PEER)] == [result("a"), result("b"), result("c")]
        contradicts = writes(run, PEER, [result("a"), result("another")])[1:]
        with pytest.raises(JournalError, match="does not follow"):
            asyncio.run(JournalStore(other).commit(contradicts))


class Dawdling(list[Effect]):
    """Effects that come so slowly that whoever commits beside it could do so after each of them; at number `due`, counted over all passes, the
    process is killed.
    """

    def __init__(self, effects: Sequence[Effect], journal: Journal, due: int = -1) -> None:
        super().__init__(effects)
        self.durable = threading.Event()
        self.left = due
        journal.on_durable(lambda _: self.durable.set())

    def __iter__(self) -> Iterator[Effect]:
        for effect in super().__iter__():
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1
            yield effect
            self.durable.wait(0.03)


def several(journal: Journal) -> list[Effect]:
    """A commit of a worker: the end of one run, and another run that begins, in which it has a result with a body."""
    first, second = b"\x01" * 16, b"\x02" * 16
    words = random.Random(7).randbytes(20_000)
    mine: list[Known] = [Result("a", 1, 0, words, 0, {}), Result("b", 1, 0, words[::-1], 0, {}), End(EndStatus.COMPLETED, 5, {})]
    big = Result("c", 1, 0, "x" * 100_000, 0, {}, None)
    _, light, bodies = lighten(big, encode(big), (), lambda _: b"")
    chk = chain(0, light.type, light.tail)
    return [
        *writes(first, PEER, [submit(), Close(None)]),
        *writes(first, journal.store_id, mine),
        *writes(second, PEER, [submit()]),
        *(Keep(second, body.ref, body.data, body.labels, body.crc) for body in bodies),
        Write(second, journal.store_id, 1, *light, chk),
        Trim(first, journal.store_id, 3),
    ]


def whole(path: Path) -> bool:
    """Whether all of `several` is here; if not, nothing of it may be."""
    with Journal.open(path) as journal:
        found = {head.run: head.last for head in journal.heads() if head.writer == journal.store_id}
        there = [len(journal.runs()), len(journal.heads()), sum(head.last for head in journal.heads()), len(journal.bodies())]
        assert there in ([0, 0, 0, 0], [2, 4, 7, 1]), there
        assert not found or journal.run(b"\x01" * 16).status == "completed"
        return bool(found)


def test_one_commit_is_one_transaction(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        effects = Dawdling(several(journal), journal)
        grew: list[dict[tuple[bytes, bytes], int]] = []
        journal.on_durable(lambda grown: grew.append(dict(grown)))
        asyncio.run(JournalStore(journal).commit(effects))
        (once,) = grew
        assert sum(once.values()) == 7
    assert whole(tmp_path / "journal.db")


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import test_protocol_journal_store as test
from graphs.journal import Journal
from protocol.journal_store import JournalStore

with Journal.open(sys.argv[1]) as journal:
    asyncio.run(JournalStore(journal).commit(test.Dawdling(test.several(journal), journal, int(sys.argv[2]))))
"""


@pytest.mark.parametrize("due", [10, 13, 15, 17, 99])
def test_a_process_that_is_killed_in_the_middle_leaves_nothing_of_a_commit(tmp_path: Path, due: int) -> None:
    path = tmp_path / "journal.db"
    words = [sys.executable, "-c", KILLED, str(path), str(due), str(Path(__file__).parent)]
    ended = subprocess.run(words, cwd=Path(__file__).parent.parent, check=False, capture_output=True, text=True)
    assert ended.returncode == (-signal.SIGKILL if due < 99 else 0), ended.stderr
    assert whole(path) is (due == 99)


def test_a_disk_that_is_full_in_the_middle_leaves_nothing_of_a_commit(tmp_path: Path) -> None:
    went: list[bool] = []
    for pages in range(40):
        path = tmp_path / f"journal{pages}.db"
        journal = Journal.open(path)
        db = journal._writer._db
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + pages}")
        try:
            asyncio.run(JournalStore(journal).commit(Dawdling(several(journal), journal)))
            journal.close()
        except JournalError as error:
            assert "the disk is full" in error.message  # noqa: PT017
            with pytest.raises(JournalError):
                journal.close()
        went.append(whole(path))
        if went[-1]:
            break
    assert went[-1]
    assert len(went) > 1


def test_what_goes_wrong_in_the_middle_leaves_nothing_of_a_commit(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    effects = several(journal)
    gap = writes(b"\x03" * 16, PEER, [Close(None)], after=7)
    with pytest.raises(JournalError, match="does not follow"):
        asyncio.run(JournalStore(journal).commit([*effects, *gap]))
    with pytest.raises(JournalError):  # the heads of its logs have counted what was dropped
        journal.flush()
    with pytest.raises(JournalError):
        journal.close()
    assert not whole(tmp_path / "journal.db")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (EndStatus.COMPLETED, "completed"),
        (EndStatus.FAILED, "failed"),
        (EndStatus.CANCELLED, "cancelled"),
        (EndStatus.EXPIRED, "expired"),
    ],
)
def test_an_end_closes_the_run_by_its_word(tmp_path: Path, status: EndStatus, word: str) -> None:
    run = new_run_id()
    with Journal.open(tmp_path / "journal.db") as journal:
        asyncio.run(JournalStore(journal).commit(writes(run, PEER, [submit(), End(status, 0, {})])))
        assert journal.run(run).status == word


def test_what_is_found_says_where_each_log_stands(tmp_path: Path) -> None:
    run, unknown = new_run_id(), new_run_id()
    records: list[Known] = [
        Event("done", 1, State.EXECUTING, 0, {"retry": 0}),
        result("done"),
        Event("failed", 1, State.EXECUTING, 0, {"retry": 0}),
        Error("failed", 1, 0, "NODE_FAILED", "no", True, False),
        Event("open", 3, State.EXECUTING, 0, {"retry": 2}),
    ]
    with Journal.open(tmp_path / "journal.db") as journal:
        store = JournalStore(journal)
        effects = writes(run, journal.store_id, records)
        asyncio.run(store.commit([*writes(run, PEER, [submit()]), *effects]))
        snapshot = asyncio.run(store.find([run, unknown]))
        assert snapshot.store == journal.store_id
        heads = {head.writer: head for head in snapshot.logs}
        assert set(heads) == {PEER, journal.store_id}
        own = heads[journal.store_id]
        assert own.chks == [effect.chk for effect in effects if isinstance(effect, Write)]
        assert (own.ended, own.attempts) == (False, (OpenAttempt(5, "open", 3),))
        asyncio.run(store.commit(writes(run, journal.store_id, [End(EndStatus.COMPLETED, 0, {})], after=5, chk=own.chks[-1])))
        (again,) = [head for head in asyncio.run(store.find([run])).logs if head.writer == journal.store_id]
        assert (again.ended, len(again.chks)) == (True, 6)


def test_connections_count_up_for_good(tmp_path: Path) -> None:
    numbers = []
    for above in (0, 0, 40, 0):
        with Journal.open(tmp_path / "journal.db") as journal:
            numbers.append(asyncio.run(JournalStore(journal).next_connection(above)))
    assert numbers == sorted(set(numbers))
    assert numbers[2] > 40


def test_graphs_that_workers_hold_are_remembered_the_newest_longest(tmp_path: Path) -> None:
    other = b"\x02" * 8
    graphs = [number.to_bytes(32, "big") for number in range(300)]
    with Journal.open(tmp_path / "journal.db") as journal:
        store = JournalStore(journal)
        store.remember_graph(PEER, graphs[0])
        store.remember_graph(other, graphs[0])
        journal.flush()
        store.remember_graph(PEER, graphs[0])
        journal.flush()
        assert list(asyncio.run(store.find(())).held) == [(other, graphs[0]), (PEER, graphs[0])]
        for graph in graphs:
            store.remember_graph(PEER, graph)
            journal.flush()
    with Journal.open(tmp_path / "journal.db") as journal:
        held = list(asyncio.run(JournalStore(journal).find(())).held)
    assert len(held) == 256
    assert held[-1] == (PEER, graphs[-1])


# -- bodies

VALUE = "x" * 100_000


def kept(run: bytes) -> tuple[list[Effect], Keep]:
    """A run's first record, with a value beside it."""
    record = Submit("", H, {"a": [9, VALUE]}, {})
    light, _, (body,) = lighten(record, encode(record), (), lambda _: b"")
    keep = Keep(run, body.ref, body.data, body.labels, body.crc)
    return [keep, *writes(run, PEER, [light])], keep


def test_a_body_is_durable_with_its_record_and_may_be_asked_for(tmp_path: Path) -> None:
    run = new_run_id()
    with Journal.open(tmp_path / "journal.db") as journal:
        store = JournalStore(journal, "one")
        effects, keep = kept(run)
        asyncio.run(store.commit(effects))
        assert journal.bodies(run) == [BodyRow("one", keep.ref, len(keep.data), ())]
        part = BodyPart(keep.data[60_000:70_000], len(keep.data), (), None)
        for _ in range(2):
            assert asyncio.run(store.read_body(keep.ref, 60_000, 10_000)) == part
        assert asyncio.run(store.load_body(keep.ref)) == keep.data
        other = JournalStore(journal, "two")
        assert asyncio.run(other.read_body(keep.ref, 0, 5)) is None
        assert asyncio.run(other.load_body(keep.ref)) is None


def test_what_was_pulled_is_not_given_away_again(tmp_path: Path) -> None:
    """A body here that only a peer's record refers to is nobody else's to ask for."""
    run = new_run_id()
    with Journal.open(tmp_path / "journal.db") as journal:
        store = JournalStore(journal, "one")
        _, keep = kept(run)
        asyncio.run(store.commit(writes(run, PEER, [submit()])))
        assert asyncio.run(store.begin_body(run, Reference(keep.ref, len(keep.data)))) == (0, False)
        asyncio.run(store.write_body(keep.ref, 0, keep.data))
        assert asyncio.run(store.begin_body(run, Reference(keep.ref, len(keep.data)))) == (len(keep.data), False)
        assert asyncio.run(store.check_body(keep.ref, len(keep.data), None))
        assert asyncio.run(store.begin_body(run, Reference(keep.ref, len(keep.data)))) == (len(keep.data), True)
        assert asyncio.run(store.read_body(keep.ref, 0, 5)) is None
        journal.flush()
        assert [row.name for row in journal.bodies(run)] == [keep.ref]


def test_what_came_under_an_id_has_its_checksum_for_whom_it_goes_on_to(tmp_path: Path) -> None:
    """A body comes before the run that needs it: its labels and its checksum are here nevertheless once the run is."""
    run, named = new_run_id(), Reference(b"i" * 16, 5, ("private",))
    with Journal.open(tmp_path / "journal.db") as journal:
        store = JournalStore(journal, "one")
        assert asyncio.run(store.begin_body(run, named)) == (0, False)
        asyncio.run(store.write_body(named.ref, 0, b"large"))
        assert asyncio.run(store.check_body(named.ref, 5, zlib.crc32(b"large")))
        asyncio.run(store.commit(writes(run, PEER, [submit()])))
        assert asyncio.run(store.begin_body(run, named)) == (5, True)
        journal.flush()
        assert journal.bodies(run) == [BodyRow("one", named.ref, 5, ("private",))]
        assert journal.body_files.crc("one", named.ref) == zlib.crc32(b"large")


def test_more_than_the_reference_says_is_begun_anew(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        store = JournalStore(journal)
        asyncio.run(store.write_body(H, 0, b"too much"))
        assert asyncio.run(store.begin_body(None, Reference(H, 3))) == (0, False)


def test_bodies_go_with_the_last_run_that_needs_them(tmp_path: Path) -> None:
    run = new_run_id()
    with Journal.open(tmp_path / "journal.db") as journal:
        store = JournalStore(journal)
        effects, keep = kept(run)
        asyncio.run(store.commit(effects))
        for path in journal.body_files.folder.glob("*/*"):
            os.utime(path, (0, 0))
        asyncio.run(store.commit([Trim(run, journal.store_id, 1)]))
        assert asyncio.run(store.sweep()) == 0, "how long a run is kept is not for the store to say"
        journal.remove_run(run)
        assert asyncio.run(store.sweep()) == 1
        assert asyncio.run(store.load_body(keep.ref)) is None
