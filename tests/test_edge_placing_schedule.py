from __future__ import annotations

from typing import Any

import pytest

from edge.placement import place_nodes
from edge.placing.choices import choices_of
from edge.placing.node_needs import model_named
from edge.placing.schedule import Schedule, crossing, play
from edge.placing.tasks import CLOUD, EDGE, Choice, Problem, problem_of
from placing import Given, facts, graph

LLM = "{{agent: llmAgent, model: small, inputs: {{v: {inputs}}}, isResult: {result}}}"


def llm(name: str, inputs: str, *, result: bool = False) -> str:
    return f"  {name}: " + LLM.format(inputs=inputs, result=str(result).lower()) + "\n"


def problem(nodes: str, figures: Given, head: str = "") -> Problem:
    made, known = graph(nodes, head), facts()
    choices = choices_of(made, place_nodes(made, known), known)
    return problem_of(made, choices.units, choices.opened, figures, lambda spec: model_named(spec, known))


def played(built: Problem, *places: int) -> Schedule:
    assert len(places) == len(built.units)
    return play(
        built,
        [
            next(way for way, each in enumerate(unit.choices) if each.place == place)
            for unit, place in zip(built.units, places, strict=True)
        ],
    )


MEETING = 4
"""Round trips for opening the link and closing it."""

CHAIN = llm("a", ":text") + llm("b", ":a") + llm("c", ":b", result=True)


def test_a_chain_here_takes_the_sum_of_its_nodes() -> None:
    found = played(problem(CHAIN, Given({"a": (1, 0), "b": (2, 0), "c": (4, 0)})), EDGE, EDGE, EDGE)
    assert (found.seconds, found.up, found.down, found.usd) == (7.0, 0.0, 0.0, 0.0)
    assert found.critical() == [0, 1, 2]


def test_a_chain_at_the_worker_costs_one_round_trip() -> None:
    figures = Given({"a": (9, 1), "b": (9, 2), "c": (9, 4)}, rtt=0.5, up=1e12, down=1e12)
    assert played(problem(CHAIN, figures), CLOUD, CLOUD, CLOUD).seconds == pytest.approx(7 + 0.5 + MEETING * 0.5, abs=1e-6)


def test_work_waits_where_the_worker_is_busy() -> None:
    figures = Given({"a": (9, 1), "b": (9, 2), "c": (9, 4)}, rtt=0.5, up=1e12, down=1e12, queue=3.0)
    assert played(problem(CHAIN, figures), CLOUD, CLOUD, CLOUD).seconds == pytest.approx(10 + 0.5 + MEETING * 0.5, abs=1e-6)


def test_values_that_bounce_cross_the_link_each_time() -> None:
    figures = Given({"a": (1, 1), "b": (1, 1), "c": (1, 1)}, {"a": 1e6, "b": 2e6, "c": 100}, rtt=0.0, up=1e6, down=1e6)
    found = played(problem(CHAIN, figures), EDGE, CLOUD, EDGE)
    assert found.seconds == pytest.approx(3 + 1 + 2, abs=0.01)
    assert found.moved[1] == pytest.approx(1, abs=0.01)
    assert found.up == pytest.approx(1e6, rel=0.01)
    assert found.down == pytest.approx(2e6, rel=0.01)


def test_a_value_crosses_once_however_many_read_it() -> None:
    nodes = llm("a", ":text") + llm("b", ":a") + llm("c", ":a")
    figures = Given({"a": (1, 1), "b": (1, 1), "c": (1, 1)}, {"a": 1e6}, rtt=0.0)
    assert played(problem(nodes, figures), EDGE, CLOUD, CLOUD).up == pytest.approx(1e6, rel=0.01)


def test_a_model_answers_as_many_at_once_as_it_can() -> None:
    nodes = "".join(llm(name, ":text") for name in "abcd")
    seconds = dict.fromkeys("abcd", (1.0, 1.0))
    assert played(problem(nodes, Given(seconds, at_once=(1, 4))), *[EDGE] * 4).seconds == 4.0
    assert played(problem(nodes, Given(seconds, at_once=(2, 4))), *[EDGE] * 4).seconds == 2.0


def test_the_graphs_own_limit_holds() -> None:
    nodes = "".join(f"  {name}: {{agent: workAgent, inputs: {{v: :text}}}}\n" for name in "abcd")
    seconds = dict.fromkeys("abcd", (1.0, 1.0))
    assert played(problem(nodes, Given(seconds)), *[EDGE] * 4).seconds == 1.0
    assert played(problem(nodes, Given(seconds), "concurrency: 2\n"), *[EDGE] * 4).seconds == 2.0


MAP = """\
  rows: {value: [1, 2, 3, 4, 5, 6, 7, 8]}
  m:
    agent: mapAgent
    inputs: {rows: :rows}
    graph:
      nodes:
        each: {agent: llmAgent, model: small, inputs: {prompt: :row}, isResult: true}
"""


def test_rows_of_a_map_run_at_once_as_far_as_there_is_room() -> None:
    figures = Given({"m/each": (8.0, 8.0)}, runs={"m/each": 8.0}, rtt=0.1, at_once=(1, 4), up=1e12, down=1e12)
    built = problem(MAP, figures)
    inner = [unit.path for unit in built.units].index("m/each")
    places = [EDGE] * len(built.units)
    assert played(built, *places).seconds == 8.0
    places[inner] = CLOUD
    assert played(built, *places).seconds == pytest.approx(2.0 + 0.1 + MEETING * 0.1, abs=1e-6)


LOOP = "loop: {count: 5}\n"
TURNING = """\
  total: {value: 0, update: :b}
  a: {agent: llmAgent, model: small, inputs: {v: :total}}
  b: {agent: llmAgent, model: small, inputs: {v: :a}}
"""


@pytest.mark.parametrize(
    ("places", "seconds"),
    [((EDGE, EDGE), 20.0), ((CLOUD, CLOUD), 10.2 + MEETING * 0.2), ((EDGE, CLOUD), 15 + 5 * 0.2 + MEETING * 0.2)],
)
def test_a_loop_costs_an_exchange_a_turn_unless_it_is_in_one_place(places: Any, seconds: float) -> None:
    given: dict[str, Any] = {"runs": {"a": 5.0, "b": 5.0}, "rtt": 0.2, "up": 1e12, "down": 1e12}
    built = problem(TURNING, Given({"a": (10.0, 5.0), "b": (10.0, 5.0)}, **given), LOOP)
    assert played(built, *places).seconds == pytest.approx(seconds, abs=0.11)


def test_one_choice_at_the_worker_is_enough_for_the_cut_to_be_sent() -> None:
    built = problem(llm("a", ":text"), Given({"a": (1, 1)}))
    assert isinstance(built.units[0].choices[1], Choice)
    assert played(built, CLOUD).up > 100


def test_a_large_value_is_asked_for_once_the_other_side_hears_of_it() -> None:
    assert crossing(0.1, 1e6, 1000, 1) == (0.001, 0.1)
    took, travel = crossing(0.1, 1e6, 200_000, 1)
    assert took == 0.2
    assert travel == pytest.approx(0.3)
    assert crossing(0.1, 1e9, 1024 * 1024, 1)[0] == pytest.approx(0.2)
    assert crossing(0.0, 1e9, 1e9, 1) == (1.0, 0.0)
