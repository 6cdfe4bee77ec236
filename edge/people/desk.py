"""The desk of a run on this device, at which somebody may sit: questions are asked at the terminal as well, one after the other.

While the run goes on, the desk looks whether an answer has come into the journal from another process. Whatever answer is durable first counts,
wherever it was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge.people.answers import note
from graphs.errors import JournalError
from graphs.questions import Question, shown
from graphs.records import Known
from graphs.running.desk import Desk
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["AttendedDesk", "Person"]

_LOOK_SECONDS: Final = 0.25
"""How often the journal is looked at for answers that other processes wrote."""


class Person(Protocol):
    """Somebody at a terminal."""

    async def ask(self, question: Question) -> Value | None:
        """The answer, in the form of `graphs.questions.fit`; None if they will not answer now. May be cancelled."""

    def tell(self, text: str) -> None:
        """Say something that wants no answer."""


class AttendedDesk(Desk):
    """A `Desk` of this device; `person` is who sits at the terminal."""

    def __init__(
        self,
        journal: Journal,
        run: bytes,
        record: Callable[[Known], Any],
        *,
        labels: Mapping[str, Collection[str]],
        person: Person | None = None,
    ) -> None:
        super().__init__(journal, run, record, labels=labels)
        self._person = person
        self._terminal = asyncio.Lock()
        """One question is asked after the other."""
        self._asking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def ask_now(self, question: Question) -> Value:
        if self._person is not None:
            async with self._terminal:
                value = await self._person.ask(question)
            if value is not None:
                return value
        return await super().ask_now(question)

    def _attend(self) -> bool:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look_out())
        if self._person is not None and (self._asking is None or self._asking.done()):
            self._asking = asyncio.ensure_future(self._ask_all())
        return self._person is not None

    async def _look_out(self) -> None:
        while self._open:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                self.look()
            except JournalError:
                return  # whoever goes on with the run is told; what is here goes on without further answers

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
                self._read_on()
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
