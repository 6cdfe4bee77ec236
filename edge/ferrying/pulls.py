"""Values that somebody waits for, until they are there or the worker is not waited for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from graphs.errors import LinkCondition
from graphs.values import Value

__all__ = ["Pulls"]


class Pulls:
    """All that is waited for over one link."""

    def __init__(self) -> None:
        self._pulling: list[asyncio.Future[Value]] = []

    async def wait(self, coming: Coroutine[Any, Any, Value], gone: Callable[[], LinkCondition | None]) -> Value:
        """The value that is coming. Raises what it raises, or what `gone` gives once all this was stopped."""
        pulling = asyncio.ensure_future(coming)
        self._pulling.append(pulling)
        try:
            await asyncio.wait([pulling])
            if pulling.cancelled() and (condition := gone()) is not None:
                raise condition
            return pulling.result()
        finally:
            self._pulling.remove(pulling)
            pulling.cancel()

    def stop(self) -> None:
        """Wait for none of them any more."""
        for pulling in self._pulling:
            pulling.cancel()
