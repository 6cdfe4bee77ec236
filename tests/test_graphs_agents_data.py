"""Data agents beyond their samples."""

from __future__ import annotations

from typing import Any

import pytest

from agent_context import context, run
from graphs.agents import data
from graphs.errors import NodeError
from graphs.registry import Agent
from graphs.values import MISSING


def test_copy_wants_inputs_and_gives_the_very_values() -> None:
    with pytest.raises(NodeError, match="copyAgent: namedInputs is UNDEFINED!"):
        run(data.copy_agent, context())
    value = [1]
    assert run(data.copy_agent, context({"v": value}, {"namedKey": "v"})) is value


def test_an_input_without_value_counts_as_an_input() -> None:
    assert run(data.copy_agent, context({"gone": MISSING})) == {}


def test_echo_gives_the_filter_params_when_asked() -> None:
    assert run(data.echo_agent, context({}, {"filterParams": True}, filter_params={"k": "v"})) == {"k": "v"}
    assert run(data.echo_agent, context({}, {"filterParams": False})) == {"filterParams": False}


@pytest.mark.parametrize(
    ("agent", "inputs", "params", "message"),
    [
        (data.merge_object_agent, {}, {}, "mergeObjectAgent: namedInputs is UNDEFINED!"),
        (data.merge_object_agent, {"items": {"a": 1}}, {}, "mergeObjectAgent: namedInputs.items is not array!"),
        (data.data_object_merge_template_agent, {"array": [1]}, {}, "something else than a map at position 0"),
        (data.total_agent, {}, {}, "totalAgent: namedInputs is UNDEFINED! Set inputs: { array: :arrayNodeId }"),
        (data.total_agent, {"array": [None]}, {}, "holds null"),
        (
            data.data_sum_template_agent,
            {"x": 1},
            {},
            "dataSumTemplateAgent: namedInputs.array is UNDEFINED! Set inputs: { array:",
        ),
        (data.lookup_dictionary_agent, {}, {}, "lookupDictionaryAgent: namedInputs is UNDEFINED!"),
        (data.lookup_dictionary_agent, {"namedKey": "huge"}, {"small": 1}, "lookupDictionaryAgent error: huge is missing"),
        (data.property_filter_agent, {"array": ["text"]}, {}, "element 0 is not a map"),
        (data.property_filter_agent, {"array": []}, {"include": ["a"]}, "element 0 is not a map"),
        (data.property_filter_agent, {"array": "text"}, {}, "propertyFilterAgent: namedInputs.array is not Array."),
        (data.property_filter_agent, {"item": {"a": 1}}, {"include": "a"}, "params.include is a list of names"),
        (data.property_filter_agent, {"item": {"a": 1}}, {"inject": ["a"]}, "params.inject is a list of maps"),
    ],
)
def test_wrong_inputs(agent: Agent, inputs: dict[str, Any], params: dict[str, Any], message: str) -> None:
    with pytest.raises(NodeError) as caught:
        run(agent, context(inputs, params))
    assert message in caught.value.message
    assert not caught.value.retryable


def test_null_is_found_in_a_dictionary() -> None:
    assert run(data.lookup_dictionary_agent, context({"namedKey": "a"}, {"a": None})) is None


def test_a_dictionary_has_no_inherited_entries() -> None:
    with pytest.raises(NodeError, match="constructor is missing"):
        run(data.lookup_dictionary_agent, context({"namedKey": "constructor"}, {}))


def test_totals_follow_javascripts_addition() -> None:
    rows = [{"n": 1, "t": "a"}, {"n": True, "t": 1}, {"n": None, "t": None}]
    assert run(data.total_agent, context({"array": rows})) == {"data": {"n": 2, "t": "a1null"}}
    assert run(data.total_agent, context({"array": [{"z": 0}, {"z": "x"}]})) == {"data": {"z": "x"}}


class TestPropertyFilter:
    ROWS = ({"color": "red", "model": "3"}, {"color": "blue", "model": "Y"})

    def run(self, params: dict[str, Any], *more: Any) -> Any:
        return run(data.property_filter_agent, context({"array": [list(self.ROWS), *more]}, params))

    def test_parameters_work_in_their_order(self) -> None:
        params = {
            "include": ["color", "model"],
            "exclude": ["model"],
            "alter": {"color": {"red": "rot"}},
            "inject": [{"propId": "maker", "from": 1}],
            "inspect": [{"propId": "same", "equal": "M"}],
            "swap": {"color": "maker"},
        }
        assert self.run(params, "M") == [
            {"color": "M", "maker": "rot", "same": True},
            {"color": "M", "maker": "blue", "same": True},
        ]

    def test_what_is_injected_from_nowhere_is_missing(self) -> None:
        assert self.run({"include": [], "inject": [{"propId": "x", "from": 5}, {"propId": "y"}]}) == [{}, {}]

    def test_an_injection_may_be_for_one_row(self) -> None:
        assert self.run({"include": [], "inject": [{"propId": "x", "from": 1, "index": 1}]}, "v") == [{}, {"x": "v"}]

    def test_inspection_compares_without_conversion(self) -> None:
        rules = [{"propId": "is", "equal": 1}, {"propId": "not", "notEqual": 1}, {"propId": "none"}]
        assert self.run({"include": [], "inspect": rules}, True) == [{"is": False, "not": True}] * 2

    def test_a_swap_with_what_is_not_there_moves(self) -> None:
        assert self.run({"include": ["color"], "swap": {"hue": "color"}}) == [{"hue": "red"}, {"hue": "blue"}]

    def test_numbers_are_looked_up_by_their_text(self) -> None:
        given = context({"item": {"n": 2.0}}, {"alter": {"n": {"2": "two"}}})
        assert run(data.property_filter_agent, given) == {"n": "two"}
