from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from graphs.errors import UsageError
from graphs.language.naming import require_computed, require_static

NODES: Mapping[str, Mapping[str, Any]] = {"topic": {"value": 1}, "tone": {}, "draft": {"agent": "copyAgent"}}


def test_names_of_the_right_kind_pass() -> None:
    require_static(NODES, ["topic", "tone"], "--set")
    require_computed(NODES, ["draft"], "--place")


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("topik", "--set topik: that node is not in the graph", "Did you mean 'topic'?"),
        ("zzz", "--set zzz: that node is not in the graph", "There are: topic, tone."),
        ("draft", "--set draft: that node is computed", "There are: topic, tone."),
    ],
)
def test_a_value_is_given_to_static_nodes_only(name: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        require_static(NODES, ["topic", name], "--set")
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", ["drafft", "topic"])
def test_a_place_is_given_to_computed_nodes_only(name: str) -> None:
    with pytest.raises(UsageError, match=f"--place {name}: the graph has no computed node of that name") as caught:
        require_computed(NODES, [name], "--place")
    assert caught.value.hint == ("Did you mean 'draft'?" if name == "drafft" else "There are: draft.")


def test_of_a_large_graph_not_all_names_are_told() -> None:
    with pytest.raises(UsageError) as caught:
        require_static({f"node{number}": {} for number in range(11)}, ["q"], "--set")
    assert caught.value.hint is None
