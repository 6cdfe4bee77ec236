"""Handing a run over: to the worker, which goes on with it while this device is away, and back, or on to another device of the account.

Only the holder gives a run away, by a record in its own log that is durable before anybody hears of it; from then on it does nothing more for
the run. A holder that is silent keeps it (docs/protocol.md §11).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from edge.ferrying.attached import open_children
from edge.runs.at_work import at_work, is_at_work
from edge.runs.resting import ask_to_rest, relieving
from edge.syncing.held import holding_of, require_held
from edge.syncing.sharing import labels_of
from graphs.engine.holding import Holding
from graphs.errors import JournalError, LinkCondition, UsageError
from graphs.journal.ids import run_id_short, run_id_text
from graphs.records import Cancel, Close, Handover, encode
from protocol.events import CopyRefused
from protocol.run_log import lighten_run
from protocol.shared import is_marked, mark

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["Connect", "HolderSilent", "ask_for", "give_to_askers", "push"]

Connect = Callable[[Sequence[bytes]], Awaitable[Any]]
"""Opens the link to the worker, with these child runs to go on with."""

_PATIENCE: Final = 10.0
_LOOK: Final = 0.1
"""Seconds: how long a holder is waited for, and how often it is looked whether it gave."""


class HolderSilent(UsageError):
    """The store that holds a run was asked for it, and did not give it in time: it is away, or works on it. Nobody takes it from there."""


async def push(
    journal: Journal, run: bytes, connect: Connect, *, hand_over: bool, told: Callable[[], object] = lambda: None
) -> None:
    """Give the worker a copy of a run, and with `hand_over` the run itself. The run is marked for sync. A process of this device that works on the
    run is asked to let go of it, and waited for; `told` is called then.

    Raises UsageError if this device does not hold it, or the process does not let go, LinkCondition if the worker does not take it; then it is
    not handed over.
    """
    mark(journal, run)
    await journal.barrier(full=True)
    if not is_at_work(journal.path, run):
        with at_work(journal.path, run):
            lighten_run(journal, run, labels_of(journal, run))  # it may have been marked just now
    if not hand_over:
        link: WorkerLink = await connect(())
        try:
            await _copy(link, run)
        finally:
            await link.close()
        return
    async with relieving(journal.path, run, told=told):
        standing = require_held(journal, run)
        if standing.over:
            raise UsageError(f"run {run_id_text(run)} came to its end here: there is nothing to go on with")
        children = open_children(journal, run)
        link = await connect(children)
        link.release(children)
        try:
            await link.caught_up()
            await _copy(link, run)  # what the worker does not take it does not get
            await _close_parts(journal, link, children)
            await _give(journal, run, standing, link.store)
            await _copy(link, run)
        finally:
            await link.close()


async def ask_for(journal: Journal, name: str, connect: Connect, seconds: float | None = None) -> bytes:
    """Have a run here that the worker holds, or another device that is there: its id, once this device holds it. `name` is its id or the beginning.

    Raises HolderSilent if its holder does not give it in time, UsageError, LinkCondition.
    """
    link: WorkerLink = await connect(())
    try:
        await link.compare()
        run = journal.run(name).run
        standing = holding_of(journal, run)
        if standing.over:
            raise UsageError(f"run {run_id_text(run)} is over.", hint=f"Look at it: graphferry runs show {run_id_short(run)}")
        if not is_marked(journal, run):
            raise UsageError(f"run {run_id_text(run)} is not marked for sync.", hint=f"graphferry runs mark {run_id_short(run)}")
        seconds = _PATIENCE if seconds is None else seconds
        end = time.monotonic() + seconds
        asked = 0
        while standing.holder != journal.store_id:
            if asked != standing.epoch:  # whoever got it instead is asked in its turn
                asked = standing.epoch
                journal.append(run, encode(Handover(journal.store_id, standing.epoch + 1)))
                await journal.barrier(full=True)
            elif time.monotonic() > end:
                raise HolderSilent(
                    f"run {run_id_text(run)} is held by the store {standing.holder.hex()}, which did not hand it over within "
                    f"{seconds:g} s: it is away, or still works on it.",
                    hint="It was asked, and gives the run when it syncs. --force makes a copy with an id of its own.",
                )
            else:
                await asyncio.sleep(_LOOK)
            await _copy(link, run)
            standing = holding_of(journal, run)
        return run
    finally:
        await link.close()


async def give_to_askers(journal: Journal) -> int:
    """Hand over the runs of this device that rest here and that another store asked for; how many they were. A process that works on one of them
    is asked to let go of it, for the next time.
    """
    given = 0
    for row in journal.runs(role="root"):
        if row.status not in ("running", "suspended", "failed") or not is_marked(journal, row.run):
            continue
        try:
            standing, children = holding_of(journal, row.run), open_children(journal, row.run)
        except JournalError:
            continue  # it is damaged, or its beginning is still to come
        if standing.holder != journal.store_id or not standing.asking or _still_wants(journal, row.run):
            continue
        if is_at_work(journal.path, row.run):
            ask_to_rest(journal.path, row.run)
        elif not children:
            with at_work(journal.path, row.run):
                await _give(journal, row.run, standing, standing.asking[0])
            given += 1
    return given


def _still_wants(journal: Journal, run: bytes) -> bool:
    """Whether this device asked for the run, and has done nothing with it yet: else two that ask would pass it to and fro."""
    last = None
    for logged in journal.records(run, journal.store_id):
        last = logged.record
    return isinstance(last, Handover) and last.to == journal.store_id


async def _give(journal: Journal, run: bytes, standing: Holding, to: bytes) -> None:
    journal.append(run, encode(Handover(to, standing.epoch + 1)))
    why = f"handed over to the store {to.hex()}"
    journal.finish_run(run, "suspended", ended=int(time.time() * 1000), exit_info={"why": why, "waits": False})
    await journal.barrier(full=True)


async def _close_parts(journal: Journal, link: WorkerLink, children: list[bytes]) -> None:
    """The worker finishes what it does for the run and has all it needs for; nothing more will come from here."""
    for child in children:
        if child in link.refused:
            raise UsageError(
                "a part of this run is still at another worker.",
                hint="Sync with that one first, or end it: graphferry runs cancel.",
            )
    for child in children:
        records = [logged.record for logged in journal.records(child, journal.store_id)]
        if not any(
            isinstance(each, (Close, Cancel)) and (each.frame if isinstance(each, Close) else each.paths) is None
            for each in records
        ):
            link.append(child, Close(None))
    await link.delivered(children)


async def _copy(link: WorkerLink, run: bytes) -> None:
    for event in await link.compare():
        if isinstance(event, CopyRefused) and event.run == run:
            raise LinkCondition(event.code, f"The worker does not get this run: {event.text}.", retryable=False)
