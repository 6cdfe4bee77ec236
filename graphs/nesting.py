"""Nested graphs and maps: what `nestedAgent` and `mapAgent` do. Part of the engine, and as pure: their frames share its one queue
(graph-spec §9).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphs.budget import Budget
from graphs.errors import GraphInvalid, LimitReached, NodeError
from graphs.events import Arm, Start
from graphs.frames import Frame
from graphs.jstext import to_number
from graphs.paths import child_frame, row_frames
from graphs.turns import begin
from graphs.values import MISSING, Value

if TYPE_CHECKING:
    from graphs.engine import Engine

__all__ = ["Nesting", "frame_over", "open_node"]


class Nesting:
    """The nested graph of one attempt: its frames, one or a row each, what they gave so far, and what counts their nodes."""

    __slots__ = ("budget", "frames", "is_map", "left", "start", "values")

    def __init__(self, start: Start, budget: Budget, *, is_map: bool) -> None:
        self.start = start
        self.budget = budget
        self.is_map = is_map
        self.frames: list[Frame] = []
        self.values: list[Value] = []
        self.left = 0


def open_node(engine: Engine, start: Start) -> None:
    """Begin the nested graph of an attempt; a graph that cannot begin fails the attempt."""
    if start.frame.starts.get(start.node.index) is not start or start.agent is None:
        return
    is_map = start.agent.nests == "map"
    outer = engine.compiler.budget_of(start.frame)
    nesting = Nesting(start, engine.compiler.budget_for(start, outer), is_map=is_map)
    try:
        nesting.budget.depth(start.frame.depth, f"{start.agent.name} of node {start.node.id!r} would open one more")
        rows = _rows(start, nesting.budget) if is_map else [dict(start.inputs)]
        if rows:
            _make_frames(engine, nesting, rows)
    except GraphInvalid as error:
        _failed(
            engine, start, NodeError(str(error), retryable=False, detail={"problems": [each.message for each in error.problems]})
        )
        return
    except Exception as error:  # noqa: BLE001 - params and the graph may be data: whatever is wrong with them fails the node
        _failed(engine, start, error)
        return
    if not rows:
        _over(engine, start, is_map, [])
        return
    start.nesting = nesting
    nesting.left = len(rows)
    nesting.values = [MISSING] * len(rows)
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
    everything = bool(start.params.get("resultAll")) and nesting.is_map
    nesting.values[frame.row] = {} if frame.idle and not frame.turn else frame.values(all=everything)
    frame.results[-1] = None  # the frame held itself through its results: without that it is freed at once
    nesting.left -= 1
    if not nesting.left:
        _close(engine, start)
        _over(engine, start, nesting.is_map, nesting.values)


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


def _rows(start: Start, budget: Budget) -> list[dict[str, Value]]:
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
    made = []
    for number, row in enumerate(rows):
        values = {**others, row_key: row, "__mapIndex": number}
        for name in expand:
            column = others.get(name)
            values[name] = column[number] if isinstance(column, list) and number < len(column) else MISSING
        made.append(values)
    return made


def _make_frames(engine: Engine, nesting: Nesting, rows: list[dict[str, Value]]) -> None:
    start = nesting.start
    node = start.node
    agent_name = "mapAgent" if nesting.is_map else "nestedAgent"
    if node.graph is None:
        raise NodeError(f"{agent_name}: Please update graphai to 0.5.19 or higher: the node has no `graph`", retryable=False)
    document = node.graph if node.graph_source is None else node.graph_source(start.frame.results)
    own_nodes = _names(document, "nodes") | _names(document, "inputs")
    # Rows have the same names, so all share one plan, and one look-up of where their values go.
    names = tuple(name for name in rows[0] if nesting.is_map or rows[0][name] is not MISSING or name not in own_nodes)
    assert start.agent is not None
    plan = engine.compiler.nested(
        start.frame.plan, node, document, names, nesting.budget, mode=start.agent.nests, shared=node.graph_source is None
    )
    nesting.budget.begin(len(rows) * len(plan.ids), f"what node {start.node.id!r} opens would begin more")
    # A computed node of an input's name wins in a map (the compiler refuses it otherwise).
    places = [(plan.numbers[name], name) for name in names if plan.nodes[plan.numbers[name]] is None]
    path = start.path
    before, after = row_frames(path, tries=start.retry)
    for number, values in enumerate(rows):
        base = f"{before}{number}{after}" if nesting.is_map else child_frame(path, tries=start.retry)
        frame = Frame(engine, plan, base=base, nesting=nesting, row=number)
        if not nesting.is_map or MISSING in values.values():
            for place, name in places:
                frame.give(place, values[name])
        else:
            frame.fill(places, values)
        nesting.frames.append(frame)
    if not nesting.is_map and rows[0].get("loopCount"):
        nesting.frames[0].loop_count = _loop_count(rows[0]["loopCount"])


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
    else:
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
