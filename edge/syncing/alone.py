"""One process of this device at a time compares its journal with a worker's: two would be given the same records, and write them both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from edge.runs.at_work import at_work
from graphs.errors import UsageError

__all__ = ["WAITS", "AnotherSyncs", "alone"]

WAITS: Final = "Another process of this device syncs: this one waits for it.\n"

_ALL_RUNS: Final = bytes(16)
"""Stands for all of them: no run has this id."""
_PATIENCE: Final = 120.0
_SAID: Final = 2.0
_LOOK: Final = 0.05
"""Seconds: how long another process is waited for, after how many of them that is said, and how often it is looked."""


class AnotherSyncs(UsageError):
    """Another process of this device copies, and does not come to an end."""


@asynccontextmanager
async def alone(
    journal: Path, seconds: float = _PATIENCE, waits: Callable[[], object] = lambda: None, *, patient: float = _SAID
) -> AsyncIterator[None]:
    """Be the only process that copies between the journal at that path and a worker. `waits` is called, once, if another one has been waited for
    `patient` seconds. Raises AnotherSyncs if that does not end in time.
    """
    began, said = time.monotonic(), False
    with ExitStack() as working:
        while True:
            try:
                working.enter_context(at_work(journal, _ALL_RUNS))
                break
            except UsageError:
                waited = time.monotonic() - began
                if waited > patient and not said:
                    said = True
                    waits()
                if waited > seconds:
                    raise AnotherSyncs(
                        f"another process of this device has been syncing for {seconds:g} s.",
                        hint="Wait for it, or interrupt it first.",
                    ) from None
            await asyncio.sleep(_LOOK)
        yield
