"""What is said of labels in a run is heard whatever was worked out from it: by agents, and in graphs that are values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphs.agents import standard
from graphs.language.hearing import Hearing
from graphs.registry import agent

Heard = tuple[Any, Any]


@agent("diaryAgent", labels=["private"])
def diary(_context: Any) -> str:
    """A page."""
    return "dear diary"


AGENTS = standard().with_agents([diary])
SECRET = {"nodes": {"s": {"value": 1, "sensitivity": "pii"}}}


def hearing(nodes: Mapping[str, Any], heard: list[Heard], **more: Any) -> Hearing:
    found = Hearing({"version": 0.5, "nodes": nodes}, AGENTS, lambda labels, places: heard.append((labels, places)), **more)
    found.tell()
    return found


def test_of_a_run_in_which_nothing_is_said_nothing_is_told() -> None:
    heard: list[Heard] = []
    hearing({"a": {"value": 1}}, heard).opened("n", {"nodes": {"b": {"value": 1}}})
    assert heard == []


def test_where_graphs_are_values_that_nothing_was_said_is_told_as_well() -> None:
    heard: list[Heard] = []
    hearing({"a": {"value": 1}, "n": {"agent": "nestedAgent", "graph": ":a"}}, heard)
    assert heard == [(set(), {})]


def test_agents_and_nodes_are_heard_wherever_they_stand() -> None:
    heard: list[Heard] = []
    inner = {"nodes": {"d/1": {"agent": "diaryAgent"}, "s": {"value": 1, "sensitivity": ["pii", "internal"]}}}
    hearing({"n": {"agent": "nestedAgent", "graph": inner}}, heard)
    assert heard == [({"private", "pii", "internal"}, {"n/d%2F1": {"private"}})]


def test_what_an_opened_graph_says_counts_for_those_around_it() -> None:
    heard: list[Heard] = []
    found = hearing({"a": {"value": 1}, "n": {"agent": "nestedAgent", "graph": ":a"}}, heard)
    found.opened("n", {"nodes": {"m": {"agent": "nestedAgent", "graph": ":s"}, "d": {"agent": "diaryAgent"}}})
    found.opened("n/m", SECRET)
    found.opened("other", {"nodes": {}})
    assert heard[1:] == [({"private"}, {"n": {"private"}}), ({"private", "pii"}, {"n": {"private", "pii"}, "n/m": {"pii"}})]
    found.opened("n/m", SECRET)
    assert len(heard) == 3, "that is no news"


def test_what_another_process_heard_is_told_again() -> None:
    heard: list[Heard] = []
    hearing({"a": {"value": 1}}, heard, before={"n": frozenset({"pii"})})
    assert heard == [({"pii"}, {"n": {"pii"}})]


def test_of_very_many_places_the_rest_counts_for_all() -> None:
    heard: list[Heard] = []
    found = hearing({"a": {"value": 1}}, heard)
    for number in range(300):
        found.opened(f"n{number}", {"nodes": {"s": {"value": 1, "sensitivity": f"l{number}"}}})
    labels, places = heard[-1]
    assert len(labels) == 300
    assert places["n0"] == {"l0"}
    assert "l299" in places[""]
