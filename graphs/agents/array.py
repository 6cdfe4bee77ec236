"""Agents that work on lists."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from graphs.agents.common import given, refuse, require_array, require_inputs
from graphs.budget import ITEM, Room, spend
from graphs.language.jstext import join, text, to_number, truthy
from graphs.registry import Agent, AgentContext, AgentFunction, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS"]

_SET_ITEM = " Set inputs: { array: :arrayNodeId, item: :itemNodeId }"

_array: Callable[..., Callable[[AgentFunction], Agent]] = partial(agent, category="array", effect="none", cheap=True)


@_array(
    "pushAgent",
    samples=[
        Sample({"array": [1], "item": 2}, {}, {"array": [1, 2]}),
        Sample({"array": [1], "items": [2, [3]]}, {}, {"array": [1, 2, [3]]}),
        Sample({"array": [1], "item": "i", "items": ["j"], "extra": True}, {}, {"extra": True, "array": [1, "i", "j"]}),
        Sample({"array": [1], "item": None, "more": 1}, {"arrayKey": "messages"}, {"more": 1, "messages": [1, None]}),
    ],
)
def push_agent(context: AgentContext) -> Value:
    """Adds item, then all of items, to the end of array; other inputs are kept. params.arrayKey renames the list."""
    array = require_array("pushAgent", context.inputs, _SET_ITEM)
    item, items = context.inputs.get("item", MISSING), context.inputs.get("items", MISSING)
    if item is MISSING and items is MISSING:
        raise refuse(f"pushAgent: namedInputs.item and namedInputs.items are UNDEFINED!{_SET_ITEM}")
    if not isinstance(items, list) and items is not MISSING:
        raise refuse("pushAgent: namedInputs.items is not array!")
    rest = {key: value for key, value in context.inputs.items() if key not in ("array", "item", "items")}
    key = context.params.get("arrayKey")
    added = [] if item is MISSING else [item]
    if isinstance(items, list):
        added += items
    spend(ITEM * (len(array) + len(added)))
    return {**rest, text(key) if truthy(key) else "array": array + added}


@_array(
    "popAgent",
    samples=[
        Sample({"array": ["a", "b", "c"]}, {}, {"array": ["a", "b"], "item": "c"}),
        Sample({"array": []}, {}, {"array": []}),
    ],
)
def pop_agent(context: AgentContext) -> Value:
    """Takes the last element of array; an empty list gives no item."""
    array = require_array("popAgent", context.inputs)
    return {"array": array[:-1], "item": array[-1]} if array else {"array": []}


@_array(
    "shiftAgent",
    samples=[
        Sample({"array": ["a", "b", "c"]}, {}, {"array": ["b", "c"], "item": "a"}),
        Sample({"array": []}, {}, {"array": []}),
    ],
)
def shift_agent(context: AgentContext) -> Value:
    """Takes the first element of array; an empty list gives no item."""
    array = require_array("shiftAgent", context.inputs)
    return {"array": array[1:], "item": array[0]} if array else {"array": []}


@_array(
    "arrayFlatAgent",
    samples=[
        Sample({"array": [1, [2, [3, [4]]]]}, {}, {"array": [1, 2, [3, [4]]]}),
        Sample({"array": [1, [2, [3, [4]]]]}, {"depth": 2}, {"array": [1, 2, 3, [4]]}),
    ],
)
def array_flat_agent(context: AgentContext) -> Value:
    """Replaces lists inside array by their elements, params.depth levels deep (1)."""
    array = require_array("arrayFlatAgent", context.inputs)
    depth = given(context.params, "depth")
    return {"array": _flattened(array, 1 if depth is MISSING else depth)}


@_array(
    "arrayJoinAgent",
    samples=[
        Sample({"array": ["a", 1, True]}, {}, {"text": "a1true"}),
        Sample({"array": [1, None, 2.5, "z"]}, {"separator": " | "}, {"text": "1 |  | 2.5 | z"}),
        Sample({"array": [1, [2, [3, [4]]]]}, {"separator": "-", "flat": 2}, {"text": "1-2-3-4"}),
    ],
)
def array_join_agent(context: AgentContext) -> Value:
    """Joins the elements' texts with params.separator (none), after flattening params.flat levels."""
    array = require_array("arrayJoinAgent", context.inputs)
    separator, flat = given(context.params, "separator"), context.params.get("flat")
    elements = _flattened(array, flat) if truthy(flat) else array
    return {"text": join(elements, "" if separator is MISSING else text(separator))}


def _flattened(array: list[Value], depth: Value) -> list[Value]:
    levels = to_number(depth)
    room = Room()
    while levels >= 1 and any(isinstance(item, list) for item in array):
        room.take(ITEM * sum(len(item) if isinstance(item, list) else 1 for item in array))
        array = [inner for item in array for inner in (item if isinstance(item, list) else [item])]
        levels -= 1
    return array


@_array(
    "arrayToObjectAgent",
    samples=[
        Sample(
            {"items": [{"id": "u", "v": 1}, {"id": "w", "v": 2}, {"id": "u", "v": 3}]},
            {"key": "id"},
            {"u": {"id": "u", "v": 3}, "w": {"id": "w", "v": 2}},
        ),
        Sample({"items": [{"n": 2}]}, {"key": "n"}, {"2": {"n": 2}}),
    ],
)
def array_to_object_agent(context: AgentContext) -> Value:
    """Makes a map of the maps in items, keyed by their entry params.key; of equal keys the last wins."""
    require_inputs("arrayToObjectAgent", context.inputs)
    items, key = context.inputs.get("items"), given(context.params, "key")
    if not isinstance(items, list):
        raise refuse("arrayToObjectAgent: namedInputs.items is not array!")
    if key is MISSING:
        raise refuse("arrayToObjectAgent: params.key is UNDEFINED!")
    result: dict[str, Value] = {}
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            raise refuse(f"arrayToObjectAgent: namedInputs.items holds something else than a map at position {position}")
        result[text(item.get(text(key), MISSING))] = item
    return result


@_array(
    "arrayFindFirstExistsAgent",
    samples=[
        Sample({"array": [MISSING, None, 0, 5]}, {}, 0),
        Sample({"array": [None]}, {}, MISSING),
    ],
)
def array_find_first_exists_agent(context: AgentContext) -> Value:
    """Gives the first element of array that is neither null nor missing."""
    array = require_array("arrayFindFirstExistsAgent", context.inputs)
    return next((item for item in array if item is not None and item is not MISSING), MISSING)


AGENTS: Final = (
    push_agent,
    pop_agent,
    shift_agent,
    array_flat_agent,
    array_join_agent,
    array_to_object_agent,
    array_find_first_exists_agent,
)
