"""Nodes with effects that were in flight, as a resumed run sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.ferrying.attached import Attached, usable
from edge.ferrying.doubt import doubtful_openers, made_again, still_running
from edge.placing.facts import Placement
from graphs.engine.events import Outcome
from graphs.engine.outcomes import Known
from graphs.errors import LinkCondition, ValueUnsupported, WorkerUnreachable
from graphs.journal import Journal, new_run_id
from graphs.records import Event, Known as Recordable, State, Submit, encode

AWAY, HERE = Placement("cloud", "its place"), Placement("edge", "its place")
RUN = b"r" * 16


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as each:
        yield each


def child_with(journal: Journal, *begun: str) -> bytes:
    """An open child run in which these nodes with effects have begun."""
    run = new_run_id()
    journal.create_run(run, role="child", parent=RUN, graph_hash=bytes(32), name="cut", started=0)
    order: Recordable = Submit("", bytes(32), {}, {})
    journal.append(run, encode(order))
    for seq, path in enumerate(begun, 1):
        journal.accept(run, b"W" * 8, seq, encode(Event(path, 1, State.EXECUTING, 0, {"effect": "once", "retry": 0})))
    journal.flush()
    return run


def test_what_the_child_run_that_is_gone_on_with_does_is_running(journal: Journal) -> None:
    attached = Attached(new_run_id(), in_flight={"mail"})
    assert still_running(journal, RUN, {}, attached, alone=False) == {"mail"}


def test_what_began_there_since_it_was_found_is_running_too(journal: Journal) -> None:
    run = child_with(journal, "mail")
    attached = usable(journal, run)
    assert attached is not None
    journal.accept(run, b"W" * 8, 2, encode(Event("paid", 1, State.EXECUTING, 0, {"effect": "once", "retry": 0})))
    journal.flush()
    assert still_running(journal, RUN, {}, attached, alone=False) == {"mail", "paid"}


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


GONE = LinkCondition("BLOB_GONE", "gone")
PLACED = {"rows": AWAY, "rows/post": AWAY, "open": HERE, "open/post": AWAY, "far": AWAY, "near": HERE}


@pytest.mark.parametrize("error", [GONE, ValueUnsupported("junk")])
def test_what_the_worker_told_and_has_lost_it_makes_again_in_another_child_run(error: LinkCondition | ValueUnsupported) -> None:
    for path in ("far", "open/post"):
        known = Known(indeterminate={path})
        assert made_again({path: error}, known, PLACED, Attached(RUN))
        assert not made_again({path: error}, known, PLACED, None), "there is none to give up"
        assert known.indeterminate == {path}
    assert not made_again({"near": error}, Known(), PLACED, Attached(RUN)), "this device makes it"


def test_what_nobody_will_ask_for_is_no_matter() -> None:
    known = Known(outcomes={"rows": Outcome(State.COMPLETED)}, indeterminate={"rows[1]/post"})
    assert not made_again({"rows[1]/post": GONE}, known, PLACED, Attached(RUN))
    assert known.indeterminate == set()


def test_what_is_inside_of_what_the_worker_goes_on_with_waits_for_it_and_is_in_doubt_without_it() -> None:
    known, attached = Known(indeterminate={"rows[1]/post"}), Attached(RUN)
    assert not made_again({"rows[1]/post": GONE}, known, PLACED, attached)
    assert attached.in_flight == {"rows[1]/post"}, "no other child run may do it again"
    known, attached = Known(indeterminate={"rows[1]/post", "far"}), Attached(RUN)
    assert made_again({"rows[1]/post": GONE, "far": GONE}, known, PLACED, attached), "it goes on with nothing"
    assert (attached.in_flight, known.indeterminate) == (set(), {"rows[1]/post", "far"})


@pytest.mark.parametrize("error", [WorkerUnreachable("", "lost"), LinkCondition("LABEL_WITHHELD", "not for you")])
def test_what_the_worker_has_and_does_not_give_waits(error: LinkCondition) -> None:
    known, attached = Known(indeterminate={"far"}), Attached(RUN)
    assert not made_again({"far": error, "near": GONE}, known, PLACED, attached)
    assert (attached.in_flight, attached.withheld) == ({"far"}, {"far": error})


def test_nobody_is_asked_about_a_result_that_is_at_a_worker_out_of_reach() -> None:
    known = Known(indeterminate={"far", "near"})
    lost = WorkerUnreachable("", "no worker is configured")
    assert not made_again({"far": lost, "near": lost}, known, PLACED, None)
    assert known.indeterminate == {"near"}, "its place is here now: it may not be done again"
