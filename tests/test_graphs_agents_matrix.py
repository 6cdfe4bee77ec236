"""Comparing, sorting and multiplying beyond the samples."""

from __future__ import annotations

from typing import Any

import pytest

from agent_context import context, run
from graphs.agents import matrix
from graphs.errors import NodeError
from graphs.values import MISSING


def compare(*expression: Any, **params: Any) -> Any:
    return run(matrix.compare_agent, context({"array": list(expression)}, params))["result"]


@pytest.mark.parametrize(
    ("a", "operator", "b", "result"),
    [
        (1, "==", 1.0, True),
        (1, "==", True, False),
        (1, "==", "1", False),
        (None, "==", MISSING, False),
        ({}, "==", {}, False),
        ({}, "!=", {}, True),
        (None, ">=", 0, True),
        ("", "<=", 0, True),
        (True, "<", 2, True),
        ("10", ">", 9, True),
        ("x", ">", 1, False),
        ("x", "<=", 1, False),
        (MISSING, "<", 1, False),
        ("", "||", 0, False),
        ({}, "&&", "0", True),
        (1, "XOR", "a", False),
        (0, "XOR", "a", True),
    ],
)
def test_operators(a: Any, operator: str, b: Any, result: bool) -> None:
    assert compare(a, operator, b) is result


def test_expressions_nest() -> None:
    assert compare([[1, "<", 2], "&&", [3, "<", 2]], "||", ["a", "==", "a"]) is True


@pytest.mark.parametrize(
    ("inputs", "params"),
    [
        ({}, {}),
        ({"array": [1, "=="]}, {}),
        ({"array": [1, "==", 2, 3]}, {}),
        ({"array": "abc"}, {}),
        ({"leftValue": 1}, {"operator": "=="}),
        ({"leftValue": None, "rightValue": 1}, {"operator": "=="}),
        ({"leftValue": 1, "rightValue": 1}, {}),
    ],
)
def test_incomplete_comparisons(inputs: dict[str, Any], params: dict[str, Any]) -> None:
    with pytest.raises(NodeError, match=r"compare inputs is wrong\."):
        run(matrix.compare_agent, context(inputs, params))


@pytest.mark.parametrize("expression", [[1, "===", 1], [1, None, 1], [[1, 2], "==", 1]])
def test_unknown_operators(expression: list[Any]) -> None:
    with pytest.raises(NodeError, match="unknown compare operator"):
        compare(*expression)


@pytest.mark.parametrize("value", [False, 0, "", [], {"k": None}])
def test_results_may_be_any_value_but_null(value: Any) -> None:
    assert compare(1, "==", 1, value={"true": value, "false": "other"}) == value
    assert compare(1, "==", 1, value={"true": None}) is True


def test_values_that_are_no_numbers_keep_their_places() -> None:
    given = context({"array": ["a", "b", "c"], "values": ["2", "10"]}, {"ascendant": True})
    assert run(matrix.sort_by_values_agent, given) == ["a", "b", "c"]


def test_equal_values_keep_their_order_both_ways() -> None:
    inputs = {"array": [1, 2, 3], "values": [5, 5, 5]}
    assert run(matrix.sort_by_values_agent, context(inputs)) == [1, 2, 3]
    assert run(matrix.sort_by_values_agent, context(inputs, {"assendant": True})) == [1, 2, 3]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "sortByValue: namedInputs.array is UNDEFINED!"),
        ({"array": [1], "values": "x"}, "sortByValue: namedInputs.values is not Array."),
    ],
)
def test_sorting_needs_two_lists(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(NodeError, match=message):
        run(matrix.sort_by_values_agent, context(inputs))


def test_dot_products_check_every_row() -> None:
    with pytest.raises(NodeError, match=r"dotProduct: Length of vectors do not match\. 3, 2"):
        run(matrix.dot_product_agent, context({"matrix": [[1, 2], [1, 2, 3]], "vector": [1, 2]}))
    with pytest.raises(NodeError, match="list of lists"):
        run(matrix.dot_product_agent, context({"matrix": [1], "vector": [1]}))
    assert run(matrix.dot_product_agent, context({"matrix": [], "vector": [1]})) == []


def test_dot_products_of_whole_numbers_are_whole() -> None:
    (product,) = run(matrix.dot_product_agent, context({"matrix": [[0.5, "2"]], "vector": [4, 3.0]}))
    assert product == 8
    assert type(product) is int
