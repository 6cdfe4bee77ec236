"""Bugs that are planted in the product: the test of the test. Each has to be found within some hundred schedules."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from cloud.child import ChildRun, _ChildRecorder
from cloud.keeper import Keeper
from cloud.owner import Owner
from cloud.revival import reported
from graphs.engine.holding import holding
from graphs.engine.outcomes import Known, known_outcomes
from graphs.journal import Journal
from graphs.journal.bodies import BodyFiles
from graphs.journal.epoch import Epoch
from graphs.journal.rows import Rows
from graphs.records import Handover, Result
from graphs.running.recorder import LogRecorder
from protocol.audit import Departures
from protocol.carrier import Carrier
from protocol.journal_store import JournalStore
from protocol.link import Link, _now
from protocol.paced import Paced
from protocol.pacing import Bucket
from protocol.session import Conn
from protocol.shared import Shared
from protocol.store import BodyPart, Copy, Left

__all__ = [
    "FLEET_MUTANTS",
    "LABELLED_MUTANTS",
    "LARGE_MUTANTS",
    "LIMITED_MUTANTS",
    "MUTANTS",
    "RUN_TAKEN_MUTANTS",
    "TAKEN_OVER_MUTANTS",
    "TWO_STORES_MUTANTS",
]


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

    def forgetful(*logs: Any) -> Known:
        known = known_outcomes(*logs)
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
    """Two processes work with one store, and neither knows of the other."""
    both = ExitStack()
    both.enter_context(patch("sim.play.lease", lambda _: nullcontext()))
    both.enter_context(_epochs_of_a_store_do_not_count())
    return both


def _no_fence() -> AbstractContextManager[Any]:
    """What comes on an older connection of a device is taken as if it came on the newest."""
    whole = Conn.receive

    def receive(self: Conn, now: int, packet: bytes, number: int) -> Any:
        connection = self._state.connection
        return whole(self, now, packet, connection.number if connection is not None else number)

    def took(self: Link, carrier: Carrier, packet: Any, last: bool = False) -> None:
        if self._carrier is not None:
            self._tell(self._conn.receive(_now(), packet, self._number))
            if last:
                self.took_all(carrier)

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


# -- of workers whose store was taken over, and of several workers


def _epochs_of_a_store_do_not_count() -> AbstractContextManager[Any]:
    """A process whose store was taken over writes on."""
    return patch.object(Epoch, "over", lambda _self, _read: None)


def _who_takes_a_store_over_does_not_say_so() -> AbstractContextManager[Any]:
    """The epoch of whoever had it before stays the last one."""

    def begin(self: Epoch, _db: Any, path: Any) -> None:
        self._path, self.number = path, 0

    return patch.object(Epoch, "__init__", begin)


def _who_had_the_store_answers_devices() -> AbstractContextManager[Any]:
    """It writes nothing, but tells devices what it believes."""
    return patch.object(Journal, "require_epoch", lambda _: None)


def _another_worker_is_not_given_up() -> AbstractContextManager[Any]:
    """What a worker may still do for a run is given to another one, and the first is never told."""
    return patch("edge.ferrying.attached.give_up", lambda *_: None)


# -- of several processes of one device


def _a_run_stays_where_it_was() -> AbstractContextManager[Any]:
    """The session that a run was in goes on with it, beside the one that it came to."""

    async def claim(self: Owner, session: Any, runs: set[bytes]) -> set[bytes]:
        return set()

    return patch.object(Owner, "claim", claim)


def _what_is_there_is_no_matter() -> AbstractContextManager[Any]:
    """A process records where another one has recorded something, as if it were a copy of the same: nobody notices that he lost his run."""
    whole = Rows._insert_one_by_one

    def insert(self: Rows, rows: Any, values: Any) -> None:
        for place, row in enumerate(rows):
            size = len(values) // len(rows)
            with suppress(sqlite3.IntegrityError):
                whole(self, [row], values[place * size : (place + 1) * size])

    return patch.object(Rows, "_insert_one_by_one", insert)


def _the_end_of_a_log_is_looked_up() -> AbstractContextManager[Any]:
    """A process looks where its log ends before each record: it records behind what another process has recorded, of which it knows nothing."""
    whole = Journal.append

    def append(self: Journal, run: bytes, encoded: Any) -> int:
        with self._mutex:
            log = self._logs.get((run, self.store_id))
            if log is not None and log.durable == log.last:
                self._drop(log)
        return whole(self, run, encoded)

    return patch.object(Journal, "append", append)


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


# -- of large values, and of a worker that takes little


def _bodies_are_fetched_anew() -> AbstractContextManager[Any]:
    """What is here of a body is not looked at: after a cut it is fetched from its beginning."""
    whole = JournalStore.begin_body

    async def begin_body(self: JournalStore, run: Any, named: Any) -> tuple[int, bool]:
        have, all_of_it = await whole(self, run, named)
        return (have, True) if all_of_it else (0, False)

    return patch.object(JournalStore, "begin_body", begin_body)


def _the_checksum_of_what_came_is_lost() -> AbstractContextManager[Any]:
    """Only where a labelled value was made is known by what to look whether it is sound: nobody takes it from anybody else."""
    whole = Shared.part

    def part(self: Shared, ref: bytes, off: int, length: int) -> BodyPart | None:
        found = whole(self, ref, off, length)
        return found._replace(crc=None) if found is not None else None

    return patch.object(Shared, "part", part)


def _bodies_are_taken_unseen() -> AbstractContextManager[Any]:
    """A body counts as soon as it is as long as it should be: what a loss of power left of it, and what was lost, too."""

    def held(self: BodyFiles, scope: str, name: bytes) -> tuple[int, bool]:
        size, whole = held_before(self, scope, name)
        return size, whole or size > 2 << 16

    held_before = BodyFiles.held
    return patch.object(BodyFiles, "held", held)


def _who_was_held_up_is_never_read_again() -> AbstractContextManager[Any]:
    """The bytes of a flood are paid, and nobody notices."""
    return patch.object(Paced, "_go_on", lambda _: None)


def _who_comes_too_often_is_never_let_in_again() -> AbstractContextManager[Any]:
    """To ask costs, too: who asks again and again is never let in."""

    def allow(self: Bucket, now: float, size: int = 1) -> float:
        self.take(now, 40 * size)
        return max(0.0, -self._left / self._rate)

    return patch.object(Bucket, "allow", allow)


LARGE_MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    make.__name__.strip("_"): make for make in (_bodies_are_fetched_anew, _bodies_are_taken_unseen)
}
"""For schedules with large values; see `sim.large`."""

LIMITED_MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    make.__name__.strip("_"): make for make in (_who_was_held_up_is_never_read_again, _who_comes_too_often_is_never_let_in_again)
}
"""For schedules at a worker that takes little; see `sim.limited`."""

TAKEN_OVER_MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    make.__name__.strip("_"): make
    for make in (
        _epochs_of_a_store_do_not_count,
        _who_takes_a_store_over_does_not_say_so,
        _who_had_the_store_answers_devices,
    )
}
"""For schedules in which a worker's store is taken over; see `sim.workers`."""

TWO_STORES_MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    make.__name__.strip("_"): make for make in (_another_worker_is_not_given_up,)
}
"""For schedules with two workers."""

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

LABELLED_MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    make.__name__.strip("_"): make for make in (_the_checksum_of_what_came_is_lost,)
}
"""For schedules of several devices whose run carries labels; see `sim.labelled`."""

SIDE_BY_SIDE_MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    make.__name__.strip("_"): make for make in (_a_run_stays_where_it_was,)
}
"""For schedules of several processes of a device; see `sim.side_by_side`."""

RUN_TAKEN_MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    make.__name__.strip("_"): make
    for make in (
        _what_is_there_is_no_matter,
        _the_end_of_a_log_is_looked_up,
    )
}
"""For schedules in which a process of a device loses its run; see `sim.taken`."""

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
