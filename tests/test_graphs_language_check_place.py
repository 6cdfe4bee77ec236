"""What `place` may say, and the alternative in it; the shape of it is tested with `check` and the schema."""

from __future__ import annotations

import pytest

from graph_texts import checked, graph
from graphs.errors import Problem


def found(said: str, **attributes: str) -> list[Problem]:
    return checked(graph(f"b: {{agent: llmAgent, model: large, place: {said}}}", **attributes))


@pytest.mark.parametrize(
    "place",
    [
        "{at: cloud, offline: wait}",
        "{at: cloud, offline: fail}",
        "{offline: local}",
        "{at: cloud, offline: local, local: {agent: copyAgent, params: {a: 1}, output: {t: .t}, retry: 1, effect: none}}",
        "{local: {model: small, params: {fit: false}, timeout: 5, repeatUntil: {exists: .t}}}",
        "{at: edge, local: }",
    ],
)
def test_policies_and_alternatives(place: str) -> None:
    assert found(place) == []


@pytest.mark.parametrize(
    ("place", "code", "told"),
    [
        ("{at: edge, offline: local}", "GF119", "this one runs on the device"),
        ("{at: edge, local: {model: small}}", "GF119", "this one runs on the device"),
        ("{offline: local, local: {inputs: {prompt: x}}}", "GF119", "sees the same inputs"),
        ("{offline: local, local: {place: edge}}", "GF119", "no `place` of its own"),
        ("{offline: local, local: {isResult: true}}", "GF119", "no `isResult` of its own"),
        ("{offline: local, local: {agent: nestedAgent}}", "GF119", "opens a graph"),
        ("{offline: local, local: {agent: ':a'}}", "GF119", "is named by a value"),
        ("{offline: local, local: {agent: nobodysAgent}}", "GF105", '"nobodysAgent", which is not known here'),
        ("{offline: local, local: {modle: small}}", "GF104", "modle"),
        ("{offline: local, local: {retry: often}}", "GF106", "`retry`"),
        ("{offline: local, local: small}", "GF119", "a map of node attributes"),
        ("{offline: later}", "GF119", "wait, local or fail"),
        ("{offline: fail, local: {model: small}}", "GF119", "it is never used"),
    ],
)
def test_nonsense_is_refused_with_its_reason(place: str, code: str, told: str) -> None:
    (problem,) = found(place)
    assert (problem.code, problem.warning) == (code, False)
    assert told in problem.message


def test_a_graph_at_the_device_may_say_what_its_nodes_at_the_worker_do() -> None:
    assert found("cloud", place="{at: edge, offline: fail}") == []
