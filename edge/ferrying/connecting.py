"""Opens the link to a worker."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from edge.config import GRACE
from edge.ferrying.worker import WorkerLink
from edge.privacy.clearance import NOWHERE, Clearance

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["connect_worker"]


async def connect_worker(
    url: str,
    *,
    token: str | None,
    journal: Journal,
    pinned: str | None = None,
    grace: float = GRACE,
    runs: Collection[bytes] = (),
    rate: int | None = None,
    held: str | None = None,
    clearance: Clearance = NOWHERE,
) -> WorkerLink:
    """An open link to the worker at `url`; `pinned` is the fingerprint of its certificate, `runs` are child runs to go on with, `rate` and `held`
    as in `WorkerLink.restrain`, `clearance` says what may go there. Raises WorkerUnreachable, UsageError for what is no link URL.
    """
    worker = WorkerLink(url, grace=grace, clearance=clearance)
    await worker.open(token, journal, runs, pinned)
    worker.restrain(rate, held)
    return worker
