"""Cancelling a run that no process works on any more: what a worker still does for it ends, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edge.ferrying.attached import open_children
from edge.syncing.held import require_held
from graphs.errors import WorkerUnreachable
from graphs.records import End, EndStatus, encode

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["cancel_run"]


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
    now = int(time.time() * 1000)
    journal.append(run, encode(End(EndStatus.CANCELLED, now, {})))
    journal.finish_run(run, "cancelled", ended=now, exit_info={"why": "cancelled"})
    await journal.barrier(full=True)
    return untold
