"""Telling the worker at once what was added to a run that another store holds: an answer, for which somebody may be waiting there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from edge.syncing.alone import alone
from edge.syncing.handover import Connect, copy_run
from edge.syncing.held import holding_of
from graphs.errors import UsageError, WorkerUnreachable
from graphs.journal.ids import run_id_short, run_id_text
from protocol.marks import is_marked

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["Heard", "tell"]

Heard: TypeAlias = Literal["here", "worker", "device"]
"""Who holds the run, as far as is known after the worker was told: this device, the worker, or another device, which hears of it when it syncs."""

_PATIENCE: Final = 10.0
"""Seconds: a person looks on."""


async def tell(journal: Journal, run: bytes, connect: Connect, seconds: float | None = None) -> Heard:
    """Give the worker all that it lacks of a run that is marked for sync; who holds the run then. What it has of shared runs comes in, too.

    Raises LinkCondition if it does not take it, WorkerUnreachable also if that takes too long, since another process syncs for instance; then the
    next sync tells it. UsageError if the run is not marked: then no sync does.
    """
    if not is_marked(journal, run):
        short = run_id_short(run)
        raise UsageError(f"run {run_id_text(run)} is not marked for sync.", hint=f"graphferry runs mark {short}")
    patience = _PATIENCE if seconds is None else seconds
    try:
        async with asyncio.timeout(patience):
            async with alone(journal.path):
                link: WorkerLink = await connect(())
                try:
                    await copy_run(journal, link, run)
                    holder = holding_of(journal, run).holder
                    return "here" if holder == journal.store_id else "worker" if holder == link.store else "device"
                finally:
                    await link.close()
    except TimeoutError:
        raise WorkerUnreachable("", f"the worker was not told within {patience:g} s") from None
