"""One round of sync and how things stand, over real journals and a real worker; whole commands: tests/e2e/test_sync.py."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from edge.ferrying.connecting import connect_worker
from edge.runs.at_work import at_work
from edge.syncing.spool import ToGo, spooled
from edge.syncing.sync import Round, converge, standing
from graphs.agents import standard
from graphs.errors import WorkerUnreachable
from graphs.journal import Journal
from graphs.journal.ids import new_run_id, run_id_text
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import End, EndStatus, Result, Submit, encode
from graphs.values import canonical
from protocol.marks import mark
from protocol.run_log import RunLog, open_run
from workers import ServedWorker

GRAPH = Graph.of(load_text("version: 0.5\nnodes:\n  a: {agent: copyAgent, inputs: {t: 1}}\n").data, standard())
LARGE = "x" * 200_000
T = TypeVar("T")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def begun(journal: Journal, *values: Any, shared: bool = True, status: str = "completed", **by: Any) -> bytes:
    """A run with results of these values."""
    run = new_run_id()
    about: dict[str, Any] = {"graph_hash": GRAPH.hash, "graph": GRAPH.canonical, "name": "g.yaml", "started": 1}
    open_run(journal, run, Submit("", GRAPH.hash, {}, {"parent": None}), about, shared=shared)
    log = RunLog(journal, run, shared=shared)
    for number, value in enumerate(values):
        log.record(Result(f"n{number}", 1, 0, value, 5, by))
    log.end(status, "so it is", waits=True, now=9)
    journal.flush()
    return run


def at(url: str, journal: Journal) -> Callable[[Sequence[bytes]], Awaitable[Any]]:
    return lambda runs: connect_worker(url, token=None, journal=journal, runs=runs, grace=0.2)


def go(work: Awaitable[T]) -> T:
    async def main() -> T:
        return await work

    return asyncio.run(main())


def there(served: ServedWorker, run: bytes) -> list[tuple[bytes, int]]:
    return [(head.writer, head.last) for head in served.worker.journal.heads(run)]


def test_a_round_takes_out_what_is_marked_and_notes_it(served: ServedWorker, journal: Journal) -> None:
    run, other = begun(journal, 1, LARGE), begun(journal, 2, shared=False)
    assert set(spooled(journal)) == {run}
    done = go(converge(journal, at(served.url, journal)))
    assert (done.received, done.refused, done.held) == (Counter(), {}, None)
    assert {run: went.records for run, went in done.sent.items()} == {run: journal.have(run)}
    assert len(LARGE) < done.sent[run].bytes < len(LARGE) + 2_000
    assert go(converge(journal, at(served.url, journal))).sent == {}
    assert there(served, run) == [(journal.store_id, journal.have(run))]
    assert there(served, other) == []
    assert spooled(journal) == {}


def test_a_round_that_is_held_back_leaves_it(served: ServedWorker, journal: Journal) -> None:
    run = begun(journal, 1)
    done = go(converge(journal, at(served.url, journal), "it is dear"))
    assert done.as_json() == {
        "held": "it is dear",
        "received": 0,
        "runs": [],
        "bodies": 0,
        "bytes": 0,
        "sent": {},
        "refused": {},
        "unkept": {},
    }
    assert there(served, run) == []
    assert set(spooled(journal)) == {run}


def test_what_comes_in_is_counted_by_run_and_does_not_wait_to_go_out(
    served: ServedWorker, journal: Journal, tmp_path: Path
) -> None:
    with Journal.open(tmp_path / "other.db") as other:
        run = begun(other, 1, LARGE)
        go(converge(other, at(served.url, other)))
    done = go(converge(journal, at(served.url, journal)))
    assert (done.received, done.sent, done.bodies) == (Counter({run: 4}), {}, 1)
    records = sum(len(entry.tail) for head in journal.heads(run) for entry in journal.entries(run, head.writer))
    assert done.size == records + len(canonical(LARGE))
    assert go(converge(journal, at(served.url, journal))).size == 0
    assert spooled(journal) == {}
    assert journal.run(run).status == "completed"


def test_where_there_is_no_worker_nothing_changes(journal: Journal) -> None:
    run = begun(journal, 1)
    with pytest.raises(WorkerUnreachable):
        go(converge(journal, at("ws://127.0.0.1:9/v1/link", journal)))
    assert set(spooled(journal)) == {run}


def test_a_damaged_run_is_named_and_holds_up_no_other(served: ServedWorker, journal: Journal, tmp_path: Path) -> None:
    damaged, good = begun(journal, "one"), begun(journal, "two")
    db = sqlite3.connect(tmp_path / "journal.db")
    with db:
        tail = encode(Result("n0", 1, 0, "not", 5, {})).tail
        db.execute("UPDATE records SET tail = ? WHERE id = ((SELECT id FROM logs WHERE run = ?) << 32) + 2", (tail, damaged))
    db.close()
    done = go(converge(journal, at(served.url, journal)))
    assert done.refused[damaged][0] == "INTERNAL"
    assert there(served, good) == [(journal.store_id, 3)]
    assert set(spooled(journal)) == {damaged}


def test_what_is_damaged_or_not_whole_holds_up_nothing(served: ServedWorker, journal: Journal, tmp_path: Path) -> None:
    """Not even where it would have to be read to know what is to be done: runs that are not over, and their parts."""
    damaged, good = begun(journal, "one", status="suspended"), begun(journal, "two", status="suspended")
    part, lacking = new_run_id(), new_run_id()
    order = encode(Submit("", GRAPH.hash, {}, {"parent": [good, 1]}))
    journal.create_run(part, role="child", parent=good, graph_hash=GRAPH.hash, name="cut", started=1, first=order)
    journal.create_run(lacking, role="root", graph_hash=GRAPH.hash, name="g", started=1)
    journal.accept(lacking, b"device-2", 1, encode(Result("a", 1, 0, 1, 5, {})))
    mark(journal, lacking)
    journal.flush()
    db = sqlite3.connect(tmp_path / "journal.db")
    with db:
        for run in (damaged, part):
            db.execute("UPDATE records SET tail = x'00' WHERE id = ((SELECT id FROM logs WHERE run = ?) << 32) + 1", (run,))
    db.close()
    done = go(converge(journal, at(served.url, journal)))
    assert damaged in done.refused
    assert (journal.store_id, journal.have(good)) in there(served, good)
    assert go(standing(journal, None)).degraded == []


def test_a_run_that_was_marked_late_waits_while_somebody_works_on_it(served: ServedWorker, journal: Journal) -> None:
    run = begun(journal, LARGE, shared=False)
    mark(journal, run)
    journal.flush()
    with at_work(journal.path, run):
        done = go(converge(journal, at(served.url, journal)))
    assert done.refused[run][0] == "VALUE_TOO_LARGE"
    done = go(converge(journal, at(served.url, journal)))
    assert done.refused == {}
    assert there(served, run) == [(journal.store_id, 3)]


def test_two_rounds_are_one_sum() -> None:
    one = Round(Counter({b"a" * 16: 2}), {b"b" * 16: ("QUOTA", "full")}, 1, {b"c" * 16: "no room"}, "it is dear")
    one.sent, one.size = {b"a" * 16: ToGo(1, 10)}, 7
    both = one + Round(Counter({b"a" * 16: 1}), {}, 2, sent={b"a" * 16: ToGo(2, 5)}, size=5)
    assert both.sent == {b"a" * 16: ToGo(3, 15)}
    assert (both.received, both.bodies, both.held, len(both.refused)) == (Counter({b"a" * 16: 3}), 3, "it is dear", 1)
    assert (both.unkept, both.size) == ({b"c" * 16: "no room"}, 12)


# -- how things stand


def test_it_stands_as_this_device_knows_where_nobody_is_asked(journal: Journal) -> None:
    begun(journal, 1, LARGE)
    poor = begun(journal, 1, shared=False, degraded="unreachable")
    waiting = begun(journal, shared=False, status="suspended")
    found = go(standing(journal, None))
    assert (found.asked, found.ahead, found.behind) == (False, 4, None)
    assert found.bytes > len(LARGE)
    assert (found.waiting, found.degraded) == ([run_id_text(waiting)], [run_id_text(poor)])


def test_asked_the_worker_says_how_it_stands_and_nothing_moves(served: ServedWorker, journal: Journal, tmp_path: Path) -> None:
    run = begun(journal, 1, LARGE)
    with Journal.open(tmp_path / "other.db") as other:
        begun(other, 1)
        go(converge(other, at(served.url, other)))
    found = go(standing(journal, at(served.url, journal)))
    assert (found.asked, found.ahead, found.behind, found.diverged) == (True, 4, 3, [])
    assert len(LARGE) < found.bytes < len(LARGE) + 2_000
    assert there(served, run) == []
    go(converge(journal, at(served.url, journal)))
    found = go(standing(journal, at(served.url, journal)))
    assert (found.ahead, found.behind, found.bytes) == (0, 0, 0)


def test_copies_that_contradict_each_other_are_named(served: ServedWorker, journal: Journal, tmp_path: Path) -> None:
    run = begun(journal, 1, status="suspended")
    go(converge(journal, at(served.url, journal)))
    db = sqlite3.connect(tmp_path / "journal.db")
    with db:
        db.execute("DELETE FROM records WHERE id > ((SELECT id FROM logs WHERE run = ?) << 32) + 1", (run,))
        db.execute("UPDATE logs SET noted = 0")
    db.close()
    with Journal.open(tmp_path / "journal.db") as restored:
        restored.append(run, encode(End(EndStatus.CANCELLED, 9, {})))
        restored.flush()
        assert go(standing(restored, at(served.url, restored))).diverged == [run_id_text(run)]
