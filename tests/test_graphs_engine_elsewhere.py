"""Both sides of a cut as the engine sees them: what is expected from elsewhere, and what waits for the holder's word."""

from __future__ import annotations

from typing import Any

import pytest

from engines import Driven
from graphs.engine.events import (
    Close,
    Completed,
    Ended,
    Instead,
    Interrupted,
    Order,
    Outcome,
    Settled,
    Start,
    Stop,
    Suspend,
    Told,
)
from graphs.errors import LimitReached, LinkCondition, NodeError, WorkerNeeded
from graphs.records import State
from graphs.values import MISSING

DONE = Outcome(State.COMPLETED, {"x": 1})


def test_a_node_placed_elsewhere_is_expected_and_completed_by_what_is_told() -> None:
    driven = Driven({"far": {"agent": "work"}, "near": {"agent": "work", "inputs": {"x": ":far.x"}}}, places={"far": "cloud"})
    assert list(driven.running) == ["far"]
    driven.feed(Told("far", DONE, 1.0))
    assert driven.running["near"].inputs == {"x": 1}
    driven.complete("near", 2)
    assert driven.ended is State.COMPLETED


def test_an_outcome_that_is_told_before_the_node_is_ready_is_kept_for_it() -> None:
    nodes = {"near": {"agent": "work"}, "far": {"agent": "work", "inputs": {"x": ":near"}}}
    driven = Driven(nodes, places={"far": "cloud"})
    driven.feed(Told("far", DONE, 1.0))
    driven.complete("near", 1)
    assert driven.told(Start) == ["near"]
    assert driven.engine.results() == {"near": 1, "far": {"x": 1}}


@pytest.mark.parametrize("outcome", [DONE, Outcome(State.FAILED, MISSING, ValueError("there")), Outcome(State.SKIPPED)])
@pytest.mark.parametrize("label", [False, True])
def test_an_outcome_that_is_told_while_a_node_inside_a_graph_waits_for_its_place_is_its_outcome(
    outcome: Outcome, label: bool
) -> None:
    inside = {
        "first": {"agent": "work"},
        "far": {"agent": "work", **({"label": "one"} if label else {})},
        "last": {"agent": "work"},
    }
    nodes = {"rows": {"agent": "mapAgent", "inputs": {"rows": [1, 2]}, "graph": {"nodes": inside}}}
    limit = {"global": 1, "labels": {"one": 1}} if label else 1
    driven = Driven(nodes, places={"rows/far": "cloud"}, graph={"concurrency": limit})
    assert list(driven.running) == ["rows[0]/first"]
    for path in ("rows[0]/far", "rows[1]/far"):
        driven.feed(Told(path, outcome, 1.0))
    while driven.ended is None:
        (running,) = list(driven.running)  # nothing else holds a place
        driven.complete(running)
    assert not [path for path in driven.told(Start) if path.endswith("far")], "they were told before they began"
    assert driven.engine.queue.running == 0
    assert driven.ended is (State.FAILED if outcome.error else State.COMPLETED)


def test_a_failure_that_is_told_fails_the_node_and_uses_no_retry_here() -> None:
    driven = Driven({"far": {"agent": "work", "retry": 3}}, places={"far": "cloud"})
    driven.feed(Told("far", Outcome(State.FAILED, MISSING, ValueError("there")), 1.0))
    assert driven.ended is State.FAILED
    assert str(driven.engine.errors()["far"]) == "there"


def test_a_boundary_node_has_its_value_when_it_is_told_and_the_run_waits_for_that() -> None:
    driven = Driven({"before": {"boundary": True}, "a": {"agent": "work", "inputs": {"x": ":before.x"}}}, open=True)
    assert driven.ended is None
    driven.feed(Told("before", DONE, 1.0))
    assert driven.running["a"].inputs == {"x": 1}
    driven.complete("a")
    assert driven.ended is None
    driven.feed(Close(2.0))
    assert driven.told(Ended) == [State.COMPLETED]


def test_what_is_outside_a_whole_loop_is_the_same_in_every_turn() -> None:
    nodes = {
        "before": {"boundary": True},
        "count": {"value": 0, "update": ":a.x"},
        "a": {"agent": "work", "inputs": {"n": ":count", "x": ":before"}},
    }
    driven = Driven(nodes, graph={"loop": {"count": 2}}, open=True)
    driven.feed(Told("before", Outcome(State.INJECTED, 7), 1.0))
    driven.complete("a", {"x": 1})
    assert driven.running["a#1"].inputs == {"n": 1, "x": 7}
    driven.complete("a#1", {"x": 2})
    assert driven.ended is State.COMPLETED


def test_a_whole_loop_turns_only_when_all_that_is_outside_is_here() -> None:
    nodes = {"before": {"boundary": True}, "n": {"value": 0, "update": ":a"}, "a": {"agent": "work", "inputs": {"n": ":n"}}}
    driven = Driven(nodes, graph={"loop": {"count": 2}}, open=True)
    driven.complete("a", 1)
    assert not driven.running
    driven.feed(Told("before", Outcome(State.INJECTED, 7), 1.0))
    assert list(driven.running) == ["a#1"]


def test_a_turn_that_is_over_in_the_same_breath_does_not_end_the_next_before_it_has_begun() -> None:
    """The value from outside comes with the order, and the node needs nobody: then the look whether the turn is over comes after its end."""
    inside = {"version": 0.5, "nodes": {"b": {"agent": "work", "isResult": True}}}
    none = {"agent": "mapAgent", "inputs": {"rows": [], "x": ":before"}, "graph": inside}
    nodes = {"before": {"boundary": True}, "a": none}
    known = {"before": Outcome(State.INJECTED, 7)}
    driven = Driven(nodes, graph={"loop": {"count": 4}}, open=True, known=known)
    assert [path for path, _ in driven.told(Settled)] == ["a", "a#1", "a#2", "a#3"]
    assert driven.ended is State.COMPLETED


def test_what_still_waits_for_a_boundary_when_it_closes_waits_for_ever() -> None:
    driven = Driven({"before": {"boundary": True}, "a": {"agent": "work", "inputs": {"x": ":before"}}}, open=True)
    driven.feed(Close(1.0))
    assert driven.ended is State.COMPLETED
    assert driven.states() == {"before": "WAITING", "a": "WAITING"}


def test_an_on_demand_node_starts_when_it_is_ready_and_ordered_in_either_order() -> None:
    nodes = {"a": {"agent": "work"}, "b": {"agent": "work", "inputs": {"x": ":a"}}}
    driven = Driven(nodes, demand=["a", "b"], open=True)
    assert not driven.running
    driven.feed(Order("b", 1.0))
    driven.feed(Order("a", 1.0))
    assert list(driven.running) == ["a"]
    driven.complete("a", 1)
    assert list(driven.running) == ["b"]


def test_what_is_told_of_a_running_node_stops_it() -> None:
    driven = Driven({"a": {"agent": "work"}, "b": {"agent": "work", "inputs": {"x": ":a.x"}}})
    start = driven.running["a"]
    driven.feed(Told("a", DONE, 1.0))
    assert driven.told(Stop) == ["a"]
    assert driven.running["b"].inputs == {"x": 1}
    assert driven.feed(Completed(start, "late", 2.0)) == []


def test_what_is_told_of_a_running_nested_node_stops_what_runs_in_it() -> None:
    inner = {"version": 0.5, "nodes": {"x": {"agent": "work"}, "y": {"agent": "work", "inputs": {"x": ":x"}}}}
    driven = Driven({"a": {"agent": "nestedAgent", "graph": inner}, "b": {"agent": "work", "inputs": {"x": ":a.x"}}})
    inside = driven.running["a/x"]
    driven.feed(Told("a", DONE, 1.0))
    assert list(driven.running) == ["b"]
    assert driven.feed(Completed(inside, "late", 2.0)) == []
    driven.complete("b")
    assert driven.ended is State.COMPLETED


def test_what_is_told_of_a_queued_node_takes_it_out_of_the_queue() -> None:
    driven = Driven({"a": {"agent": "work"}, "b": {"agent": "work", "priority": 1}}, graph={"concurrency": 1})
    driven.feed(Told("b", DONE, 1.0))
    driven.complete("a", 1)
    assert driven.told(Start) == ["a"]
    assert driven.ended is State.COMPLETED
    assert driven.engine.results() == {"a": 1, "b": {"x": 1}}


def test_what_is_told_of_a_node_that_waits_for_its_order_needs_none_any_more() -> None:
    driven = Driven({"a": {"agent": "work"}, "b": {"agent": "work", "inputs": {"x": ":a.x"}}}, demand=["a"], open=True)
    driven.feed(Told("a", DONE, 1.0))
    driven.feed(Order("a", 1.0))
    assert list(driven.running) == ["b"]
    assert driven.told(Start) == ["b"]


def test_an_ordered_node_starts_whatever_runs_and_what_it_opens_keeps_the_limit() -> None:
    inner = {"version": 0.5, "nodes": {"x": {"agent": "work"}, "y": {"agent": "work"}}}
    nodes = {"n": {"agent": "nestedAgent", "graph": inner}, "b": {"agent": "work"}}
    driven = Driven(nodes, graph={"concurrency": 1}, demand=["n", "b"], open=True)
    driven.feed(Order("n", 1.0))
    assert list(driven.running) == ["n/x"]
    driven.feed(Order("b", 2.0))
    assert list(driven.running) == ["n/x", "b"]
    driven.complete("b")
    assert list(driven.running) == ["n/x"]
    driven.complete("n/x")
    assert list(driven.running) == ["n/y"]
    driven.complete("n/y")
    assert driven.ended is State.COMPLETED


def test_what_an_ordered_node_opens_keeps_the_limit_of_its_label_too() -> None:
    inner = {"version": 0.5, "nodes": {"x": {"agent": "work", "label": "l"}, "y": {"agent": "work"}}}
    nodes = {"n": {"agent": "nestedAgent", "graph": inner}, "b": {"agent": "work", "label": "l"}}
    driven = Driven(nodes, graph={"concurrency": {"global": 9, "labels": {"l": 1}}}, demand=["n", "b"], open=True)
    driven.feed(Order("b", 1.0))
    driven.feed(Order("n", 2.0))
    assert list(driven.running) == ["b", "n/y"]
    driven.complete("b")
    assert list(driven.running) == ["n/y", "n/x"]


def test_what_waits_for_an_order_when_the_frame_closes_stays_waiting() -> None:
    driven = Driven({"a": {"agent": "work"}, "b": {"agent": "work"}}, demand=["a", "b"], open=True)
    driven.feed(Order("a", 1.0))
    driven.feed(Close(2.0))
    driven.complete("a", 1)
    assert (driven.ended, driven.states()) == (State.COMPLETED, {"a": "COMPLETED", "b": "WAITING"})


# -- what runs here instead

NODES = {"far": {"agent": "remote", "inputs": {"x": 1, "model": "large"}}, "near": {"agent": "work", "inputs": {"x": ":far.x"}}}
GONE = LinkCondition("UNREACHABLE", "nobody there")


def instead(driven: Driven, path: str = "far", degraded: str | None = "unreachable", **spec: Any) -> Start:
    """Lets the alternative begin; gives the attempt that was expected."""
    expected = driven.running[path]
    written = {"agent": "work", "inputs": {"x": 1}, "params": {"deep": 1}, **spec}
    node = driven.engine.compiler.stand_in(expected.frame.plan, expected.node, written, degraded)
    driven.feed(Instead(expected, node, 1.0))
    return expected


def test_an_alternative_begins_in_the_place_of_what_was_expected_and_gives_the_nodes_value() -> None:
    driven = Driven(NODES, places={"far": "cloud"})
    expected = instead(driven)
    begun = driven.running["far"]
    assert expected in [command.start for command in driven.commands if isinstance(command, Stop)]
    assert begun.agent is not None
    assert (begun.agent.name, begun.inputs, begun.params, begun.retry, begun.at) == ("work", {"x": 1}, {"deep": 1}, 0, 2)
    assert (begun.node.place, begun.node.degraded, begun.node.stands_in) == (None, "unreachable", True)
    driven.complete("far", {"x": 5})
    assert driven.running["near"].inputs == {"x": 5}
    driven.complete("near")
    assert driven.ended is State.COMPLETED


def test_an_alternative_is_compiled_once_for_each_reason() -> None:
    driven = Driven(NODES, places={"far": "cloud"})
    expected = driven.running["far"]
    work = {"agent": "work"}
    made = [driven.engine.compiler.stand_in(expected.frame.plan, expected.node, work, why) for why in ("a", "a", "b")]
    assert made[0] is made[1] is not made[2]
    moved = driven.engine.compiler.stand_in(expected.frame.plan, expected.node, work, None, "worker busy")
    assert (moved.degraded, moved.moved, moved.stands_in) == (None, "worker busy", True)
    other = driven.engine.compiler.stand_in(expected.frame.plan, expected.node, {"agent": "other"}, "a")
    assert other is not made[0]


def test_what_was_expected_and_comes_after_all_counts_and_stops_what_runs_here() -> None:
    driven = Driven(NODES, places={"far": "cloud"})
    instead(driven)
    begun = driven.running["far"]
    driven.feed(Told("far", DONE, 2.0))
    assert begun in [command.start for command in driven.commands if isinstance(command, Stop)]
    assert driven.feed(Completed(begun, {"x": 9}, 3.0)) == []
    assert driven.running["near"].inputs == {"x": 1}


def test_what_comes_when_the_alternative_is_done_changes_nothing() -> None:
    driven = Driven(NODES, places={"far": "cloud"})
    instead(driven)
    driven.complete("far", {"x": 5})
    driven.feed(Told("far", DONE, 2.0))
    driven.complete("near")
    assert (driven.ended, driven.engine.results()) == (State.COMPLETED, {"far": {"x": 5}, "near": None})


def test_a_failure_elsewhere_leaves_the_alternative_its_chance() -> None:
    driven = Driven(NODES, places={"far": "cloud"})
    instead(driven)
    driven.feed(Told("far", Outcome(State.FAILED, MISSING, ValueError("there")), 2.0))
    assert "far" in driven.running
    driven.feed(Told("far", DONE, 3.0))
    assert driven.running["near"].inputs == {"x": 1}


def test_an_alternative_that_fails_lets_the_node_wait_for_what_was_asked_for() -> None:
    driven = Driven(NODES, places={"far": "cloud"})
    instead(driven, retry=1)
    driven.fail("far", NodeError("too long"))
    driven.fail("far", NodeError("too long again"))
    assert driven.ended is State.SUSPENDED
    assert driven.engine.errors() == {}
    (waiting,) = driven.engine.suspended.values()
    assert isinstance(waiting, LinkCondition)
    assert (waiting.condition, "too long again" in waiting.message) == ("ALTERNATIVE_FAILED", True)


def test_a_limit_that_an_alternative_reaches_fails_the_node() -> None:
    driven = Driven(NODES, places={"far": "cloud"})
    instead(driven)
    driven.fail("far", LimitReached("values", 1, "it wants two"))
    assert driven.ended is State.FAILED


def test_the_outcome_is_taken_in_whatever_attempt_the_alternative_is() -> None:
    for again in (NodeError("once more"), None):
        driven = Driven(NODES, places={"far": "cloud"})
        instead(driven, retry=1)
        if again is None:
            driven.feed(Interrupted(driven.running.pop("far"), LinkCondition("MODEL_CRASHED", "died"), 1.0))
        else:
            driven.fail("far", again)
        assert driven.running["far"].at == 3
        driven.feed(Told("far", DONE, 2.0))
        assert list(driven.running) == ["near"]


def test_an_alternative_for_an_attempt_that_is_over_does_not_begin() -> None:
    driven = Driven(NODES, places={"far": "cloud"})
    expected = driven.running["far"]
    node = driven.engine.compiler.stand_in(expected.frame.plan, expected.node, {"agent": "work"}, None)
    driven.feed(Told("far", DONE, 1.0))
    assert driven.feed(Instead(expected, node, 2.0)) == []


def test_a_node_that_must_not_wait_fails_at_once_whatever_its_retries() -> None:
    driven = Driven({"far": {"agent": "remote", "retry": 3}}, places={"far": "cloud"})
    driven.fail("far", WorkerNeeded("nobody there"))
    assert driven.ended is State.FAILED


def test_an_outcome_that_comes_while_its_node_waits_lets_it_go_on() -> None:
    nodes = {**NODES, "slow": {"agent": "work"}}
    driven = Driven(nodes, places={"far": "cloud"})
    driven.feed(Suspend(driven.running["far"], GONE, 1.0))
    assert list(driven.engine.suspended) == ["far"]
    driven.feed(Told("far", DONE, 2.0))
    assert driven.engine.suspended == {}
    assert driven.running["near"].inputs == {"x": 1}
    driven.complete("near")
    driven.complete("slow")
    assert driven.ended is State.COMPLETED


def test_an_outcome_that_comes_while_its_node_waits_inside_a_graph_lets_that_go_on() -> None:
    inner = {"nodes": {"far": {"agent": "remote"}, "end": {"agent": "work", "isResult": True, "inputs": {"x": ":far.x"}}}}
    nodes = {"n": {"agent": "nestedAgent", "graph": inner}, "slow": {"agent": "work"}}
    driven = Driven(nodes, places={"n/far": "cloud"})
    driven.feed(Suspend(driven.running["n/far"], GONE, 1.0))
    driven.feed(Told("n/far", DONE, 2.0))
    driven.complete("n/end", "done")
    driven.complete("slow")
    assert (driven.ended, driven.engine.results()["n"]) == (State.COMPLETED, {"end": "done"})


def test_a_failure_that_comes_while_its_node_waits_is_left_to_the_process_that_goes_on() -> None:
    driven = Driven({**NODES, "slow": {"agent": "work"}}, places={"far": "cloud"})
    driven.feed(Suspend(driven.running["far"], GONE, 1.0))
    driven.feed(Told("far", Outcome(State.FAILED, MISSING, ValueError("it may have happened")), 2.0))
    assert list(driven.engine.suspended) == ["far"]
    driven.complete("slow")
    assert driven.ended is State.SUSPENDED


def test_a_loop_ends_with_a_turn_in_which_all_was_skipped_there_as_it_would_end_here() -> None:
    nodes = {"s": {"value": {"on": False}}, "any": {"agent": "work", "anyInput": True, "inputs": {"x": ":s"}, "if": ":s.on"}}
    here = Driven(nodes, graph={"loop": {"count": 3}})
    there = Driven(nodes, graph={"loop": {"count": 3}}, places={"any": "cloud"})
    assert list(there.running) == ["any"], "the order of arrival there decides"
    there.feed(Told("any", Outcome(State.SKIPPED), 1.0))
    assert (here.ended, there.ended) == (State.COMPLETED, State.COMPLETED)


def test_a_turn_in_which_another_node_ran_is_followed_by_the_next_though_the_node_elsewhere_was_skipped() -> None:
    nodes = {
        "s": {"value": {"on": False}},
        "any": {"agent": "work", "anyInput": True, "inputs": {"x": ":s"}, "if": ":s.on"},
        "near": {"agent": "work"},
    }
    driven = Driven(nodes, graph={"loop": {"count": 2}}, places={"any": "cloud"})
    driven.feed(Told("any", Outcome(State.SKIPPED), 1.0))
    driven.complete("near")
    assert driven.told(Start)[-2:] == ["any#1", "near#1"]


def test_a_loop_that_is_closed_in_the_middle_of_a_turn_ends_there() -> None:
    """It is closed as nothing more is wanted of it: a next turn would wait for orders for ever, or begin what needs none."""
    nodes = {
        "a": {"agent": "work"},
        "b": {"agent": "work", "inputs": {"x": ":a.x"}},
        "free": {"agent": "work", "inputs": {"x": ":n"}},
        "n": {"value": 1, "update": ":a.x"},
    }
    for before in (True, False):
        driven = Driven(nodes, graph={"loop": {"count": 3}}, demand=["a", "b"], open=True)
        driven.feed(Order("a", 1.0))
        driven.complete("free", 1)
        if before:
            driven.complete("a", {"x": 1})
        driven.feed(Close(2.0))
        if not before:
            assert driven.ended is None, "what has begun is finished"
            driven.complete("a", {"x": 1})
        assert driven.ended == State.COMPLETED
        assert sorted(driven.told(Start)) == ["a", "free"]
