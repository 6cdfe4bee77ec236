"""Which part of a journal is shared, and how copies get into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.journal.reader import graph_address
from graphs.records import End, Event, Record, Result, State, Submit, chain, encode
from graphs.values import canonical, digest
from protocol.digest import Held, Line
from protocol.events import DigestCame
from protocol.marks import is_marked, mark
from protocol.noted import Noted, note, noted, untold
from protocol.payload import blobref, reference
from protocol.shared import Shared
from protocol.store import BodyPart, Copy

GRAPH = canonical({"nodes": {"a": {"value": 1}}})
ADDRESS = graph_address(GRAPH)
THEIRS = b"device-2"
SOME = Noted(frozenset({"pii"}), {"read": frozenset({"pii"})})


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
    assert held.about is not None
    named = reference(held.about["document"])
    assert named is not None
    assert (named.is_handle, named.labels, named.size) == (True, ("pii",), len(GRAPH)), "no hash tells what is in it"
    assert shared.part(named.ref, 2, 5) == BodyPart(GRAPH[2:7], len(GRAPH), ("pii",), crc32(GRAPH))
    assert shared.runs_of(named.ref) == [run]
    assert shared.part(digest(GRAPH), 2, 5) is None
    (plain,) = (free := Shared(journal)).held(asks(Line(run, journal.store_id, 0, 0), answer=True))
    assert plain.about == {"name": "g.yaml", "graph": ADDRESS, "document": blobref(digest(GRAPH), len(GRAPH))}
    assert free.part(digest(GRAPH), 2, 5) == BodyPart(GRAPH[2:7], len(GRAPH))


def test_a_device_says_what_labels_a_run_has_wherever_its_log_begins(journal: Journal) -> None:
    run = root(journal)
    shared = Shared(journal, labelled=True)
    (whole,) = shared.held(asks(Line(run, journal.store_id, 0, 0), answer=True))
    assert whole.about is not None
    assert whole.about["labels"] == [[], {}], "none but those in its graph"
    note(journal, run, SOME)
    journal.flush()
    (rest,) = shared.held(asks(Line(run, journal.store_id, 1, 7), answer=True))
    assert (rest.about, rest.labels) == ({"labels": SOME.told()}, ("pii",))
    (worker,) = Shared(journal).held(asks(Line(run, journal.store_id, 1, 7), answer=True))
    assert worker.about == rest.about, "who was told tells it on"


def test_labels_of_a_graph_that_is_still_to_come_are_looked_at_when_it_has_come(journal: Journal) -> None:
    """A run's logs are copied in any order, and its graph comes with its beginning."""
    run = new_run_id()
    journal.create_run(run, role="root", graph_hash=ADDRESS, name="g.yaml", started=1)
    journal.accept(run, THEIRS, 1, encode(End(0, 1, {})))
    mark(journal, run)
    journal.flush()
    shared = Shared(journal, labels=lambda address: {"not here"} if journal.graph(address) is None else set())
    (held,) = shared.held(asks())
    assert held.labels == ("not here",)
    journal.put_graph(ADDRESS, GRAPH)
    journal.flush()
    (held,) = shared.held(asks())
    assert held.labels == ()


def test_a_part_of_a_run_has_the_labels_of_the_run(journal: Journal) -> None:
    run, part = root(journal), new_run_id()
    journal.create_run(part, role="child", graph_hash=ADDRESS, name="cut", started=1, parent=run)
    journal.accept(part, THEIRS, 1, encode(End(0, 1, {})))
    note(journal, run, SOME)
    journal.flush()
    (held,) = Shared(journal).held(asks(Line(part, THEIRS, 0, 0), answer=True))
    assert held.labels == ("pii",)


@pytest.mark.parametrize(("about", "known"), [({}, untold()), ({"labels": 3}, untold()), ({"labels": SOME.told()}, SOME)])
def test_what_came_without_a_word_of_its_labels_counts_as_labelled_on_a_device(
    journal: Journal, about: dict[str, Any], known: Noted
) -> None:
    run, worker = new_run_id(), new_run_id()
    said = {"name": "g.yaml", "graph": ADDRESS, **about}
    for copy in copies(run, Submit("", ADDRESS, {}, {"parent": None}), End(0, 5, {}), about=said):
        Shared(journal, labelled=True).take(copy, "own")
    for copy in copies(worker, Submit("", ADDRESS, {}, {"parent": None}), about=said):
        Shared(journal).take(copy, "own")
    journal.flush()
    assert noted(journal, run) == known
    assert noted(journal, worker) == (SOME if known is SOME else None), "a worker does not answer for it"
    for copy in copies(run, End(0, 5, {}), about={"labels": [["later"], {}]}):
        Shared(journal, labelled=True).take(copy, "own")
    journal.flush()
    assert noted(journal, run) == known | Noted(frozenset({"later"}))


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
