"""What waits for a graph waits a while, and only as long as there is somebody who could send it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cloud.parking import Parking

A, B = b"a" * 32, b"b" * 32


def parked(seconds: float, use: Callable[[Parking[str]], Awaitable[None]]) -> list[str]:
    given_up: list[str] = []

    async def main() -> None:
        await use(Parking(given_up.append, seconds))

    asyncio.run(main())
    return given_up


def test_what_waits_for_a_graph_is_given_out_once_it_comes() -> None:
    async def use(parking: Parking[str]) -> None:
        parking.connected()
        parking.park(A, "one")
        parking.park(A, "two")
        parking.park(B, "other")
        assert parking.take(A) == ["one", "two"]
        assert parking.take(A) == []

    assert parked(60, use) == []


def test_a_graph_that_does_not_come_is_given_up() -> None:
    async def use(parking: Parking[str]) -> None:
        parking.connected()
        parking.park(A, "one")
        await asyncio.sleep(0.05)
        assert parking.take(A) == []

    assert parked(0.001, use) == ["one"]


def test_time_without_a_connection_does_not_count() -> None:
    async def use(parking: Parking[str]) -> None:
        parking.park(A, "early")
        await asyncio.sleep(0.05)
        assert parking.take(A) == ["early"]
        parking.connected()
        parking.park(B, "late")
        parking.disconnected()
        await asyncio.sleep(0.05)
        parking.connected()
        parking.connected()
        await asyncio.sleep(0.05)

    assert parked(0.02, use) == ["late"]
