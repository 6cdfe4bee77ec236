"""Nested graphs and maps: what `nestedAgent` and `mapAgent` do. Part of the engine, and as pure: their frames share its one queue
(graph-spec §9).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphs.budget import Budget
from graphs.engine.events import Arm, Start
from graphs.engine.frames import Frame
from graphs.engine.turns import abandon, begin
from graphs.errors import GraphInvalid, LimitReached, NodeError, NodeTimeout
from graphs.language.jstext import to_number
from graphs.paths import child_frame, row_frames
from graphs.values import MISSING, Value

if TYPE_CHECKING:
    from graphs.engine.engine import Engine

__all__ = ["Nesting", "frame_over", "open_node", "win"]

_new, _init = object.__new__, Frame.__init__


class Nesting:
    """The nested graph of one attempt: its frames, one or a row each, what they gave so far, and what counts their nodes.

    `depth` is how many graphs are around its frames, `everything` says that a row gives all its nodes' values.
    """

    __slots__ = ("_name", "budget", "depth", "everything", "frames", "is_map", "left", "start", "values")

    def __init__(self, start: Start, budget: Budget, *, is_map: bool) -> None:
        self.start = start
        self.budget = budget
        self.is_map = is_map
        self.depth: int = start.frame.depth + 1
        self.everything = is_map and bool(start.params.get("resultAll"))
        self.frames: list[Frame] = []
        self.values: list[Value] = []
        self.left = 0
        self._name: tuple[str, str] | None = None

    def base_of(self, row: int) -> str:
        """The name of the frame of that row, without its turn."""
        start = self.start
        if not self.is_map:
            return child_frame(start.path, tries=start.retry)
        if self._name is None:
            self._name = row_frames(start.path, tries=start.retry)
        before, after = self._name
        return f"{before}{row}{after}"

    def keep(self, frame: Frame) -> None:
        """A frame ended without failures: note its values."""
        self.values[frame.row] = {} if frame.idle and not frame.turn else frame.values(all=self.everything)
        frame.empty()
        self.left -= 1


class _Given:
    """What the agent hands to its frames: to every one of them `shared`, and to each row its entry of the `columns`, by name."""

    def __init__(self, shared: dict[str, Value], columns: dict[str, Sequence[Value]], rows: int) -> None:
        self.shared = {name: value for name, value in shared.items() if name not in columns}
        self.columns = columns
        self.rows = rows

    def without(self, names: Collection[str]) -> _Given:
        """The same without those of these names that have no value."""
        kept = {name: value for name, value in self.shared.items() if value is not MISSING or name not in names}
        return _Given(kept, self.columns, self.rows)

    @property
    def complete(self) -> bool:
        """Whether none of the values is MISSING."""
        return not any(value is MISSING for values in (self.shared.values(), *self.columns.values()) for value in values)


def open_node(engine: Engine, start: Start) -> None:
    """Begin the nested graph of an attempt; a graph that cannot begin fails the attempt."""
    if start.frame.starts.get(start.node.index) is not start or start.agent is None:
        return
    is_map = start.agent.nests == "map"
    outer = engine.compiler.budget_of(start.frame)
    nesting = Nesting(start, engine.compiler.budget_for(start, outer), is_map=is_map)
    try:
        nesting.budget.depth(start.frame.depth, f"{start.agent.name} of node {start.node.id!r} would open one more")
        given = _rows(start, nesting.budget) if is_map else _Given(start.inputs, {}, 1)
        if given.rows:
            _make_frames(engine, nesting, given)
    except GraphInvalid as error:
        _failed(
            engine, start, NodeError(str(error), retryable=False, detail={"problems": [each.message for each in error.problems]})
        )
        return
    except Exception as error:  # noqa: BLE001 - params and the graph may be data: whatever is wrong with them fails the node
        _failed(engine, start, error)
        return
    if not given.rows:
        _over(engine, start, is_map, [])
        return
    start.nesting = nesting
    nesting.left = given.rows
    nesting.values = [MISSING] * given.rows
    engine.queue.open(start.frame, start.node)
    limit = nesting.budget.bounds.seconds if nesting.budget is not outer else None
    if start.node.timeout or limit is not None:
        engine.commands.append(Arm(start, limit))
    for frame in nesting.frames:
        begin(engine, frame)


def frame_over(engine: Engine, frame: Frame) -> None:
    """A nested frame ended: its values go to the node that opened it, once all rows are in; the first failure decides at once."""
    nesting = frame.nesting
    assert nesting is not None
    start = nesting.start
    if start.nesting is not nesting:
        return  # another row failed first, or the attempt is over: this one went on in the background
    if frame.strays:
        start.frame.strays = [*start.frame.strays, *frame.strays]
    first = frame.first_error()
    if first is not None:
        rest = nesting.frames
        _close(engine, start)
        start.frame.strays = [*start.frame.strays, *(each for each in rest if each is not frame)]
        _failed(engine, start, first[1])
        return
    nesting.keep(frame)
    if not nesting.left:
        _close(engine, start)
        _over(engine, start, nesting.is_map, nesting.values)


def win(engine: Engine, frame: Frame) -> None:
    """The node that ends the frame has its value: that decides, and what still runs there is cancelled, failures or not."""
    nesting = frame.nesting
    if nesting is None or nesting.start.nesting is not nesting:
        return
    start = nesting.start
    values = frame.values(all=False)
    abandon(engine, start)
    _over(engine, start, nesting.is_map, [values])


def _over(engine: Engine, start: Start, is_map: bool, values: list[Any]) -> None:
    try:
        value = _compose(start, values) if is_map else _nested_value(start, values[0])
    except Exception as error:  # noqa: BLE001 - params may be data, as above
        _failed(engine, start, error)
        return
    engine.shape(start, value)


def _close(engine: Engine, start: Start) -> None:
    start.nesting.frames = []
    start.nesting = None
    engine.queue.close(start.frame, start.node)


def _rows(start: Start, budget: Budget) -> _Given:
    inputs, params = start.inputs, start.params
    rows = inputs.get("rows")
    if not isinstance(rows, list):
        raise NodeError("mapAgent: rows property is required in namedInput", retryable=False)
    limit = params.get("limit")
    if isinstance(limit, int) and limit > 0:
        rows = rows[:limit]
    budget.rows(len(rows), f"the map of node {start.node.id!r}")
    budget.begin(
        0, f"the map of node {start.node.id!r} would begin more", ahead=len(rows) * len(inputs)
    )  # each row has a node for each of them
    row_key = _name(start, "rowKey") or "row"
    expand = params.get("expandKeys") or []
    if not isinstance(expand, list) or not all(isinstance(name, str) for name in expand):
        raise NodeError("mapAgent: params.expandKeys is a list of names", retryable=False)
    others = {name: value for name, value in inputs.items() if name != "rows"}
    columns: dict[str, Sequence[Value]] = {row_key: rows, "__mapIndex": range(len(rows))}
    for name in expand:
        column = others.get(name)
        found = column if isinstance(column, list) else []
        columns[name] = [*found[: len(rows)], *[MISSING] * (len(rows) - len(found))]
    return _Given(others, columns, len(rows))


def _make_frames(engine: Engine, nesting: Nesting, given: _Given) -> None:
    start = nesting.start
    node = start.node
    agent_name = "mapAgent" if nesting.is_map else "nestedAgent"
    if node.graph is None:
        raise NodeError(f"{agent_name}: Please update graphai to 0.5.19 or higher: the node has no `graph`", retryable=False)
    document = node.graph if node.graph_source is None else node.graph_source(start.frame.results)
    if not nesting.is_map:  # an input without a value leaves a node of its name as it is
        given = given.without(_names(document, "nodes") | _names(document, "inputs"))
    names = (*given.shared, *given.columns)
    assert start.agent is not None
    plan = engine.compiler.nested(
        start.frame.plan, node, document, names, nesting.budget, mode=start.agent.nests, shared=node.graph_source is None
    )
    nesting.budget.begin(given.rows * len(plan.ids), f"what node {start.node.id!r} opens would begin more")
    # A computed node of an input's name wins in a map (the compiler refuses it otherwise).
    places = {name: plan.numbers[name] for name in names if plan.nodes[plan.numbers[name]] is None}
    shared = [(place, given.shared[name]) for name, place in places.items() if name in given.shared]
    columns = [(place, given.columns[name]) for name, place in places.items() if name in given.columns]
    short = nesting.is_map and given.complete
    for number in range(given.rows):
        frame = _new(Frame)  # in two steps: one function that calls another costs less than a call of the class
        _init(frame, engine, plan, None, 0, nesting, number)
        if short:
            frame.fill(shared, columns)
        else:
            for place, value in (*shared, *((place, column[number]) for place, column in columns)):
                frame.give(place, value)
        nesting.frames.append(frame)
    if not nesting.is_map and given.shared.get("loopCount"):
        nesting.frames[0].loop_count = _loop_count(given.shared["loopCount"])


def _name(start: Start, param: str) -> str | None:
    """The name in a param; None if there is none. Raises NodeError for anything else."""
    name = start.params.get(param)
    if name and not isinstance(name, str):
        raise NodeError(f"{start.node.id}: params.{param} is a name, so it has to be text", retryable=False)
    return name or None


def _names(document: Value, key: str) -> set[str]:
    part = document.get(key) if isinstance(document, Mapping) else None
    return set(part) if isinstance(part, Mapping) else set()


def _loop_count(value: Value) -> float:
    count = to_number(value)
    if count != count:
        raise NodeError("nestedAgent: the input loopCount has to be a number", retryable=False)
    return count


def _failed(engine: Engine, start: Start, error: BaseException) -> None:
    params = start.params
    if (params.get("supressError") or params.get("suppressError")) and not isinstance(error, LimitReached):
        message = str(error) or type(error).__name__
        engine.shape(start, {"onError": {"message": message, "error": {"name": "Error", "message": message}}})
        return
    if isinstance(error, NodeTimeout):  # that of a node inside; this one failed by it, and its own time is not up
        inside, error = error, NodeError(str(error), hint=error.hint, detail=error.detail)
        error.__cause__ = inside
    engine.fail(start, error)


def _nested_value(start: Start, values: dict[str, Value]) -> Value:
    only = _name(start, "resultNodeId")
    return values.get(only, MISSING) if only else values


def _compose(start: Start, rows: list[Any]) -> Value:
    params = start.params
    only = _name(start, "compositeResultKey")
    if only:
        return _column(rows, only) if not rows or only in rows[0] else MISSING
    if params.get("compositeResult"):
        return {name: _column(rows, name) for name in (rows[0] if rows else ())}
    return list(rows)


def _column(rows: list[Any], name: str) -> list[Value]:
    return [row.get(name) for row in rows]
