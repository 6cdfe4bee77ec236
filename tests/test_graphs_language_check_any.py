from __future__ import annotations

from typing import Any

import pytest

from graphs.agents import standard
from graphs.language.check import check


def problems(**node: Any) -> list[tuple[str, tuple[Any, ...]]]:
    document = {"version": 0.5, "nodes": {"x": {"agent": "llmAgent", "params": {"prompt": "hello"}, **node}}}
    return [(each.code, each.path[2:]) for each in check(document, set(standard()))]


@pytest.mark.parametrize(
    "said",
    [
        [{"model": "small"}, {"model": "large"}, {"agent": "copyAgent", "params": {"namedKey": "t"}}],
        [{}],
        [{"retry": 2, "timeout": 100, "output": {"a": ".b"}}],
        0,
        2,
        None,
    ],
)
def test_fine(said: Any) -> None:
    assert problems(any=said) == []


@pytest.mark.parametrize(
    ("node", "where"),
    [
        ({"any": []}, ("any",)),
        ({"any": [1]}, ("any", 0)),
        ({"any": -1}, ("any",)),
        ({"any": [{}, {"place": "edge"}]}, ("any", 1, "place")),
        ({"any": [{"inputs": {"a": 1}}]}, ("any", 0, "inputs")),
        ({"any": [{"agent": "nestedAgent"}]}, ("any", 0, "agent")),
        ({"any": [{"agent": ":which"}]}, ("any", 0, "agent")),
        ({"any": [{}], "place": {"at": "cloud", "local": {"model": "small"}}}, ("place", "local")),
        ({"any": [{}], "escalate": {}}, ("escalate",)),
        ({"any": [{}], "agent": "mapAgent", "graph": {"nodes": {"y": {"agent": "copyAgent"}}}}, ("agent",)),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(node: dict[str, Any], where: tuple[Any, ...]) -> None:
    assert ("GF125", where) in problems(**node)


def test_what_an_implementation_says_is_checked_as_a_nodes_own_word() -> None:
    assert problems(any=[{"agent": "llmAgnet"}]) == [("GF105", ("any", 0, "agent"))]
    assert problems(any=[{"modle": "small"}]) == [("GF104", ("any", 0, "modle"))]
    assert problems(any=[{"timeout": "long"}]) == [("GF106", ("any", 0, "timeout"))]
    assert problems(any="small") == [("GF106", ("any",))]
