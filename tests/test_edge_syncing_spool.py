"""What waits to go out, as a device knows it by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.syncing.spool import ToGo, forget_given, note_given, spooled, to_go, together, total
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.records import Result, Submit, encode
from graphs.values import canonical, digest
from protocol.marks import mark
from protocol.payload import blobref

LARGE = canonical("x" * 100_000)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def root(journal: Journal, *, marked: bool = True) -> bytes:
    run = new_run_id()
    first = encode(Submit("", bytes(32), {}, {"parent": None}))
    journal.create_run(run, role="root", graph_hash=bytes(32), name="g.yaml", started=1, first=first)
    if marked:
        mark(journal, run)
    journal.flush()
    return run


def add(journal: Journal, run: bytes, value: object = 1, path: str = "a") -> int:
    """A result; how many bytes its record takes."""
    encoded = encode(Result(path, 1, 0, value, 5, {}))
    journal.append(run, encoded)
    journal.flush()
    return len(encoded.tail)


def test_what_is_not_marked_does_not_wait(journal: Journal) -> None:
    root(journal, marked=False)
    assert spooled(journal) == {}
    assert total({}) == ToGo(0, 0)


def test_what_is_marked_waits_until_a_worker_has_it(journal: Journal) -> None:
    run, own = root(journal), journal.store_id
    first = len(encode(Submit("", bytes(32), {}, {"parent": None})).tail)
    size = add(journal, run)
    assert spooled(journal) == {run: ToGo(2, first + size)}
    note_given(journal, {(run, own): 1})
    journal.flush()
    assert spooled(journal) == {run: ToGo(1, size)}
    note_given(journal, {(run, own): 2})
    journal.flush()
    assert spooled(journal) == {}
    more = add(journal, run)
    assert spooled(journal) == {run: ToGo(1, more)}
    note_given(journal, {(run, b"device-2"): 7})
    journal.flush()
    assert spooled(journal) == {run: ToGo(1, more)}, "what is known of other logs stays known"
    forget_given(journal, run)
    journal.flush()
    assert spooled(journal)[run].records == 3


def test_large_values_count_once(journal: Journal) -> None:
    run, ref = root(journal), blobref(digest(LARGE), len(LARGE))
    sizes = add(journal, run, ref) + add(journal, run, [ref], path="b")
    assert to_go(journal, [(run, journal.store_id, 1)]) == {run: ToGo(2, sizes + len(LARGE))}


def test_parts_of_a_run_count_with_it(journal: Journal) -> None:
    run, part = root(journal), new_run_id()
    order = encode(Submit("", bytes(32), {}, {"parent": [run, 1]}))
    journal.create_run(part, role="child", graph_hash=bytes(32), name="cut", started=1, parent=run, first=order)
    journal.accept(part, b"worker-1", 1, encode(Result("a", 1, 0, 1, 5, {})))
    journal.flush()
    assert set(spooled(journal)) == {run}
    assert spooled(journal)[run].records == 3


def test_several_rounds_are_one_sum_by_run() -> None:
    one, two = bytes(16), bytes([1] * 16)
    went = {one: ToGo(3, 30), two: ToGo(1, 5)}
    assert together(went, {two: ToGo(1, 15)}, {}) == {one: ToGo(3, 30), two: ToGo(2, 20)}
