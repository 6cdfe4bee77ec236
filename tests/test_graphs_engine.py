"""The engine, fed by hand: what runs when, what fails alone, and how a run ends."""

from __future__ import annotations

from typing import Any

import pytest

from engines import Driven
from graphs.engine.events import (
    Abort,
    Begin,
    Completed,
    Ended,
    Erred,
    Failed,
    Interrupted,
    Outcome,
    Settled,
    Start,
    Stop,
    Suspend,
)
from graphs.errors import LinkCondition, NodeError, NodeTimeout, UsageError
from graphs.records import State
from graphs.values import MISSING

BAD_JSON = {"value": "{not json"}


def work(*sources: str, **more: Any) -> dict[str, Any]:
    return {"agent": "work", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


# -- what runs when


def test_nodes_start_in_written_order_as_soon_as_their_inputs_are_there() -> None:
    driven = Driven({"last": work(":b", ":a"), "b": work(), "a": work(), "mid": work(":a")})
    assert driven.told(Start) == ["b", "a"]
    driven.complete("a", 1)
    assert driven.told(Start) == ["b", "a", "mid"]
    driven.complete("b", 2)
    assert driven.running["last"].inputs == {"i0": 2, "i1": 1}


def test_a_node_that_completes_without_a_value_lets_its_followers_run() -> None:
    driven = Driven({"a": work(), "b": work(":a")})
    driven.complete("a", MISSING)
    assert driven.running["b"].inputs == {"i0": MISSING}
    driven.complete("b")
    assert driven.engine.results() == {"b": None}


def test_a_bypassed_agent_gives_null() -> None:
    driven = Driven({"a": {"agent": "absent"}, "b": work(":a")}, bypass=["absent"])
    assert driven.running["b"].inputs == {"i0": None}


def test_an_agent_may_be_named_by_a_value() -> None:
    driven = Driven({"name": work(), "a": {"agent": ":name"}, "b": {"agent": ":name.wrong"}})
    driven.complete("name", "remote")
    assert driven.running["a"].agent is driven.engine.compiler.agents["remote"]
    assert "names no agent known here" in str(driven.engine.errors()["b"])


def test_the_input_named_params_lies_over_the_nodes_own() -> None:
    nodes = {
        "s": {"value": {"b": 2}},
        "e": {"value": {}},
        "a": {"agent": "work", "params": {"a": 1, "b": 1}, "inputs": {"params": ":s", "x": 0}},
        "none": {"agent": "work", "params": {"a": 1}, "inputs": {"params": ":e"}},
    }
    driven = Driven(nodes)
    assert dict(driven.running["a"].params) == {"a": 1, "b": 2}
    assert driven.running["a"].inputs == {"params": {"b": 2}, "x": 0}
    assert dict(driven.running["none"].params) == {"a": 1}


def test_higher_priority_goes_first_when_nodes_queue() -> None:
    driven = Driven({"a": work(), "low": work(priority=-1), "b": work(), "high": work(priority=2)}, graph={"concurrency": 1})
    for path in ("a", "high", "b", "low"):
        assert list(driven.running) == [path]
        driven.complete(path)


def test_a_node_whose_label_is_full_lets_others_pass_and_starts_when_there_is_room() -> None:
    driven = Driven(
        {"a": work(label="x"), "b": work(label="x"), "c": work()}, graph={"concurrency": {"global": 2, "labels": {"x": 1}}}
    )
    assert list(driven.running) == ["a", "c"]
    driven.complete("a")
    assert list(driven.running) == ["c", "b"]


# -- conditions and defaults


def test_a_skipped_node_is_settled_and_nothing_after_it_runs() -> None:
    driven = Driven({"s": {"value": 0}, "a": work(**{"if": ":s"}), "b": work(":a")})
    assert driven.states() == {"s": "INJECTED", "a": "SKIPPED", "b": "WAITING"}
    assert driven.told(Settled) == [("a", "SKIPPED")]
    assert driven.ended is State.COMPLETED


def test_a_default_stands_for_a_skipped_node_and_is_shaped() -> None:
    driven = Driven({"s": {"value": 0}, "a": work(**{"if": ":s"}, defaultValue={"v": 1}, output={"w": ".v"}), "b": work(":a")})
    assert driven.running["b"].inputs == {"i0": {"w": 1}}
    assert driven.told(Start) == ["b"]


def test_a_default_that_completes_at_once_does_not_end_the_turn_before_others_began() -> None:
    driven = Driven({"s": {"value": 0}, "a": work(**{"if": ":s"}, defaultValue=1), "b": work()}, graph={"loop": {"count": 2}})
    assert list(driven.running) == ["b"]
    driven.complete("b")
    assert list(driven.running) == ["b#1"]


# -- failures


@pytest.mark.parametrize(
    "node",
    [
        work(":s.jsonParse()"),
        work("<${:s.jsonParse()}>"),
        work(**{"if": ":s.jsonParse()"}),
        work(unless=":s.jsonParse()"),
        {"agent": ":s.jsonParse()"},
        work(anyInput=True, inputs={"x": ":s.jsonParse()"}),
        {"agent": "nestedAgent", "graph": ":s.jsonParse()"},
    ],
    ids=["inputs", "template", "if", "unless", "agent", "anyInput", "graph"],
)
def test_a_source_that_raises_fails_its_node_alone(node: dict[str, Any]) -> None:
    driven = Driven({"s": BAD_JSON, "a": {**node, "retry": 1}, "b": work()})
    assert driven.states()["a"] == "FAILED"
    driven.complete("b", 1)
    assert driven.ended is State.FAILED
    assert "jsonParse" in str(driven.engine.errors()["a"])


def test_a_source_that_raises_while_a_value_is_shaped_fails_the_attempt() -> None:
    driven = Driven(
        {"s": BAD_JSON, "a": work(passThrough={"x": ":s.jsonParse()"}, retry=1), "b": work(output={"x": ".t.jsonParse()"})}
    )
    driven.complete("a", {})
    assert driven.running["a"].retry == 1
    driven.complete("a", {})
    driven.complete("b", {"t": "{"})
    assert list(driven.engine.errors()) == ["a", "b"]


def test_an_attempt_is_repeated_in_its_place_with_inputs_resolved_anew() -> None:
    driven = Driven({"a": work(retry=1), "b": work()}, graph={"concurrency": 1})
    driven.fail("a", ValueError("once"))
    assert (driven.running["a"].retry, driven.running["a"].at) == (1, 2)
    driven.fail("a", ValueError("twice"))
    assert driven.states() == {"a": "FAILED", "b": "EXECUTING"}
    assert [(str(each.error), each.final) for each in driven.commands if isinstance(each, Erred)] == [
        ("once", False),
        ("twice", True),
    ]


def test_an_attempt_that_ran_out_of_time_is_stopped() -> None:
    driven = Driven({"a": work(timeout=5)})
    driven.fail("a", NodeTimeout("Timeout"))
    assert driven.told(Stop) == ["a"]
    assert driven.states() == {"a": "TIMED_OUT"}


def test_the_run_fails_with_the_error_that_comes_first_in_written_order() -> None:
    driven = Driven({"a": work(), "b": work(), "c": work()})
    driven.fail("c", ValueError("c"))
    driven.fail("b", ValueError("b"))
    driven.complete("a")
    assert driven.told(Ended) == [State.FAILED]
    assert list(driven.engine.errors()) == ["b", "c"]
    first = driven.engine.first_error()
    assert first is not None
    assert (first[0], str(first[1])) == ("b", "b")


def test_an_interrupted_attempt_is_begun_again_without_using_up_a_retry_but_not_for_ever() -> None:
    driven = Driven({"a": work(retry=9)})
    for at in (1, 2):
        start = driven.running.pop("a")
        assert (start.retry, start.at) == (0, at)
        driven.feed(Interrupted(start, NodeError("its model died"), 1.0))
    driven.feed(Interrupted(driven.running.pop("a"), NodeError("its model died"), 1.0))
    assert driven.ended is State.FAILED
    assert "begun 3 times" in str(driven.engine.errors()["a"])


# -- suspension


def suspend(driven: Driven, path: str) -> None:
    driven.feed(Suspend(driven.running.pop(path), LinkCondition("BUSY", "no place"), 1.0))


def test_a_suspended_node_waits_while_all_else_finishes() -> None:
    driven = Driven({"a": work(), "after": work(":a"), "b": work(), "then": work(":b")})
    suspend(driven, "a")
    driven.complete("b")
    assert driven.ended is None
    driven.complete("then")
    assert driven.ended is State.SUSPENDED
    assert driven.states() == {"a": "SUSPENDED", "after": "WAITING", "b": "COMPLETED", "then": "COMPLETED"}


def test_a_suspended_node_gives_its_place_to_others() -> None:
    driven = Driven({"a": work(), "b": work()}, graph={"concurrency": 1})
    suspend(driven, "a")
    assert list(driven.running) == ["b"]


def test_a_run_that_waits_only_for_places_which_suspended_children_hold_is_suspended() -> None:
    inner = {"version": 0.5, "nodes": {"x": work()}}
    nodes = {"parent": {"agent": "nestedAgent", "label": "l", "graph": inner}, "sibling": work(label="l")}
    driven = Driven(nodes, graph={"concurrency": {"global": 8, "labels": {"l": 1}}})
    assert list(driven.running) == ["parent/x"]
    suspend(driven, "parent/x")
    assert driven.ended is State.SUSPENDED


def test_a_turn_with_a_suspended_node_is_not_followed_by_another() -> None:
    driven = Driven({"a": work(), "b": work()}, graph={"loop": {"count": 5}})
    suspend(driven, "a")
    driven.complete("b")
    assert driven.ended is State.SUSPENDED
    assert driven.engine.root.turn == 0


# -- what is known


def done(value: Any) -> Outcome:
    return Outcome(State.COMPLETED, value)


def test_what_is_known_completes_at_once_without_a_start() -> None:
    known = {"a": done(1), "b": Outcome(State.FAILED, MISSING, ValueError("then")), "any": Outcome(State.SKIPPED)}
    nodes = {
        "s": {"value": 1},
        "a": work(retry=2),
        "b": work(":a"),
        "any": work(":a", anyInput=True),
        "c": work(":a"),
        "d": work(":any"),
    }
    driven = Driven(nodes, known=known)
    assert driven.told(Start) == ["c"]
    assert driven.running["c"].inputs == {"i0": 1}
    driven.complete("c")
    assert driven.ended is State.FAILED
    assert driven.states() == {
        "s": "INJECTED", "a": "COMPLETED", "b": "FAILED", "any": "SKIPPED", "c": "COMPLETED", "d": "WAITING"
    }  # fmt: skip
    assert {each.path for each in driven.commands if isinstance(each, Settled) and each.known} == {"a", "b", "any"}


def test_an_any_input_node_that_is_known_is_settled_once_however_many_sources_finish() -> None:
    nodes = {"s": {"value": 1}, "a": work(), "any": work(":s", ":a", anyInput=True)}
    driven = Driven(nodes, known={"a": done(1), "any": done(2)})
    assert driven.told(Settled) == [("a", "COMPLETED"), ("any", "COMPLETED")]
    assert driven.ended is State.COMPLETED


def test_what_is_known_takes_no_place_from_others() -> None:
    driven = Driven({"a": work(), "b": work()}, known={"a": done(1)}, graph={"concurrency": 1})
    assert list(driven.running) == ["b"]


def test_only_the_execution_of_that_path_is_known() -> None:
    driven = Driven({"a": work()}, known={"a#1": done(5)}, graph={"loop": {"count": 3}})
    driven.complete("a", 1)
    assert list(driven.running) == ["a#2"]


def test_attempts_that_failed_before_the_process_died_count() -> None:
    driven = Driven({"a": work(retry=2), "b": work()}, begun={"a": 2}, retried={"a": 1})
    assert (driven.running["a"].retry, driven.running["a"].at) == (1, 3)
    driven.fail("a", NodeError("no"))
    assert (driven.running["a"].retry, driven.running["a"].at) == (2, 4)
    driven.fail("a", NodeError("no"))
    assert driven.engine.errors().keys() == {"a"}, "that was the last of them"


def test_executions_are_counted_on_from_what_was_begun_before() -> None:
    driven = Driven({"a": work(retry=1), "b": work()}, begun={"a": 2})
    assert (driven.running["a"].at, driven.running["b"].at) == (3, 1)
    driven.fail("a", ValueError("no"))
    assert (driven.running["a"].at, driven.running["a"].retry) == (4, 1)


# -- the end


def test_events_about_attempts_that_are_over_are_ignored() -> None:
    driven = Driven({"a": work(retry=1), "b": work()})
    first = driven.running["a"]
    driven.fail("a", ValueError("no"))
    for event in (Completed(first, 1, 2.0), Failed(first, ValueError("again"), 2.0), Interrupted(first, ValueError("x"), 2.0)):
        assert driven.feed(event) == []
    assert driven.running["a"].retry == 1


def test_abort_stops_all_that_runs_and_keeps_what_there_is() -> None:
    inner = {"version": 0.5, "nodes": {"x": work()}}
    nodes = {"a": work(), "b": work(), "n": {"agent": "nestedAgent", "graph": inner}, "q": work()}
    driven = Driven(nodes, graph={"concurrency": 3})
    driven.complete("a", 1)
    driven.feed(Abort(2.0))
    assert sorted(driven.told(Stop)) == ["b", "n/x", "q"]
    assert driven.told(Ended) == [State.ABORTED]
    assert driven.engine.results() == {"a": 1}
    assert driven.states() == {"a": "COMPLETED", "b": "ABORTED", "n": "ABORTED", "q": "ABORTED"}


def test_nothing_is_commanded_after_the_end() -> None:
    driven = Driven({"a": work(), "b": work(":a")})
    start = driven.running["a"]
    driven.feed(Abort(1.0))
    for event in (Completed(start, 1, 2.0), Begin(2.0), Abort(2.0), Suspend(start, LinkCondition("BUSY", "x"), 2.0)):
        assert driven.feed(event) == []


def test_results_are_in_written_order_without_what_has_no_value() -> None:
    driven = Driven({"z": work(isResult=True), "a": {"value": 1, "isResult": True}, "none": work(), "m": work()})
    driven.complete("m", 3)
    driven.complete("none", MISSING)
    driven.complete("z", 2)
    assert list(driven.engine.results().items()) == [("z", 2), ("a", 1), ("m", 3)]
    assert driven.engine.results(all=False) == {"z": 2, "a": 1}


def test_a_static_node_without_value_and_update_fails_the_run_before_anything_starts() -> None:
    driven = Driven({"hole": {}, "other": {}, "late": {"update": ":a"}, "a": work()})
    assert driven.told(Start) == []
    assert driven.ended is State.FAILED
    first = driven.engine.first_error()
    assert first is not None
    assert first[0] == ""
    assert str(first[1]).endswith("Affected nodeIds: hole, other")


@pytest.mark.parametrize("name", ["a", "nobody", "__loopIndex"])
def test_only_static_nodes_can_be_given_a_value(name: str) -> None:
    with pytest.raises(UsageError, match=f"injectValue with Invalid nodeId, {name}"):
        Driven({"a": work()}, begin=False).feed(Begin(0.0, {name: 1}))
