"""What becomes of an agent's raw value before it is the node's, and of a node's inputs before the agent sees them (graph-spec
§6.2, §6.4 to 6.6). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphs.budget import ITEM, Room, spend
from graphs.engine.plan import PlanNode
from graphs.errors import NodeError
from graphs.values import MISSING, Value

__all__ = ["laid_over", "shaped", "without_missing"]


def shaped(node: PlanNode, results: list[Any], value: Value, *, exists: bool) -> Value:
    """`passThrough`, then `repeatUntil` (if `exists` asks for it), then `output`, then `passThrough` again over a reshaped map.

    Raises NodeError "Repeat Until" where the path is null or missing, and whatever resolving a source raises.
    """
    passed = node.pass_through(results) if node.pass_through is not None else None
    if passed:
        value = laid_over(value, passed)
    if exists and node.exists is not None:
        found = node.exists(value)
        if found is None or found is MISSING:
            raise NodeError("Repeat Until")
    if node.output is not None:
        value = node.output(value)
        if passed:
            value = laid_over(value, passed)
    return value


def laid_over(value: Value, entries: Mapping[str, Value]) -> Value:
    """A map with these entries laid over it, a list with them laid over each of its maps, anything else as it is."""
    if isinstance(value, dict):
        return {**value, **entries}
    if isinstance(value, list):
        spend(ITEM * sum(len(item) + len(entries) for item in value if isinstance(item, dict)))
        return [{**item, **entries} if isinstance(item, dict) else item for item in value]
    return value


def without_missing(value: Value, room: Room | None = None) -> Value:
    """An anyInput node's inputs: null and missing entries are dropped at every depth. Raises LimitReached."""
    if not isinstance(value, (dict, list)):
        return value
    room = room or Room()
    room.take(ITEM * (1 + len(value)))
    if isinstance(value, dict):
        return {key: without_missing(item, room) for key, item in value.items() if item is not None and item is not MISSING}
    return [without_missing(item, room) for item in value if item is not None and item is not MISSING]
