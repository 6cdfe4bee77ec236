"""Waiting for a comparison of what is shared with the worker: the session tells of it event by event (protocol.copies)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from graphs.errors import JournalError, LinkCondition, WorkerUnreachable
from protocol.events import Closed, Copied, CopyRefused, Differs, Event, Faulted, Synced
from protocol.gate import why_withheld
from protocol.messages import NUMBERS, Digest

__all__ = ["Comparison", "withheld"]


def withheld(runs: Mapping[bytes, Collection[str]], writer: bytes) -> list[Event]:
    """What is told of root runs that the worker did not hear of, as their labels may not go there."""
    return [
        CopyRefused(
            run,
            writer,
            "LABEL_WITHHELD",
            why_withheld(labels),
            local=True,
        )
        for run, labels in runs.items()
    ]


class Comparison:
    """One comparison, made when it begins, in the loop of its link."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._told: list[Event] = []
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def done(self) -> list[Event]:
        """What was told of it, once it is over. Raises LinkCondition if the connection is lost before, or the worker cannot do that, and JournalError
        if what comes cannot be written down.
        """
        await self._over
        return self._told

    def hear(self, event: Event) -> None:
        """What the link says meanwhile."""
        error: LinkCondition | JournalError | None = None
        if isinstance(event, (Copied, CopyRefused, Differs)):
            self._told.append(event)
        elif isinstance(event, Faulted) and event.about == NUMBERS[Digest]:
            error = LinkCondition("PROTOCOL_TYPE", f"the worker at {self._url} is of a version that cannot sync", retryable=False)
        elif isinstance(event, Faulted) and event.local and event.code == "INTERNAL":
            error = JournalError(event.text)  # nothing more is told of it
        elif isinstance(event, Closed):
            error = WorkerUnreachable(self._url, f"the connection to the worker at {self._url} was lost")
        if self._over.done():
            return
        if error is not None:
            self._over.set_exception(error)
        elif isinstance(event, Synced):
            self._over.set_result(None)
