"""A worker's link to one process of a device, between which and others of the same device runs move (protocol.session_runs)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol.events import Closed
from protocol.link import Link
from protocol.messages import Fault, RunId
from protocol.paced import Paced

if TYPE_CHECKING:
    from protocol.link import Socket

__all__ = ["MovingLink"]


class MovingLink(Link):
    """See the module."""

    async def carry(self, socket: Socket, number: int, first: bytes | None = None) -> Closed:
        if isinstance(socket, Paced):
            socket.count(lambda: self._conn.heard)
        return await super().carry(socket, number, first)

    def holds(self, runs: set[RunId]) -> set[RunId]:
        """Those of these runs that are in this link's session."""
        return self._conn.holds(runs)

    def fence(self, number: int) -> Fault | None:
        """As `Conn.fence`."""
        return self._conn.fence(number)

    @property
    def is_idle(self) -> bool:
        """Whether there is no connection, and nothing waits to be durable."""
        return self._carrier is None and self._conn.staged == self._conn.durable

    async def give(self, run: RunId, to: MovingLink, moved: Callable[[], None]) -> None:
        """Give a run to another link of the device; nothing if it is not here. What waits to be durable goes along, between two commits, so that it
        stays in order. `moved` is called in the same moment: from then on it is in the other one.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def move() -> None:
            if done.done():
                return  # whoever claimed it has left meanwhile
            if self._commits.failure is not None:
                done.set_exception(self._commits.failure)
                return
            gone = self._conn.part(run)
            if gone is not None:
                to._conn.join(gone)
                moved()
                to._soon()
                self._soon()
            done.set_result(None)

        self._commits.between(move)
        await done
