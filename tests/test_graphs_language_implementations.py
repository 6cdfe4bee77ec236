from __future__ import annotations

from typing import Any

from engines import Driven
from graphs.language.implementations import implementations, implemented, is_open, settled
from graphs.language.load import load_text
from graphs.language.spec import Graph

NODE: dict[str, Any] = {
    "agent": "llmAgent",
    "model": "small",
    "effect": "none",
    "inputs": {"prompt": ":text", "model": "tiny"},
    "params": {"model": "tiny", "max_tokens": 5},
    "any": [{}, {"model": "large", "params": {"max_tokens": 9}}, {"agent": "rules", "params": {"by": "hand"}}],
}


def test_an_entry_is_laid_over_the_node() -> None:
    own, large, rules = implementations(NODE)
    assert own == {**NODE, "any": 0}
    assert large == {
        "agent": "llmAgent",
        "model": "large",
        "effect": "none",
        "inputs": {"prompt": ":text"},
        "params": {"max_tokens": 9},
        "any": 1,
    }
    assert rules == {"agent": "rules", "inputs": NODE["inputs"], "params": {"by": "hand"}, "any": 2}


def test_what_is_chosen_is_not_open_any_more() -> None:
    assert is_open(NODE)
    assert not is_open(implemented(NODE, 1))
    assert implementations({"agent": "a"}) == implementations({"agent": "a", "any": 2}) == ()


def test_a_graph_is_settled_wherever_its_nodes_stand() -> None:
    text = """\
version: 0.5
nodes:
  a: {agent: work, any: [{}, {agent: other}]}
  n: {agent: nestedAgent, graph: {nodes: {b: {agent: work, any: [{}, {agent: other}]}}}}
  c: {agent: work}
"""
    graph = Graph(load_text(text).data)
    made = settled(graph, {"n/b": 1})
    assert made.nodes["a"] == {"agent": "work", "any": 0}
    assert made.nodes["n"]["graph"]["nodes"]["b"] == {"agent": "other", "any": 1}
    assert made.nodes["c"] is graph.nodes["c"]
    assert list(made.nodes) == list(graph.nodes)
    assert settled(made, {}) is made


def test_where_nobody_chose_it_is_the_first() -> None:
    driven = Driven({"a": {"agent": "remote", "any": [{"agent": "work"}, {"agent": "remote"}]}})
    start = driven.running["a"]
    assert start.agent is not None
    assert (start.agent.name, start.node.implementation) == ("work", 0)
