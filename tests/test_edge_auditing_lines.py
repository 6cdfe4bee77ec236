"""The lines of an audit, put together from a journal that was written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.auditing.lines import audit_of
from graphs.journal import Journal, new_run_id
from graphs.records import Answer, Close, Frame, Input, Start, State, Submit, encode
from protocol.audit import Departures
from protocol.payload import blobref
from protocol.store import Left

WORKER = b"worker-1"
URL = "wss://w/v1/link"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def begun(journal: Journal) -> tuple[bytes, bytes]:
    root, child = new_run_id(), new_run_id()
    journal.create_run(root, role="root", graph_hash=bytes(32), name="g", started=1_000)
    journal.create_run(child, role="child", parent=root, graph_hash=bytes(32), name="cut", started=2_000)
    return root, child


def test_records_have_the_time_of_the_mark_before_them_and_are_confirmed_as_far_as_the_worker_said(journal: Journal) -> None:
    root, child = begun(journal)
    told = Departures(journal, URL, clock=iter([5.0] * 2 + [9.0] * 9).__next__)
    records: list[Any] = [
        Submit("", bytes(32), {"s": [State.INJECTED, "x"], "b": [State.COMPLETED, 1]}, {"options": {"strict": True}}),
        Start("n", 1),
        Input("m", State.COMPLETED, [1, 2]),
        Frame("f/", bytes(32), {"s": [State.INJECTED, 1]}, {}),
        Answer("q", 1, {"approved": True}),
        Close(None),
    ]
    for seq, record in enumerate(records, 1):
        journal.append(child, encode(record))
        if seq in (1, 4):
            told.wrote({child: seq})
    told.taken(child, 4)
    told.over(child)
    journal.flush()
    audit = audit_of(journal, root)
    assert [(each.t, each.kind, each.path, each.confirmed) for each in audit.lines] == [
        (5_000, "input", "s", True),
        (5_000, "boundary", "b", True),
        (5_000, "options", "", True),
        (5_000, "boundary", "m", True),
        (9_000, "input", "f/s", True),
        (9_000, "answer", "q", False),
    ]
    assert all(each.within == 1_000 and each.to == {"worker": URL} for each in audit.lines)
    assert audit.orders == 2


def test_a_worker_that_answered_has_the_order(journal: Journal) -> None:
    root, child = begun(journal)
    journal.append(child, encode(Submit("", bytes(32), {"s": [State.INJECTED, 1]}, {})))
    journal.flush()
    assert [each.confirmed for each in audit_of(journal, root).lines] == [False]
    journal.accept(child, WORKER, 1, encode(Close(None)))
    journal.flush()
    (line,) = audit_of(journal, root).lines
    assert line.confirmed


def test_a_body_that_was_only_named_says_so_and_one_that_was_fetched_has_its_own_line(journal: Journal) -> None:
    root, child = begun(journal)
    told = Departures(journal, URL, clock=lambda: 7.0)
    journal.append(child, encode(Submit("", bytes(32), {}, {})))
    for number, name in enumerate((b"f" * 32, b"n" * 32)):
        journal.append(child, encode(Input(f"node{number}", State.COMPLETED, blobref(name, 70_000))))
    told.wrote({child: 1})
    told.left(Left(b"", "body", (), size=70_000, ref=b"f" * 32), [child])
    journal.flush()
    assert [(each.path, each.size, each.confirmed, "not fetched" in each.why) for each in audit_of(journal, root).lines] == [
        ("node0", 70_000, None, False),
        ("node1", 70_000, False, True),
    ]


def test_a_labelled_record_says_why(journal: Journal) -> None:
    root, child = begun(journal)
    told = Departures(journal, URL, why=lambda labels: f"line of {', '.join(labels)}", clock=lambda: 7.0)
    journal.append(child, encode(Submit("", bytes(32), {"s": [State.INJECTED, 1]}, {})))
    told.wrote({child: 1})
    told.left(Left(child, "record", ("pii",), 1))
    journal.flush()
    (line,) = audit_of(journal, root).lines
    assert (line.labels, line.why) == (("pii",), "line of pii")
    assert line.as_json()["labels"] == ["pii"]
