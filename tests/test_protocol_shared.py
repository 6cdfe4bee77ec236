"""Which part of a journal is shared, and how copies get into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.journal.reader import graph_address
from graphs.records import End, Event, Record, Result, State, Submit, chain, encode
from graphs.values import canonical, digest
from protocol.digest import Held, Line
from protocol.events import DigestCame
from protocol.payload import blobref
from protocol.shared import Shared, is_marked, mark
from protocol.store import Copy

GRAPH = canonical({"nodes": {"a": {"value": 1}}})
ADDRESS = graph_address(GRAPH)
THEIRS = b"device-2"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def root(journal: Journal, *, marked: bool = True) -> bytes:
    run = new_run_id()
    first = encode(Submit("", ADDRESS, {}, {"parent": None}))
    journal.create_run(run, role="root", graph_hash=ADDRESS, graph=GRAPH, name="g.yaml", started=1, first=first)
    if marked:
        mark(journal, run)
    journal.flush()
    return run


def asks(*lines: Line, answer: bool = False) -> DigestCame:
    return DigestCame(1, answer, lines, None, None, more=False, look=False)


def copies(run: bytes, *records: Record, about: dict[str, Any] | None = None) -> Iterator[Copy]:
    chk = 0
    for seq, record in enumerate(records, 1):
        encoded = encode(record)
        chk = chain(chk, encoded.type, encoded.tail)
        yield Copy(run, THEIRS, seq, encoded, chk, {"name": "g.yaml", "graph": ADDRESS} if about is None else about)


def test_only_marked_runs_and_their_parts_are_seen(journal: Journal) -> None:
    marked, unmarked = root(journal), root(journal, marked=False)
    part, unheard = new_run_id(), new_run_id()
    order = encode(Submit("", ADDRESS, {}, {"parent": [marked, 1]}))
    for each in (part, unheard):
        journal.create_run(each, role="child", graph_hash=ADDRESS, name="cut", started=1, parent=marked, first=order)
    journal.accept(part, THEIRS, 1, encode(End(0, 1, {})))
    journal.flush()
    shared = Shared(journal)
    assert {line.run for line in shared.lines()} == {marked, part}, "orders that nobody took yet are not copied"
    assert {held.run for held in shared.held(asks()) if held.gives} == {marked, part}
    named = shared.held(asks(Line(unmarked, journal.store_id, 0, 0), answer=True))
    assert named == [Held(unmarked, journal.store_id, gives=False, takes=False)]
    mark(journal, marked, on=False)
    journal.flush()
    assert not is_marked(journal, marked)
    assert shared.lines() == []


def test_what_is_held_comes_with_the_checksum_that_the_peer_named(journal: Journal) -> None:
    run = root(journal)
    for number in range(3):
        journal.append(run, encode(Result("a", number + 1, 0, None, 5, {})))
    journal.flush()
    (held,) = Shared(journal).held(asks(Line(run, journal.store_id, 2, 7)))
    assert (held.last, held.chk, held.at) == (4, journal.chk(run, journal.store_id, 4), journal.chk(run, journal.store_id, 2))
    assert held.about is None, "the peer has the run"
    (ahead,) = Shared(journal).held(asks(Line(run, journal.store_id, 9, 7)))
    assert ahead.at is None


def test_labels_and_the_document_go_along(journal: Journal) -> None:
    run = root(journal)
    shared = Shared(journal, labels=lambda address: {"pii"} if address == ADDRESS else set())
    (held,) = shared.held(asks(Line(run, journal.store_id, 0, 0), answer=True))
    assert held.labels == ("pii",)
    assert held.about == {"name": "g.yaml", "graph": ADDRESS, "document": blobref(digest(GRAPH), len(GRAPH))}
    part = shared.part(digest(GRAPH), 2, 5)
    assert part is not None
    assert (part.data, part.total) == (GRAPH[2:7], len(GRAPH))
    assert shared.part(digest(b"another"), 0, 5) is None


def test_a_copy_makes_its_run(journal: Journal) -> None:
    run, shared = new_run_id(), Shared(journal)
    for copy in copies(run, Submit("", ADDRESS, {}, {"parent": None}), Result("a", 1, 0, 1, 5, {}), End(0, 5, {})):
        assert shared.take(copy, "own")
    journal.flush()
    row = journal.run(run)
    assert (row.role, row.name, row.graph, row.status) == ("root", "g.yaml", ADDRESS, "completed")
    assert row.started == int.from_bytes(run[:6], "big")
    assert is_marked(journal, run), "it goes on to others from here"
    assert [logged.writer for logged in journal.records(run)] == [THEIRS] * 3


def test_a_copy_that_is_here_is_no_news(journal: Journal) -> None:
    run, shared = new_run_id(), Shared(journal)
    made = list(copies(run, Submit("", ADDRESS, {}, {"parent": None}), Result("a", 1, 0, 1, 5, {})))
    assert [shared.take(copy, "own") for copy in [*made, *made]] == [True, True, False, False]


@pytest.mark.parametrize("about", [{}, {"graph": b"short"}, {"graph": ADDRESS, "parent": 7}])
def test_a_copy_of_nobody_knows_what_is_refused(journal: Journal, about: dict[str, Any]) -> None:
    (copy,) = copies(new_run_id(), End(0, 5, {}), about=about)
    with pytest.raises(JournalError, match="nothing was said"):
        Shared(journal).take(copy, "own")


def test_a_pause_elsewhere_is_shown_and_an_end_stays(journal: Journal) -> None:
    run, shared = new_run_id(), Shared(journal)
    paused = Event(None, 0, State.SUSPENDED, 5, {"why": "no worker"})
    made = list(copies(run, Submit("", ADDRESS, {}, {"parent": None}), paused, End(0, 5, {}), paused))
    seen = []
    for copy in made:
        shared.take(copy, "own")
        journal.flush()
        seen.append(journal.run(run).status)
    assert seen == ["running", "suspended", "completed", "completed"]


def test_bodies_that_a_copy_refers_to_are_pinned_and_missing_until_they_come(journal: Journal) -> None:
    run, shared, body = new_run_id(), Shared(journal), canonical("x" * 1_000)
    ref = blobref(digest(body), len(body))
    for copy in copies(run, Submit("", ADDRESS, {}, {"parent": None}), Result("a", 1, 0, ref, 5, {})):
        shared.take(copy, "own")
    journal.flush()
    assert [(each, named.ref) for each, named in shared.missing()] == [(run, digest(body))]
    journal.body_files.keep("own", digest(body), body)
    assert shared.missing() == []
    part = shared.part(digest(body), 0, 10)
    assert part is not None
    assert part.data == body[:10]
    assert shared.scope_of(digest(body)) == "own"
