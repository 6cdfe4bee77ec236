"""When the next round of `sync --watch` is due: after its pause, or as soon as a run of this device has something to move that it had not."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from edge.runs.at_work import is_at_work
from edge.syncing.spool import spooled
from edge.syncing.waiting import waiting_runs
from graphs.journal import Journal

__all__ = ["to_move", "wait_for_more"]

_LOOK: Final = 1.0
"""Seconds between two looks at whether the journal's files have changed."""


def to_move(path: Path) -> frozenset[bytes]:
    """Runs of the journal at that path that wait for a round, to go on or to go out; not those that a process works on."""
    with Journal.open(path) as journal:
        return frozenset(row.run for row in waiting_runs(journal)) | {
            run for run in spooled(journal) if not is_at_work(journal.path, run)
        }


def wait_for_more(
    path: Path,
    before: Collection[bytes],
    seconds: float,
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Returns after so many seconds, or as soon as a run waits that is not among those of `before`, when the last round began."""
    end, seen = clock() + seconds, None
    while (left := end - clock()) > 0:
        if (now := _stamps(path)) != seen:
            if not to_move(path) <= frozenset(before):
                return
            seen = now
        sleep(min(left, _LOOK))


def _stamps(path: Path) -> list[tuple[int, int]]:
    """What differs once another process has written to the journal, or has let go of a run."""
    found = []
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-runs")):
        try:
            status = each.stat()
        except FileNotFoundError:
            found.append((0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size))
    return found
