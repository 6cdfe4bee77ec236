"""Schedules in which people are asked: at the device, who may leave, and beside the run, in processes of their own that die like all others."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any, Final

from edge.people.answers import asking_runs, give, note
from graphs.errors import JournalError, UsageError
from graphs.journal import Journal
from graphs.journal.reader import Logged, Reader
from graphs.language.load import load_text
from graphs.questions import Question, asked
from graphs.records import Result
from graphs.values import Value
from sim.play import Outcome, Play, Scenario, play, scenario_of
from sim.world import Process

__all__ = ["people_of", "play_with_people"]

_ASKS: Final = """\
version: 0.5
nodes:
  start: {value: 1}
  far: {agent: answerAgent, place: cloud, inputs: {x: :start}, params: {seconds: 2}}
  ok: {agent: humanAgent, inputs: {draft: :far}, params: {mode: approve, prompt: Send it?}}
  paid: {agent: deedAgent, place: edge, inputs: {x: :ok.approved}}
  sent: {agent: deedAgent, place: cloud, inputs: {x: :paid, y: :ok.approved}, params: {seconds: 1}}
  rows:
    agent: mapAgent
    inputs: {rows: [1, 2, 3]}
    graph:
      nodes:
        pick: {agent: humanAgent, inputs: {row: :row}, params: {choices: [a, b], prompt: Which?}}
        done: {agent: answerAgent, place: cloud, isResult: true, inputs: {x: :pick.choice}}
  beside: {agent: answerAgent, place: edge, inputs: {x: :start}, params: {seconds: 60}}
  end: {agent: answerAgent, place: cloud, isResult: true, inputs: {x: :sent, y: :rows, z: :beside}}
"""

_ASKS_IN_TURNS: Final = """\
version: 0.5
loop: {count: 2}
concurrency: 1
nodes:
  said: {value: [], update: :more.array}
  ask: {agent: textInputAgent, params: {message: Say}}
  paid: {agent: deedAgent, place: edge, inputs: {x: :ask.text}}
  far: {agent: answerAgent, place: cloud, inputs: {x: :paid}, params: {seconds: 2}}
  other: {agent: answerAgent, place: edge, params: {seconds: 60}}
  more: {agent: pushAgent, isResult: true, inputs: {array: :said, item: :ask.text}}
  end: {agent: answerAgent, place: cloud, inputs: {x: :far, y: :other}}
"""

_OFTEN: Final = 8
"""How often people look what is asked until they do so ever more rarely: else the hours that a device is away are nothing but that."""

_GRAPHS: Final = (load_text(_ASKS).data, load_text(_ASKS_IN_TURNS).data)


def people_of(seed: int) -> Scenario:
    """What a seed stands for: graphs that ask."""
    drawn = scenario_of(seed)
    graphs: Any = tuple(_GRAPHS[(seed + number) % len(_GRAPHS)] for number in range(len(drawn.graphs)))
    return replace(drawn, graphs=graphs)


def play_with_people(scenario: Scenario, outcome: Outcome | None = None) -> Outcome:
    """Play this schedule."""
    return play(scenario, outcome, _WithPeople)


def _said(question: Question) -> Value:
    """Everybody says the same, so that a run comes to the same whoever is first."""
    return {"approve": {"approved": True}, "choose": {"choice": "b"}, "text": f"hello {question.path}"}[question.kind]


class _Sure:
    """`graphs.running.ports.People` who answer at once."""

    async def answer(self, question: Question) -> tuple[Value, dict[str, Value]]:
        return _said(question), {}


class _Sitting:
    """An `edge.people.desk.Person` who takes their time, or leaves."""

    def __init__(self, played: _WithPeople) -> None:
        self._chance = played.world.chance

    async def ask(self, question: Question) -> Value | None:
        await asyncio.sleep(30 * self._chance.random())
        return None if self._chance.random() < 0.3 else _said(question)

    def tell(self, text: str) -> None:
        """Nothing is done about it."""


class _WithPeople(Play):
    """A schedule with people in it. `confirmed` are the answers of which somebody was told that they count, by run and question."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.confirmed: dict[tuple[bytes, str, int], set[bytes]] = {}

    def _people(self) -> Any:
        return _Sure()

    def _person(self) -> Any:
        return _Sitting(self) if self.world.chance.random() < 0.4 else None

    async def _use(self, number: int, name: str, expected: Any) -> None:
        answering = [self.world.operator.create_task(self._answer_now_and_then(name)) for _ in range(2)]
        try:
            await super()._use(number, name, expected)
        finally:
            for each in answering:
                each.cancel()
        self._check(name)

    async def _answer_now_and_then(self, name: str) -> None:
        machine = self.machines[name]
        for count in itertools.count():
            seconds = self.world.chance.choice((0.5, 5, 100)) * self.world.chance.random()
            await asyncio.sleep(seconds * max(1.0, count / _OFTEN) ** 2)
            await machine.powered()
            process = Process(self.world, machine, f"answers at {name}", self._answer_some)
            await process.ended
            known = isinstance(process.error, (JournalError, asyncio.CancelledError, type(None)))
            assert known or process.killed, f"an answer ended with {process.error!r}"

    async def _answer_some(self, process: Process) -> None:
        """`graphferry answer`, once for some of the questions."""
        path = process.machine.disk.journal
        if not path.exists():
            return
        chance = self.world.chance
        with Journal.open(path) as journal:
            seen = [(row.run, each.question) for row, found in asking_runs(journal) for each in found if each.open]
            await asyncio.sleep(3 * chance.random())  # to read and to think
            for run, question in [each for each in seen if chance.random() < 0.5]:
                if chance.random() < 0.2:  # on another device, whose answer comes in whatever there is here
                    note(journal, run, question, "what?" if question.kind != "text" else 7)
                    note(journal, run, question, _said(question))
                    continue
                try:
                    writer = give(journal, run, question, _said(question))
                except UsageError:
                    continue  # somebody else was first
                if process.alive:
                    self.confirmed.setdefault((run, question.path, question.at), set()).add(writer)

    def _check(self, name: str) -> None:
        """Of each question one answer counts: the first, and the one of which somebody was told so."""
        journal = Reader(self.machines[name].disk.journal)
        try:
            for row in journal.runs(role="root"):
                self._check_run(name, row.run, list(journal.records(row.run)))
        finally:
            journal._reader.close()

    def _check_run(self, name: str, run: bytes, records: list[Logged]) -> None:
        answers = {each.question.path: each.answer for each in asked(records).values()}
        results = [each.record for each in records if isinstance(each.record, Result) and "answer" in each.record.by]
        paths = [each.path for each in results]
        assert len(paths) == len(set(paths)), f"{name}: two results of one question: {paths}"
        for result in results:
            counted: Any = result.by["answer"]
            first = answers[result.path]
            assert first is not None, f"{name}: {result.path} has a result without an answer"
            assert [first.writer, first.seq] == counted, f"{name}: another answer of {result.path} was first"
            confirmed = self.confirmed.get((run, result.path, result.at), {counted[0]})
            assert confirmed == {counted[0]}, f"{name}: {result.path} was answered otherwise than somebody was told"
        writers = {each.writer for each in records}
        lost = [path for (of, path, _), those in self.confirmed.items() if of == run and not those <= writers]
        assert not lost, f"{name}: answers are lost: {lost}"
