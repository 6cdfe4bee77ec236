"""What is wrong with an `escalate` or `hedge`, said where it stands."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.agents import standard
from graphs.language.check import check


def problems(**node: Any) -> list[tuple[str, tuple[Any, ...]]]:
    document = {"version": 0.5, "nodes": {"x": {"agent": "llmAgent", "params": {"prompt": "hello"}, **node}}}
    return [(each.code, each.path[2:]) for each in check(document, set(standard()))]


@pytest.mark.parametrize(
    "node",
    [
        {"escalate": {}},
        {"escalate": {"below": 0.8, "by": "margin", "to": "large"}},
        {"escalate": {"samples": 5, "below": 0.6, "to": {"model": "large", "params": {"max_tokens": 5}, "place": "cloud"}}},
        {"hedge": {"after": "2s"}},
        {"hedge": {"after": 250, "to": {"place": "edge", "model": "tiny"}}},
        {"escalate": None},
    ],
)
def test_fine(node: dict[str, Any]) -> None:
    assert problems(**node) == []


@pytest.mark.parametrize(
    ("node", "where"),
    [
        ({"escalate": {"belw": 0.8}}, ("escalate", "belw")),
        ({"escalate": {"below": 80}}, ("escalate", "below")),
        ({"escalate": {"below": True}}, ("escalate", "below")),
        ({"escalate": {"by": "guess"}}, ("escalate", "by")),
        ({"escalate": {"samples": 1}}, ("escalate", "samples")),
        ({"escalate": {"samples": 3, "by": "mean"}}, ("escalate", "samples")),
        ({"escalate": {"to": ":model"}}, ("escalate", "to")),
        ({"escalate": {"to": {"modle": "x"}}}, ("escalate", "to", "modle")),
        ({"escalate": {"to": {"params": 1}}}, ("escalate", "to", "params")),
        ({"escalate": {"to": {"place": "moon"}}}, ("escalate", "to", "place")),
        ({"escalate": {}, "agent": "nestedAgent", "graph": {"nodes": {"a": {"value": 1}}}}, ("escalate",)),
        ({"escalate": {}, "inputs": {"params": {"a": 1}}}, ("escalate",)),
        ({"hedge": {}}, ("hedge",)),
        ({"hedge": {"after": "soon"}}, ("hedge", "after")),
        ({"hedge": {"after": "2s"}, "escalate": {}}, ("hedge",)),
        ({"hedge": {"after": "2s"}, "effect": "once"}, ("hedge",)),
    ],
)
def test_wrong(node: dict[str, Any], where: tuple[str, ...]) -> None:
    assert ("GF124", where) in problems(**node)
