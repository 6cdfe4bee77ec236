"""Cancelling a run: what a worker still does for it ends, too. A process that works on it is told to end it, and does so by itself.

Only the holder ends a run. Another store asks for it, by a record in its own log of the run; the holder does so when that has come
(docs/protocol.md §11).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from edge.ferrying.attached import open_children
from edge.runs.resting import ask_to_rest
from edge.syncing.held import require_held, resting, shared_runs
from graphs.errors import UsageError, WorkerUnreachable
from graphs.journal.ids import run_id_short, run_id_text
from graphs.records import Cancel, End, EndStatus, encode
from protocol.marks import is_marked

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["ask_to_cancel", "cancel_as_asked", "cancel_run"]


async def cancel_run(
    journal: Journal,
    run: bytes,
    *,
    url: str | None,
    token: str | None,
    connect: Callable[[str, str | None, Journal, Sequence[bytes]], Any],
) -> list[bytes]:
    """End a root run as cancelled; gives the child runs that their worker could not be told of.

    The run is over here at once, whoever can be reached (docs/protocol.md §16). Raises UsageError if this device does not hold it, JournalError.
    """
    require_held(journal, run)
    children = open_children(journal, run)
    untold: list[bytes] = []
    if children:
        try:
            if url is None:
                raise WorkerUnreachable("", "no worker is configured")
            link = await connect(url, token, journal, children)
        except WorkerUnreachable:
            untold = children
        else:
            for child in children:
                link.give_up(child, "the user cancelled the run")
            untold = [child for child in children if child in link.refused]  # another worker's
            await link.close()
    if journal.run(run).status != "cancelled":  # by the process that worked on it
        await _end(journal, run, "cancelled")
    return untold


async def ask_to_cancel(journal: Journal, run: bytes) -> None:
    """Ask whoever holds a root run to cancel it: that goes along with the next sync. No other process may work on it here. Raises UsageError if
    the run is not marked for sync.
    """
    if not is_marked(journal, run):
        raise UsageError(f"run {run_id_text(run)} is not marked for sync.", hint=f"graphferry runs mark {run_id_short(run)}")
    if not any(isinstance(logged.record, Cancel) for logged in journal.records(run, journal.store_id)):
        journal.append(run, encode(Cancel(None, "the user cancelled the run on another device")))
    await journal.barrier(full=True)


async def cancel_as_asked(journal: Journal, link: WorkerLink, attached: Collection[bytes]) -> int:
    """End the runs of this device that another store asked to cancel; how many they were. Those that a process works on it is told to end. `link` was
    opened with the child runs `attached`: a run that has others by now waits for the next time.
    """
    ended = 0
    for each in shared_runs(journal):
        if not each.standing.stopping:
            continue
        with resting(journal, each.run) as found:
            if found is None:
                ask_to_rest(journal.path, each.run, stop=True)
                continue
            if not {*found.children} <= {*attached}:
                continue  # a process left the run since the link was opened
            for child in found.children:
                if child not in link.refused:  # else it is another worker's
                    link.give_up(child, "the user cancelled the run")
            await _end(journal, each.run, "cancelled on another device")
        ended += 1
    return ended


async def _end(journal: Journal, run: bytes, why: str) -> None:
    now = int(time.time() * 1000)
    journal.append(run, encode(End(EndStatus.CANCELLED, now, {})))
    journal.finish_run(run, "cancelled", ended=now, exit_info={"why": why})
    await journal.barrier(full=True)
