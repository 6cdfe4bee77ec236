"""Ports: what the runtime asks of the world around it. Device, worker and simulator each fit their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from graphs.engine.events import Settled, Start
from graphs.engine.frames import Frame
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.questions import Question

__all__ = ["AgentFilter", "Observer", "People", "Reckoner", "Recorder", "Remote", "Services", "tell_stopped"]


class Observer(Protocol):
    """Whoever watches a run. Called in the event loop in the order things happen; must return at once. `t` is the engine's time in
    seconds.
    """

    def started(self, start: Start, t: float) -> None:
        """An attempt begins, or is expected to begin elsewhere."""

    def settled(self, event: Settled, by: Mapping[str, Value], usage: Mapping[str, Value] | None, t: float) -> None:
        """A node reached its final state for this turn; `by` and `usage` are what its attempt said of itself."""

    def erred(self, start: Start, error: BaseException, final: bool, t: float) -> None:
        """An attempt failed."""

    def token(self, start: Start, token: Value) -> None:
        """A piece of an answer that is being made: volatile, nothing may depend on it."""


@runtime_checkable
class Reckoner(Protocol):
    """An observer that is told of attempts that were stopped, too."""

    def stopped(self, start: Start, t: float) -> None:
        """An attempt that was stopped is over, and has said what it used up, if anybody knows that."""


def tell_stopped(observers: Iterable[Observer], start: Start, t: float) -> None:
    """Tell those of them that want to hear it."""
    for observer in observers:
        if isinstance(observer, Reckoner):
            observer.stopped(start, t)


class Recorder(Observer, Protocol):
    """Where a run's records go: a journal, or the log of a child run."""

    told_of_starts: ClassVar[bool]
    """Whether `started` is called: most attempts leave no record of their beginning, and telling costs each of them."""

    def begun(self, start: Start, t: float) -> None:
        """An attempt whose begin must be on record (effect `once`, or it streams) is about to run."""

    def admit(self, value: Value) -> None:
        """An agent gave this value, which is recorded unless the engine makes something else of it, before anything else is.

        Raises ValueUnsupported or LimitReached if it could not be.
        """

    async def durable(self) -> None:
        """Returns when everything recorded so far would survive a loss of power. Raises JournalError if it cannot."""

    async def may_begin(self) -> None:
        """Returns when what was recorded is safe enough for a node that cannot be undone to begin. Raises JournalError if it cannot be."""


class Remote(Protocol):
    """Who runs the nodes that are placed elsewhere. Outcomes come back as events of the runtime."""

    def opened(self, frame: Frame, turn: int) -> None:
        """A turn of a frame begins, some of whose nodes are placed elsewhere."""

    def over(self, frame: Frame, turn: int, *, cancelled: bool) -> None:
        """That turn is over: nothing more is needed of it."""

    def expect(self, start: Start) -> bool:
        """The engine finds this node ready; the other side starts it by itself or is told to.

        True: it was told to, and what starts after it waits for `Runtime.begun_elsewhere`, so that the order of starts is the same
        wherever nodes run.
        """

    def settled(self, event: Settled) -> None:
        """A node settled here: its outcome may be a boundary value of a shipped fragment."""

    def stop(self, start: Start) -> None:
        """The engine gives this node up."""


class AgentFilter(NamedTuple):
    """Code around agents (graph-spec §10.2): applied if the agent or the node is listed, always without both lists."""

    name: str
    run: Callable[[Any, Callable[[Any], Any]], Value | Awaitable[Value]]
    agents: frozenset[str] | None = None
    nodes: frozenset[str] | None = None
    params: Mapping[str, Value] = MappingProxyType({})

    def applies(self, agent: str, node: str) -> bool:
        """Whether this filter wraps that agent in that node."""
        if self.agents is None and self.nodes is None:
            return True
        return bool(self.agents and agent in self.agents) or bool(self.nodes and node in self.nodes)


class People(Protocol):
    """Whoever can be asked. Answers are in the form that `graphs.questions.fit` gives."""

    async def answer(self, question: Question) -> tuple[Value, Mapping[str, Value]]:
        """The answer that counts, and what is to be said of it in the result (`by`). Raises AnswerNeeded while there is none: the node
        waits, and is woken when there is one.
        """

    async def ask_now(self, question: Question) -> Value:
        """Ask the person who is here and wait, leaving nothing on record. Raises NodeError where nobody is."""


@dataclass(slots=True)
class Services:
    """What a side offers its agents. What is None is not granted."""

    models: Any = None
    """graphs.models.interface.Models"""
    default_model: str | None = None
    files: str | None = None
    """The folder files may be read from and written to."""
    network: bool = True
    people: People | None = None
    events: Any = None
