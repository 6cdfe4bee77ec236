from __future__ import annotations

from edge.placement import place_nodes
from edge.placing.choices import choices_of
from edge.placing.node_needs import model_named
from edge.placing.tasks import CLOUD, EDGE, Problem, problem_of
from placing import Given, facts, graph


def problem(nodes: str, figures: Given, head: str = "") -> Problem:
    made, known = graph(nodes, head), facts()
    choices = choices_of(made, place_nodes(made, known), known)
    return problem_of(made, choices.units, choices.opened, figures, lambda spec: model_named(spec, known))


def test_tasks_come_after_what_they_read() -> None:
    nodes = "  b: {agent: workAgent, inputs: {v: :a}}\n  a: {agent: workAgent, inputs: {v: :text}}\n"
    built = problem(nodes, Given({}))
    assert [task.path for task in built.tasks] == ["a", "b"]
    assert [task.inputs for task in built.tasks] == [(), (0,)]
    assert built.tasks[0].readers == [1]
    assert built.values == [100.0]


def test_nodes_in_a_circle_do_not_hold_it_up() -> None:
    inside = "{x: {agent: workAgent, inputs: {v: ':y'}}, y: {agent: workAgent, inputs: {v: ':x'}}, z: {agent: workAgent}}"
    nodes = f"  n: {{agent: nestedAgent, inputs: {{t: :text}}, graph: {{nodes: {inside}}}}}\n"
    assert {task.path for task in problem(nodes, Given({})).tasks} == {"n", "n/x", "n/y", "n/z"}


def test_a_model_is_one_server_at_each_place() -> None:
    nodes = "".join(f"  {name}: {{agent: llmAgent, model: small, inputs: {{p: :text}}}}\n" for name in "ab")
    built = problem(nodes, Given({}, at_once=(2, 4)))
    assert built.servers == [(EDGE, "tiny", 2), (CLOUD, "tiny", 4)]
    assert [[each.server for each in task.options] for task in built.tasks] == [[0, 1], [0, 1]]


NESTED = """\
  m:
    agent: mapAgent
    inputs: {{rows: :text}}
    graph:
      {loop}
      nodes:
        x: {{agent: workAgent, inputs: {{v: :row}}}}
        y: {{agent: workAgent, inputs: {{v: :x}}}}
  after: {{agent: workAgent, inputs: {{v: :m}}}}
"""


def test_a_nested_graph_is_opened_and_closed_by_tasks_that_take_no_time() -> None:
    built = problem(NESTED.format(loop=""), Given({"m/x": (6.0, 6.0)}, runs={"m/x": 3.0, "m/y": 3.0}))
    assert [task.path for task in built.tasks] == ["m", "m/x", "m/y", "m", "after"]
    assert [task.inputs for task in built.tasks] == [(), (0,), (1,), (2,), (3,)]
    assert [task.width for task in built.tasks] == [1, 3, 3, 1, 1]
    assert built.tasks[1].options[0].seconds == 2.0
    assert {built.units[task.unit].path for task in built.tasks} == {"m", "m/x", "m/y", "after"}


def test_turns_of_a_loop_in_it_come_one_after_the_other() -> None:
    built = problem(NESTED.format(loop="loop: {count: 5}"), Given({"m/x": (30.0, 6.0)}, runs={"m/x": 15.0, "m/y": 15.0}))
    assert (built.tasks[1].turns, built.tasks[1].width) == (5, 3)
    assert built.tasks[1].options[0].seconds == 2.0


def test_a_loop_of_unknown_length_takes_as_many_turns_as_are_expected() -> None:
    nodes = "  n: {value: 0, update: :a}\n  a: {agent: workAgent, inputs: {v: :n}}\n"
    built = problem(nodes, Given({}, runs={"a": 7.0}), "loop: {while: ':n'}\n")
    assert built.tasks[0].turns == 7
    assert [(each.writer, each.reader, each.turns) for each in built.updates] == [(0, 0, 7)]


def test_a_node_that_is_skipped_every_second_time_takes_what_it_takes_on_average() -> None:
    built = problem("  a: {agent: workAgent, if: :text, inputs: {v: :text}}\n", Given({"a": (2.0, 2.0)}, runs={"a": 0.5}))
    assert built.tasks[0].options[0].seconds == 2.0
