"""What becomes of attempts that gave no value: here those that are suspended until something wakes them."""

from __future__ import annotations

from typing import Any

from engines import Driven
from graphs.engine.events import Abort, Ended, Erred, Failed, Start, Suspend, Wake
from graphs.errors import LinkCondition, NodeError
from graphs.records import State

NOT_YET = LinkCondition("ANSWER_NEEDED", "not yet")


def work(*sources: str, **more: Any) -> dict[str, Any]:
    return {"agent": "work", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


def suspend(driven: Driven, path: str, *, awaited: bool = False) -> None:
    driven.feed(Suspend(driven.running.pop(path), NOT_YET, 1.0, awaited))


def wake(driven: Driven, path: str) -> None:
    driven.feed(Wake(path, 2.0))


def test_a_node_that_is_woken_begins_again_and_the_run_completes() -> None:
    driven = Driven({"ask": work(), "after": work(":ask"), "slow": work()})
    suspend(driven, "ask")
    wake(driven, "ask")
    assert driven.told(Start) == ["ask", "slow", "ask"]
    assert driven.engine.suspended == {}
    driven.complete("ask", 1)
    driven.complete("slow", 2)
    driven.complete("after", 3)
    assert driven.ended is State.COMPLETED


def test_a_run_ends_suspended_unless_somebody_sees_to_what_it_waits_for() -> None:
    driven = Driven({"ask": work(), "other": work()})
    suspend(driven, "ask", awaited=True)
    suspend(driven, "other")
    assert driven.ended is None
    wake(driven, "ask")
    suspend(driven, "ask")
    assert driven.ended is State.SUSPENDED
    assert set(driven.engine.suspended) == {"ask", "other"}


def test_it_is_the_same_attempt_that_goes_on_for_it_has_not_failed() -> None:
    driven = Driven({"ask": work(retry=2)}, begun={"ask": 3})
    driven.fail("ask", NodeError("once"))
    assert (driven.running["ask"].retry, driven.running["ask"].at) == (1, 5)
    suspend(driven, "ask", awaited=True)
    wake(driven, "ask")
    assert (driven.running["ask"].retry, driven.running["ask"].at) == (1, 5)
    driven.fail("ask", NodeError("twice"))
    driven.fail("ask", NodeError("thrice"))
    assert [(each.start.retry, each.final) for each in driven.commands if isinstance(each, Erred)] == [
        (0, False),
        (1, False),
        (2, True),
    ]
    assert driven.ended is State.FAILED


def test_who_waits_takes_no_place_and_queues_for_one_when_woken() -> None:
    driven = Driven({"ask": work(), "b": work(retry=1), "c": work()}, graph={"concurrency": 1})
    suspend(driven, "ask", awaited=True)
    assert driven.told(Start) == ["ask", "b"]
    wake(driven, "ask")
    assert driven.states()["ask"] == "QUEUED"
    driven.complete("b")
    driven.complete("c")
    assert driven.told(Start) == ["ask", "b", "c", "ask"]
    driven.complete("ask")
    assert driven.ended is State.COMPLETED


def test_the_turn_of_a_loop_goes_on_where_it_was() -> None:
    driven = Driven({"a": work()}, graph={"loop": {"count": 2}})
    suspend(driven, "a", awaited=True)
    wake(driven, "a")
    driven.complete("a")
    assert driven.told(Start) == ["a", "a", "a#1"]
    suspend(driven, "a#1", awaited=True)
    wake(driven, "a")  # that one is over
    assert driven.ended is None
    wake(driven, "a#1")
    driven.complete("a#1")
    assert driven.ended is State.COMPLETED


def test_in_a_nested_graph_as_well() -> None:
    inner = {"version": 0.5, "nodes": {"x": work(), "y": work(":x", isResult=True)}}
    nodes = {"parent": {"agent": "mapAgent", "inputs": {"rows": [1, 2]}, "graph": inner, "isResult": True}}
    driven = Driven(nodes)
    suspend(driven, "parent[0]/x", awaited=True)
    suspend(driven, "parent[1]/x", awaited=True)
    assert driven.ended is None
    for path in ("parent[1]/x", "parent[1]/y", "parent[0]/x", "parent[0]/y"):
        wake(driven, path)
        driven.complete(path, path)
    assert driven.engine.results() == {"parent": [{"y": "parent[0]/y"}, {"y": "parent[1]/y"}]}


def test_what_waited_in_a_graph_that_was_given_up_keeps_no_run_from_ending() -> None:
    inner = {"version": 0.5, "nodes": {"ask": work(), "bad": work()}}
    nodes = {"parent": {"agent": "nestedAgent", "inputs": {}, "graph": inner, "timeout": 5}, "other": work()}
    driven = Driven(nodes)
    suspend(driven, "parent/ask", awaited=True)
    suspend(driven, "other")
    assert driven.ended is None
    parent = driven.engine.root.starts[driven.engine.root.plan.numbers["parent"]]
    driven.feed(Failed(parent, NodeError("given up"), 3.0))
    assert driven.ended is State.SUSPENDED


def test_a_wake_for_nobody_and_one_after_the_end_do_nothing() -> None:
    driven = Driven({"a": work(), "b": work()})
    wake(driven, "a")
    suspend(driven, "a", awaited=True)
    driven.feed(Abort(1.0))
    wake(driven, "a")
    assert driven.told(Start) == ["a", "b"]
    assert [each.state for each in driven.commands if isinstance(each, Ended)] == [State.ABORTED]
