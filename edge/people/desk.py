"""The desk of a run: where its questions lie until somebody answers them, at this terminal, in another process or on another device.

A question is put on record when its node comes to it, and its node waits without a place in the queue. While the run goes on, the desk
looks whether an answer has come into the journal, and asks the person at the terminal, one question after the other. Whatever answer is
durable first wakes the node. When nothing else can run and nobody is being asked here, the run ends suspended, and costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge.people.answers import note
from graphs.engine.events import Event as EngineEvent, Wake
from graphs.errors import AnswerNeeded, JournalError, NodeError
from graphs.paths import root_node
from graphs.questions import Given, Question, asked, first, shown
from graphs.records import Answer, Event, Known, Record, State, decode
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.journal import Journal, Logged

__all__ = ["Desk", "Person"]

_LOOK_SECONDS: Final = 0.25
"""How often the journal is looked at for answers that other processes wrote."""


class Person(Protocol):
    """Somebody at a terminal."""

    async def ask(self, question: Question) -> Value | None:
        """The answer, in the form of `graphs.questions.fit`; None if they will not answer now. May be cancelled."""

    def tell(self, text: str) -> None:
        """Say something that wants no answer."""


class Desk:
    """A `graphs.ports.People`.

    `record` appends to the run's own log, `labels` are those of the root graph's nodes, `person` is who sits at the terminal.
    `feed` and `clock` are set once there is a runtime to feed.
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
        person: Person | None = None,
    ) -> None:
        self._journal = journal
        self._run = run
        self._record = record
        self._labels = labels
        self._person = person
        self._recorded: set[tuple[str, int]] = set()
        self._answers: dict[tuple[str, int], list[Given]] = {}
        self._read: dict[bytes, int] = {}
        self._open: dict[str, Question] = {}
        self._left: set[str] = set()
        self._terminal = asyncio.Lock()
        """One question is asked after the other."""
        self._asking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

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
        self._look()
        self._left.discard(question.path)
        question = replace(question, labels=tuple(sorted(self._labels.get(root_node(question.path), ()))))
        if (given := self._given(question)) is not None:
            return given.value, {"answer": [given.writer, given.seq]}
        if (question.path, question.at) not in self._recorded:
            self._record(Event(question.path, question.at, State.SUSPENDED, int(time.time() * 1000), question.as_info()))
            self._recorded.add((question.path, question.at))
            await self._journal.barrier()  # who sees the question may answer it
        self._open[question.path] = question
        self._watch()
        raise AnswerNeeded(question, awaited=self._person is not None)

    async def ask_now(self, question: Question) -> Value:
        if self._person is not None:
            async with self._terminal:
                value = await self._person.ask(question)
            if value is not None:
                return value
        raise NodeError(
            f"{question.path!r} cannot wait for an answer here, and nobody gives it: {question.prompt}",
            retryable=False,
            hint="An agent that another one calls can only ask at a terminal; a node of its own can wait.",
        )

    # -- answers

    def _given(self, question: Question) -> Given | None:
        return first(question, self._answers.get((question.path, question.at), ()))

    def _look(self) -> None:
        """Take in what has come into the journal since."""
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

    def _watch(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look_out())
        if self._person is not None and (self._asking is None or self._asking.done()):
            self._asking = asyncio.ensure_future(self._ask_all())

    async def _look_out(self) -> None:
        while self._open:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                self._look()
            except JournalError:
                return  # whoever goes on with the run is told; what is here goes on without further answers
            self._hand_out()

    def _hand_out(self) -> None:
        """Wake the nodes whose questions have an answer now."""
        for path, question in list(self._open.items()):
            if self._given(question) is not None:
                self._wake(path)

    def wake(self, path: str) -> None:
        """What a node waited for has come otherwise: its question needs no answer any more."""
        if path in self._open:
            self._wake(path)

    def _wake(self, path: str) -> None:
        self._open.pop(path, None)
        self.feed(Wake(path, self.clock()))

    # -- the person at the terminal

    async def _ask_all(self) -> None:
        while self._person is not None and self._open:
            question = next(iter(self._open.values()))
            async with self._terminal:
                value = await self._ask_while_open(self._person, question)
            if question.path not in self._open:
                continue
            if value is None:
                self._leave()
                return
            try:
                writer = note(self._journal, self._run, question, value)
                await self._journal.barrier(full=True)
                self._look()
            except JournalError as error:
                self._person.tell(f"The answer is not kept: {error}")
                self._leave()
                return
            given = self._given(question)
            if given is not None and given.writer != writer:
                self._person.tell(f"It was answered meanwhile: {shown(given.value)}")
            self._hand_out()

    def _leave(self) -> None:
        """Nobody sees to the questions here any more; they stay on record."""
        self._person = None
        for path in list(self._open):
            self._wake(path)

    async def _ask_while_open(self, person: Person, question: Question) -> Value | None:
        """Ask, unless an answer comes from elsewhere first; None then, too."""
        asking = asyncio.ensure_future(person.ask(question))
        try:
            while not asking.done() and question.path in self._open:
                await asyncio.wait([asking], timeout=_LOOK_SECONDS)
            if question.path in self._open:
                return asking.result()
            given = self._given(question)
            person.tell(f"\nIt was answered meanwhile: {shown(given.value) if given is not None else 'elsewhere'}")
            return None
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def close(self) -> None:
        """The run is over in this process: ask nobody any more."""
        tasks = [task for task in (self._asking, self._looking) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
