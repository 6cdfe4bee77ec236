"""What the engine is measured against: the same work in plain asyncio, a task a node, and one-row commits in plain sqlite3."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks.workloads import Workload, step, total

__all__ = ["RECORD_BYTES", "Run", "commits", "dependent_start", "tasks"]

Run: TypeAlias = Callable[[], Coroutine[Any, Any, int]]
"""Runs a workload once and gives its answer."""

RECORD_BYTES: Final = 60
"""About what one of our results takes as a row: number, path, value, time, agent."""


def tasks(workload: Workload) -> Run:
    """The workload with a task for every node, which awaits the tasks of those it reads."""
    return {"dag": _dag, "map": _map, "loop": _loop, "large": _large}[workload.kind](workload)


async def _add(values: Iterable[int]) -> dict[str, int]:
    return step(values)


def _dag(workload: Workload) -> Run:
    pause = workload.pause

    async def pausing(values: Iterable[int]) -> dict[str, int]:
        await asyncio.sleep(pause or 0)
        return step(values)

    work = _add if pause is None else pausing

    async def run() -> int:
        started: dict[str, asyncio.Task[dict[str, int]]] = {}

        async def node(reads: tuple[str, ...]) -> dict[str, int]:
            return await work([(await started[name])["v"] for name in reads])

        for name, reads in workload.nodes:
            started[name] = asyncio.create_task(node(reads))
        return total([await started[name] for name in workload.outputs])

    return run


def _map(workload: Workload) -> Run:
    task = asyncio.create_task

    async def row(value: int) -> dict[str, int]:
        for _ in "ab":
            value = (await task(_add([value])))["v"]
        return await task(_add([value]))

    async def run() -> int:
        return total(await asyncio.gather(*[task(row(number)) for number in range(workload.size)]))

    return run


def _loop(workload: Workload) -> Run:
    task = asyncio.create_task

    async def run() -> int:
        value = 0
        for _ in range(workload.size):
            value = (await task(_add([value])))["v"]
            value = (await task(_add([value])))["v"]
        return value

    return run


def _large(workload: Workload) -> Run:
    blob = bytes(workload.size)

    async def hand_on(value: bytes) -> bytes:
        return value

    async def run() -> int:
        value = blob
        for _ in range(workload.count):
            value = await asyncio.create_task(hand_on(value))
        return len(value) if value is blob else -1

    return run


async def dependent_start(short: float, long: float) -> float:
    """Seconds from the start of two sleeping branches until what depends on the short one begins."""
    began = time.perf_counter()

    async def after_short() -> float:
        await asyncio.create_task(asyncio.sleep(short))
        return time.perf_counter() - began

    beside = asyncio.create_task(asyncio.sleep(long))
    started = await asyncio.create_task(after_short())
    await beside
    return started


def commits(folder: Path, count: int, synchronous: str) -> float:
    """Seconds that `count` commits of one row each take in a new database in WAL mode; opening it is left out."""
    db = sqlite3.connect(folder / "raw.db", isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, node INTEGER, value BLOB)")
        value = bytes(RECORD_BYTES)
        began = time.perf_counter()
        for number in range(count):
            db.execute("INSERT INTO records (node, value) VALUES (?, ?)", (number, value))
        return time.perf_counter() - began
    finally:
        db.close()
