"""What a worker's process finds of child runs that an earlier one left open."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from cloud.revival import drop_damaged_graphs, left_open, reported
from cloud.server import WorkerServer
from cloud.worker import Worker
from graphs.journal import Journal, new_run_id
from graphs.journal.reader import graph_address
from graphs.loadagents import known_agents
from graphs.models.scripted import ScriptedModels
from graphs.records import Cancel, End, EndStatus, Error, Event, Input, Known, Record, Result, State, Submit, encode
from graphs.values import canonical
from protocol.journal_store import child_name
from protocol.payload import blobref

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
        Error("full", 1, 0, "QUOTA", "no room", True, False),
        Error("was full", 1, 0, "QUOTA", "no room", True, False),
        Result("was full", 2, 0, 5, 0, {}),
    ]
    known = reported(records)
    states = {path: outcome.state for path, outcome in known.outcomes.items()}
    assert states == {"done": State.COMPLETED, "was full": State.COMPLETED, "failed": State.FAILED, "late": State.TIMED_OUT}
    assert {path: error.condition for path, error in known.withheld.items()} == {"full": "QUOTA"}
    assert str(known.outcomes["failed"].error) == "no"
    assert (known.indeterminate, known.begun["again"]) == ({"running", "asked"}, 1)


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
        assert (set(found.known.outcomes), set(found.known.withheld)) == ({"n"}, {"rows[1]/"})
        assert found.broken == {"rows[1]/"}
        journal.append(run, encode(End(EndStatus.COMPLETED, 0, {})))


def test_what_has_ended_is_not_gone_on_with_whatever_its_row_says(tmp_path: Path) -> None:
    """The END was committed, and then the disk was full."""

    async def main() -> None:
        with Journal.open(tmp_path / "journal.db") as journal:
            ended, running = new_run_id(), new_run_id()
            for run in (ended, running):
                journal.create_run(run, role="child", graph_hash=b"c" * 32, name=child_name(b"D" * 16), started=0)
                journal.accept(run, OWNER, 1, encode(Submit("", b"c" * 32, {}, {})))
            journal.accept(ended, OWNER, 2, encode(Cancel(None, "enough")))
            journal.append(ended, encode(End(EndStatus.CANCELLED, 7, {})))
            journal.flush()
            worker = Worker(journal, known_agents(), ScriptedModels())
            server = WorkerServer(worker)
            await server.start()
            assert worker.running == 1
            assert (journal.run(ended).status, journal.run(ended).ended) == ("cancelled", 7)
            assert journal.run(running).status == "running"
            await server.stop()
            assert journal.have(ended) == 1, "nothing follows END"

    asyncio.run(main())


def test_a_damaged_graph_counts_as_missing(tmp_path: Path) -> None:
    body, other = (canonical({"version": 0.5, "nodes": {"n": {"agent": name}}}) for name in ("copyAgent", "sleeperAgent"))
    with Journal.open(tmp_path / "journal.db") as journal:
        for each in (body, other):
            journal.put_graph(graph_address(each), each)
        journal.flush()
        with sqlite3.connect(journal.path) as db:
            db.execute("UPDATE graphs SET body = ? WHERE hash = ?", (body + b"x", graph_address(body)))
        drop_damaged_graphs(journal)
        assert journal.graph(graph_address(body)) is None
        assert journal.graph(graph_address(other)) is not None
        journal.put_graph(graph_address(body), body)
        journal.flush()
        assert journal.graph(graph_address(body)) is not None


@pytest.mark.parametrize("whose", [OWNER, None], ids=["an order", "a report"])
def test_a_run_that_cannot_be_read_keeps_no_other_waiting(
    tmp_path: Path, whose: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        with Journal.open(tmp_path / "journal.db") as journal:
            damaged, sound = new_run_id(), new_run_id()
            for run in (damaged, sound):
                journal.create_run(run, role="child", graph_hash=b"c" * 32, name=child_name(b"D" * 16), started=0)
                journal.accept(run, OWNER, 1, encode(Submit("", b"c" * 32, {}, {})))
                journal.append(run, encode(Result("n", 1, 0, 1, 0, {})))
            journal.flush()
            log = "(SELECT id FROM logs WHERE run = ? AND writer = ?)"
            with sqlite3.connect(journal.path) as db:
                db.execute(f"UPDATE records SET chk = chk + 1 WHERE id >> 32 = {log}", (damaged, whose or journal.store_id))
            worker = Worker(journal, known_agents(), ScriptedModels())
            server = WorkerServer(worker)
            await server.start()
            assert worker.running == 1
            journal.flush()
            assert [journal.run(run).status for run in (damaged, sound)] == ["diverged", "running"]
            await server.stop()

    asyncio.run(main())
    assert "nothing more is done for run" in caplog.text


@pytest.mark.parametrize(
    "left",
    [
        [Submit("", b"c" * 32, {"s": [9, blobref(b"s" * 32, 70_000)]}, {"gone": ["cancel", 0]})],
        [Submit("", b"c" * 32, {}, {"gone": ["cancel", 0]}), Error(None, 0, 0, "LIMIT_REACHED", "too many turns", True, False)],
        [Submit("", b"c" * 32, {}, {"gone": ["cancel", 0]})],
    ],
    ids=["its values never came", "it was found unable to run", "its graph never came"],
)
def test_what_a_device_that_never_comes_back_left_open_ends(tmp_path: Path, left: list[Known]) -> None:
    async def main() -> None:
        with Journal.open(tmp_path / "journal.db") as journal:
            run = new_run_id()
            journal.create_run(run, role="child", graph_hash=b"c" * 32, name=child_name(b"D" * 16), started=0)
            for record in left:
                if isinstance(record, Submit):
                    journal.accept(run, OWNER, 1, encode(record))
                else:
                    journal.append(run, encode(record))
            journal.flush()
            grew, loop = asyncio.Event(), asyncio.get_running_loop()

            def tell(_: object) -> None:
                loop.call_soon_threadsafe(grew.set)

            journal.on_durable(tell)
            server = WorkerServer(Worker(journal, known_agents(), ScriptedModels()))
            await server.start()
            async with asyncio.timeout(120):
                while journal.run(run).status == "running":
                    await grew.wait()
                    grew.clear()
            assert journal.run(run).status == "cancelled"
            await server.stop()

    asyncio.run(main())
