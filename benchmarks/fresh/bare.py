"""Two nodes in plain asyncio, a task each."""

from __future__ import annotations

import asyncio

from benchmarks.fresh.usage import tell


async def add(value: int) -> int:
    return value + 1


async def main() -> int:
    first = await asyncio.create_task(add(0))
    return await asyncio.create_task(add(first))


tell(asyncio.run(main()), 2)
