"""What goes into the engine (events) and what comes out (commands).

Events carry their time `t`: seconds on a clock that only goes forward. Commands are carried out in the order given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from graphs.paths import node_path
from graphs.states import State
from graphs.values import MISSING, Value

if TYPE_CHECKING:
    from graphs.engine.engine import Frame
    from graphs.engine.plan import PlanNode
    from graphs.registry import Agent

__all__ = [
    "Abort",
    "Arm",
    "Begin",
    "Close",
    "Command",
    "Completed",
    "Ended",
    "Erred",
    "Event",
    "Failed",
    "Instead",
    "Interrupted",
    "Opened",
    "Order",
    "Outcome",
    "Over",
    "Settled",
    "Start",
    "Stop",
    "Suspend",
    "Told",
    "Wake",
]


_EXECUTING = State.EXECUTING.value


class Start:
    """Command: begin an attempt of a node. The object itself is the attempt's identity: events name it.

    `retry` counts the failed attempts before this one, `at` the executions of this path begun anywhere, this one included; `t` is
    when it began. Once the node settled with it, `state`, `value` and `ended` say how and when: the engine's log is a list of these.
    `nesting` belongs to the engine, `over` (stopped: say nothing more), `live` and `task` to the shell that carries it out.
    """

    __slots__ = (
        "agent",
        "at",
        "ended",
        "frame",
        "inputs",
        "live",
        "nesting",
        "node",
        "over",
        "params",
        "retry",
        "state",
        "t",
        "task",
        "turn",
        "value",
    )
    state: int
    value: Value
    ended: float

    def __init__(
        self,
        frame: Frame,
        node: PlanNode,
        agent: Agent | None,
        inputs: dict[str, Value],
        params: dict[str, Value],
        retry: int,
        at: int,
        t: float,
    ) -> None:
        self.frame = frame
        self.node = node
        self.agent = agent
        self.inputs = inputs
        self.params = params
        self.retry = retry
        self.at = at
        self.turn = frame.turn
        self.t = t
        self.state = _EXECUTING
        self.nesting: Any = None
        self.over = False
        self.live: Any = None
        self.task: Any = None

    @property
    def path(self) -> str:
        """The path of this execution from the root run (docs/protocol.md §2)."""
        return node_path(self.frame.name_of(self.turn), self.node.escaped)

    @property
    def acts(self) -> bool:
        """Whether what it does may have happened and must not happen twice: the shell knows."""
        return False

    def __repr__(self) -> str:
        return f"<Start {self.path} retry {self.retry}>"


class Outcome(NamedTuple):
    """What is known of a path without running it here: from the journal, or from the side that ran it.

    `state` is COMPLETED, INJECTED, SKIPPED, FAILED or TIMED_OUT; `value` is final (already shaped by `output` and
    `passThrough`).
    """

    state: int
    value: Value = MISSING
    error: BaseException | None = None


# -- events


class Begin(NamedTuple):
    """Start the run. `inject` are values for static nodes, by id."""

    t: float
    inject: Mapping[str, Value] = {}


class Completed(NamedTuple):
    """An attempt gave a value (MISSING for none)."""

    start: Start
    value: Value
    t: float


class Failed(NamedTuple):
    """An attempt failed by the agent's doing, or its time ran out (a NodeTimeout)."""

    start: Start
    error: BaseException
    t: float


class Interrupted(NamedTuple):
    """An execution ended by nothing the node did (a model process died): it is begun again with the same `retry`."""

    start: Start
    error: BaseException
    t: float


class Suspend(NamedTuple):
    """An execution cannot go on now (link lost, nothing to run it, a person is asked): the node waits, everything independent goes on.

    `awaited`: somebody sees to it, and a Wake will come; until then the run does not end because of it.
    """

    start: Start
    error: BaseException
    t: float
    awaited: bool = False


class Wake(NamedTuple):
    """What a suspended node waited for may be there: the same attempt is begun again. Nothing if the path is not suspended."""

    path: str
    t: float


class Instead(NamedTuple):
    """An execution that was expected elsewhere does not come for now: `node`, which stands in for its node (`Compiler.stand_in`), begins
    here, with the same inputs. If the outcome is told all the same before it is done, that counts.
    """

    start: Start
    node: PlanNode
    t: float


class Told(NamedTuple):
    """The outcome of a path, as the side that ran it reports it, or as its holder does for a boundary node."""

    path: str
    outcome: Outcome
    t: float


class Close(NamedTuple):
    """No further outcome of a boundary node will come: what still waits then will wait for ever."""

    t: float


class Order(NamedTuple):
    """An on-demand node may start now: the holder's queue took it. For engines that were made with `demand`."""

    path: str
    t: float


class Abort(NamedTuple):
    """Stop everything now. With an error the run has failed by it."""

    t: float
    why: str = "aborted"
    error: BaseException | None = None


Event: TypeAlias = Begin | Completed | Failed | Interrupted | Suspend | Wake | Instead | Told | Close | Order | Abort

# -- commands (besides Start)


class Stop(NamedTuple):
    """Cancel this attempt; whatever it still says is ignored."""

    start: Start


class Arm(NamedTuple):
    """Start the `timeout` of an attempt that the engine itself carries out (a nested graph); a Failed event tells when it ran out.

    `limit` are the seconds it may have at most, whatever its node says: a LimitReached tells when those are over.
    """

    start: Start
    limit: float | None = None


class Erred(NamedTuple):
    """An attempt failed; `final` if it was the last one."""

    start: Start
    error: BaseException
    final: bool


class Settled(NamedTuple):
    """A computed node reached its final state for this turn. `start` is None where nothing was started (skipped, known, default)."""

    frame: Frame
    node: PlanNode
    turn: int
    state: int
    value: Value
    start: Start | None
    known: bool

    @property
    def path(self) -> str:
        if not self.turn and not self.frame.base:
            return self.node.escaped  # the root graph's first turn: nothing to put together
        return node_path(self.frame.name_of(self.turn), self.node.escaped)


class Opened(NamedTuple):
    """A turn of a frame begins, some of whose nodes are placed elsewhere. Comes before anything else of that turn."""

    frame: Frame
    turn: int


class Over(NamedTuple):
    """That turn is over: no outcome of it matters any more. `cancelled` if it did not come to its end."""

    frame: Frame
    turn: int
    cancelled: bool


class Ended(NamedTuple):
    """Nothing can run any more. `state` is COMPLETED, FAILED, ABORTED or SUSPENDED."""

    state: State


Command: TypeAlias = Start | Stop | Arm | Erred | Settled | Opened | Over | Ended
