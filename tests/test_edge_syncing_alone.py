"""One process of a device at a time copies; the others wait for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.syncing.alone import alone
from graphs.errors import UsageError


def test_who_comes_second_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    order: list[str] = []

    async def one(name: str, begun: asyncio.Event, go: asyncio.Event) -> None:
        async with alone(path):
            order.append(f"{name} begins")
            begun.set()
            await go.wait()
            order.append(f"{name} ends")

    async def main() -> None:
        begun, go = asyncio.Event(), asyncio.Event()
        first = asyncio.ensure_future(one("first", begun, go))
        await begun.wait()
        second = asyncio.ensure_future(one("second", asyncio.Event(), go))
        with pytest.raises(UsageError, match="another process of this device has been syncing"):
            async with alone(path, 0.0):
                order.append("third")
        go.set()
        await asyncio.gather(first, second)

    asyncio.run(asyncio.wait_for(main(), 120))
    assert order == ["first begins", "first ends", "second begins", "second ends"]


def test_who_waits_long_says_so_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    said: list[str] = []

    async def main() -> None:
        go = asyncio.Event()

        def waits() -> None:
            said.append("waits")
            asyncio.get_running_loop().call_later(0.2, go.set)  # it is looked again several times until then

        async def first() -> None:
            async with alone(path, waits=lambda: said.append("nobody was before it")):
                begun.set()
                await go.wait()

        begun = asyncio.Event()
        holding = asyncio.ensure_future(first())
        await begun.wait()
        async with alone(path, waits=waits, patient=0.0):
            said.append("second")
        await holding

    asyncio.run(asyncio.wait_for(main(), 60))
    assert said == ["waits", "second"]
