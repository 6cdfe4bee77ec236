from __future__ import annotations

from typing import Any

import pytest

from edge.ferrying.contradictions import made_elsewise, own_results, sound
from graphs.agents import standard
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import Event, Frame, Result, State, Submit

CHAIN = """\
version: 0.5
nodes:
  a: {agent: copyAgent, inputs: {t: 1}}
  b: {agent: copyAgent, inputs: {t: :a.t}}
  c: {agent: copyAgent, inputs: {t: :b.t}}
  other: {agent: copyAgent, inputs: {t: 2}}
  n: {agent: nestedAgent, inputs: {t: :c.t}, graph: {nodes: {x: {agent: copyAgent, inputs: {t: :t}}, y: {agent: copyAgent, inputs: {t: :x}}}}}
  d: {agent: nestedAgent, inputs: {t: 1}, graph: :other}
"""
LOOP = """\
version: 0.5
loop: {count: 3}
nodes:
  s: {value: 0, update: :a}
  a: {agent: copyAgent, inputs: {t: :s}}
  b: {agent: copyAgent, inputs: {t: 1}}
"""


def result(path: str) -> Result:
    return Result(path, 1, 0, 1, 0, {})


def order(frame: str = "", kind: Any = Submit) -> Any:
    return kind(frame, bytes(32), {}, {})


@pytest.mark.parametrize(
    ("own", "made", "spoilt"),
    [
        ("", "a b c other", ""),
        ("a", "b c other", ""),  # the worker was told of it in time
        ("a", "a other", ""),  # nothing there read it
        ("a", "a b c other", "b c"),
        ("b", "a b c other", "c"),
        ("a", "a c", ""),  # what lies between was made here, and told
        ("a c", "a b c", "b"),
        ("c", "c n n/x n/y", "n n/x n/y"),
        ("n/x", "n/x n/y other", "n/y"),
        ("d/p", "d/p d/q d/r", "d/q d/r"),
    ],
)
def test_what_follows_from_a_result_that_does_not_count(own: str, made: str, spoilt: str) -> None:
    graph = Graph.of(load_text(CHAIN).data, standard())
    records = [order(), *(result(path) for path in made.split())]
    assert made_elsewise(graph, set(own.split()), records) == set(spoilt.split())


def test_a_node_that_is_under_way_follows_too() -> None:
    graph = Graph.of(load_text(CHAIN).data, standard())
    records = [order(), result("a"), Event("b", 1, State.EXECUTING, 0)]
    assert made_elsewise(graph, {"a"}, records) == {"b"}


def test_later_turns_follow_where_the_worker_turns_the_loop() -> None:
    graph = Graph.of(load_text(LOOP).data, standard())
    made = [result(path) for path in ("a", "b", "a#1", "b#1", "a#2")]
    assert made_elsewise(graph, {"a#1"}, [order(), *made]) == {"a#2"}
    assert made_elsewise(graph, {"a"}, [order(), *made]) == {"a#1", "b#1", "a#2"}
    frames = [order(), order("#1", Frame), order("#2", Frame)]
    assert made_elsewise(graph, {"a"}, [*frames, *made]) == set()


def test_what_was_begun_stays_known_when_its_outcome_does_not_count() -> None:
    begun, skipped = Event("b", 1, State.EXECUTING, 0, {"effect": "once"}), Event("b", 0, State.SKIPPED, 0)
    assert sound([order(), begun, result("b"), skipped, result("a")], {"b"}) == [order(), begun, result("a")]


def test_the_holders_own_results_are_those_that_count() -> None:
    assert own_results([result("a"), Result("b", 1, 0, 1, 0, {"alt": True}), begun_only()]) == {"a"}


def begun_only() -> Event:
    return Event("c", 1, State.EXECUTING, 0)
