"""Cutting a graph: what goes along, and what stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings

from graphs.agents import standard
from graphs.language.cut import cut
from graphs.language.spec import Graph
from graphs.values import canonical
from reference.graphs import BYPASS, Case, cases

AGENTS = set(standard())


def graph(nodes: Mapping[str, Any], **more: Any) -> Graph:
    return Graph.of({"version": 0.5, **more, "nodes": dict(nodes)}, AGENTS)


def copy(*sources: str, **more: Any) -> dict[str, Any]:
    return {"agent": "copyAgent", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


CHAIN = {"text": {"value": "hello"}, "unread": {"value": 1}, "a": copy(":text"), "b": copy(":a"), "c": copy(":b", ":text")}


def test_a_cut_has_its_nodes_the_statics_they_read_and_a_boundary_for_all_else_they_name() -> None:
    made = cut(graph(CHAIN), ["c"])
    assert dict(made.nodes) == {"text": {"value": "hello"}, "b": {"boundary": True}, "c": CHAIN["c"]}
    assert made.boundary == ("b",)
    assert not made.whole
    assert Graph.of(made.document, AGENTS, allow_cut=True).hash == made.hash


def test_everything_a_node_waits_for_counts_as_named() -> None:
    nodes = {
        "a": copy("x"),
        "b": copy("x"),
        "g": {"value": {"nodes": {}}},
        "n": {"value": "copyAgent"},
        "d": {"agent": ":n", "inputs": {"x": "${:a}"}, "if": ":b", "passThrough": {"p": ":b.x"}, "graph": ":g"},
    }
    assert list(cut(graph(nodes), ["d"]).nodes) == ["a", "b", "g", "n", "d"]


def test_the_same_nodes_give_the_same_cut_in_whatever_order_they_are_named() -> None:
    whole = graph(CHAIN)
    assert cut(whole, ["a", "c"]).hash == cut(graph(CHAIN), {"c", "a"}).hash
    assert cut(whole, ["a"]).hash != cut(whole, ["c"]).hash


def test_what_no_node_of_the_cut_reads_does_not_change_it() -> None:
    assert cut(graph(CHAIN), ["c"]).hash == cut(graph({**CHAIN, "unread": {"value": 2}}, metadata={"note": "x"}), ["c"]).hash


def test_a_labelled_static_never_is_in_a_cuts_text() -> None:
    nodes = {"secret": {"value": "s3cret", "sensitivity": ["private"]}, "a": copy(":secret", ":topic"), "b": copy(":a")}
    declared = {"topic": {"default": "t0pic", "sensitivity": "pii"}}
    for chosen in (["a"], ["a", "b"]):
        made = cut(graph(nodes, inputs=declared), chosen, injected={"topic": "t1pic", "secret": "s4cret"})
        assert made.boundary == ("topic", "secret")
        assert not any(word in made.canonical for word in (b"s3cret", b"s4cret", b"t0pic", b"t1pic"))


def test_an_injected_value_is_the_statics_value_and_a_large_one_comes_by_itself() -> None:
    small = cut(graph(CHAIN), ["a"], injected={"text": "other", "unread": 5})
    assert small.nodes["text"] == {"value": "other"}
    assert "unread" not in small.nodes
    large = cut(graph(CHAIN), ["a"], injected={"text": "x" * 70_000})
    assert large.boundary == ("text",)
    assert cut(graph({**CHAIN, "text": {"value": "y" * 70_000}}), ["a"]).boundary == ("text",)


LOOP = {
    "n": {"value": 0, "update": ":add"},
    "log": {"value": [], "update": ":n"},
    "go": {"value": True, "update": ":add.more"},
    "idle": {"value": 1},
    "add": copy(":n"),
    "after": copy(":add"),
}


def test_a_cut_with_all_computed_nodes_keeps_the_loop_and_what_it_needs() -> None:
    made = cut(graph(LOOP, loop={"while": ":go"}), ["add", "after"])
    assert made.whole
    assert made.document["loop"] == {"while": ":go"}
    assert list(made.nodes) == ["n", "log", "go", "add", "after"]
    assert made.boundary == ()


def test_a_part_of_a_loop_does_not_turn_it_and_updated_statics_come_from_the_holder() -> None:
    made = cut(graph(LOOP, loop={"while": ":go"}), ["add"])
    assert not made.whole
    assert "loop" not in made.document
    assert dict(made.nodes) == {"n": {"boundary": True}, "add": LOOP["add"]}


def test_only_computed_nodes_can_be_cut_out() -> None:
    with pytest.raises(ValueError, match="not computed nodes of this graph: nobody, text"):
        cut(graph(CHAIN), ["a", "text", "nobody"])


@settings(max_examples=60)
@given(cases())
def test_every_cut_of_every_graph_is_a_valid_graph(case: Case) -> None:
    agents = {*AGENTS, "answerAgent"}
    whole = Graph.of(case.graph, agents, bypass=BYPASS)
    computed = [name for name, spec in whole.nodes.items() if "agent" in spec]
    for part in (computed[::2], computed[1::2], computed):
        if part:
            made = cut(whole, part, injected=case.inject)
            Graph.of(made.document, agents, bypass=BYPASS, allow_cut=True)
            assert canonical(made.document, strict=True) == made.canonical


def test_of_a_nested_graph_the_concurrency_of_the_outermost_one_counts() -> None:
    inner = graph(CHAIN, concurrency=1)
    assert cut(inner, ["c"]).document["concurrency"] == 1
    assert cut(inner, ["c"], outermost=graph(CHAIN, concurrency=3)).document["concurrency"] == 3
    assert "concurrency" not in cut(inner, ["c"], outermost=graph(CHAIN)).document


def test_a_loop_that_is_turned_elsewhere_is_not_in_the_cut_of_all_its_nodes() -> None:
    graph = Graph.of(
        {
            "version": 0.5,
            "loop": {"count": 3},
            "nodes": {
                "sum": {"value": 0, "update": ":add"},
                "add": {"agent": "copyAgent", "inputs": {"of": ":sum"}, "isResult": True},
            },
        },
        standard(),
    )
    whole, once = cut(graph, ["add"]), cut(graph, ["add"], turns=False)
    assert (whole.whole, "loop" in whole.document, whole.boundary) == (True, True, ())
    assert (once.whole, "loop" in once.document, once.boundary) == (False, False, ("sum",))
