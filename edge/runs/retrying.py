"""Further attempts of nodes at the worker, in a run with a budget.

A worker tries again by itself. Where something is limited it waits before each further attempt for one more START (docs/protocol.md §5), so that what
attempts used up that gave nothing is looked at before the next begins, there as here. The budget, or a person, then lets it go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphs.records import Error, Frame, Record, Result, Start as StartRecord, State, Submit

if TYPE_CHECKING:
    from edge.runs.runner import Run
    from graphs.engine.events import Settled, Start

__all__ = ["Retries"]


class Retries:
    """Which nodes wait at the worker for leave to be tried once more, and the order that gives it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._expected: dict[str, Start] = {}
        self._due: dict[str, int] = {}
        """The executions that wait there for an order, by path: which one it would be."""
        self._asked = run.guard is not None
        if run.attached is not None:  # also when nothing is limited any more: the worker waits all the same
            records = [logged.record for logged in run.device.journal.records(run.attached.run)]
            self._asked = self._asked or any(
                isinstance(each, (Submit, Frame)) and each.opts.get("retries") is True for each in records
            )
            self._due = _due(records) if self._asked else {}

    def expected(self, start: Start) -> None:
        """The engine waits for this node, for which there is room."""
        self._expected[start.path] = start
        self._go(start)

    def told(self, record: Record) -> None:
        """The worker tells of its part: of an attempt that failed, after which there may be another, among the rest."""
        if not self._asked or not isinstance(record, Error) or record.path is None or record.final:
            return
        self._due[record.path] = record.at + 1
        start = self._expected.get(record.path)
        if start is None:
            return
        guard, fallback = self._run.guard, self._run.fallback
        if guard is None or fallback is None or guard.may_go(start, self._go, fallback):
            self._go(start)

    def settled(self, event: Settled) -> None:
        """It is over here, or waits. One that is over and was not let go on is not waited with any longer there."""
        self._expected.pop(event.path, None)
        if event.state == State.SUSPENDED or self._due.pop(event.path, None) is None:
            return
        if event.start is not None and self._run.delegate is not None:
            self._run.delegate.stop(event.start, waits=True)

    def _go(self, start: Start) -> None:
        at = self._due.pop(start.path, None)
        if at is not None and self._run.delegate is not None:
            self._run.delegate.order(start.path, at)


def _due(records: list[Record]) -> dict[str, int]:
    """The executions that wait for an order by what both logs of a child run say: the n-th order lets a node fail n - 1 times."""
    orders: dict[str, int] = {}
    failed: dict[str, Error] = {}
    over = set[str]()
    for each in records:
        if isinstance(each, StartRecord):
            orders[each.path] = orders.get(each.path, 0) + 1
        elif isinstance(each, Result) or (isinstance(each, Error) and each.final and each.path is not None):
            over.add(each.path or "")
        elif isinstance(each, Error) and each.path is not None:
            failed[each.path] = max(failed.get(each.path, each), each, key=lambda error: error.retry)
    return {
        path: error.at + 1 for path, error in failed.items() if path not in over and 0 < orders.get(path, 0) < error.retry + 2
    }
