from __future__ import annotations

from typing import Any

import pytest

from graphs.bounds import UNTRUSTED, with_limits
from graphs.budget import Budget, measure, size
from graphs.errors import LimitReached

SMALL = with_limits(UNTRUSTED, {"nodes": 10, "value_bytes": 1000, "run_bytes": 1500, "graphs": 2}, where="test")


def test_what_is_used_is_charged_to_the_run_around_it_too() -> None:
    run = Budget(SMALL)
    inner = Budget(UNTRUSTED, run)
    inner.begin(10, "first")
    with pytest.raises(LimitReached, match=r"the limit `nodes` of 10 is reached: second"):
        inner.begin(1, "second")


def test_once_a_limit_of_nodes_is_reached_nothing_more_begins() -> None:
    budget = Budget(SMALL)
    with pytest.raises(LimitReached):
        budget.begin(11, "too many")
    with pytest.raises(LimitReached):
        budget.begin(1, "one")


def test_single_values_and_all_together_have_limits() -> None:
    budget = Budget(SMALL)
    with pytest.raises(LimitReached, match="value_bytes"):
        budget.spend(1001)
    budget.spend(1000)
    with pytest.raises(LimitReached, match="run_bytes"):
        budget.spend(600)


def test_a_value_that_stands_for_many_is_measured_without_being_written_out() -> None:
    value: Any = "x"
    for _ in range(200):
        value = [value, value]
    assert size(value, 10_000) > 10_000
    with pytest.raises(LimitReached, match="value_bytes"):
        measure(value, SMALL, "it")


def test_a_value_nested_without_end_is_too_large() -> None:
    value: Any = {}
    for _ in range(100_000):
        value = {"a": value}
    assert size(value, 10**9) > 10**9
    while value:  # or freeing it would recurse
        value = value["a"]
