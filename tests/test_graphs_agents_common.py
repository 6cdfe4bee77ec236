"""What the standard agents share."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agent_context import context
from graphs.agents.common import deep_merge, duration, given, merge_all, option, require_array, service, whole_count
from graphs.errors import NodeError
from graphs.values import MISSING


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "x: namedInputs is UNDEFINED! Set it."),
        ({"other": 1}, "x: namedInputs.array is UNDEFINED! Set it."),
        ({"array": MISSING}, "x: namedInputs.array is UNDEFINED! Set it."),
        ({"array": ""}, "x: namedInputs.array is UNDEFINED! Set it."),
        ({"array": {}}, "x: namedInputs.array is not Array. Set it."),
        ({"array": "text"}, "x: namedInputs.array is not Array. Set it."),
    ],
)
def test_a_wrong_array_is_refused_in_the_words_of_graphai(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(NodeError) as caught:
        require_array("x", inputs, " Set it.")
    assert caught.value.message == message
    assert not caught.value.retryable


def test_an_empty_array_is_one() -> None:
    assert require_array("x", {"array": []}) == []


def test_given_takes_the_first_spelling_with_a_value() -> None:
    assert given({"a": None, "b": 2}, "a", "b") == 2
    assert given({"a": False}, "a") is False
    assert given({"a": MISSING}, "a", "b") is MISSING


def test_an_input_wins_over_a_param_even_without_a_value() -> None:
    assert option(context({"k": 1}, {"k": 2}), "k") == 1
    assert option(context({"k": MISSING}, {"k": 2}), "k") is MISSING
    assert option(context({}, {"k": 2}), "k") == 2
    assert option(context(), "k") is MISSING


def test_a_service_that_is_not_offered_is_none() -> None:
    assert service(context(services={"ask": 1}), "ask") == 1
    assert service(context(), "ask") is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(250, 0.25), ("20", 0.02), (0, 0.0), (-5, 0.0), (None, 0.01), (MISSING, 0.01), ("soon", 0.01), (math.nan, 0.01)],
)
def test_durations(value: Any, seconds: float) -> None:
    assert duration(value, 10) == seconds


@pytest.mark.parametrize("count", [MISSING, None, -1, 1.5, "3", True, 10**9, math.nan, math.inf])
def test_counts_that_are_none(count: Any) -> None:
    with pytest.raises(NodeError, match=r"x: params\.count must be a whole number from 0 to 1000000"):
        whole_count("x", context({}, {"count": count}))


def test_an_integral_float_counts() -> None:
    assert whole_count("x", context({}, {"count": 3.0})) == 3


def test_deep_merge() -> None:
    below = {"a": {"x": 1, "l": [1]}, "b": 1}
    above = {"a": {"y": 2, "l": [2]}, "b": {"c": 3}, "d": None}
    assert deep_merge(below, above) == {"a": {"x": 1, "l": [1, 2], "y": 2}, "b": {"c": 3}, "d": None}
    assert below == {"a": {"x": 1, "l": [1]}, "b": 1}


def test_only_maps_are_merged() -> None:
    with pytest.raises(NodeError, match="something else than a map at position 1"):
        merge_all("x", {}, [{"a": 1}, None])
    with pytest.raises(NodeError, match="not Array"):
        merge_all("x", {}, {"a": 1})
