"""Writes down what a run's own agents and models send, and what they take labels off (graphs.departures)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from graphs.departures import Kind
from graphs.language.labels import confining
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["RunWitness", "allowed"]


def allowed(labels: Collection[str]) -> str:
    """Why something that left with these labels might."""
    said = ", ".join(f"sensitivity.{label}" for label in sorted(labels))
    return f"cleared by {said} in edge/config.yaml" if said else "no label"


class RunWitness:
    """The witness of one run of this device. `labels` gives those of all that a node reads, by its path."""

    def __init__(
        self,
        journal: Journal,
        run: bytes,
        labels: Callable[[str], Collection[str]],
    ) -> None:
        self._journal = journal
        self._run = run
        self._labels = labels

    async def leaves(self, path: str, kind: Kind, to: str, size: int) -> None:
        """A request is about to be sent. Raises JournalError."""
        carried = sorted(confining(self._labels(path))) if path else []
        whom = {"agent": to} if kind == "agent" else {"server": to}
        await self._note({"kind": kind, "path": path, "to": whom, "bytes": size, "labels": carried, "why": allowed(carried)})

    async def declassified(self, path: str, labels: list[str] | None, reason: str, size: int) -> None:
        """Labels were taken off a value. Raises JournalError."""
        await self._note({"kind": "declassified", "path": path, "labels": labels, "bytes": size, "reason": reason})

    async def _note(self, entry: Mapping[str, Value]) -> None:
        self._journal.note_departure(self._run, int(time.time() * 1000), entry)
        await self._journal.barrier(full=True)
