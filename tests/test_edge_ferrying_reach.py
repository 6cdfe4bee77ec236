"""Who is told what, and when, of a connection that is lost and comes back; time is virtual."""

from __future__ import annotations

import asyncio

from edge.ferrying.reach import Reach
from graphferry.testing import fast_forward
from graphs.errors import LinkCondition, WorkerUnreachable

URL = "ws://127.0.0.1:1/v1/link"
GRACE = 20.0


class Told:
    """A holder that notes when it is told what, in seconds."""

    def __init__(self) -> None:
        self.said: list[tuple[float, str]] = []

    def note(self, what: str) -> None:
        self.said.append((asyncio.get_running_loop().time() - self.began, what))

    def shaken(self, why: str, grace: float) -> None:
        assert grace == GRACE
        self.note(why)

    def away(self, condition: LinkCondition) -> None:
        self.note(f"away: {condition.message}")

    def back(self) -> None:
        self.note("back")

    def reach(self) -> Reach:
        self.began = asyncio.get_running_loop().time()
        return Reach(URL, GRACE, holders=lambda: [self], on_away=lambda: self.note("stop"))


LOST = f"the connection to the worker at {URL} was lost: cut"


def test_a_connection_that_comes_back_in_time_was_only_shaken() -> None:
    async def main() -> None:
        told = Told()
        reach = told.reach()
        reach.shaken("cut")
        reach.shaken("not made again")  # nobody is told twice
        await asyncio.sleep(GRACE - 1)
        assert reach.missing is None
        reach.back()
        await asyncio.sleep(10 * GRACE)
        assert told.said == [(0.0, LOST), (GRACE - 1, "back")]

    fast_forward(main())


def test_after_its_time_the_worker_is_away_until_it_is_reached_again() -> None:
    async def main() -> None:
        told = Told()
        reach = told.reach()
        reach.shaken("cut")
        await asyncio.sleep(2 * GRACE)
        assert isinstance(reach.missing, WorkerUnreachable)
        reach.shaken("cut again")  # it is away already
        reach.back()
        assert reach.missing is None
        assert told.said == [(0.0, LOST), (GRACE, "stop"), (GRACE, f"away: {LOST}"), (2 * GRACE, "back")]

    fast_forward(main())


def test_what_is_over_is_waited_for_no_more_and_keeps_its_first_reason() -> None:
    async def main() -> None:
        told = Told()
        reach = told.reach()
        reach.shaken("cut")
        first = WorkerUnreachable(URL, "the link is closed")
        assert reach.end(first) is first
        assert reach.end(reach.unreachable("later")) is first
        await asyncio.sleep(10 * GRACE)
        reach.shaken("cut again")
        assert told.said == [(0.0, LOST)]
        assert reach.missing is first

    fast_forward(main())
