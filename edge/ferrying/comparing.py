"""Waiting for a comparison of what is shared with the worker: the session tells of it event by event (protocol.copies)."""

from __future__ import annotations

import asyncio

from graphs.errors import LinkCondition, WorkerUnreachable
from protocol.events import Closed, Copied, CopyRefused, Differs, Event, Faulted, Synced
from protocol.messages import NUMBERS, Digest

__all__ = ["Comparison"]


class Comparison:
    """One comparison, made when it begins, in the loop of its link."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._told: list[Event] = []
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def done(self) -> list[Event]:
        """What was told of it, once it is over. Raises LinkCondition if the connection is lost before, or the worker cannot do that."""
        await self._over
        return self._told

    def hear(self, event: Event) -> None:
        """What the link says meanwhile."""
        error: LinkCondition | None = None
        if isinstance(event, (Copied, CopyRefused, Differs)):
            self._told.append(event)
        elif isinstance(event, Faulted) and event.about == NUMBERS[Digest]:
            error = LinkCondition("PROTOCOL_TYPE", f"the worker at {self._url} is of a version that cannot sync", retryable=False)
        elif isinstance(event, Closed):
            error = WorkerUnreachable(self._url, f"the connection to the worker at {self._url} was lost")
        if self._over.done():
            return
        if error is not None:
            self._over.set_exception(error)
        elif isinstance(event, Synced):
            self._over.set_result(None)
