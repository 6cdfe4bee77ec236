"""What a worker's process finds of child runs that an earlier one left open, so that it goes on with them (docs/protocol.md §10)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphs.engine.outcomes import NODE_CODES, Known, known_outcomes, told_condition, told_failure
from graphs.errors import JournalError
from graphs.journal.ids import run_id_text
from graphs.records import End, EndStatus, Error, Record, Submit

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["LeftOpen", "drop_damaged_graphs", "finish_ended", "left_open", "reported", "set_down"]

_log = logging.getLogger("graphferry.link")


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """An open child run: the orders of its owner, the first of them its SUBMIT, and what this store has reported.

    `broken` are the frames that were found unable to run, "" for the first or for all.
    """

    run: bytes
    submit: Submit
    orders: list[Record]
    known: Known
    broken: frozenset[str]


def set_down(journal: Journal, run: bytes, error: JournalError) -> None:
    """Of a child run whose records cannot be read any more nothing more is done, and no other run is kept waiting for it: its device hears that the
    copies contradict each other, and has what it was told.
    """
    _log.warning("nothing more is done for run %s: %s", run_id_text(run), error.message)
    journal.finish_run(run, "diverged", ended=int(time.time() * 1000), exit_info={"why": error.message})


def drop_damaged_graphs(journal: Journal) -> None:
    """Graphs that are not what they were stored as count as missing: devices have them, and are asked. Blocks."""
    for address in journal.damaged_graphs():
        _log.warning("graph %s is damaged, and is asked for again when it is needed", address.hex())
        journal.drop_graph(address)
    journal.flush()


def finish_ended(journal: Journal) -> None:
    """Let the rows of child runs say what their logs do: a process that died, or a disk that was full, between two commits leaves an END in a run
    that counts as running. Blocks.
    """
    for row in journal.runs(role="child", status="running"):
        last: Record | None = None
        try:
            for logged in journal.records(row.run, journal.store_id):
                last = logged.record
        except JournalError as error:
            set_down(journal, row.run, error)
            continue
        if isinstance(last, End):
            journal.finish_run(row.run, EndStatus(last.status).name.lower(), ended=last.t)
    journal.flush()


def left_open(journal: Journal, run: bytes) -> LeftOpen | None:
    """What is to be known to go on with a child run; None if its SUBMIT is not here, or if it cannot be read: then it is `set_down`."""
    try:
        logged = list(journal.records(run))
    except JournalError as error:
        set_down(journal, run, error)
        return None
    orders = [each.record for each in logged if each.writer != journal.store_id]
    if not orders or not isinstance(orders[0], Submit):
        return None
    own = [each.record for each in logged if each.writer == journal.store_id]
    broken = {
        each.path or "" for each in own if isinstance(each, Error) and each.final and (not each.path or each.path.endswith("/"))
    }
    return LeftOpen(run, orders[0], orders, reported(own), frozenset(broken))


def reported(records: Iterable[Record]) -> Known:
    """What the reports of a child run say is known: failures that are final among them, since its owner was told and decides.

    A condition of the link is no failure: it would become one of the node whose nested graph it is in. Its node waits as it did before.
    """
    records = list(records)
    known = known_outcomes(records)
    for record in records:
        if not isinstance(record, Error) or not record.final or record.path is None or record.code == "NODE_INDETERMINATE":
            continue
        if record.path in known.outcomes:
            continue
        if record.code in NODE_CODES:
            known.outcomes[record.path] = told_failure(record)
        else:
            known.withheld[record.path] = told_condition(record)
    known.indeterminate -= set(known.outcomes)
    return known
