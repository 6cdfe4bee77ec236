"""Events and commands: what they say of themselves."""

from __future__ import annotations

from typing import Any

from engines import Driven
from graphs.engine.events import Begin, Outcome, Settled, Start, Told
from graphs.records import State
from graphs.values import MISSING


def test_an_attempt_is_only_equal_to_itself_and_names_its_execution() -> None:
    driven = Driven({"a/b": {"agent": "work", "retry": 1}}, graph={"loop": {"count": 2}})
    first = driven.running["a%2Fb"]
    assert repr(first) == "<Start a%2Fb retry 0>"
    driven.fail("a%2Fb", ValueError("no"))
    second = driven.running["a%2Fb"]
    assert first != second
    assert (second.path, second.retry, second.at) == ("a%2Fb", 1, 2)


def test_an_attempts_path_stays_when_its_frame_turns() -> None:
    driven = Driven({"a": {"agent": "work"}}, graph={"loop": {"count": 3}})
    starts = [driven.running["a"]]
    for path in ("a", "a#1"):
        driven.complete(path)
        starts.append(driven.running[f"a#{len(starts)}"])
    assert [start.path for start in starts] == ["a", "a#1", "a#2"]
    settled = [each for each in driven.commands if isinstance(each, Settled)]
    assert [each.path for each in settled] == ["a", "a#1"]


def test_an_outcome_is_without_value_and_error_unless_it_says_so() -> None:
    assert Outcome(State.COMPLETED) == (State.COMPLETED, MISSING, None)


def test_a_start_hands_over_inputs_by_reference_in_a_map_of_its_own() -> None:
    large = {"x": [1, 2, 3]}
    nodes: dict[str, Any] = {
        "s": {"value": large},
        "a": {"agent": "work", "inputs": {"v": ":s"}},
        "b": {"agent": "work", "inputs": {"v": 5}},
    }
    driven = Driven(nodes)
    assert driven.running["a"].inputs["v"] is large
    assert driven.running["b"].inputs is not nodes["b"]["inputs"]


def test_an_event_about_what_nobody_knows_changes_nothing() -> None:
    driven = Driven({"a": {"agent": "work"}})
    assert driven.feed(Told("nobody/x#4", Outcome(State.COMPLETED, 1), 1.0)) == []
    assert driven.told(Start) == ["a"]


def test_the_begin_of_a_run_carries_values_for_static_nodes() -> None:
    driven = Driven({"s": {}, "a": {"agent": "work", "inputs": {"v": ":s"}}}, begin=False)
    driven.feed(Begin(0.0, {"s": 5}))
    assert driven.running["a"].inputs == {"v": 5}
