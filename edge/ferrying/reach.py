"""Whether the worker of a link is there: reached, lost just now, away for the time being, or given up.

A connection that is lost is made again by the link below. For a while that is only waited for; then the worker counts as away until it is
reached again. Those who hold child runs there are told, and decide what becomes of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from graphs.errors import LinkCondition, WorkerUnreachable

__all__ = ["Holder", "Reach"]


class Holder(Protocol):
    """Who holds a child run (`edge.ferrying.delegate`), as far as it is told of the connection."""

    def shaken(self, why: str, grace: float) -> None: ...
    def away(self, condition: LinkCondition) -> None: ...
    def back(self) -> None: ...


class Reach:
    """Of the worker at `url`. A lost connection is waited for `grace` seconds. `holders` gives those who are told; `on_away` is called
    before they are told that the worker is away.
    """

    def __init__(self, url: str, grace: float, *, holders: Callable[[], Collection[Holder]], on_away: Callable[[], None]) -> None:
        self.over: LinkCondition | None = None
        """Why no connection is made any more."""
        self.away: LinkCondition | None = None
        """Why the worker is not waited for at present."""
        self._url, self._grace = url, grace
        self._holders, self._on_away = holders, on_away
        self._patience: asyncio.TimerHandle | None = None

    @property
    def missing(self) -> LinkCondition | None:
        """Why nothing is to be waited for; None while the worker is there, as far as anybody knows."""
        return self.over or self.away

    def shaken(self, why: str) -> None:
        """The connection is lost: it is being made again, for a while nothing else follows from it."""
        if self._patience is None and self.missing is None:
            self._patience = asyncio.get_running_loop().call_later(self._grace, self._leave, why)
            for holder in self._holders():
                holder.shaken(self.unreachable(why).message, self._grace)

    def back(self) -> None:
        """There is a connection again."""
        self.calm()
        self.away = None
        for holder in self._holders():
            holder.back()

    def end(self, why: LinkCondition) -> LinkCondition:
        """No connection will be made again; why not, which is what was said first."""
        self.calm()
        self.over = self.over or why
        return self.over

    def calm(self) -> None:
        """Nothing that was lost is waited for any more: it is there again, or it does not matter."""
        patience, self._patience = self._patience, None
        if patience is not None:
            patience.cancel()

    def _leave(self, why: str) -> None:
        """It is still being made again, but nobody waits for that any more."""
        self.calm()
        condition = self.away = self.unreachable(why)
        self._on_away()
        for holder in self._holders():
            holder.away(condition)

    def unreachable(self, why: str) -> WorkerUnreachable:
        """What is said of a connection that was lost for this reason."""
        return WorkerUnreachable(self._url, f"the connection to the worker at {self._url} was lost: {why}")
