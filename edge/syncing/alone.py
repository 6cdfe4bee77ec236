"""One process of this device at a time compares its journal with a worker's: two would be given the same records, and write them both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from edge.runs.at_work import at_work
from graphs.errors import UsageError

__all__ = ["AnotherSyncs", "alone"]

_ALL_RUNS: Final = bytes(16)
"""Stands for all of them: no run has this id."""
_PATIENCE: Final = 120.0
_LOOK: Final = 0.05
"""Seconds: how long another process is waited for, and how often it is looked."""


class AnotherSyncs(UsageError):
    """Another process of this device copies, and does not come to an end."""


@asynccontextmanager
async def alone(journal: Path, seconds: float = _PATIENCE) -> AsyncIterator[None]:
    """Be the only process that copies between the journal at that path and a worker. Raises AnotherSyncs if another one does not end in time."""
    end = time.monotonic() + seconds
    with ExitStack() as working:
        while True:
            try:
                working.enter_context(at_work(journal, _ALL_RUNS))
                break
            except UsageError:
                if time.monotonic() > end:
                    raise AnotherSyncs(
                        f"another process of this device has been syncing for {seconds:g} s.",
                        hint="Wait for it, or interrupt it first.",
                    ) from None
            await asyncio.sleep(_LOOK)
        yield
