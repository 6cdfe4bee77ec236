"""Keeps a run within its budgets: charges what is done, and asks a person before something begins that a budget has no room for.

Nothing is killed: what has begun is finished and kept. The question lies where questions of people lie (edge.people.desk), so it is answered from
here or from another device, and a run that waits for it costs nothing. Yes allows as much again, no fails the node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from edge.spending.ledger import Ledger, Reached
from graphs.engine.events import Failed, Instead, Suspend
from graphs.errors import LinkCondition, NodeError
from graphs.paths import document_path
from graphs.questions import Given, Question, first
from graphs.records import Answer, Event, Result
from graphs.states import State

if TYPE_CHECKING:
    from edge.ferrying.fallback import Fallback
    from edge.people.desk import Desk
    from graphs.engine.events import Event as EngineEvent, Settled, Start
    from graphs.journal import Logged
    from graphs.models.prices import Price
    from graphs.values import Value

__all__ = ["BudgetReached", "Guard"]

_TAG: Final = "budget"
_FIRST: Final = 1_000_000
"""Questions about budgets count from here: a question is named by its path and number, and the small ones are those of a node's own executions."""


class BudgetReached(NodeError):
    """A person was asked whether a budget may be exceeded, and said no."""

    code = "BUDGET_EXCEEDED"


class Guard:
    """Watches one run (it is an observer of its runtime, too).

    `price` gives what a model of a place costs, None where nobody knows; `made` looks up the record of a result that was not made in this process,
    with the bytes that came for it, and `sent` the bytes that went. `feed` and `clock` are set once there is a runtime.
    """

    feed: Callable[[EngineEvent], None]
    clock: Callable[[], float]

    def __init__(
        self,
        ledger: Ledger,
        desk: Desk,
        *,
        price: Callable[[str, str], Price | None],
        made: Callable[[str], tuple[Result, int] | None],
        sent: Callable[[str], int],
    ) -> None:
        self.ledger = ledger
        self._desk = desk
        self._price = price
        self._made = made
        self._sent = sent
        self._tasks: set[Any] = set()
        self._held: set[str] = set()
        """The paths that a question was asked for."""

    # -- what was spent before

    def know(self, records: Iterable[Logged]) -> None:
        """Take in what earlier processes spent, and what people allowed."""
        answers: dict[tuple[str, int], list[Given]] = {}
        questions: list[Question] = []
        for logged in records:
            record = logged.record
            if isinstance(record, Answer):
                answers.setdefault((record.path, record.at), []).append(Given(logged.writer, logged.seq, record.value))
            elif isinstance(record, Event) and (question := Question.of(record)) is not None and _TAG in question.inputs:
                questions.append(question)
        allowed = set()
        for question in questions:
            given = first(question, answers.get((question.path, question.at), ()))
            if given is not None and _is_yes(given.value):
                about: Any = question.inputs[_TAG]
                allowed.add((about["scope"], about["kind"], about["allowed"]))  # several nodes may have asked for the same
        for scope, kind, _ in allowed:
            self.ledger.allow(scope, kind)

    # -- graphs.running.ports.Observer

    def started(self, start: Start, t: float) -> None:
        """Nothing is spent yet."""

    def erred(self, start: Start, error: BaseException, final: bool, t: float) -> None:  # noqa: ARG002 - the port hands it over
        """A failed attempt has cost its time."""
        self.ledger.charge(document_path(start.path), {"seconds": max(0.0, t - start.t)})

    def token(self, start: Start, token: Value) -> None:
        """Counted with the whole answer."""

    def settled(self, event: Settled, by: Mapping[str, Value], usage: Mapping[str, Value] | None, t: float) -> None:
        if event.state != State.COMPLETED:
            return
        path, size, at = event.path, 0, "edge"
        if event.known:
            found = self._made(path)
            if found is None:
                return
            record, size = found
            by, usage, at = record.by, record.usage, "cloud" if size else "edge"
        elif event.start is None or event.start.agent is None or event.start.agent.nests is not None:
            return
        spent = dict(usage or {})
        seconds = spent["ms"] / 1000 if "ms" in spent else (t - event.start.t if event.start is not None else 0.0)
        prompt, completion = _number(spent, "prompt_tokens"), _number(spent, "completion_tokens")
        amounts = {"seconds": seconds, "tokens": prompt + completion, "bytes": size + self._sent(path)}
        model, unpriced = by.get("model"), None
        if isinstance(model, str):
            price = self._price(model, at)
            if price is not None:
                amounts["usd"] = price.of(int(prompt), int(completion))
            else:
                unpriced = model
        self.ledger.charge(document_path(path), amounts, unpriced=unpriced)

    # -- before something begins

    async def before(self, start: Start) -> None:
        """To be called before an attempt begins here. Raises AnswerNeeded while nobody has answered, BudgetReached if the answer is no."""
        agent = start.agent
        if not (agent is None or agent.cheap or "people" in agent.needs or start.node.stands_in):
            await self._ask(start.path)  # what stands in for something dearer is what is left to do

    def may_go(self, start: Start, go: Callable[[Start], Any], fallback: Fallback) -> bool:
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
            if not _is_yes(value):
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
    return Question(path, number, "approve", prompt, {_TAG: about})


def _is_yes(value: Value) -> bool:
    return isinstance(value, Mapping) and value.get("approved") is True


def _number(spent: Mapping[str, Value], name: str) -> float:
    value = spent.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0
