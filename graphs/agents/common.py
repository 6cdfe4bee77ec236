"""What the standard agents share: the checks of their inputs, in GraphAI's words, and merging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from graphs.budget import ITEM, Room, spend
from graphs.errors import NodeError
from graphs.language.jstext import to_number, truthy
from graphs.registry import AgentContext
from graphs.values import MISSING, Value

__all__ = [
    "deep_merge",
    "duration",
    "given",
    "merge_all",
    "option",
    "refuse",
    "require_array",
    "require_inputs",
    "service",
    "whole_count",
]

MOST_ELEMENTS: Final = 1_000_000
"""Elements a list made by a count may have: a graph may come from anywhere and must not fill this machine's memory."""


def refuse(message: str, *, hint: str | None = None) -> NodeError:
    """The error of an attempt that would fail the same way again."""
    return NodeError(message, retryable=False, hint=hint)


def require_inputs(name: str, inputs: Mapping[str, Value], extra: str = "") -> None:
    """Raises NodeError if there are no inputs at all; one without a value counts."""
    if not inputs:
        raise refuse(f"{name}: namedInputs is UNDEFINED!{extra}")


def require_array(name: str, inputs: Mapping[str, Value], extra: str = "") -> list[Value]:
    """The input `array`. Raises NodeError if it is not a list."""
    require_inputs(name, inputs, extra)
    array = inputs.get("array", MISSING)
    if isinstance(array, list):
        return array
    if not truthy(array):
        raise refuse(f"{name}: namedInputs.array is UNDEFINED!{extra}")
    raise refuse(f"{name}: namedInputs.array is not Array.{extra}")


def given(values: Mapping[str, Value], *names: str) -> Value:
    """The first of these entries that is neither missing nor null, or MISSING; several names are spellings of one."""
    for name in names:
        value = values.get(name)
        if value is not None and value is not MISSING:
            return value
    return MISSING


def option(context: AgentContext, name: str) -> Value:
    """An entry that may stand in inputs or params, or MISSING. An input wins, even one without a value."""
    return either(context.inputs, context.params, name)


def either(inputs: Mapping[str, Value], params: Mapping[str, Value], name: str) -> Value:
    """An entry of the inputs, even one without a value, or of the params, or MISSING."""
    return inputs[name] if name in inputs else params.get(name, MISSING)


def service(context: AgentContext, name: str) -> Any:
    """What this side offers under that name, or None."""
    return getattr(context.services, name, None)


def duration(value: Value, default: float) -> float:
    """Milliseconds as seconds; `default` (milliseconds) for a value that is missing, null or no number, never below 0."""
    milliseconds = default if value is None or value is MISSING else to_number(value)
    return max(milliseconds, 0) / 1000 if milliseconds == milliseconds else default / 1000


def whole_count(name: str, context: AgentContext) -> int:
    """params.count. Raises NodeError if it is not a whole number from 0 to `MOST_ELEMENTS`."""
    count = context.params.get("count", MISSING)
    if isinstance(count, float) and count == count // 1:
        count = int(count)
    if type(count) is not int or not 0 <= count <= MOST_ELEMENTS:
        raise refuse(f"{name}: params.count must be a whole number from 0 to {MOST_ELEMENTS}")
    spend(ITEM * count)
    return count


def deep_merge(below: Value, above: Value, room: Room | None = None) -> Value:
    """`above` laid over `below`: maps are merged at every depth, lists put one after the other, anything else replaced."""
    room = room or Room()
    if isinstance(below, dict) and isinstance(above, dict):
        room.take(ITEM * (1 + len(below) + len(above)))
        merged = dict(below)
        for key, value in above.items():
            merged[key] = deep_merge(merged[key], value, room) if key in merged else value
        return merged
    if isinstance(below, list) and isinstance(above, list):
        room.take(ITEM * (1 + len(below) + len(above)))
        return below + above
    return above


def merge_all(name: str, start: Value, items: Value) -> Value:
    """All maps of a list merged deeply onto `start`. Raises NodeError for elements that are not maps."""
    if not isinstance(items, list):
        raise refuse(f"{name}: namedInputs.array is not Array.")
    merged, room = start, Room()
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            raise refuse(f"{name}: namedInputs.array holds something else than a map at position {position}")
        merged = deep_merge(merged, item, room)
    return merged
