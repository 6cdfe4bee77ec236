from __future__ import annotations

import random

import pytest

from edge.placement import place_nodes
from edge.placing.choices import choices_of
from edge.placing.loads import Loads
from edge.placing.node_needs import model_named
from edge.placing.schedule import Player
from edge.placing.tasks import CLOUD, EDGE, Problem, problem_of
from graphs.language.spec import Graph
from placing import Given, facts, graph, random_graph

TWO_SIDES = """\
  rows: {value: [1, 2, 3]}
  first: {agent: llmAgent, model: small, inputs: {v: :text}}
  m:
    agent: mapAgent
    inputs: {rows: :rows, with: :first}
    graph:
      nodes:
        one: {agent: llmAgent, model: small, inputs: {prompt: :row, with: :with}}
        two: {agent: workAgent, inputs: {v: :one}, isResult: true}
  last: {agent: workAgent, inputs: {v: :m, w: :first}, isResult: true}
"""


def problem(made: Graph, figures: Given) -> Problem:
    known = facts()
    choices = choices_of(made, place_nodes(made, known), known)
    return problem_of(made, choices.units, choices.opened, figures, lambda spec: model_named(spec, known))


def cubes(loads: Loads) -> float:
    return sum(load**3 for load in loads.loads)


@pytest.mark.parametrize("seed", range(12))
def test_a_move_changes_the_loads_as_if_they_were_added_up_anew(seed: int) -> None:
    print(f"seed {seed}")
    dice = random.Random(seed)
    player = Player(problem(*random_graph(dice, dice.randint(3, 60))))
    begin = [dice.randrange(len(unit.choices)) for unit in player.problem.units]
    loads = Loads(player, begin)
    for _ in range(3):
        paths = len(loads.loads) - len(Loads(player, begin).loads)
        anew = Loads(player, loads.balance(1))
        assert loads.loads[: len(loads.loads) - paths] == pytest.approx(anew.loads, rel=1e-6, abs=1e-6)
        loads.wait_for(player.play(loads.chosen).critical())


def test_so_it_does_where_a_unit_has_several_tasks_and_where_a_graph_is_opened_here() -> None:
    figures = Given(
        {"first": (2.0, 1.0), "m/one": (6.0, 1.5), "m/two": (1.0, 0.5), "last": (3.0, 1.0)}, runs={"m/one": 3.0, "m/two": 3.0}
    )
    player = Player(problem(graph(TWO_SIDES), figures))
    for place in (EDGE, CLOUD):
        begin = [next((way for way, each in enumerate(unit.choices) if each.place == place), 0) for unit in player.problem.units]
        loads = Loads(player, begin)
        assert Loads(player, loads.balance(3)).loads == pytest.approx(loads.loads, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_what_the_busiest_has_to_do_becomes_less(seed: int) -> None:
    print(f"seed {seed}")
    player = Player(problem(*random_graph(random.Random(seed), 80)))
    loads = Loads(player, [0] * len(player.problem.units))
    before = cubes(loads)
    loads.balance(2)
    assert cubes(loads) < before


def test_what_a_run_waited_for_is_a_load_of_its_own() -> None:
    chain = "".join(
        f"  n{number}: {{agent: workAgent, inputs: {{v: :{f'n{number - 1}' if number else 'text'}}}}}\n" for number in range(4)
    )
    figures = Given({f"n{number}": (1.0, 0.1) for number in range(4)}, rtt=0.01, slots=(8, 8))
    player = Player(problem(graph(chain), figures))
    loads = Loads(player, [0] * 4)
    loads.wait_for(player.play(loads.chosen).critical())
    assert loads.loads[-1] == pytest.approx(4.0)
    loads.balance(2)
    assert loads.loads[-1] < 1.0


@pytest.mark.parametrize("power", [2, 3, 6, 12])
@pytest.mark.parametrize("seed", range(4))
def test_balancing_lowers_the_sum_of_powers_and_never_raises_the_busiest_much(seed: int, power: int) -> None:
    made, figures = random_graph(random.Random(seed), 120)
    player = Player(problem(made, figures))
    loads = Loads(player, [0] * len(player.problem.units))
    busiest = max(loads.loads)
    loads.balance(2, power)
    count = len(loads.loads)
    assert sum((load / busiest) ** power for load in loads.loads) <= count
    assert max(loads.loads) <= busiest * count ** (1 / power) + 1e-9
    assert loads.loads == pytest.approx(Loads(player, loads.chosen).loads)
