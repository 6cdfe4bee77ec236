"""What an open child run has said: enough to go on with it, or the knowledge that nobody can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.ferrying.attached import Attached, go_on, open_children, usable
from graphs.errors import LinkCondition
from graphs.journal import Journal, new_run_id
from graphs.records import Cancel, Close, End, EndStatus, Error, Event, Frame, Input, Known, Result, Start, State, Submit, encode

CUT, OTHER = b"c" * 32, b"d" * 32
WORKER = b"W" * 8


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as each:
        yield each


def child_of(journal: Journal, root: bytes, orders: list[Known], reports: list[Known] = []) -> bytes:  # noqa: B006 - only read
    run = new_run_id()
    journal.create_run(run, role="child", parent=root, graph_hash=CUT, name="cut", started=0)
    for record in orders:
        journal.append(run, encode(record))
    for seq, record in enumerate(reports, 1):
        journal.accept(run, WORKER, seq, encode(record))
    journal.flush()
    return run


SUBMIT = Submit("", CUT, {"a b/c": [9, 1]}, {})


def result(path: str) -> Result:
    return Result(path, 1, 0, path, 0, {})


def executing(path: str) -> Event:
    return Event(path, 1, State.EXECUTING, 0, {"effect": "once", "retry": 0})


def test_everything_that_was_said_is_known(journal: Journal) -> None:
    orders: list[Known] = [
        SUBMIT,
        Frame("rows[1]/", OTHER, {"row": [9, 5], "rows[1]/known": [4, 6]}, {"demand": ["late"]}),
        Input("here", State.COMPLETED, 1),
        Start("first", 1),
        Close("rows[1]/"),
        Cancel(["rows[2]/"], "given up"),
    ]
    run = child_of(journal, b"r" * 16, orders, [result("first"), executing("second"), executing("third"), result("third")])
    found = usable(journal, run)
    assert found is not None
    assert found.frames == {"": CUT, "rows[1]/": OTHER}
    assert found.demand == {"": None, "rows[1]/": ["late"]}
    assert {"a b%2Fc", "here", "first", "third", "rows[1]/row", "rows[1]/known"} <= found.told
    assert "row" not in found.told, "that would be a node of the root graph"
    assert (found.ordered, found.closed, found.given_up, found.in_flight) == ({"first"}, {"rows[1]/"}, {"rows[2]/"}, {"second"})


def test_a_failure_that_was_told_is_known_until_a_result_is(journal: Journal) -> None:
    failed = [Error(path, 1, 0, "NODE_FAILED", "no", True, True) for path in ("a", "b")]
    tried = Error("c", 1, 0, "NODE_FAILED", "once more", False, True)
    found = usable(journal, child_of(journal, b"r" * 16, [SUBMIT], [*failed, tried, result("b")]))
    assert found is not None
    assert found.failed == {"a": failed[0]}


def test_what_one_node_left_for_is_not_what_a_resumed_run_goes_on_with(journal: Journal) -> None:
    """However new it is: else the run's own part would be ended for it, with all that the worker is at."""
    main = child_of(journal, b"r" * 16, [SUBMIT])
    left = child_of(journal, b"r" * 16, [Submit("", OTHER, {}, {"alone": True})])
    assert usable(journal, left) is None
    link: Any = Links()
    attached = go_on(journal, link, open_children(journal, b"r" * 16))
    assert attached is not None
    assert (attached.run, link.ended) == (main, [left])


def test_a_failed_node_is_no_reason_to_begin_anew(journal: Journal) -> None:
    failed = Error("n", 1, 0, "NODE_FAILED", "no", True, False)
    again = Error("m", 1, 0, "MODEL_OVERLOADED", "later", False, True)
    assert usable(journal, child_of(journal, b"r" * 16, [SUBMIT], [failed, again])) is not None


@pytest.mark.parametrize(
    ("orders", "reports"),
    [
        ([SUBMIT, Cancel(None, "over")], []),
        ([SUBMIT], [End(EndStatus.COMPLETED, 0, {})]),
        ([SUBMIT], [Error("n", 1, 0, "MODEL_UNKNOWN", "no such model", True, False)]),
        ([SUBMIT], [Error("n", 1, 0, "NODE_INDETERMINATE", "nobody knows", True, False)]),
        ([SUBMIT], [Error(None, 0, 0, "GRAPH_INVALID", "no", True, False)]),
        ([SUBMIT], [Event(None, 0, State.SUSPENDED, 0, {"why": "quota"})]),
        ([], []),
    ],
)
def test_what_was_ended_or_lacks_means_is_of_no_use(journal: Journal, orders: list[Known], reports: list[Known]) -> None:
    assert usable(journal, child_of(journal, b"r" * 16, orders, reports)) is None


def test_open_children_are_those_without_an_end_the_newest_first(journal: Journal) -> None:
    root = b"r" * 16
    first = child_of(journal, root, [SUBMIT])
    child_of(journal, root, [SUBMIT], [End(EndStatus.CANCELLED, 0, {})])
    last = child_of(journal, root, [SUBMIT])
    child_of(journal, b"q" * 16, [SUBMIT])
    child_of(journal, root, [])  # its process died before it said anything
    assert open_children(journal, root) == [last, first]


class Links:
    """What `go_on` asks of a link. `ended` are the child runs that the worker was told to end."""

    def __init__(self, **refused: tuple[bytes, str]) -> None:
        self.refused = {run: LinkCondition(code, "no", retryable=False) for run, code in refused.values()}
        self.ended: list[bytes] = []
        self.store = WORKER

    def give_up(self, run: bytes) -> None:
        self.ended.append(run)


def test_the_newest_child_run_is_gone_on_with_and_the_others_end(journal: Journal) -> None:
    root = new_run_id()
    old, elsewhere, new = (child_of(journal, root, [SUBMIT]) for _ in range(3))
    link: Any = Links(other=(elsewhere, "STORE_CHANGED"))
    attached = go_on(journal, link, [new, elsewhere, old])
    assert attached is not None
    assert attached.run == new
    assert link.ended == [old], "another worker's is not this one's to end"


def test_a_child_run_that_has_diverged_is_not_replaced_by_another(journal: Journal) -> None:
    root = new_run_id()
    child = child_of(journal, root, [SUBMIT])
    link: Any = Links(lost=(child, "RUN_DIVERGED"))
    with pytest.raises(LinkCondition) as caught:
        go_on(journal, link, [child])
    assert caught.value.condition == "RUN_DIVERGED"


def test_a_child_run_in_which_another_process_says_something_is_not_gone_on_with(journal: Journal) -> None:
    child = child_of(journal, new_run_id(), [SUBMIT])
    journal.flush()
    with Journal.open(journal.path) as other:
        other.append(child, encode(Close(None)))
    link: Any = Links()
    with pytest.raises(LinkCondition) as caught:
        go_on(journal, link, [child])
    assert caught.value.condition == "RUN_TAKEN"


def test_a_child_run_that_another_process_has_opened_since_is_not_gone_on_with(journal: Journal) -> None:
    """This link would hear nothing of it."""
    root = new_run_id()
    known = child_of(journal, root, [SUBMIT])
    opened = child_of(journal, root, [SUBMIT])
    link: Any = Links()
    with pytest.raises(LinkCondition) as caught:
        go_on(journal, link, [opened], known=[known])
    assert caught.value.condition == "RUN_TAKEN"
    assert link.ended == [], "it is not this process's to end"


def test_another_workers_child_run_is_replaced_although_this_one_contradicts_it(journal: Journal) -> None:
    child = child_of(journal, new_run_id(), [SUBMIT], [result("a")])
    link: Any = Links(lost=(child, "RUN_DIVERGED"))
    link.store = b"another!"
    assert go_on(journal, link, [child]) is None
    assert link.ended == []


def test_a_node_of_a_turn_after_the_one_that_was_shipped_may_have_begun() -> None:
    """A loop may be whole at the worker from a later turn on."""
    part = Attached(new_run_id())
    for name, demand in (("in/", True), ("in/#3", ["paid"])):
        part.note(Frame(name, bytes(32), {}, {"demand": demand}))
    part.note(Start("in/paid#4", 1))
    assert [part.may_have_begun(path) for path in ("in/free", "in/free#2", "in/free#3", "in/free#4", "in/free#9")] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert [part.may_have_begun(path) for path in ("in/paid#3", "in/paid#4", "in/paid#5", "out/paid#4")] == [
        False,
        True,
        False,
        False,
    ]
