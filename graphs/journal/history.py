"""What the nodes of earlier runs took, as the journal keeps it: durations, sizes and tokens, never a value.

A row is about one run and one `what`: a node of a document, or an agent. Rows are noted when a run stops, off its way, and read by whoever
estimates what the next run takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

__all__ = ["NEWEST", "OLDEST_MS", "SELECT", "HistoryRow", "noting"]

NEWEST: Final = 20
"""How many runs are remembered of each `what` at a place with a model."""

OLDEST_MS: Final = 180 * 86_400_000
"""How long: a device and its worker are others after half a year."""

SELECT: Final = (
    "SELECT what, place, model, run, t, runs, whole, ms, bytes, prompt, completion FROM history"
    " WHERE what IN (SELECT value FROM json_each(?)) ORDER BY run DESC"
)
_NOTE: Final = "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TRIM: Final = (
    "DELETE FROM history WHERE what = ?1 AND place = ?2 AND model = ?3 AND run <= (SELECT run FROM history"
    " WHERE what = ?1 AND place = ?2 AND model = ?3 ORDER BY run DESC LIMIT 1 OFFSET ?4)"
)
_FORGET: Final = "DELETE FROM history WHERE t < ?"


class HistoryRow(NamedTuple):
    """What all executions of something took in one run: `runs` of them, `ms` of work and `bytes` of results altogether, tokens of prompts and
    answers where models were asked. `place` is "edge", or the store id of a worker in hex. `whole`: all executions of the run were looked at, not
    only the first ones. `t`: ms since 1970.
    """

    what: str
    place: str
    model: str
    run: bytes
    t: int
    runs: int
    whole: bool
    ms: int
    bytes: int
    prompt: int | None
    completion: int | None


def noting(rows: Iterable[HistoryRow], now: int) -> Sequence[tuple[str, tuple[object, ...]]]:
    """The statements for these rows, with their values: those of the same run take the places of earlier ones, and what is old or too much goes."""
    statements: list[tuple[str, tuple[object, ...]]] = []
    for row in rows:
        statements.append((_NOTE, row))
        statements.append((_TRIM, (row.what, row.place, row.model, NEWEST)))
    if statements:
        statements.append((_FORGET, (now - OLDEST_MS,)))
    return statements
