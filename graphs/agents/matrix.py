"""Agents that compare, sort and multiply."""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key, partial
from typing import Final

from graphs.agents.common import given, refuse
from graphs.budget import ITEM, Room
from graphs.language.jstext import Number, identical, text, tidy, to_number, truthy
from graphs.registry import Agent, AgentContext, AgentFunction, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS"]

_matrix: Callable[..., Callable[[AgentFunction], Agent]] = partial(agent, category="matrix", effect="none", cheap=True)


@_matrix(
    "dotProductAgent",
    samples=[Sample({"matrix": [[1, 2], [3, 4], [0, 0.5]], "vector": [10, 1]}, {}, [12, 34, 0.5])],
)
def dot_product_agent(context: AgentContext) -> Value:
    """Multiplies each row of matrix with vector and gives the list of sums."""
    matrix, vector = _list_input("dotProductAgent", context, "matrix"), _list_input("dotProductAgent", context, "vector")
    room = Room()
    return [_dot_product(row, vector, room) for row in matrix]


def _dot_product(row: Value, vector: list[Value], room: Room) -> Number:
    if not isinstance(row, list):
        raise refuse("dotProductAgent: namedInputs.matrix is a list of lists of numbers")
    if len(row) != len(vector):
        raise refuse(f"dotProduct: Length of vectors do not match. {len(row)}, {len(vector)}")
    room.take(ITEM * (1 + len(row)))
    total: Number = 0
    for a, b in zip(row, vector, strict=True):
        total = tidy(total + to_number(a) * to_number(b))
    return total


@_matrix(
    "sortByValuesAgent",
    samples=[
        Sample({"array": ["a", "b", "c", "d"], "values": [2, 5, 2, 9]}, {}, ["d", "b", "a", "c"]),
        Sample({"array": ["a", "b", "c", "d"], "values": [2, 5, 2, 9]}, {"assendant": True}, ["a", "c", "b", "d"]),
        Sample({"array": ["a", "b"], "values": [2, 1]}, {"ascendant": True}, ["b", "a"]),
    ],
)
def sort_by_values_agent(context: AgentContext) -> Value:
    """Sorts array by the numbers in values, greatest first, or smallest first with params.assendant; equal ones keep their order."""
    array, values = _list_input("sortByValue", context, "array"), _list_input("sortByValue", context, "values")
    rising = truthy(given(context.params, "assendant", "ascendant"))
    keys = [to_number(value) for value in values[: len(array)]]
    keys += [float("nan")] * (len(array) - len(keys))
    pairs: list[tuple[Number, Value]] = list(zip(keys, array, strict=True))
    pairs.sort(key=cmp_to_key(_compared), reverse=not rising)
    return [item for _, item in pairs]


def _compared(a: tuple[Number, Value], b: tuple[Number, Value]) -> int:
    return (a[0] > b[0]) - (a[0] < b[0])  # what is no number counts as equal to everything, as in GraphAI


def _list_input(name: str, context: AgentContext, key: str) -> list[Value]:
    value = context.inputs.get(key, MISSING)
    if isinstance(value, list):
        return value
    raise refuse(f"{name}: namedInputs.{key} is {'not Array.' if truthy(value) else 'UNDEFINED!'}")


_ORDER: Final[dict[str, Callable[[Number, Number], bool]]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}

_LOGIC: Final[dict[str, Callable[[bool, bool], bool]]] = {
    "||": lambda a, b: a or b,
    "&&": lambda a, b: a and b,
    "XOR": lambda a, b: a != b,
}


@_matrix(
    "compareAgent",
    samples=[
        Sample({"array": ["a", "==", "a"]}, {}, {"result": True}),
        Sample({"array": [1, "==", 1.0]}, {}, {"result": True}),
        Sample({"array": [1, "==", True]}, {}, {"result": False}),
        Sample({"array": ["10", "<", "9"]}, {}, {"result": False}),
        Sample({"array": [0, "||", "x"]}, {}, {"result": True}),
        Sample({"array": [True, "XOR", False]}, {}, {"result": True}),
        Sample({"array": [5, 3]}, {"operator": ">"}, {"result": True}),
        Sample({"leftValue": "x", "rightValue": "x"}, {"operator": "=="}, {"result": True}),
        Sample({"array": [[1, "<", 2], "&&", ["a", "!=", "b"]]}, {}, {"result": True}),
        Sample({"array": [1, "==", 2]}, {"value": {"true": "yes", "false": "no"}}, {"result": "no"}),
        Sample({"array": [1, "==", 2]}, {"value": {"true": "yes"}}, {"result": False}),
    ],
)
def compare_agent(context: AgentContext) -> Value:
    """Compares two values: [a, operator, b] in array, or params.operator with [a, b] or with leftValue and rightValue.

    Operators: == and != without conversion, > >= < <= as numbers, ||, &&, XOR. a and b may be such lists themselves.
    params.value gives other results than true and false.
    """
    outcome = _compare(_operands(context), Room())
    values = context.params.get("value")
    if isinstance(values, dict):
        chosen = given(values, "true" if outcome else "false")
        return {"result": outcome if chosen is MISSING else chosen}
    return {"result": outcome}


def _operands(context: AgentContext) -> list[Value]:
    array, operator = given(context.inputs, "array"), context.params.get("operator")
    array = [] if array is MISSING else array
    if isinstance(array, list):
        if len(array) == 3:
            return array
        if truthy(operator) and len(array) == 2:
            return [array[0], operator, array[1]]
        left, right = given(context.inputs, "leftValue"), given(context.inputs, "rightValue")
        if truthy(operator) and not array and left is not MISSING and right is not MISSING:
            return [left, operator, right]
    raise refuse("compare inputs is wrong.")


def _compare(expression: list[Value], room: Room) -> bool:
    room.take(ITEM)
    a, operator, b = (_compare(part, room) if isinstance(part, list) else part for part in (expression[:3] + [MISSING] * 3)[:3])
    if operator == "==":
        return identical(a, b)
    if operator == "!=":
        return not identical(a, b)
    word = operator if isinstance(operator, str) else text(operator)
    if word in _ORDER:
        return _ORDER[word](to_number(a), to_number(b))
    if word in _LOGIC:
        return _LOGIC[word](truthy(a), truthy(b))
    raise refuse("unknown compare operator")


AGENTS: Final = (dot_product_agent, sort_by_values_agent, compare_agent)
