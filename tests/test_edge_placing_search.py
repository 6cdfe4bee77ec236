from __future__ import annotations

import random

import pytest

from edge.placement import place_nodes
from edge.placing.choices import choices_of
from edge.placing.node_needs import model_named
from edge.placing.search import score, search
from edge.placing.tasks import CLOUD, EDGE, Problem, problem_of
from edge.placing.wishes import MINIMISED, Minimise, Wishes
from placing import Given, best_by_enumeration, facts, graph, random_graph


def problem(seed: int, count: int | None = None) -> Problem:
    print(f"seed {seed}")
    dice = random.Random(seed)
    made, figures = random_graph(dice, count or dice.randint(2, 12))
    known = facts()
    choices = choices_of(made, place_nodes(made, known), known)
    return problem_of(made, choices.units, choices.opened, figures, lambda spec: model_named(spec, known))


def uniform(built: Problem, place: int) -> tuple[int, ...]:
    ways = (next((way for way, each in enumerate(unit.choices) if each.place == place), 0) for unit in built.units)
    return tuple(ways)


@pytest.mark.parametrize("minimise", MINIMISED)
@pytest.mark.parametrize("seed", range(25))
def test_small_graphs_are_placed_within_five_per_cent_of_the_best(minimise: Minimise, seed: int) -> None:
    built = problem(seed)
    wishes = Wishes(minimise)
    found = search(built, wishes).score
    assert found.first <= best_by_enumeration(built, wishes).first * 1.05 + 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_so_they_are_where_not_all_ways_can_be_looked_at(seed: int) -> None:
    built = problem(seed, 11)
    found = search(built, Wishes(), effort=2_400)
    assert found.score.first <= best_by_enumeration(built, Wishes()).first * 1.05 + 1e-9


@pytest.mark.parametrize("minimise", MINIMISED)
@pytest.mark.parametrize("count", [3, 12, 40, 150])
def test_no_graph_is_placed_worse_than_all_of_it_here_or_all_of_it_there(minimise: Minimise, count: int) -> None:
    from edge.placing.schedule import play

    for seed in range(6):
        built = problem(seed, count)
        wishes = Wishes(minimise)
        found = search(built, wishes).score
        for place in (EDGE, CLOUD):
            chosen = uniform(built, place)
            other = score(built, play(built, chosen), wishes)
            assert (found.broken, found.first) <= (other.broken, other.first * (1 + 1e-12))


@pytest.mark.parametrize("seed", range(4))
def test_large_graphs_are_placed_near_what_a_much_longer_search_finds(seed: int) -> None:
    built = problem(seed, 200)
    assert search(built).score.first <= search(built, Wishes(), effort=100_000).score.first * 1.15


def test_the_same_problem_has_the_same_answer() -> None:
    assert search(problem(4, 60)).chosen == search(problem(4, 60)).chosen


def test_a_deadline_counts_more_than_what_is_to_be_least() -> None:
    built = problem(7, 8)
    cheapest = search(built, Wishes("cost"))
    hurried = search(built, Wishes("cost", deadline=cheapest.schedule.seconds * 0.9))
    quickest = search(built, Wishes())
    assert hurried.schedule.seconds < cheapest.schedule.seconds
    assert hurried.schedule.usd >= cheapest.schedule.usd
    if quickest.schedule.seconds <= cheapest.schedule.seconds * 0.9:
        assert hurried.score.broken == 0


def test_so_does_a_budget() -> None:
    made = graph("  a: {agent: llmAgent, model: small, inputs: {prompt: :text}}\n")
    figures = Given({"a": (5.0, 1.0)}, usd=0.1)
    known = facts()
    choices = choices_of(made, place_nodes(made, known), known)
    built = problem_of(made, choices.units, choices.opened, figures, lambda spec: model_named(spec, known))
    assert search(built, Wishes()).schedule.usd > 0
    assert search(built, Wishes(budget=0.05)).schedule.usd == 0


def test_what_makes_no_difference_stays_on_the_device() -> None:
    made = graph("  a: {agent: llmAgent, model: small, inputs: {prompt: :text}}\n")
    known = facts()
    choices = choices_of(made, place_nodes(made, known), known)
    figures = Given({"a": (1.0, 1.0)}, rtt=0.0, up=1e12, down=1e12)
    built = problem_of(made, choices.units, choices.opened, figures, lambda spec: model_named(spec, known))
    assert search(built).chosen == (0,)
