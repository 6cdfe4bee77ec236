"""Nested graphs and maps, fed by hand: paths, values, failures, and what goes on in the background."""

from __future__ import annotations

from typing import Any

import pytest

from engines import Driven
from graphs.bounds import UNTRUSTED
from graphs.engine.events import Arm, Completed, Failed, Outcome, Settled, Start, Stop
from graphs.errors import LimitReached, NodeError, NodeTimeout
from graphs.records import State
from graphs.values import MISSING


def work(*sources: str, **more: Any) -> dict[str, Any]:
    return {"agent": "work", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


def inner(nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": 0.5, **more, "nodes": nodes}


def nested(nodes: dict[str, Any], inputs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"agent": "nestedAgent", "inputs": inputs or {}, "graph": inner(nodes), **more}


def mapped(nodes: dict[str, Any], rows: Any, **more: Any) -> dict[str, Any]:
    return {"agent": "mapAgent", "inputs": {"rows": rows, **more.pop("inputs", {})}, "graph": inner(nodes), **more}


RESULT = {"isResult": True}


# -- nestedAgent


def test_inputs_become_static_nodes_and_results_the_value() -> None:
    driven = Driven(
        {"s": {"value": 5}, "n": nested({"x": work(":given", ":own", **RESULT), "own": {"value": 1}}, {"given": ":s"})}
    )
    assert driven.running["n/x"].inputs == {"i0": 5, "i1": 1}
    driven.complete("n/x", "done")
    assert driven.engine.results() == {"s": 5, "n": {"x": "done"}}


def test_an_input_replaces_a_static_nodes_value_unless_it_is_missing() -> None:
    nodes = {"x": work(":a", ":b"), "a": {"value": 1}, "b": {"value": 2}}
    driven = Driven({"s": {"value": {"v": 9}}, "n": nested(nodes, {"a": ":s.v", "b": ":s.none"})})
    assert driven.running["n/x"].inputs == {"i0": 9, "i1": 2}


def test_a_missing_input_without_a_node_of_that_name_fails_the_node() -> None:
    driven = Driven({"s": {"value": {}}, "n": nested({"x": work(":a")}, {"a": ":s.none"})})
    assert "Affected nodeIds: a" in str(driven.engine.errors()["n"])


def test_an_input_with_the_name_of_a_computed_node_fails_the_node() -> None:
    driven = Driven({"n": nested({"x": work()}, {"x": 1})}, graph={"retry": 0})
    assert "Cannot set both agent and value" in str(driven.engine.errors()["n"])


@pytest.mark.parametrize(("only", "value"), [("x", "done"), ("y", MISSING), ("nobody", MISSING)])
def test_one_result_can_be_picked(only: str, value: Any) -> None:
    driven = Driven({"n": nested({"x": work(**RESULT), "y": work()}, params={"resultNodeId": only})})
    driven.complete("n/x", "done")
    driven.complete("n/y", "seen by nobody")
    assert driven.engine.results().get("n", MISSING) == value


def test_retries_of_the_outer_node_run_the_graph_anew_under_another_path() -> None:
    driven = Driven({"n": nested({"x": work(retry=1, **RESULT)}, retry=2)})
    for path in ("n/x", "n/x", "n!1/x"):
        driven.fail(path, ValueError("no"))
    driven.complete("n!1/x", 1)
    assert driven.told(Settled) == [("n/x", "FAILED"), ("n!1/x", "COMPLETED"), ("n", "COMPLETED")]


def test_paths_tell_turn_and_try_of_every_level_apart() -> None:
    deep = mapped({"x": work(":row")}, [1, 2], retry=1)
    driven = Driven(
        {"n": {"agent": "nestedAgent", "retry": 1, "graph": inner({"m": deep}, loop={"count": 2})}}, graph={"loop": {"count": 2}}
    )
    paths = []
    for _ in range(4):
        for path in sorted(driven.running):
            paths.append(path)
            driven.complete(path)
    assert paths == [
        "n/m[0]/x", "n/m[1]/x", "n/m[0]#1/x", "n/m[1]#1/x", "n#1/m[0]/x", "n#1/m[1]/x", "n#1/m[0]#1/x", "n#1/m[1]#1/x",
    ]  # fmt: skip
    assert driven.ended is State.COMPLETED


def test_a_nested_error_fails_the_outer_node_with_the_same_words() -> None:
    driven = Driven({"n": nested({"b": work(), "a": work()})})
    driven.fail("n/a", ValueError("second"))
    driven.fail("n/b", ValueError("first"))
    assert str(driven.engine.errors()["n"]) == "first"


@pytest.mark.parametrize("param", ["supressError", "suppressError"])
def test_a_suppressed_error_is_the_value(param: str) -> None:
    driven = Driven({"n": nested({"a": work()}, params={param: True}, retry=3), "after": work(":n.onError.message")})
    driven.fail("n/a", ValueError("inside"))
    assert driven.running["after"].inputs == {"i0": "inside"}
    assert driven.engine.results()["n"] == {"onError": {"message": "inside", "error": {"name": "Error", "message": "inside"}}}


@pytest.mark.parametrize(
    ("graph", "words"),
    [(MISSING, "No GraphData"), ("text", "No GraphData"), ({"nodes": {"x": {"agent": "nobody"}}}, "nobody"), ({}, "no nodes")],
    ids=["missing", "text", "unknown agent", "no nodes"],
)
def test_a_graph_from_data_that_is_wrong_fails_its_node(graph: Any, words: str) -> None:
    driven = Driven({"data": work(), "n": {"agent": "nestedAgent", "graph": ":data"}})
    driven.complete("data", graph)
    assert words in str(driven.engine.errors()["n"])


def test_a_graph_from_data_runs() -> None:
    driven = Driven({"data": work(), "n": {"agent": "nestedAgent", "graph": ":data.graph"}})
    driven.complete("data", {"graph": inner({"x": work(**RESULT)})})
    driven.complete("n/x", 1)
    assert driven.engine.results()["n"] == {"x": 1}


def test_a_node_without_a_graph_fails() -> None:
    driven = Driven({"n": {"agent": "nestedAgent"}})
    assert "Please update graphai" in str(driven.engine.errors()["n"])


def test_a_nested_graph_in_which_nothing_can_start_gives_an_empty_map() -> None:
    nodes = {"s": {"value": 0, "isResult": True}, "x": work(**{"if": ":s"})}
    assert Driven({"n": nested(nodes)}).engine.results()["n"] == {}


def test_time_runs_out_for_all_that_is_inside() -> None:
    nodes = {"deep": nested({"x": work()}, timeout=70), "y": work()}
    driven = Driven({"n": nested(nodes, timeout=50, retry=1), "other": work()})
    armed = [each.start for each in driven.commands if isinstance(each, Arm)]
    assert [start.path for start in armed] == ["n", "n/deep"]
    inside = driven.running["n/y"]
    driven.feed(Failed(armed[0], NodeTimeout("Timeout"), 1.0))
    assert sorted(driven.told(Stop)) == ["n", "n/deep", "n/deep/x", "n/y"]
    assert sorted(driven.running) == ["n!1/deep/x", "n!1/y", "other"]
    assert driven.feed(Completed(inside, 1, 2.0)) == []


def test_a_nested_node_makes_room_for_one_of_its_children() -> None:
    driven = Driven({"n": nested({"x": work(), "y": work()}), "other": work()}, graph={"concurrency": 1})
    assert list(driven.running) == ["other"]
    driven.complete("other")
    assert list(driven.running) == ["n/x"]
    driven.complete("n/x")
    driven.complete("n/y")
    assert driven.ended is State.COMPLETED


def test_many_levels_do_not_recurse() -> None:
    levels = 40
    graph = inner({"x": work(**RESULT)})
    for _ in range(levels - 1):
        graph = inner({"n": {"agent": "nestedAgent", "graph": graph, "isResult": True}})
    driven = Driven({"n": {"agent": "nestedAgent", "graph": graph}})
    driven.complete("n/" * levels + "x", 1)
    assert driven.ended is State.COMPLETED


@pytest.mark.parametrize(
    "params", [{"rowKey": ["a"]}, {"expandKeys": 7}, {"expandKeys": [["a"]]}, {"compositeResultKey": {"a": 1}}]
)
def test_params_of_a_map_that_are_no_names_fail_the_node(params: dict[str, Any]) -> None:
    driven = Driven({"m": mapped({"x": work(**RESULT)}, [1], params=params)})
    if not driven.ended:
        driven.complete("m[0]/x", 1)
    assert isinstance(driven.engine.errors()["m"], NodeError)


def test_a_graph_that_opens_itself_comes_to_an_end() -> None:
    itself = inner({"n": {"agent": "nestedAgent", "inputs": {"g": ":g"}, "graph": ":g"}})
    driven = Driven({"g": {"value": itself}, "n": {"agent": "nestedAgent", "inputs": {"g": ":g"}, "graph": ":g"}})
    error = driven.engine.errors()["n"]
    assert isinstance(error, LimitReached)
    assert (error.limit, error.most) == ("nesting", UNTRUSTED.nesting)


# -- mapAgent


def test_each_row_is_a_graph_of_its_own_and_values_stand_in_row_order() -> None:
    driven = Driven({"m": mapped({"x": work(":row", ":__mapIndex", ":all", **RESULT)}, ["a", "b"], inputs={"all": 7})})
    assert [driven.running[f"m[{row}]/x"].inputs for row in (0, 1)] == [
        {"i0": "a", "i1": 0, "i2": 7},
        {"i0": "b", "i1": 1, "i2": 7},
    ]
    driven.complete("m[1]/x", "second")
    driven.complete("m[0]/x", "first")
    assert driven.engine.results()["m"] == [{"x": "first"}, {"x": "second"}]


@pytest.mark.parametrize(
    ("params", "value"),
    [
        ({}, [{"x": 0}, {"x": 1}]),
        ({"limit": 1}, [{"x": 0}]),
        ({"limit": 0}, [{"x": 0}, {"x": 1}]),
        ({"compositeResult": True}, {"x": [0, 1]}),
        ({"compositeResultKey": "x"}, [0, 1]),
        ({"compositeResultKey": "nobody"}, None),
        ({"resultAll": True}, [{"x": 0, "row": "a", "__mapIndex": 0}, {"x": 1, "row": "b", "__mapIndex": 1}]),
        ({"rowKey": "r", "resultAll": True}, [{"x": 0, "r": "a", "__mapIndex": 0}, {"x": 1, "r": "b", "__mapIndex": 1}]),
    ],
)
def test_what_a_map_gives(params: dict[str, Any], value: Any) -> None:
    driven = Driven({"m": mapped({"x": work(**RESULT)}, ["a", "b"], params=params)})
    for row, path in enumerate(sorted(driven.running)):
        driven.complete(path, row)
    assert driven.engine.results().get("m") == value


@pytest.mark.parametrize(("params", "value"), [({}, []), ({"compositeResult": True}, {}), ({"compositeResultKey": "x"}, [])])
def test_a_map_over_nothing_gives_nothing(params: dict[str, Any], value: Any) -> None:
    driven = Driven({"m": mapped({"x": work(**RESULT)}, [], params=params), "after": work(":m")})
    assert driven.running["after"].inputs == {"i0": value}


def test_gaps_of_a_composite_result_are_null_and_its_keys_those_of_the_first_row() -> None:
    nodes = {"x": work(**RESULT), "y": work(**{"if": ":row"}, **RESULT)}
    driven = Driven({"m": mapped(nodes, [1, 0], params={"compositeResult": True})})
    for path in sorted(driven.running):
        driven.complete(path, path)
    assert driven.engine.results()["m"] == {"x": ["m[0]/x", "m[1]/x"], "y": ["m[0]/y", None]}


def test_expanded_inputs_give_each_row_its_own_element_and_a_short_list_fails() -> None:
    nodes = {"x": work(":word")}
    driven = Driven({"m": mapped(nodes, [1, 2], inputs={"word": ["a", "b"]}, params={"expandKeys": ["word"]})})
    assert [driven.running[f"m[{row}]/x"].inputs["i0"] for row in (0, 1)] == ["a", "b"]
    driven = Driven({"m": mapped(nodes, [1, 2], inputs={"word": ["a"]}, params={"expandKeys": ["word"]})})
    assert "Affected nodeIds: word" in str(driven.engine.errors()["m"])


@pytest.mark.parametrize("rows", ["text", 5, {"a": 1}, None])
def test_rows_that_are_no_list_fail_the_node(rows: Any) -> None:
    driven = Driven({"data": work(), "m": mapped({"x": work()}, ":data")})
    driven.complete("data", rows)
    assert str(driven.engine.errors()["m"]) == "mapAgent: rows property is required in namedInput"


def test_a_missing_row_is_an_error_and_a_null_row_is_not() -> None:
    driven = Driven({"s": {"value": {}}, "m": mapped({"x": work(":row")}, [":s.none"])})
    assert "Affected nodeIds: row" in str(driven.engine.errors()["m"])
    driven = Driven({"m": mapped({"x": work(":row")}, [None])})
    assert driven.running["m[0]/x"].inputs == {"i0": None}


def test_a_computed_node_of_an_inputs_name_wins() -> None:
    driven = Driven({"m": mapped({"x": work(":word"), "word": work()}, [1], inputs={"word": "given"})})
    assert list(driven.running) == ["m[0]/word"]


def test_the_first_row_that_fails_decides_and_the_others_go_on_in_the_background() -> None:
    driven = Driven({"m": mapped({"x": work(), "y": work(":x")}, [1, 2, 3]), "other": work()})
    driven.fail("m[1]/x", ValueError("row 1"))
    assert str(driven.engine.errors()["m"]) == "row 1"
    driven.complete("m[0]/x")
    driven.fail("m[2]/x", ValueError("row 2"))
    assert sorted(driven.running) == ["m[0]/y", "other"]
    driven.complete("other")
    assert driven.ended is State.FAILED
    assert driven.told(Stop) == ["m[0]/y"]


def test_background_rows_of_a_graph_that_is_over_are_stopped_with_the_run() -> None:
    deep = mapped({"x": work(), "y": work(":x")}, [1, 2], params={"supressError": True})
    driven = Driven({"n": nested({"m": deep}), "other": work()})
    driven.fail("n/m[0]/x", ValueError("no"))
    assert sorted(driven.running) == ["n/m[1]/x", "other"]
    background = driven.running["n/m[1]/x"]
    driven.complete("other")
    assert driven.ended is State.COMPLETED
    assert driven.told(Stop) == ["n/m[1]/x"]
    assert driven.feed(Completed(background, 1, 2.0)) == []


def test_params_that_make_no_sense_fail_the_node() -> None:
    wrong: list[dict[str, Any]] = [
        {"rowKey": [1]},
        {"expandKeys": 5},
        {"compositeResultKey": {"a": 1}},
        {"compositeResultKey": [1]},
    ]
    for params in wrong:
        driven = Driven({"m": mapped({"x": work(**RESULT)}, [1], params=params), "other": work()})
        while driven.running:
            driven.complete(min(driven.running))
        assert driven.ended is State.FAILED
        assert list(driven.engine.errors()) == ["m"]


def test_a_nested_loop_counts_its_own_turns_and_may_be_told_how_often() -> None:
    loop = {"agent": "nestedAgent", "inputs": {"loopCount": 2, "s": 5}, "graph": inner({"x": work("@loop", ":s")})}
    driven = Driven({"n": loop})
    assert driven.running["n/x"].inputs == {"i0": 0, "i1": 5}
    driven.complete("n/x")
    assert driven.running["n/x#1"].inputs == {"i0": 1, "i1": 5}
    driven.complete("n/x#1")
    assert driven.ended is State.COMPLETED


def test_the_known_outcome_of_a_nesting_node_opens_nothing() -> None:
    driven = Driven({"m": mapped({"x": work()}, [1, 2]), "after": work(":m")}, known={"m": Outcome(State.COMPLETED, "kept")})
    assert driven.told(Start) == ["after"]
    assert driven.running["after"].inputs == {"i0": "kept"}


def test_a_node_whose_inner_node_ran_out_of_time_has_failed_and_not_run_out_of_time_itself() -> None:
    driven = Driven({"n": nested({"i": work(timeout=5)})})
    driven.fail("n/i", NodeTimeout("Timeout"))
    error = driven.engine.errors()["n"]
    assert (type(error), str(error), type(error.__cause__)) == (NodeError, "Timeout", NodeTimeout)
    assert driven.engine.root.states[0] == State.FAILED
