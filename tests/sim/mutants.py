"""Bugs that are planted in the product: the test of the test. Each has to be found within some hundred schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from cloud.child import ChildRun, _ChildRecorder
from cloud.keeper import Keeper
from cloud.revival import reported
from graphs.engine.holding import holding
from graphs.engine.outcomes import Known, known_outcomes
from graphs.journal import Journal
from graphs.records import Handover, Result
from graphs.running.recorder import LogRecorder
from protocol.audit import Departures
from protocol.carrier import Carrier
from protocol.journal_store import JournalStore
from protocol.link import Link, _now
from protocol.session import Conn
from protocol.shared import Shared
from protocol.store import Copy, Left

__all__ = ["FLEET_MUTANTS", "MUTANTS"]


def _sent_before_it_is_durable() -> AbstractContextManager[Any]:
    """Records are queued, and called durable at once: what is acknowledged or sent may be lost again."""
    whole = JournalStore.commit

    async def commit(self: JournalStore, effects: Any) -> None:
        async def at_once(**_: Any) -> None:
            return

        with patch.object(self._journal, "barrier", at_once):
            await whole(self, effects)

    return patch.object(JournalStore, "commit", commit)


def _never_synced() -> AbstractContextManager[Any]:
    """A device's journal is written but not synced before what is in it is sent."""
    whole = Journal.barrier

    async def barrier(self: Journal, *, full: bool = False) -> None:
        await whole(self)

    return patch.object(Journal, "barrier", barrier)


def _results_are_forgotten() -> AbstractContextManager[Any]:
    """A resumed run does not know what its worker has made."""

    def forgetful(records: Any) -> Known:
        known = known_outcomes(records)
        for path in [path for path in known.outcomes if path in known.once]:
            del known.outcomes[path]
        return known

    return patch("edge.ferrying.earlier.known_outcomes", forgetful)


def _a_cancel_is_lost() -> AbstractContextManager[Any]:
    """A worker that is told that a child run is not wanted any more goes on with it."""
    whole = ChildRun._cancel

    def cancel(self: ChildRun, record: Any) -> None:
        if record.paths is not None:
            whole(self, record)

    return patch.object(ChildRun, "_cancel", cancel)


def _effects_are_repeated() -> AbstractContextManager[Any]:
    """A worker that starts anew runs nodes with effects again that were in flight."""

    def careless(records: Any) -> Known:
        known = reported(records)
        known.indeterminate.clear()
        return known

    return patch("cloud.revival.reported", careless)


def _effects_begin_at_once() -> AbstractContextManager[Any]:
    """A node with effects begins before it is on record that it does."""

    async def may_begin(_: LogRecorder) -> None:
        return

    both = ExitStack()
    for owner in (LogRecorder, _ChildRecorder):
        both.enter_context(patch.object(owner, "may_begin", may_begin))
    return both


def _no_lease() -> AbstractContextManager[Any]:
    """Two processes work with one store."""
    return patch("sim.play.lease", lambda _: nullcontext())


def _no_fence() -> AbstractContextManager[Any]:
    """What comes on an older connection of a device is taken as if it came on the newest."""
    whole = Conn.receive

    def receive(self: Conn, now: int, packet: bytes, number: int) -> Any:
        connection = self._state.connection
        return whole(self, now, packet, connection.number if connection is not None else number)

    def took(self: Link, carrier: Carrier, packet: Any) -> None:
        if self._carrier is not None:
            self._tell(self._conn.receive(_now(), packet, self._number))

    both = ExitStack()
    both.enter_context(patch.object(Conn, "receive", receive))
    both.enter_context(patch.object(Link, "took", took))
    return both


def _graphs_leave_unnoted() -> AbstractContextManager[Any]:
    """What leaves of a graph is not in the audit."""
    whole = Departures.left

    def left(self: Departures, left: Left, runs: Any = None) -> None:
        if left.kind != "graph":
            whole(self, left, runs)

    return patch.object(Departures, "left", left)


# -- of a run that moves between stores


def _who_gave_a_run_away_goes_on_with_it() -> AbstractContextManager[Any]:
    """Two holders: a device does not ask whether it holds a run."""
    return patch("edge.runs.resuming.require_held", lambda _journal, _run: None)


def _epochs_do_not_count() -> AbstractContextManager[Any]:
    """Whoever is named by a hand-over that comes last in the logs is the holder, whatever epoch that was for."""

    def naive(records: Any) -> Any:
        every = list(records)
        found = holding(every)
        given = [record for writer, record in every if isinstance(record, Handover) and record.to != writer]
        return replace(found, holder=given[-1].to) if found is not None and given else found

    both = ExitStack()
    for module in ("edge.syncing.held", "cloud.keeper"):
        both.enter_context(patch(f"{module}.holding", naive))
    return both


def _an_epoch_is_lost() -> AbstractContextManager[Any]:
    """A hand-over is written for the epoch that the giver has, as if it had not heard of the last one."""

    def late(to: bytes, epoch: int) -> Handover:
        return Handover(to, max(2, epoch - 1))

    both = ExitStack()
    for module in ("edge.syncing.handover", "cloud.keeper"):
        both.enter_context(patch(f"{module}.Handover", late))
    return both


def _sync_drops_a_record() -> AbstractContextManager[Any]:
    """A copied record is acknowledged, and was not written down."""
    whole = Shared.take

    def take(self: Shared, copy: Any, scope: str) -> bool:
        return copy.record.type != Result.TYPE and whole(self, copy, scope)

    return patch.object(Shared, "take", take)


def _a_worker_does_not_wait_for_its_part() -> AbstractContextManager[Any]:
    """A worker that was given a run begins with it although a child run of it goes on there."""
    see_to = Keeper._see_to

    async def at_once(self: Keeper, run: bytes) -> None:
        with patch.object(self._journal, "children", lambda _run: []):
            await see_to(self, run)

    return patch.object(Keeper, "_see_to", at_once)


def _copies_are_not_durable() -> AbstractContextManager[Any]:
    """A copied record is acknowledged before it survives a loss of power."""
    whole = JournalStore.commit

    async def commit(self: JournalStore, effects: Any) -> None:
        if not any(isinstance(effect, Copy) for effect in effects):
            await whole(self, effects)
            return

        async def at_once(**_: Any) -> None:
            return

        with patch.object(self._journal, "barrier", at_once):
            await whole(self, effects)

    return patch.object(JournalStore, "commit", commit)


FLEET_MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    make.__name__.strip("_"): make
    for make in (
        _who_gave_a_run_away_goes_on_with_it,
        _epochs_do_not_count,
        _an_epoch_is_lost,
        _sync_drops_a_record,
        _a_worker_does_not_wait_for_its_part,
        _copies_are_not_durable,
    )
}
"""For schedules of several devices; see `sim.fleet`."""

MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    make.__name__.strip("_"): make
    for make in (
        _sent_before_it_is_durable,
        _never_synced,
        _results_are_forgotten,
        _a_cancel_is_lost,
        _effects_are_repeated,
        _effects_begin_at_once,
        _no_lease,
        _no_fence,
        _graphs_leave_unnoted,
    )
}
