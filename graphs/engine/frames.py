"""A frame: one turn of one graph instance, the root graph, a nested graph, a row of a map. Part of the engine, and as pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from graphs.engine.plan import Plan, PlanNode
from graphs.errors import LimitReached, NodeError, UsageError
from graphs.paths import node_path
from graphs.states import State
from graphs.values import MISSING, Value, is_true

if TYPE_CHECKING:
    from graphs.engine.engine import Engine
    from graphs.engine.nesting import Nesting

__all__ = ["Frame"]

_NOTHING: Mapping[int, Any] = MappingProxyType({})
"""What most frames have of errors and given values: nothing, so none of them makes a map for it."""

_NO_NODES: list[Any] = []
"""The lists of a frame that is over."""

_WAITING, _INJECTED, _COMPLETED, _SKIPPED = (
    State.WAITING.value,
    State.INJECTED.value,
    State.COMPLETED.value,
    State.SKIPPED.value,
)


class Frame:
    """States and values of one graph instance in its current turn.

    `results[i]` is node i's value or MISSING, the frame itself last; `waits[i]` how many awaited nodes have none yet; `starts`
    the attempts under way; `active` how many nodes are queued or running; `held` how many are suspended; `shown` says that the
    shell was told of this turn.
    """

    __slots__ = (
        "_base",
        "active",
        "altered",
        "broken",
        "dead",
        "defaulted",
        "depth",
        "engine",
        "errors",
        "given",
        "held",
        "idle",
        "lacking",
        "loop_count",
        "nesting",
        "plan",
        "results",
        "row",
        "shown",
        "starts",
        "states",
        "strays",
        "turn",
        "waits",
    )

    def __init__(
        self, engine: Engine, plan: Plan, base: str | None = None, turn: int = 0, nesting: Nesting | None = None, row: int = 0
    ) -> None:
        self.engine = engine
        self.plan = plan
        self._base = base
        self.nesting = nesting
        self.row = row
        self.depth: int = nesting.depth if nesting is not None else 0
        self.turn = turn
        self.shown = False
        self.lacking = False
        self.given: Mapping[int, Value] = _NOTHING
        self.loop_count = plan.loop_count
        self.strays: Sequence[Frame] = ()
        self.dead = False
        self._reset()

    def _reset(self) -> None:
        plan = self.plan
        self.results: list[Any] = plan.blank.copy()
        self.results[-1] = self
        self.states: list[int] = plan.blank_states.copy()
        self.waits: list[int] = plan.waits.copy()
        self.starts: dict[int, Any] = {}
        self.errors: Mapping[int, BaseException] = _NOTHING
        self.defaulted: Collection[int] = ()
        self.broken: BaseException | None = None
        self.active = 0
        self.held = 0
        self.idle = False
        self.altered = False

    @property
    def base(self) -> str:
        """What the frame's name begins with, in whatever turn; made when somebody asks, which for most rows of a map nobody does."""
        if self._base is None:
            assert self.nesting is not None
            self._base = self.nesting.base_of(self.row)
        return self._base

    @property
    def name(self) -> str:
        """The frame's name in the current turn."""
        return self.name_of(self.turn)

    # -- values of static nodes

    def inject(self, values: Mapping[str, Value]) -> None:
        """Set static nodes by id, also as their starting values for later turns. Raises UsageError for any other node."""
        for name, value in values.items():
            number = self.plan.numbers.get(name)
            if number is None or self.plan.nodes[number] is not None or number in self.plan.boundaries:
                raise UsageError(f"injectValue with Invalid nodeId, {name}")
            self.give(number, value)

    def give(self, number: int, value: Value) -> None:
        """Set a static node, in this turn and as its starting value in later ones."""
        self.given = {**self.given, number: value}
        self.lacking = self.lacking or value is MISSING
        self._set_static(number, value)

    def fill(self, shared: Iterable[tuple[int, Value]], columns: Iterable[tuple[int, Sequence[Value]]]) -> None:
        """Give static nodes values, of a column the row's, none of them MISSING, where each has one so far; the short way of `give`."""
        results, row = self.results, self.row
        for number, value in shared:
            results[number] = value
        for number, column in columns:
            results[number] = column[row]
        if self.plan.loops:
            self.given = {number: results[number] for number, _ in (*shared, *columns)}

    def _set_static(self, number: int, value: Value) -> None:
        had = self.results[number] is not MISSING
        self.results[number] = value
        if value is MISSING:
            if had:
                self.states[number] = _WAITING
                self._count(number, +1)
            return
        self.states[number] = _INJECTED
        if not had:
            self._count(number, -1)

    def _count(self, number: int, step: int) -> None:
        self.altered = True
        waits = self.waits
        for follower in self.plan.followers[number]:
            if waits[follower] >= 0 and follower not in self.plan.any_nodes:
                waits[follower] += step

    def complaint(self) -> str | None:
        """Why this turn cannot start: static nodes that have neither value nor update (§6.1)."""
        plan = self.plan
        if self.turn:
            return None
        if plan.endless and self.loop_count is None and self.engine.max_turns is None:
            return "`while: true` never ends by itself: set a limit of turns (--max-turns), or a condition"
        lacking = [number for number in plan.valueless if self.results[number] is MISSING]
        lacking += [number for number in self.given if self.results[number] is MISSING and number not in lacking]
        if not lacking:
            return None
        names = ", ".join(plan.ids[number] for number in sorted(lacking))
        return f"Static node(s) must have value. Set value, injectValue, or set update. Affected nodeIds: {names}"

    def roots(self) -> Iterable[int]:
        """The computed nodes that are ready at the start of the turn, in written order."""
        plan = self.plan
        if not plan.any_nodes and not self.altered:
            return plan.roots
        return [
            number
            for number in plan.computed
            if self.waits[number] == 0 or (number in plan.any_nodes and self._any_at_start(number))
        ]

    # -- outcomes and any-input nodes

    def note_error(self, number: int, error: BaseException) -> None:
        """Node `number` has failed."""
        if self.errors is _NOTHING:
            self.errors = {}
        self.errors[number] = error  # type: ignore[index]

    def note_default(self, number: int) -> None:
        """Node `number` is turned off and completes with its default value when its turn in the queue comes."""
        if not self.defaulted:
            self.defaulted = set()
        self.defaulted.add(number)  # type: ignore[attr-defined]

    def path_of(self, node: PlanNode) -> str:
        """The node's path in the current turn."""
        return node_path(self.name, node.escaped)

    def name_of(self, turn: int) -> str:
        """The frame's name in that turn: `base#turn`, the turn left out when 0."""
        return f"{self.base}#{turn}" if turn else self.base

    def told(self, path: str, node: str) -> None:
        """An outcome for this frame's `node`, at `path`, may be known: settle it if it is a boundary node that waits for it."""
        number = self.plan.numbers.get(node)
        if number is None or self.plan.nodes[number] is not None or number not in self.plan.boundaries:
            return
        if self.states[number] != _WAITING:
            return
        outcome = self.engine.known.pop(path, None)
        if outcome is None or outcome.error is not None:
            return
        self.results[number] = outcome.value
        self.states[number] = outcome.state
        self.engine.tell(self, number)
        if self.plan.loops:  # the whole loop is here: what is outside is a static node without update, the same in every turn
            self.given = {**self.given, number: outcome.value}
            self.idle = False  # what could not start at the beginning of the turn may have waited for this
            self.engine.later(self.check_end)

    @property
    def settled_outside(self) -> bool:
        """Whether the outcomes of all boundary nodes are here."""
        return all(self.states[number] != _WAITING for number in self.plan.boundaries)

    def look_at_any(self, number: int) -> None:
        """A source of an anyInput node finished: the node is ready on the first value (§6.2)."""
        if self.states[number] == _WAITING and self._any_has_value(number):
            self.engine.ready(self, number)

    def _any_at_start(self, number: int) -> bool:
        """Only a source that has finished makes an anyInput node look at its inputs; at the start of a turn these are statics."""
        return any(self.states[each] == _INJECTED for each in self.plan.any_nodes[number]) and self._any_has_value(number)

    def _any_has_value(self, number: int) -> bool:
        node = self.plan.nodes[number]
        assert node is not None
        try:
            inputs = node.inputs(self.results) if node.inputs is not None else node.literal_inputs
        except Exception:  # noqa: BLE001 - the node's attempt will meet it again, and fail by it (D2)
            return True
        for key, value in inputs.items():
            if key == "params":
                continue
            if isinstance(value, list):
                if any(item is not MISSING for item in value):
                    return True
            elif value is not MISSING:
                return True
        return False

    # -- turns and the end

    def check_end(self) -> None:
        """Close the turn if nothing of it is queued or running."""
        if not self.active and not self.dead:
            self.engine.close_turn(self)

    def next_turn(self) -> bool:
        """Set up the next turn; False if this was the last (§8). Updates of the last turn stay in the results."""
        plan, engine = self.plan, self.engine
        forced = engine.force_loop and self.nesting is None and not self._limited()
        if self.broken is not None or (self.errors and not forced) or not (plan.loops or self.loop_count is not None):
            return False
        if self is engine.root and engine.elsewhere.cut_short:
            return False  # else nodes would begin that nobody ordered, from a turn that is not over
        if self.idle or self._all_were_skipped():
            return False  # a turn in which nothing could start would be followed by another such (D12)
        turn = self.turn
        try:
            return self._advance()
        except Exception as error:  # noqa: BLE001 - a property function in an `update` or in `while` may raise: no further turn (D2)
            self.turn = turn
            self.broken = error
            return False

    def _all_were_skipped(self) -> bool:
        """Whether anyInput nodes elsewhere were all that seemed to start in this turn, until the other side said that they were skipped."""
        plan, states = self.plan, self.states
        if not any((node := plan.nodes[number]) is not None and node.place is not None for number in plan.any_nodes):
            return False
        return all(states[number] in (_WAITING, _SKIPPED) for number in plan.computed)

    def _advance(self) -> bool:
        plan, engine = self.plan, self.engine
        results = self.results
        values = [(number, get(results)) for number, get in plan.updates]
        for number, value in values:
            results[number] = value
            self.states[number] = _WAITING if value is MISSING else _INJECTED
        done = self.turn + 1
        self.turn = done  # `while` sees the number of the next turn in `__loopIndex`
        if self.loop_count is not None and done >= self.loop_count:
            self.turn = done - 1
            return False
        if plan.loop_while is not None and self.loop_count is None and not is_true(plan.loop_while(self.results)):
            self.turn = done - 1
            return False
        if engine.max_turns is not None and done >= engine.max_turns:
            self.turn = done - 1
            self.broken = NodeError(
                f"the loop did not end within {engine.max_turns} turns", retryable=False, hint="Raise --max-turns."
            )
            return False
        budget = engine.compiler.budget_of(self)
        if budget.bounds.turns is not None:
            budget.turn(done, f"the loop of {self.base or 'the graph'!r} did not end within them")
        self._reset()
        for number, value in self.given.items():
            self._set_static(number, value)
        results = self.results
        for number, value in values:
            if value is MISSING or results[number] is MISSING:
                self._set_static(number, value)
            else:
                results[number] = value
        return True

    def empty(self) -> None:
        """The frame is over and its values were taken: let go of all that it held, itself among it (its last result)."""
        self.results = self.states = self.waits = _NO_NODES
        self.given = _NOTHING

    def _limited(self) -> bool:
        """Whether a node failed by a limit: then nothing goes on."""
        return any(isinstance(error, LimitReached) for error in self.errors.values())

    # -- what to ask it

    @property
    def failed(self) -> bool:
        """Whether a node of the current turn failed, or the turn could not start."""
        return bool(self.errors) or self.broken is not None

    @property
    def emptied(self) -> bool:
        """Whether the frame is over and holds nothing any more."""
        return not self.results

    def values(self, *, all: bool) -> dict[str, Value]:
        """Values by node, in written order, those without left out."""
        results = self.results
        pairs = enumerate(self.plan.ids) if all else self.plan.result_nodes
        return {name: value for number, name in pairs if (value := results[number]) is not MISSING}

    def errors_by_id(self) -> dict[str, BaseException]:
        """Errors by node, in written order."""
        return {self.plan.ids[number]: self.errors[number] for number in sorted(self.errors)}

    def first_error(self) -> tuple[str, BaseException] | None:
        """The failed node first in written order, with its error; ("", error) if the turn could not start."""
        if self.broken is not None:
            return "", self.broken
        if not self.errors:
            return None
        number = min(self.errors)
        return self.plan.ids[number], self.errors[number]

    def now_ms(self) -> int:
        """The wall clock in milliseconds since 1970, as the last event told it."""
        return int(self.engine.epoch_ms + self.engine.now * 1000)
