from __future__ import annotations

from typing import Any

import pytest

from graphs.agents import standard
from graphs.language.requiring import requires_trust, wants_trust
from graphs.language.spec import Graph
from graphs.registry import Agent, Registry

NODES: dict[str, tuple[dict[str, Any], bool]] = {
    "says so": ({"agent": "copyAgent", "requires": "trusted"}, True),
    "its agent does": ({"agent": "payAgent"}, True),
    "a tool of its does": ({"agent": "toolLoopAgent", "params": {"tools": ["copyAgent", {"agent": "payAgent"}]}}, True),
    "nothing does": ({"agent": "toolLoopAgent", "params": {"tools": ["copyAgent"]}}, False),
}


def agents() -> Registry:
    return standard().with_agents([Agent("payAgent", lambda _context: None, requires="trusted")])


@pytest.mark.parametrize("which", NODES)
def test_a_node_requires_trust_by_its_own_word_by_its_agent_or_by_a_tool(which: str) -> None:
    spec, expected = NODES[which]
    assert requires_trust(spec, agents()) is expected
    inside = {"version": 0.5, "nodes": {"deep": spec}}
    graph = Graph.of({"version": 0.5, "nodes": {"outer": {"agent": "nestedAgent", "graph": inside}}}, set(agents()))
    assert wants_trust(graph, agents()) is expected, "nested graphs are looked at, too"
