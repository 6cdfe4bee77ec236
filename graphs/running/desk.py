"""The desk of a run: where its questions lie until somebody answers them, in another process or on another device.

A question is put on record when its node comes to it, and its node waits without a place in the queue. Whatever answer is durable first wakes the
node. When nothing else can run, the run ends suspended, and costs nothing. Whoever holds a run has such a desk, device or worker: an answer is a
record like any other, so it does not matter where it was written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphs.engine.events import Event as EngineEvent, Wake
from graphs.errors import AnswerNeeded, NodeError
from graphs.paths import root_node
from graphs.questions import Given, Question, asked, first
from graphs.records import Answer, Event, Known, Record, State, decode
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.journal import Journal, Logged

__all__ = ["Desk"]


class Desk:
    """A `graphs.ports.People` at which nobody sits.

    `record` appends to the holder's own log of the run, `labels` are those of the root graph's nodes. `feed` and `clock` are set once there is a
    runtime to feed. Whoever sees records come calls `look`.
    """

    feed: Callable[[EngineEvent], None]
    clock: Callable[[], float]

    def __init__(
        self,
        journal: Journal,
        run: bytes,
        record: Callable[[Known], Any],
        *,
        labels: Mapping[str, Collection[str]],
    ) -> None:
        self._journal = journal
        self._run = run
        self._record = record
        self._labels = labels
        self._recorded: set[tuple[str, int]] = set()
        self._answers: dict[tuple[str, int], list[Given]] = {}
        self._read: dict[bytes, int] = {}
        self._open: dict[str, Question] = {}
        self._left: set[str] = set()

    @property
    def open(self) -> list[str]:
        """The paths whose questions have no answer, those included to which this process has not come yet."""
        return [*self._open, *sorted(self._left)]

    def know(self, records: Iterable[Logged]) -> None:
        """Take in all logs of a run that is gone on with."""
        every = list(records)
        self._left = {path for path, each in asked(every).items() if each.open}
        for writer, seq, _, record in every:
            self._read[writer] = seq
            self._take_in(writer, seq, record)

    # -- graphs.ports.People

    async def answer(self, question: Question) -> tuple[Value, Mapping[str, Value]]:
        self._read_on()
        self._left.discard(question.path)
        question = replace(question, labels=tuple(sorted(self._labels.get(root_node(question.path), ()))))
        if (given := self._given(question)) is not None:
            return given.value, {"answer": [given.writer, given.seq]}
        if (question.path, question.at) not in self._recorded:
            self._record(Event(question.path, question.at, State.SUSPENDED, int(time.time() * 1000), question.as_info()))
            self._recorded.add((question.path, question.at))
            await self._journal.barrier()  # who sees the question may answer it
        self._open[question.path] = question
        raise AnswerNeeded(question, awaited=self._attend())

    async def ask_now(self, question: Question) -> Value:
        raise NodeError(
            f"{question.path!r} cannot wait for an answer here, and nobody gives it: {question.prompt}",
            retryable=False,
            hint="An agent that another one calls can only ask at a terminal; a node of its own can wait.",
        )

    def _attend(self) -> bool:
        """A question is open: see to it, if anybody is here who can. Whether its answer is waited for."""
        return False

    # -- answers

    def look(self) -> None:
        """Take in what has come into the journal since, and wake the nodes whose questions have an answer now. Raises JournalError."""
        self._read_on()
        self._hand_out()

    def wake(self, path: str) -> None:
        """What a node waited for has come otherwise: its question needs no answer any more."""
        if path in self._open:
            self._wake(path)

    def _hand_out(self) -> None:
        for path, question in list(self._open.items()):
            if self._given(question) is not None:
                self._wake(path)

    def _given(self, question: Question) -> Given | None:
        return first(question, self._answers.get((question.path, question.at), ()))

    def _read_on(self) -> None:
        for writer in self._journal.writers(self._run):
            if writer == self._journal.store_id:
                continue  # it is this process that writes there
            for entry in self._journal.entries(self._run, writer, self._read.get(writer, 0)):
                self._read[writer] = entry.seq
                if entry.type == Answer.TYPE:
                    self._take_in(writer, entry.seq, decode(entry.type, entry.tail))

    def _take_in(self, writer: bytes, seq: int, record: Record) -> None:
        if isinstance(record, Answer):
            self._answers.setdefault((record.path, record.at), []).append(Given(writer, seq, record.value))
        elif isinstance(record, Event) and (question := Question.of(record)) is not None:
            self._recorded.add((question.path, question.at))

    def _wake(self, path: str) -> None:
        self._open.pop(path, None)
        self.feed(Wake(path, self.clock()))
