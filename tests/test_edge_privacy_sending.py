"""Which nodes would be refused when they send, known before the run."""

from __future__ import annotations

from typing import Any

import pytest

from edge.privacy.sending import would_send
from graphs.agents import standard
from graphs.language.labels import UNTOLD, label_graph
from graphs.language.spec import Graph
from graphs.registry import Agent, Registry

AGENTS = Registry([*standard().values(), Agent("mineAgent", lambda context: None, needs=frozenset({"network"}))])
FETCH: dict[str, Any] = {"agent": "vanillaFetchAgent", "inputs": {"url": "http://127.0.0.1:9/", "body": ":letter"}}


def refused(node: dict[str, Any], label: str | None = None) -> str | None:
    letter = {"value": 1} if label else {"value": 1, "sensitivity": "private"}
    graph = Graph.of({"version": 0.5, "nodes": {"letter": letter, "plain": {"value": True}, "node": node}}, set(AGENTS))
    labels = label_graph(graph, AGENTS, noted={"letter": frozenset({label})} if label else {})
    found = would_send(graph, labels, "node", graph.nodes["node"], AGENTS)
    return found.reason if found is not None else None


def test_an_agent_that_sends_what_carries_a_label_is_refused() -> None:
    reason = refused(FETCH)
    assert reason is not None
    assert reason.startswith("carries the label private, and sends what it is given over the network (vanillaFetchAgent)")
    assert reason.endswith("(letter -> node)")


@pytest.mark.parametrize(
    "node",
    [
        {**FETCH, "inputs": {"url": "http://127.0.0.1:9/"}},
        {**FETCH, "if": ":plain"},
        {**FETCH, "params": {"debug": True}},
        {**FETCH, "agent": ":plain"},
        {**FETCH, "agent": "mineAgent"},
        {**FETCH, "agent": "copyAgent"},
    ],
)
def test_what_may_not_be_sent_after_all_or_is_stopped_by_nobody_is_not(node: dict[str, Any]) -> None:
    assert refused(node) is None


def test_of_a_run_that_came_without_a_word_of_its_labels_the_node_may_be_done_by_now() -> None:
    assert refused(FETCH, "pii") is not None
    assert refused(FETCH, UNTOLD) is None


@pytest.mark.parametrize(("read", "found"), [(":secret", True), (":free", False)])
def test_of_a_graph_in_a_node_the_nodes_inside_are_looked_at(read: str, found: bool) -> None:
    deep = {**FETCH, "inputs": {"url": "http://127.0.0.1:9/", "body": read}}
    inner = {"version": 0.5, "nodes": {"deep": deep}}
    node = {"agent": "nestedAgent", "inputs": {"secret": ":letter", "free": ":plain"}, "graph": inner}
    assert (refused(node) is not None) is found
