"""What the journals of a home say, for tests that look at a run afterwards or while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from graphs.journal.reader import Reader, RunRow
from graphs.records import Event, Record, Result, State
from graphs.values import decode

__all__ = ["begun", "entries", "made", "nodes", "of", "runs", "store", "until", "until_made"]

R = TypeVar("R")


def runs(home: Path, side: str) -> list[RunRow]:
    """All runs of that side's journal, oldest first."""
    reader = Reader(home / side / "journal.db")
    try:
        return list(reversed(reader.runs()))
    finally:
        reader._reader.close()


def entries(home: Path, side: str) -> list[tuple[RunRow, bytes, Record]]:
    """Every record of that side's journal, with its run and its writer, oldest run first."""
    reader = Reader(home / side / "journal.db")
    try:
        rows = reversed(reader.runs())
        return [(row, logged.writer, logged.record) for row in rows for logged in reader.records(row.run)]
    finally:
        reader._reader.close()


def nodes(home: Path, side: str, row: RunRow) -> dict[str, Any]:
    """The nodes of a run's graph, as that side's journal has it."""
    reader = Reader(home / side / "journal.db")
    try:
        stored = reader.graph(row.graph)
        assert stored is not None
        found: dict[str, Any] = decode(stored.body)["nodes"]
        return found
    finally:
        reader._reader.close()


def of(home: Path, side: str, kind: type[R]) -> list[R]:
    """The records of one kind."""
    return [record for _, _, record in entries(home, side) if isinstance(record, kind)]


def made(home: Path, side: str) -> list[tuple[str, str]]:
    """(path, role of the run) of every result in that side's journal."""
    return [(record.path, row.role) for row, _, record in entries(home, side) if isinstance(record, Result)]


def begun(home: Path, side: str) -> list[Event]:
    """The recorded beginnings of nodes."""
    return [record for record in of(home, side, Event) if record.path is not None and record.state == State.EXECUTING]


def store(home: Path, side: str) -> bytes:
    """The store id of that side's journal."""
    import sqlite3

    with sqlite3.connect(home / side / "journal.db") as db:
        found: Any = db.execute("SELECT id FROM store").fetchone()[0]
    db.close()
    return bytes(found)


def until(reached: Callable[[], bool], seconds: float = 120.0) -> None:
    """Look until it is so: for what other processes do, which tell nobody. Fails after so many seconds."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def until_made(home: Path, side: str, path: str) -> None:
    """Look until the node's result is durable on that side: what reads it, and does nothing outside the process, begins before that."""
    until(lambda: path in [each for each, _ in made(home, side)])
