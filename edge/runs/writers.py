"""Where the stores are that wrote the logs of a run: at a device or at a worker, so that nobody is told a wrong place of a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from graphs.engine.holding import workers
from graphs.records import Handover

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["place_of_writer"]


def place_of_writer(journal: Journal, run: bytes) -> Callable[[bytes], Literal["edge", "cloud"]]:
    """Says of the writer of a log of a root run where it did what it wrote down: `cloud` for a worker that held the run, else `edge`."""
    there = workers((logged.writer, logged.record) for logged in journal.records_of(run, Handover.TYPE))
    return lambda writer: "cloud" if writer in there else "edge"
