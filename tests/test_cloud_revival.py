"""What a worker's process finds of child runs that an earlier one left open."""

from __future__ import annotations

from pathlib import Path

from cloud.revival import left_open, reported
from graphs.journal import Journal, new_run_id
from graphs.records import End, EndStatus, Error, Event, Input, Known, Record, Result, State, Submit, encode

OWNER = b"D" * 8


def test_what_was_reported_is_known_failures_among_it() -> None:
    records: list[Record] = [
        Result("done", 1, 0, 5, 0, {}),
        Error("failed", 2, 1, "NODE_FAILED", "no", True, False),
        Error("late", 1, 0, "NODE_TIMEOUT", "Timeout", True, True),
        Error("again", 1, 0, "NODE_FAILED", "no", False, True),
        Event("running", 1, State.EXECUTING, 0, {"effect": "once"}),
        Event("asked", 1, State.EXECUTING, 0, {"effect": "once"}),
        Error("asked", 1, 0, "NODE_INDETERMINATE", "nobody knows", True, False),
    ]
    known = reported(records)
    states = {path: outcome.state for path, outcome in known.outcomes.items()}
    assert states == {"done": State.COMPLETED, "failed": State.FAILED, "late": State.TIMED_OUT, "asked": State.FAILED}
    assert str(known.outcomes["failed"].error) == "no"
    assert (known.indeterminate, known.begun["again"]) == ({"running"}, 1)


def test_orders_and_reports_are_told_apart_by_their_writers(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        run = new_run_id()
        journal.create_run(run, role="child", graph_hash=b"c" * 32, name="cut of device 00", started=0)
        assert left_open(journal, run) is None, "its SUBMIT never came"
        orders: list[Known] = [Submit("", b"c" * 32, {}, {}), Input("here", State.COMPLETED, 1)]
        for seq, record in enumerate(orders, 1):
            journal.accept(run, OWNER, seq, encode(record))
        for own in (Result("n", 1, 0, 1, 0, {}), Error("rows[1]/", 0, 0, "AGENT_UNKNOWN", "no", True, False)):
            journal.append(run, encode(own))
        journal.flush()
        found = left_open(journal, run)
        assert found is not None
        assert (found.submit, found.orders) == (orders[0], orders)
        assert set(found.known.outcomes) == {"n", "rows[1]/"}
        assert found.broken == {"rows[1]/"}
        journal.append(run, encode(End(EndStatus.COMPLETED, 0, {})))
