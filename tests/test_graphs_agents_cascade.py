"""How sure an answer is, and an answer that several samples agree on."""

from __future__ import annotations

import math
from typing import Any

import pytest

from graphs.agents.cascade import likeness
from runs import run


def score(confidence: Any, **params: Any) -> Any:
    nodes = {"s": {"agent": "confidenceAgent", "inputs": {"answer": {"confidence": confidence}}, "params": params}}
    return run(nodes).engine.results()["s"]


@pytest.mark.parametrize(
    ("by", "value", "likelihood"),
    [("mean", math.log(0.5), 0.5), ("minimum", 0.0, 1.0), ("margin", 0.0, 0.5), ("margin", 1e9, 1.0), ("agreement", 0.6, 0.6)],
)
def test_confidence_is_from_0_to_1(by: str, value: float, likelihood: float) -> None:
    assert score({by: value}, below=0.55, by=by) == {
        "confidence": likelihood,
        "below": 0.55,
        "by": by,
        "unsure": likelihood < 0.55,
    }


@pytest.mark.parametrize("nothing", [None, "high", {}, {"mean": None}, {"mean": "1"}])
def test_nothing_said_is_unsure(nothing: Any) -> None:
    assert score(nothing, below=0)["unsure"] is True


def agreeing(answers: list[str], **params: Any) -> tuple[Any, list[int]]:
    """What agreementAgent gives where the model answers these, and the seeds it was asked with."""
    seeds: list[int] = []

    def ask(context: Any) -> Any:
        seeds.append(context.params["seed"])
        return {"text": answers[len(seeds) - 1]}

    nodes = {"a": {"agent": "agreementAgent", "params": {"prompt": "?", "agent": "ask", **params}}}
    return run(nodes, {"ask": ask}).engine.results()["a"], seeds


def test_it_stops_once_enough_agree() -> None:
    value, seeds = agreeing(["Yes.", "yes", "no", " YES! "], samples=4, below=0.75, seed=7)
    assert value["text"] == "Yes."
    assert value["confidence"] == {"agreement": 0.75, "agreed": 3, "asked": 4, "samples": 4}
    assert seeds == [7, 8, 9, 10]
    assert len(agreeing(["yes", "yes", "no", "no"], samples=4, below=0.5)[1]) == 2


def test_it_stops_once_too_few_can_agree() -> None:
    value, seeds = agreeing(["a", "b", "c", "d", "e"], samples=5, below=0.8)
    assert value["confidence"]["agreement"] == 0.2
    assert len(seeds) == 3


@pytest.mark.parametrize("params", [{"samples": 0}, {"samples": 100}, {"samples": "x"}, {"below": "x"}])
def test_bad_params_fail_the_node(params: dict[str, Any]) -> None:
    made = run({"a": {"agent": "agreementAgent", "params": {"prompt": "?", **params}}})
    assert "agreementAgent" in str(made.engine.errors()["a"])


def test_likeness_is_of_what_is_said() -> None:
    assert likeness({"text": " The  Answer. "}) == likeness({"text": "the answer"})
    assert likeness({"text": '{"a": 1}', "responseFormat": {"a": 1}}) == likeness({"text": '{"a":1}', "responseFormat": {"a": 1}})
    assert likeness({"text": "a"}) != likeness({"text": "b"})
    assert likeness({"text": None, "tool_calls": [1]}) != likeness({"text": None, "tool_calls": [2]})
