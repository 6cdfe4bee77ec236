"""Keeps a run within its budgets: charges what is done, and asks a person before something begins that a budget has no room for.

Nothing is killed: what has begun is finished and kept. The question lies where questions of people lie (graphs.running.desk), so it is answered from
here or from another device, and a run that waits for it costs nothing. Yes allows as much again, no fails the node. Whoever holds a run has such a
guard, device or worker: what was spent is in the run's records, so a run that moves has no more to spend than one that stays.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from graphs.engine.events import Failed, Instead, Suspend
from graphs.engine.holding import workers
from graphs.errors import LinkCondition, NodeError
from graphs.paths import document_path
from graphs.questions import BUDGET, Given, Question, allowance, first, is_yes
from graphs.records import Answer, Error, Event, Handover, Record, Result, is_untold, used_up
from graphs.running.attempt import Attempt
from graphs.spending.ledger import Ledger, Reached
from graphs.states import State

if TYPE_CHECKING:
    from graphs.engine.events import Event as EngineEvent, Settled, Start
    from graphs.journal import Logged
    from graphs.models.prices import Price
    from graphs.running.desk import Desk
    from graphs.values import Value

__all__ = ["BudgetReached", "Guard", "Made", "Place"]

Place: TypeAlias = Literal["edge", "cloud"]
"""Whose models were asked: a device's, or a worker's."""

_FIRST: Final = 1_000_000
"""Questions about budgets count from here: a question is named by its path and number, and the small ones are those of a node's own executions."""


class BudgetReached(NodeError):
    """A person was asked whether a budget may be exceeded, and said no."""

    code = "BUDGET_EXCEEDED"


class Made(NamedTuple):
    """A result that this process did not make: its record, the bytes that came for it just now, and its place."""

    record: Result
    size: int
    place: Place


class Alternatives(Protocol):
    """What a node that is not to begin elsewhere does instead."""

    def event(self, start: Start, condition: LinkCondition, *, begun: bool) -> Suspend | Instead | Failed:
        """What the engine is told of it."""


class Guard:
    """Watches one run (it is an observer of its runtime, too).

    `price` gives what a model of a place costs, None where nobody knows; `made` looks up a result that was not made in this process, and `sent` the
    bytes that went. `here` is which side this is. `feed` and `clock` are set once there is a runtime.
    """

    feed: Callable[[EngineEvent], None]
    clock: Callable[[], float]

    def __init__(
        self,
        ledger: Ledger,
        desk: Desk,
        *,
        price: Callable[[str, Place], Price | None],
        made: Callable[[str], Made | None],
        sent: Callable[[str], int] = lambda _path: 0,
        here: Place = "edge",
    ) -> None:
        self.ledger = ledger
        self._desk = desk
        self._price = price
        self._made = made
        self._sent = sent
        self._here: Place = here
        self._tasks: set[Any] = set()
        self._failed: set[tuple[Place, str, int]] = set()
        """The attempts without a result that were counted by their records: where, what, and which."""
        self._held: set[str] = set()
        """The paths that a question was asked for."""

    # -- what was spent before

    def know(self, records: Iterable[Logged], there: Iterable[Record] = ()) -> None:
        """Take in what earlier holders spent on attempts that failed, by all logs of the run, and by the records of `there` workers in parts of it,
        and what people allowed. What results took counts when they are known.
        """
        every = list(records)
        held = workers((each.writer, each.record) for each in every if isinstance(each.record, Handover))
        answers: dict[tuple[str, int], list[Given]] = {}
        questions: list[Question] = []
        for logged in every:
            record = logged.record
            self.spent_on(record, "cloud" if logged.writer in held else "edge")
            if isinstance(record, Answer):
                answers.setdefault((record.path, record.at), []).append(Given(logged.writer, logged.seq, record.value))
            elif isinstance(record, Event) and (question := Question.of(record)) is not None and allowance(question) is not None:
                questions.append(question)
        allowed = set()
        for question in questions:
            given = first(question, answers.get((question.path, question.at), ()))
            if given is not None and is_yes(given.value):
                allowed.add(allowance(question))
        for scope, kind, _ in filter(None, allowed):
            self.ledger.allow(scope, kind)
        for each in there:
            self.spent_on(each)

    # -- graphs.running.ports.Observer

    def started(self, start: Start, t: float) -> None:
        """Nothing is spent yet."""

    def erred(self, start: Start, error: BaseException, final: bool, t: float) -> None:  # noqa: ARG002 - the port hands it over
        """A failed attempt has cost its time, and what its model used up."""
        by, usage = start.provenance() if isinstance(start, Attempt) and start.live is not None else ({}, None)
        self._charge(start.path, max(0.0, t - start.t), usage or {}, by.get("model") if usage else None, self._here)

    def stopped(self, start: Start, t: float) -> None:
        """So has one that was stopped, where anybody knows what that used up."""
        if isinstance(start, Attempt) and start.provenance()[1]:
            self.erred(start, CancelledError(), True, t)

    def spent_on(self, record: Record, at: Place = "cloud") -> None:
        """An attempt failed or was stopped at the worker, where it may be tried again, or in an earlier process, as its record says: counted once."""
        if not isinstance(record, (Error, Event)) or record.path is None:
            return
        used, untold = used_up(record), is_untold(record)
        key = (at, record.path, record.at)
        if (used is not None or untold) and key not in self._failed:
            self._failed.add(key)
            self._charge(record.path, _number(used or {}, "ms") / 1000, used or {}, (used or {}).get("model"), at, untold=untold)

    def token(self, start: Start, token: Value) -> None:
        """Counted with the whole answer."""

    def settled(self, event: Settled, by: Mapping[str, Value], usage: Mapping[str, Value] | None, t: float) -> None:
        if event.state != State.COMPLETED:
            return
        path, size, at, untold = event.path, 0, self._here, False
        if event.known:
            found = self._made(path)
            if found is None:
                return
            by, usage, size, at = found.record.by, found.record.usage, found.size, found.place
            untold = is_untold(found.record)
        elif event.start is None or event.start.agent is None or event.start.agent.nests is not None:
            return
        spent = dict(usage or {})
        seconds = spent["ms"] / 1000 if "ms" in spent else (t - event.start.t if event.start is not None else 0.0)
        self._charge(path, seconds, spent, by.get("model"), at, size + self._sent(path), untold=untold)

    def _charge(
        self,
        path: str,
        seconds: float,
        usage: Mapping[str, Value],
        model: Value,
        at: Place,
        size: float = 0.0,
        *,
        untold: bool = False,
    ) -> None:
        prompt, completion = _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
        amounts = {"seconds": seconds, "tokens": prompt + completion, "bytes": size}
        price = self._price(model, at) if isinstance(model, str) else None
        if price is not None:
            amounts["usd"] = price.of(int(prompt), int(completion))
        self.ledger.charge(
            document_path(path), amounts, unpriced=model if isinstance(model, str) and price is None else None, untold=untold
        )

    # -- before something begins

    async def before(self, start: Start) -> None:
        """To be called before an attempt begins here. Raises AnswerNeeded while nobody has answered, BudgetReached if the answer is no."""
        agent = start.agent
        if not (agent is None or agent.cheap or "people" in agent.needs or start.node.stands_in):
            await self._ask(start.path)  # what stands in for something dearer is what is left to do

    def may_go(self, start: Start, go: Callable[[Start], Any], fallback: Alternatives) -> bool:
        """Whether what is to be done elsewhere may begin at once. If not, its local alternative runs, where the `fallback` has one; otherwise a
        person is asked, and `go` is called once they allow it.
        """
        reached = self.ledger.reached(document_path(start.path))
        if reached is None:
            return True
        event = fallback.event(start, LinkCondition(BudgetReached.code, str(reached)), begun=False)
        if isinstance(event, Instead):
            asyncio.get_running_loop().call_soon(self.feed, event)
            return False
        task = asyncio.ensure_future(self._hold(start, go))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return False

    async def _hold(self, start: Start, go: Callable[[Start], Any]) -> None:
        try:
            await self._ask(start.path)
        except LinkCondition as error:
            self.feed(Suspend(start, error, self.clock(), error.awaited))
        except NodeError as error:
            self.feed(Failed(start, error, self.clock()))
        else:
            go(start)

    async def _ask(self, path: str) -> None:
        while (reached := self.ledger.reached(document_path(path))) is not None:
            self._held.add(path)
            value, _ = await self._desk.answer(_question(path, reached, _FIRST + self.ledger.raised))
            if not is_yes(value):
                self._held.discard(path)
                raise BudgetReached(f"{reached}, and more was not allowed", retryable=False)
            again = self.ledger.reached(document_path(path))
            if again is not None and again.limit == reached.limit:  # else another node's question was answered meanwhile
                self.ledger.allow(reached.scope, reached.kind)
                self._release(path)
        self._held.discard(path)

    def _release(self, path: str) -> None:
        """There is room again: whoever waits for an answer to the same question need not have one."""
        others, self._held = self._held - {path}, set()
        for each in others:
            self._desk.wake(each)

    def close(self) -> None:
        """The run is over in this process."""
        for task in self._tasks:
            task.cancel()


def _question(path: str, reached: Reached, number: int) -> Question:
    prompt = f"{str(reached)[0].upper()}{str(reached)[1:]}. Go on, with as much again?"
    about = {"scope": reached.scope, "kind": reached.kind, "spent": reached.spent, "allowed": reached.allowed}
    return Question(path, number, "approve", prompt, {BUDGET: about})


def _number(spent: Mapping[str, Value], name: str) -> float:
    value = spent.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0
