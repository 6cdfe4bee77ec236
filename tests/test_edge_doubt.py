"""Nodes with effects that were in flight, as a resumed run sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.attached import Attached
from edge.doubt import doubtful_openers, still_running
from edge.placement import Placement
from graphs.journal import Journal, new_run_id
from graphs.records import Event, Known, State, Submit, encode

AWAY, HERE = Placement("cloud", "its place"), Placement("edge", "its place")
RUN = b"r" * 16


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as each:
        yield each


def child_with(journal: Journal, *begun: str) -> None:
    """An open child run in which these nodes with effects have begun."""
    run = new_run_id()
    journal.create_run(run, role="child", parent=RUN, graph_hash=bytes(32), name="cut", started=0)
    order: Known = Submit("", bytes(32), {}, {})
    journal.append(run, encode(order))
    for seq, path in enumerate(begun, 1):
        journal.accept(run, b"W" * 8, seq, encode(Event(path, 1, State.EXECUTING, 0, {"effect": "once", "retry": 0})))
    journal.flush()


def test_what_the_child_run_that_is_gone_on_with_does_is_running(journal: Journal) -> None:
    attached = Attached(new_run_id(), in_flight={"mail"})
    assert still_running(journal, RUN, {}, attached, alone=False) == {"mail"}


def test_what_a_worker_does_that_cannot_be_reached_waits_for_it_if_its_place_is_still_there(journal: Journal) -> None:
    child_with(journal, "mail", "moved", "rows[1]/post")
    placed = {"mail": AWAY, "moved": HERE, "rows": AWAY, "rows/post": HERE}
    assert still_running(journal, RUN, placed, None, alone=True) == {"mail", "rows[1]/post"}
    assert still_running(journal, RUN, placed, None, alone=False) == set(), "a worker that can be reached says what it does"


def test_a_graph_that_is_whole_at_the_worker_is_as_doubtful_as_what_is_inside() -> None:
    placed = {"rows": AWAY, "rows/post": AWAY, "here": HERE, "here/far": AWAY, "here/far/post": AWAY, "a": AWAY}
    assert doubtful_openers(["rows[1]/post", "a"], placed) == {"rows"}
    assert doubtful_openers(["here#2/far!1/post"], placed) == {"here#2/far"}
    assert doubtful_openers(["here/far"], placed) == set()
