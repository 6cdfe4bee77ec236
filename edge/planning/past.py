"""What history knows of a node or an agent: medians over its runs, with how many they are and how old. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from edge.placing.figures import Figure
from edge.planning.keys import EDGE
from graphs.journal.history import HistoryRow

__all__ = ["Past", "Seen", "median"]


class Seen:
    """Some runs of one thing, the newest first: figures of one execution. None is unknown; each is worked out when it is asked for."""

    __slots__ = ("_figures", "_now", "rows")

    def __init__(self, rows: Sequence[HistoryRow], now: float) -> None:
        self.rows = rows
        self._now = now
        self._figures: dict[str, Figure | None] = {}

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def seconds(self) -> Figure | None:
        return self._median("seconds", lambda row: row.ms / 1000)

    @property
    def bytes(self) -> Figure | None:
        return self._median("bytes", lambda row: row.bytes)

    @property
    def prompt(self) -> Figure | None:
        """Tokens of prompts."""
        return self._median("prompt", lambda row: row.prompt)

    @property
    def completion(self) -> Figure | None:
        """Tokens of answers."""
        return self._median("completion", lambda row: row.completion)

    @property
    def runs(self) -> Figure | None:
        """Executions in one run of the graph: of runs of which all are known."""
        whole = [row for row in self.rows if row.whole]
        return self.measured(median(row.runs for row in whole), whole) if whole else None

    def measured(self, value: float, rows: Sequence[HistoryRow]) -> Figure:
        """A figure that comes from these rows."""
        return Figure(float(value), "measured", len(rows), max(0.0, self._now - rows[0].t / 1000))

    def _median(self, name: str, of: Callable[[HistoryRow], float | None]) -> Figure | None:
        if not self.rows:
            return None
        if name not in self._figures:
            counted = [(row, value) for row in self.rows if (value := of(row)) is not None]
            each = [value / row.runs for row, value in counted]
            self._figures[name] = self.measured(median(each), [row for row, _ in counted]) if counted else None
        return self._figures[name]


_NEVER: Final = Seen((), 0.0)


class Past:
    """Rows of history by what they are about. `store` names the worker that counts: what another one took says nothing of it."""

    def __init__(self, rows: Iterable[HistoryRow], now: float, store: str | None) -> None:
        self._now = now
        self._store = store
        self._rows: dict[str, list[HistoryRow]] = {}
        for row in rows:
            if row.runs:
                self._rows.setdefault(row.what, []).append(row)
        self._seen: dict[tuple[str, str | None, str | None], Seen] = {}

    def at(self, what: str, place: str, model: str | None) -> Seen:
        """At this place, by this model."""
        return self._of(what, EDGE if place == EDGE else self._store or "?", model or "")

    def by(self, what: str, model: str | None) -> Seen:
        """By this model, wherever."""
        return self._of(what, None, model or "")

    def anyhow(self, what: str) -> Seen:
        """Wherever, by whatever."""
        return self._of(what, None, None)

    def _of(self, what: str, place: str | None, model: str | None) -> Seen:
        rows = self._rows.get(what)
        if rows is None:
            return _NEVER
        key = (what, place, model)
        found = self._seen.get(key)
        if found is None:
            fitting = [row for row in rows if (place is None or row.place == place) and (model is None or row.model == model)]
            found = self._seen[key] = Seen(fitting, self._now)
        return found


def median(values: Iterable[float]) -> float:
    """As `statistics.median`, which takes ten times as long for a handful of numbers."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
