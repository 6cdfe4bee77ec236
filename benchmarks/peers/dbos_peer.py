"""DBOS with SQLite as its system database: a workflow whose steps are recorded. It has no graphs: only what lasts is compared."""

from __future__ import annotations

import sqlite3
import sys
import time
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

if sqlite3.sqlite_version_info < (3, 42):  # it uses unixepoch('subsec')
    import pysqlite3  # type: ignore[import-not-found]

    sys.modules["sqlite3"] = pysqlite3

from dbos import DBOS  # type: ignore[import-not-found]

from benchmarks.workloads import said, step

__all__ = ["chat", "keep", "version"]


def version() -> str:
    return "DBOS " + installed("dbos")


def keep(count: int, folder: Path, *, normal: bool) -> tuple[int, float]:
    """A workflow of `count` steps: the answer and seconds."""
    if normal:
        raise NotImplementedError("it has no setting for that")
    url = f"sqlite:///{folder / 'dbos.sqlite'}"
    DBOS(config={"name": "bench", "system_database_url": url, "run_admin_server": False, "log_level": "CRITICAL"})

    def add(value: int) -> Any:
        return step([value])

    recorded = DBOS.step()(add)

    def steps() -> int:
        value = 0
        for _ in range(count):
            value = recorded(value)["v"]
        return value

    workflow = DBOS.workflow()(steps)
    DBOS.launch()
    try:
        began = time.perf_counter()
        answer = workflow()
        return answer, time.perf_counter() - began
    finally:
        DBOS.destroy()


def chat(turns: int, size: int, folder: Path) -> tuple[int, float]:
    """A workflow that keeps the chat itself; its steps give, and record, only what is new: its letters and seconds."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}",
            "run_admin_server": False,
            "log_level": "CRITICAL",
        }
    )
    pairs = [[said(turn, role, size) for role in ("user", "assistant")] for turn in range(turns)]

    def talk(turn: int) -> Any:
        return pairs[turn]

    recorded = DBOS.step()(talk)

    def loop() -> int:
        messages: list[Any] = []
        for turn in range(turns):
            messages += recorded(turn)
        return sum(len(each["content"]) for each in messages)

    workflow = DBOS.workflow()(loop)
    DBOS.launch()
    try:
        began = time.perf_counter()
        answer = workflow()
        return answer, time.perf_counter() - began
    finally:
        DBOS.destroy()
