"""The audit: what leaves a device over a link, written down where it leaves, before it can (docs/privacy.md).

What carries no label and is written in a log of this device anyway needs no line of its own: the log says what it was, and a mark about once a second
says when. Lines of their own have what no log tells: to whom a child run goes, what carries labels and why that was
allowed, graphs, bodies, and copies of whole logs. `edge.auditing.lines` puts both together. No line has a value in it, nor a hash of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from graphs.errors import JournalError
from graphs.values import Value
from protocol.messages import Ref, RunId
from protocol.store import Left

__all__ = ["MARK_MS", "Departures", "NotedIn"]

MARK_MS: Final = 1_000
"""How far marks of time in a log are apart: a record is at most so much later than the mark before it."""


class NotedIn(Protocol):
    """What is needed of a journal (graphs.journal.Journal)."""

    def note_departure(self, run: bytes, t: int, entry: Mapping[str, Value]) -> None: ...
    async def barrier(self, *, full: bool = False) -> None: ...


def _allowed(labels: Collection[str]) -> str:
    return "the policy clears it for this worker" if labels else "no label"


class Departures:
    """What leaves over the link to one worker. `url` and `fingerprint` of its certificate are as this device knows them, `store` is its store once it
    has said so; `why` says in words by what some labels may go there.
    """

    def __init__(
        self,
        journal: NotedIn,
        url: str,
        fingerprint: str | None = None,
        *,
        why: Callable[[Collection[str]], str] = _allowed,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store: bytes | None = None
        self._journal = journal
        self._url = url
        self._fingerprint = fingerprint
        self._why = why
        self._clock = clock
        self._begun: set[RunId] = set()
        self._marked: dict[RunId, int] = {}
        self._taken: dict[RunId, int] = {}
        self._bodies: set[tuple[Ref, RunId]] = set()
        self.copied: dict[tuple[RunId, bytes, int], tuple[int, int]] = {}
        """Records of logs that were copied, and their bytes, by run, writer and what came before them: a log that was begun anew counts once."""
        self.given: dict[Ref, tuple[int, Sequence[RunId]]] = {}
        """The bodies that were given: their bytes, and the runs that need them."""

    @property
    def to(self) -> dict[str, Value]:
        """To whom it goes."""
        worker: dict[str, Value] = {"worker": self._url}
        if self.store is not None:
            worker["store"] = self.store.hex()
        if self._fingerprint is not None:
            worker["certificate"] = self._fingerprint
        return worker

    def begin(self, run: RunId) -> None:
        """This run's records go to this worker from now on."""
        if run not in self._begun:
            self._begun.add(run)
            self._note(run, {"kind": "worker", "to": self.to})

    def wrote(self, firsts: Mapping[RunId, int]) -> None:
        """Records of this device are about to be made durable, in these runs from these on."""
        now = self._now()
        for run, seq in firsts.items():
            self.begin(run)
            if now - self._marked.get(run, -MARK_MS) >= MARK_MS:
                self._marked[run] = now
                self._journal.note_departure(run, now, {"kind": "mark", "seq": seq})

    def taken(self, run: RunId, seq: int) -> None:
        """The worker said that it holds this device's log of the run up to `seq`."""
        self._taken[run] = seq

    def over(self, run: RunId) -> None:
        """Nothing more is heard of this run here."""
        if (seq := self._taken.pop(run, None)) is not None:
            with suppress(
                JournalError
            ):  # whoever waits for the journal is told; without this line it is only less sure that the worker has it
                self._note(run, {"kind": "taken", "seq": seq})

    def close(self) -> None:
        """Nothing more is heard at all."""
        for run in list(self._taken):
            self.over(run)

    def left(self, left: Left, runs: Sequence[RunId] | None = None) -> None:
        """Queue the line of something that is about to leave: with what is committed next it is durable."""
        said: dict[str, Value] = {"kind": left.kind, "to": self.to, "labels": list(left.labels), "why": self._why(left.labels)}
        if left.kind == "record":
            said["seq"] = left.seq
        elif left.kind == "graph":
            said |= {"bytes": left.size, **({"had": True} if left.have else {})}
        elif left.kind == "copy":
            said |= {"writer": left.writer.hex(), "after": left.seq, "upto": left.upto}
            self.copied[left.run, left.writer, left.seq] = left.upto - left.seq, left.size
        else:
            # Handles are random to whoever reads them. What goes by its hash carries no label, and its record has that hash in it anyway.
            said |= {"bytes": left.size, "ref": left.ref.hex()}
        for run in runs if runs is not None else [left.run]:
            self._note(run, said)

    async def leaves(self, left: Left, runs: Callable[[], Sequence[RunId]]) -> None:
        """Write down that something is about to leave, a body for all of `runs`. Returns when that is durable. Raises JournalError."""
        if left.kind != "body":
            self.left(left)
            await self._journal.barrier(full=True)
            return
        new = [
            run for run in runs() if (left.ref, run) not in self._bodies
        ]  # a further range of it, or a further run that needs it
        if new:
            self.left(left, new)
            await self._journal.barrier(full=True)
            self.given.setdefault(left.ref, (left.size, new))
            self._bodies.update((left.ref, run) for run in new)

    def _note(self, run: RunId, entry: Mapping[str, Value]) -> None:
        self._journal.note_departure(run, self._now(), entry)

    def _now(self) -> int:
        return int(self._clock() * 1000)
