"""Turns: loops, what they update, how they end, and anyInput within them."""

from __future__ import annotations

from typing import Any

import pytest

from engines import Driven
from graphs.engine.events import Begin, Start
from graphs.records import State


def work(*sources: str, **more: Any) -> dict[str, Any]:
    return {"agent": "work", "inputs": {f"i{number}": source for number, source in enumerate(sources)}, **more}


def turns(driven: Driven, name: str, values: list[Any]) -> None:
    """Complete the node of that name once a turn."""
    for turn, value in enumerate(values):
        driven.complete(f"{name}#{turn}" if turn else name, value)


@pytest.mark.parametrize(("count", "turned"), [(1, 1), (3, 3), (0, 1), (-1, 1), (None, 1), (2.5, 3)])
def test_a_counted_loop_turns_at_least_once(count: Any, turned: int) -> None:
    driven = Driven({"a": work()}, graph={"loop": {"count": count}})
    turns(driven, "a", [None] * turned)
    assert driven.ended is State.COMPLETED
    assert driven.told(Start) == ["a", *(f"a#{turn}" for turn in range(1, turned))]


def test_updates_are_a_snapshot_of_the_finished_turn_so_that_two_nodes_can_swap() -> None:
    nodes = {"x": {"value": 1, "update": ":y"}, "y": {"value": 2, "update": ":x"}, "a": work(":x", ":y")}
    driven = Driven(nodes, graph={"loop": {"count": 3}})
    seen = []
    for path in ("a", "a#1", "a#2"):
        seen.append(driven.running[path].inputs)
        driven.complete(path)
    assert seen == [{"i0": 1, "i1": 2}, {"i0": 2, "i1": 1}, {"i0": 1, "i1": 2}]
    assert (driven.engine.results()["x"], driven.engine.results()["y"]) == (2, 1)


def test_static_nodes_without_update_start_each_turn_with_their_value_or_the_injected_one() -> None:
    driven = Driven(
        {"s": {"value": 1}, "n": {"value": 0, "update": ":a"}, "a": work(":s", ":n")}, begin=False, graph={"loop": {"count": 2}}
    )
    driven.feed(Begin(0.0, {"s": 10, "n": 20}))
    assert driven.running["a"].inputs == {"i0": 10, "i1": 20}
    driven.complete("a", 5)
    assert driven.running["a#1"].inputs == {"i0": 10, "i1": 5}


def test_a_static_node_with_only_an_update_lets_its_followers_wait_for_the_second_turn() -> None:
    driven = Driven({"late": {"update": ":a"}, "a": work(), "b": work(":late")}, graph={"loop": {"count": 2}})
    assert driven.told(Start) == ["a"]
    driven.complete("a", 7)
    assert driven.running["b#1"].inputs == {"i0": 7}


def test_an_update_without_a_value_starves_its_followers() -> None:
    driven = Driven({"n": {"value": 1, "update": ":a.none"}, "a": work(), "b": work(":n")}, graph={"loop": {"count": 2}})
    driven.complete("a", {})
    driven.complete("b")
    assert list(driven.running) == ["a#1"]
    driven.complete("a#1", {})
    assert driven.states() == {"n": "WAITING", "a": "COMPLETED", "b": "WAITING"}


def test_while_sees_updated_statics_and_computed_nodes_of_the_finished_turn() -> None:
    driven = Driven({"left": {"value": [1, 2], "update": ":a"}, "a": work()}, graph={"loop": {"while": ":left"}})
    turns(driven, "a", [[1], []])
    assert driven.ended is State.COMPLETED
    driven = Driven({"a": work()}, graph={"loop": {"while": ":a.more"}})
    turns(driven, "a", [{"more": True}, {"more": False}])
    assert driven.ended is State.COMPLETED


def test_while_false_is_one_turn() -> None:
    driven = Driven({"a": work()}, graph={"loop": {"while": False}})
    driven.complete("a")
    assert driven.ended is State.COMPLETED


def test_the_loop_index_is_the_turn_in_inputs_and_the_next_turn_in_while() -> None:
    driven = Driven({"a": work(":__loopIndex", "@loop")}, graph={"loop": {"while": ":__loopIndex.equal(2).not()"}})
    assert driven.running["a"].inputs == {"i0": 0, "i1": 0}
    driven.complete("a")
    assert driven.running["a#1"].inputs == {"i0": 1, "i1": 1}
    driven.complete("a#1")
    assert driven.ended is State.COMPLETED


def test_a_turn_in_which_nothing_could_start_is_the_last() -> None:
    driven = Driven({"s": {"value": 0}, "a": work(**{"if": ":s"})}, graph={"loop": {"count": 100}})
    assert driven.ended is State.COMPLETED
    assert driven.engine.root.turn == 0


def test_a_failure_ends_the_loop_with_the_values_of_before_the_update() -> None:
    driven = Driven({"n": {"value": 0, "update": ":a"}, "a": work(), "b": work()}, graph={"loop": {"count": 3}})
    driven.complete("a", 1)
    driven.fail("b", ValueError("no"))
    assert driven.ended is State.FAILED
    assert driven.engine.results()["n"] == 0


def test_a_forced_loop_goes_on_after_a_failure_and_its_last_turn_decides() -> None:
    driven = Driven({"a": work()}, graph={"loop": {"count": 2}}, force_loop=True)
    driven.fail("a", ValueError("no"))
    driven.complete("a#1", 1)
    assert driven.ended is State.COMPLETED
    assert driven.engine.errors() == {}


def test_forcing_is_for_the_outermost_loop_only() -> None:
    inner = {"version": 0.5, "loop": {"count": 2}, "nodes": {"x": work()}}
    driven = Driven({"n": {"agent": "nestedAgent", "graph": inner}}, force_loop=True)
    driven.fail("n/x", ValueError("no"))
    assert driven.ended is State.FAILED


def test_a_loop_ends_with_an_error_when_the_callers_limit_of_turns_is_reached() -> None:
    driven = Driven({"a": work()}, graph={"loop": {"while": ":a"}}, max_turns=2)
    turns(driven, "a", [True, True])
    assert driven.ended is State.FAILED
    assert "did not end within 2 turns" in str((driven.engine.first_error() or ("", ""))[1])


@pytest.mark.parametrize("loop", [{"count": 2}, {"while": ":s.jsonParse()"}])
def test_an_update_or_a_while_that_raises_ends_the_run_with_its_error(loop: dict[str, Any]) -> None:
    nodes = {"s": {"value": "{"}, "u": {"value": 1, "update": ":s.jsonParse()"} if "count" in loop else {"value": 1}, "a": work()}
    driven = Driven(nodes, graph={"loop": loop})
    driven.complete("a", 1)
    assert driven.ended is State.FAILED
    assert "jsonParse" in str((driven.engine.first_error() or ("", ""))[1])
    assert driven.engine.results()["a"] == 1


# -- anyInput


def test_an_any_input_node_runs_on_the_first_value_and_only_once() -> None:
    driven = Driven({"a": work(), "b": work(), "any": work(":a.x", ":b.x", anyInput=True)})
    driven.complete("a", {})
    assert "any" not in driven.running
    driven.complete("b", {"x": 1})
    assert driven.running["any"].inputs == {"i1": 1}
    driven.complete("any")
    assert driven.ended is State.COMPLETED


def test_null_is_a_value_that_starts_it_and_is_dropped_from_what_it_sees() -> None:
    driven = Driven({"a": work(), "b": work(), "any": work(":a", ":b", anyInput=True)})
    driven.complete("a", None)
    assert driven.running["any"].inputs == {}


def test_literals_alone_do_not_start_it_but_count_once_a_source_finished() -> None:
    driven = Driven({"a": work(), "any": {"agent": "work", "anyInput": True, "inputs": {"x": ":a.x", "y": 5}}})
    assert list(driven.running) == ["a"]
    driven.complete("a", {})
    assert driven.running["any"].inputs == {"y": 5}


def test_what_static_nodes_are_updated_from_is_no_source_of_an_any_input_node_before_them() -> None:
    nodes = {
        "any": {"agent": "work", "anyInput": True, "inputs": {"a": ":late", "b": [":late", 5]}},
        "late": {"update": ":late"},
        "there": {"value": 0},
        "follows": {"value": 0, "update": ":there"},
    }
    assert not Driven(nodes, graph={"loop": {"count": 1}}).running


def test_a_static_source_starts_it_with_the_turn_in_every_turn() -> None:
    nodes = {"s": {"update": ":any"}, "t": {"value": 3}, "any": work(":s", ":t", anyInput=True)}
    driven = Driven(nodes, graph={"loop": {"count": 2}})
    assert driven.running["any"].inputs == {"i1": 3}
    driven.complete("any", 9)
    assert driven.running["any#1"].inputs == {"i0": 9, "i1": 3}


def test_it_waits_for_ever_if_no_source_has_a_value() -> None:
    driven = Driven({"a": work(), "any": work(":a.x", anyInput=True)})
    driven.complete("a", {})
    assert driven.states()["any"] == "WAITING"
    assert driven.ended is State.COMPLETED


def test_it_does_not_wait_for_its_condition() -> None:
    driven = Driven({"a": work(), "c": work(), "any": work(":a", anyInput=True, **{"if": ":c"})})
    driven.complete("a", 1)
    assert driven.states()["any"] == "SKIPPED"
