"""What may be spent, by scope, and what is reached first."""

from __future__ import annotations

from typing import Any

from graphs.agents import standard
from graphs.language.spec import Graph
from graphs.spending.ledger import Ledger, limits_of


def graph(**more: Any) -> Graph:
    inner = {"budget": {"tokens": 50}, "nodes": {"y": {"agent": "echoAgent", "budget": {"seconds": 2}}}}
    nodes = {
        "x": {"agent": "nestedAgent", "graph": inner, "budget": {"tokens": 80, "bytes": 9}},
        "z": {"agent": "echoAgent"},
    }
    return Graph.of({"version": 0.5, "nodes": nodes, **more}, set(standard()))


def test_limits_are_by_scope_and_the_tighter_counts() -> None:
    assert limits_of(graph()) == {"x": {"tokens": 50, "bytes": 9}, "x/y": {"seconds": 2}}
    assert limits_of(graph(budget={"usd": 1, "tokens": 5}), {"tokens": 7})[""] == {"usd": 1, "tokens": 7}


def test_what_is_inside_a_scope_counts_for_it() -> None:
    ledger = Ledger({"": {"tokens": 100}, "x": {"tokens": 50}})
    ledger.charge("x/y", {"tokens": 50})
    assert ledger.reached("z") is None
    found = ledger.reached("x/y")
    assert found is not None
    assert found.limit == ("x", "tokens", 50)
    assert str(found) == "node 'x' has used 50 of 50 tokens"
    ledger.charge("z", {"tokens": 50})
    assert ledger.reached("x/y").limit == ("", "tokens", 100)  # type: ignore[union-attr]
    assert ledger.spent()["tokens"] == 100


def test_more_can_be_allowed_each_time_as_much_again() -> None:
    ledger = Ledger({"": {"seconds": 10}})
    ledger.charge("a", {"seconds": 25})
    for allowed in (10, 20):
        assert ledger.reached("a").limit == ("", "seconds", allowed)  # type: ignore[union-attr]
        ledger.allow("", "seconds")
    assert ledger.reached("a") is None


def test_a_price_that_nobody_knows_is_asked_about_once() -> None:
    ledger = Ledger({"": {"usd": 1}})
    ledger.charge("a", {"tokens": 9}, unpriced="mystery")
    found = ledger.reached("a")
    assert found is not None
    assert "nobody knows what the model 'mystery' costs" in str(found)
    ledger.allow("", "usd")
    assert ledger.reached("a") is None


def test_names_that_begin_alike_are_different_scopes() -> None:
    ledger = Ledger({"x": {"bytes": 1}})
    ledger.charge("xy", {"bytes": 5})
    assert ledger.reached("x") is None


def test_where_nobody_knows_what_an_attempt_used_that_is_asked_once() -> None:
    ledger = Ledger({"": {"tokens": 100, "seconds": 9}})
    ledger.charge("x", {"tokens": 60, "seconds": 1}, untold=True)
    found = ledger.reached("z")
    assert str(found) == "this run has a budget of 100 tokens, and only the worker knows what one attempt used"
    ledger.allow("", "tokens")
    assert ledger.reached("z") is None
    ledger.charge("x", {"tokens": 140, "seconds": 1})
    assert str(ledger.reached("z")) == "this run has used at least 200 of 200 tokens"
