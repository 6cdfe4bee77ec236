"""What becomes of an agent's raw value before it is the node's."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.engine.plan_node import PlanNode
from graphs.engine.shaping import laid_over, shaped, without_missing
from graphs.errors import NodeError
from graphs.values import MISSING, Value


def shape(value: Value, results: list[Any] | None = None, *, exists: bool = True, **spec: Any) -> Value:
    node = PlanNode(0, "n", {"agent": "any", **spec}, {"s": 0, "gone": 1}, {})
    return shaped(node, results or ["given", MISSING], value, exists=exists)


@pytest.mark.parametrize(
    ("value", "laid"),
    [
        ({"a": 1}, {"a": 1, "p": "given"}),
        ({"p": 0}, {"p": "given"}),
        ({}, {"p": "given"}),
        ([{"a": 1}, 5, {}], [{"a": 1, "p": "given"}, 5, {"p": "given"}]),
        ("text", "text"),
        (0, 0),
        (None, None),
        (MISSING, MISSING),
    ],
)
def test_pass_through_is_laid_over_maps_and_maps_in_lists(value: Value, laid: Value) -> None:
    assert shape(value, passThrough={"p": ":s"}) == laid


def test_output_makes_a_new_map_and_pass_through_is_laid_over_it_again() -> None:
    assert shape({"a": {"b": 1}}, output={"x": ".a.b", "p": ".p", "w": ":s"}, passThrough={"p": ":s"}) == {
        "x": 1,
        "p": "given",
        "w": ":s",
    }
    assert shape(MISSING, output={"x": ".a"}) == {"x": MISSING}


@pytest.mark.parametrize("value", [None, MISSING, {}, {"a": None}, {"a": {}}, "text", [1]])
def test_an_attempt_has_failed_while_the_path_leads_to_nothing(value: Value) -> None:
    with pytest.raises(NodeError, match="Repeat Until"):
        shape(value, repeatUntil={"exists": ".a.b"})


@pytest.mark.parametrize("found", [False, 0, "", [], {}])
def test_whatever_else_is_there_exists(found: Value) -> None:
    assert shape({"a": {"b": found}}, repeatUntil={"exists": ".a.b"}) == {"a": {"b": found}}


def test_the_path_is_looked_for_after_pass_through_and_before_output_and_not_in_a_default() -> None:
    assert shape({}, repeatUntil={"exists": ".p"}, passThrough={"p": ":s"}, output={"x": ".none"}) == {"x": MISSING, "p": "given"}
    assert shape("default", repeatUntil={"exists": ".p"}, exists=False) == "default"


def test_an_agents_value_is_never_changed() -> None:
    value = {"a": 1}
    laid_over(value, {"b": 2})
    assert value == {"a": 1}


def test_an_any_input_node_sees_nothing_that_is_null_or_missing() -> None:
    given = {"a": MISSING, "b": None, "c": 0, "d": {"e": None, "f": [None, MISSING, ""]}}
    assert without_missing(given) == {"c": 0, "d": {"f": [""]}}
