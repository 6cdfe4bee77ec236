"""What the gate finds out by itself about what is to leave; that it holds whatever is wrong above it is in e2e/test_canaries.py."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from edge.privacy.judge import Judge
from graphs.agents import standard
from graphs.language.labels import UNSEEN
from graphs.records import Answer, Frame, Input, Start, State, Submit
from graphs.values import canonical

AGENTS = standard()
TEXT = "My left knee hurts again."
HASH = bytes(32)
DONE, GIVEN = int(State.COMPLETED), int(State.INJECTED)


def judge(nodes: dict[str, Any], inject: Mapping[str, Any] = MappingProxyType({}), **more: Any) -> Judge:
    found = Judge()
    found.watch({"version": 0.5, "nodes": nodes, **more}, AGENTS, inject)
    return found


def copy(source: Any, **more: Any) -> dict[str, Any]:
    return {"agent": "copyAgent", "inputs": {"x": source}, **more}


NODES = {
    "letter": {"value": {"text": TEXT}, "sensitivity": "private"},
    "read": copy(":letter.text"),
    "free": copy("hello"),
    "each": {
        "agent": "mapAgent",
        "inputs": {"rows": [1, 2], "x": ":letter"},
        "graph": {"nodes": {"x": {}, "near": copy(":x"), "far": copy(":row")}},
    },
}


def test_a_value_is_known_by_where_it_is_in_the_document() -> None:
    found = judge(NODES)
    assert found.of_record(Input("read", State.COMPLETED, "something")) == {"private"}
    assert found.of_record(Input("each[1]/near#2!1", State.COMPLETED, 3)) == {"private"}
    assert found.of_record(Input("each[1]/far", State.COMPLETED, 3)) == set()
    assert found.of_record(Answer("read", 1, "yes")) == {"private"}
    assert found.of_record(Start("read", 1)) == ()


def test_an_order_has_labels_for_each_of_its_inputs() -> None:
    inputs = {"x": [GIVEN, 3], "each[0]/near": [DONE, 3], "free": [DONE, 3]}
    assert judge(NODES).of_record(Frame("each[0]/", HASH, inputs, {})) == {
        "x": {"private"},
        "each[0]/near": {"private"},
        "free": set(),
    }
    assert judge(NODES).of_record(Submit("", HASH, {"free": [DONE, 3]}, {})) == ()


def test_a_labelled_text_is_found_in_a_value_that_should_not_have_it() -> None:
    found = judge(NODES, {"letter": {"text": "An injected text, quite another."}})
    assert found.of_record(Input("free", State.COMPLETED, {"deep": ["so: An injected text, quite another. Bye"]})) == {"private"}
    assert found.of_record(Input("free", State.COMPLETED, TEXT)) == set(), "that is not the value in this run"
    assert judge(NODES).of_record(Input("free", State.COMPLETED, b"\0" + TEXT.encode())) == {"private"}


def test_what_a_labelled_node_is_told_is_found_as_well_and_what_an_opened_graph_says() -> None:
    told = {**NODES, "n": copy(1, params={"note": "tell nobody of this"}, sensitivity="own")}
    assert judge(told).of_record(Input("free", State.COMPLETED, "so: tell nobody of this")) == {"own"}
    found = judge({"made": copy("x"), "opens": {"agent": "nestedAgent", "graph": ":made"}, "free": copy("hello")})
    assert found.of_record(Input("free", State.COMPLETED, TEXT)) == set()
    found.opened("opens", {"nodes": {"s": {"value": TEXT, "sensitivity": "private"}}})
    assert found.of_record(Input("free", State.COMPLETED, TEXT)) == {"private"}


def test_what_stands_openly_somewhere_is_no_secret() -> None:
    assert judge({**NODES, "quoted": copy(f"As you wrote: {TEXT}")}).of_record(Input("free", State.COMPLETED, TEXT)) == set()
    short = {**NODES, "letter": {"value": "yes", "sensitivity": "private"}}
    assert judge(short).of_record(Input("free", State.COMPLETED, "yes")) == set()


def test_what_a_node_may_let_go_may_have_the_text() -> None:
    nodes = {
        **NODES,
        "open": {"agent": "declassifyAgent", "inputs": {"value": ":letter"}, "params": {"reason": "everybody knows"}},
        "after": copy(":open"),
    }
    found = judge(nodes)
    assert found.of_record(Input("after", State.COMPLETED, {"text": TEXT})) == set()
    assert found.of_record(Input("free", State.COMPLETED, {"text": TEXT})) == {"private"}


def test_what_stands_in_a_cut_is_looked_at() -> None:
    found = judge(NODES)
    boundary = {"letter": {"boundary": True, "sensitivity": ["private"]}, "read": NODES["read"]}
    assert found.of_graph(canonical({"nodes": boundary})) == set(), "its value is not there"
    assert found.of_graph(canonical({"nodes": {"letter": {"value": {"text": TEXT}}}})) == {"private"}, (
        "it is the node of that name"
    )
    assert found.of_graph(canonical({"nodes": {"other": {"value": [TEXT]}}})) == {"private"}, "it is that text"
    assert found.of_graph(canonical({"nodes": {"read": copy("x", sensitivity="own")}})) == {"own"}
    inside = {"nest": {"agent": "nestedAgent", "graph": {"nodes": {"s": {"value": 1, "sensitivity": "deep"}}}}}
    assert found.of_graph(canonical({"nodes": inside})) == {"deep"}
    nest = {"nest": {"agent": "nestedAgent", "sensitivity": "around", "graph": {"nodes": {"n": copy("a text of nobody")}}}}
    assert judge(nest).of_graph(canonical({"nodes": {"n": copy("a text of nobody")}})) == {"around"}
    assert judge(nest).of_graph(canonical({"nodes": {"n": copy("another")}})) == set()
    ambiguous = judge(
        {"s": {"value": 0, "sensitivity": "private"}, "n": {"agent": "nestedAgent", "graph": {"nodes": {"s": {"value": 0}}}}}
    )
    assert ambiguous.of_graph(canonical({"nodes": {"s": {"value": 0}}})) == set(), "it stands openly elsewhere"


def test_graphs_that_are_values_count_once_they_are_opened() -> None:
    nodes = {"made": copy("x"), "opens": {"agent": "nestedAgent", "graph": ":made"}, "after": copy(":opens")}
    found = judge(nodes)
    assert found.of_record(Input("after", State.COMPLETED, 3)) == {UNSEEN}
    found.opened(
        "opens", {"nodes": {"s": {"value": 1, "sensitivity": "private"}, "deeper": {"agent": "nestedAgent", "graph": ":s"}}}
    )
    assert found.of_record(Input("opens/s", State.COMPLETED, 3)) == {"private", UNSEEN}
    found.opened("opens/deeper", {"nodes": {"t": {"value": 1}}})
    assert found.of_record(Input("after", State.COMPLETED, 3)) == {"private"}
    declared = {"nodes": {"s": {"value": 1, "sensitivity": "pii"}}}
    assert found.of_record(Input("made", State.COMPLETED, declared)) == {"pii"}
    for number in range(100):
        found.opened(f"opens/n{number}", {"nodes": {"n": {"agent": "nestedAgent", "graph": ":s"}}})
    found.opened("opens", {"nodes": {"n99": {"agent": "nestedAgent", "graph": ":s"}}})
    assert found.of_record(Input("after", State.COMPLETED, 3)) == {"private", UNSEEN}, "so many are not looked at"


def test_without_a_run_there_is_nothing_to_judge_by() -> None:
    assert Judge().of_record(Input("a", State.COMPLETED, TEXT)) == set()
    assert Judge().of_graph(canonical({"nodes": {}})) == ()
