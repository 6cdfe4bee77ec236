"""List agents beyond their samples."""

from __future__ import annotations

from typing import Any

import pytest

from agent_context import context, run
from graphs.agents import array
from graphs.errors import NodeError
from graphs.registry import Agent
from graphs.values import MISSING

SET = "Set inputs: { array: :arrayNodeId, item: :itemNodeId }"


@pytest.mark.parametrize(
    ("agent", "inputs", "params", "message"),
    [
        (array.push_agent, {"array": "not a list", "item": 1}, {}, f"pushAgent: namedInputs.array is not Array. {SET}"),
        (array.push_agent, {"array": []}, {}, f"pushAgent: namedInputs.item and namedInputs.items are UNDEFINED! {SET}"),
        (array.push_agent, {"array": [], "items": None}, {}, "pushAgent: namedInputs.items is not array!"),
        (array.pop_agent, {}, {}, "popAgent: namedInputs is UNDEFINED!"),
        (array.shift_agent, {"array": 5}, {}, "shiftAgent: namedInputs.array is not Array."),
        (array.array_flat_agent, {"a": 1}, {}, "arrayFlatAgent: namedInputs.array is UNDEFINED!"),
        (array.array_join_agent, {"a": 1}, {}, "arrayJoinAgent: namedInputs.array is UNDEFINED!"),
        (array.array_find_first_exists_agent, {}, {}, "arrayFindFirstExistsAgent: namedInputs is UNDEFINED!"),
        (array.array_to_object_agent, {}, {"key": "id"}, "arrayToObjectAgent: namedInputs is UNDEFINED!"),
        (array.array_to_object_agent, {"items": {}}, {"key": "id"}, "arrayToObjectAgent: namedInputs.items is not array!"),
        (array.array_to_object_agent, {"items": []}, {}, "arrayToObjectAgent: params.key is UNDEFINED!"),
        (array.array_to_object_agent, {"items": [1]}, {"key": "id"}, "something else than a map at position 0"),
    ],
)
def test_wrong_inputs(agent: Agent, inputs: dict[str, Any], params: dict[str, Any], message: str) -> None:
    with pytest.raises(NodeError) as caught:
        run(agent, context(inputs, params))
    assert message in caught.value.message


def test_an_item_without_value_is_none_but_items_may_be_there() -> None:
    assert run(array.push_agent, context({"array": [1], "item": MISSING, "items": [2]})) == {"array": [1, 2]}


def test_lists_are_copied_not_changed() -> None:
    shared = [1, 2]
    for agent in (array.push_agent, array.pop_agent, array.shift_agent):
        given = context({"array": shared, "item": 3})
        assert run(agent, given)["array"] is not shared
    assert shared == [1, 2]


@pytest.mark.parametrize(("depth", "flat"), [(0, [1, [2, [3]]]), (None, [1, 2, [3]]), ("2", [1, 2, 3]), (99, [1, 2, 3])])
def test_depths(depth: Any, flat: list[Any]) -> None:
    assert run(array.array_flat_agent, context({"array": [1, [2, [3]]]}, {"depth": depth})) == {"array": flat}


def test_joined_elements_are_texts() -> None:
    given = context({"array": [{"a": 1}, [1, [2]], None, 2.0]}, {"separator": 0})
    assert run(array.array_join_agent, given) == {"text": '{"a":1}01,2002'}


def test_keys_of_an_object_are_texts() -> None:
    items = [{"k": 2.0}, {"k": True}, {}]
    assert run(array.array_to_object_agent, context({"items": items}, {"key": "k"})) == {
        "2": {"k": 2.0},
        "true": {"k": True},
        "undefined": {},
    }
