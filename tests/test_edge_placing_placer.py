from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from edge.placement import NoPlace, place_nodes
from edge.placing.placed import Placed
from edge.placing.placer import place
from edge.placing.wishes import Wishes
from graphs.language.labels import UNSEEN, label_graph
from graphs.language.spec import Graph
from placing import AGENTS, OFFER, Given, facts, graph, random_graph

ONE = "  a: {agent: llmAgent, model: small, inputs: {prompt: :text}}\n"


def placed(
    nodes: str, figures: Given | None, head: str = "", wishes: Wishes | None = None, **different: Any
) -> dict[str, tuple[str, str]]:
    found = place(graph(nodes, head), facts(**different), figures, wishes or Wishes())
    return {name: (each.place, each.reason) for name, each in found.nodes.items()}


@pytest.mark.parametrize("seed", range(10))
def test_without_figures_everything_is_as_the_rules_say(seed: int) -> None:
    made, figures = random_graph(random.Random(seed), 9)
    ruled = place_nodes(made, facts())
    assert place(made, facts()).nodes == ruled
    figures.source = "default"
    assumed = place(made, facts(), figures).nodes
    assert {name: (each.place, each.reason) for name, each in assumed.items()} == {
        name: (each.place, each.reason) for name, each in ruled.items()
    }


def test_a_node_goes_where_it_is_done_sooner() -> None:
    assert placed(ONE, Given({"a": (9.4, 1.9)}, rtt=0.1)) == {"a": ("cloud", "quicker at the worker: 2.0 s vs 9.4 s")}
    slow = Given({"a": (0.4, 0.7)}, {"text": 6e5}, rtt=0.0, up=5e5)
    assert placed(ONE, slow) == {"a": ("edge", "quicker here: 0.4 s vs 1.9 s incl. 1.2 s transfer")}


def test_a_node_goes_where_it_is_cheaper_if_that_is_asked_for() -> None:
    figures = Given({"a": (9.4, 1.9)}, rtt=0.1, usd=0.01, joules=(5.0, 0.1))
    assert placed(ONE, figures, wishes=Wishes("cost")) == {"a": ("edge", "cheaper here: nothing vs 0.019 USD")}
    assert placed(ONE, figures, wishes=Wishes("energy"))["a"][0] == "cloud"
    assert "less energy at the worker" in placed(ONE, figures, wishes=Wishes("energy"))["a"][1]


@pytest.mark.parametrize(
    ("node", "different"),
    [
        ("{agent: llmAgent, model: small, place: edge, inputs: {prompt: :text}}", {}),
        ("{agent: llmAgent, model: small, sensitivity: private, inputs: {prompt: :text}}", {}),
        ("{agent: postAgent, inputs: {prompt: :text}}", {}),
        ("{agent: llmAgent, model: small, inputs: {prompt: :text}}", {"offer": None}),
        ("{agent: llmAgent, model: small, inputs: {prompt: :text}}", {"local_only": True}),
        ("{agent: llmAgent, model: small, inputs: {prompt: :text}}", {"pinned": {"a": "edge"}}),
        ("{agent: llmAgent, model: small, inputs: {prompt: :text}}", {"digests": {"tiny": "another file"}}),
        ("{agent: llmAgent, model: small, inputs: {prompt: :text}}", {"servers": ["tiny"]}),
        ("{agent: llmAgent, model: small, inputs: {prompt: :text}}", {"offer": {**OFFER, "agents": {"llmAgent": "2"}}}),
        ("{agent: llmAgent, model: small, effect: once, inputs: {prompt: :text}}", {}),
    ],
)
def test_figures_move_nothing_that_is_not_free(node: str, different: dict[str, Any]) -> None:
    figures = Given({"a": (9.0, 0.1)}, rtt=0.001)
    nodes = f"  a: {node}\n"
    ruled = place_nodes(graph(nodes), facts(**different))
    assert placed(nodes, figures, **different) == {"a": ("edge", ruled["a"].reason)}


def test_a_cheap_node_goes_with_those_around_it() -> None:
    nodes = (
        ONE
        + "  b: {agent: copyAgent, inputs: {v: :a}}\n  c: {agent: llmAgent, model: small, inputs: {prompt: :b}, isResult: true}\n"
    )
    figures = Given({"a": (9.0, 1.0), "c": (9.0, 1.0)}, rtt=0.3)
    assert placed(nodes, figures)["b"] == ("cloud", "follows a, saves a round trip")
    assert placed(nodes, Given({"a": (1.0, 9.0), "c": (1.0, 9.0)}, rtt=0.3))["b"] == ("edge", "needs no worker")


def test_a_whole_fragment_moves_where_one_node_alone_would_not() -> None:
    names = "abcdef"
    nodes = ONE + "".join(
        f"  {name}: {{agent: llmAgent, model: small, inputs: {{prompt: :{before}}}}}\n"
        for before, name in itertools.pairwise(names)
    )
    figures = Given(dict.fromkeys(names, (1.0, 0.7)), rtt=0.2)
    assert {place for place, _ in placed(nodes, figures).values()} == {"cloud"}


def test_what_is_in_a_graph_moves_and_the_graph_is_opened_here() -> None:
    nodes = """\
  rows: {value: [1, 2, 3, 4, 5, 6, 7, 8]}
  m:
    agent: mapAgent
    inputs: {rows: :rows}
    graph:
      nodes:
        each: {agent: llmAgent, model: small, inputs: {prompt: :row}, isResult: true}
"""
    figures = Given({"m/each": (80.0, 8.0)}, runs={"m/each": 8.0}, rtt=0.1, at_once=(1, 4))
    found = placed(nodes, figures)
    assert found["m"] == ("edge", "opens its graph here; the nodes inside have places of their own")
    assert found["m/each"][0] == "cloud"
    near = Given({"m/each": (8.0, 80.0)}, runs={"m/each": 8.0})
    assert set(placed(nodes, near)) == {"m"}


def test_a_node_says_what_its_other_way_would_be() -> None:
    each = place(graph(ONE), facts(), Given({"a": (9.4, 1.9)}, rtt=0.1)).nodes["a"]
    assert [(way.place, way.seconds) for way in each.ways] == [("cloud", 1.9), ("edge", 9.4)]
    assert each.ways[0].run_seconds == pytest.approx(2.4, abs=0.01)
    assert each.ways[1].run_seconds == 9.4
    assert each.estimate is not None
    assert each.estimate.seconds.source == "measured"


def test_what_was_decided_before_stays() -> None:
    figures = Given({"a": (9.4, 1.9)}, rtt=0.1)
    assert place(graph(ONE), facts(), figures, fixed={"a": "edge"}).nodes["a"].place == "edge"
    assert place(graph(ONE), facts(), Given({"a": (1.9, 9.4)}), fixed={"a": "cloud"}).nodes["a"].place == "cloud"


def test_the_whole_plan_has_its_totals() -> None:
    found: Placed = place(graph(ONE), facts(), Given({"a": (9.4, 1.9)}, rtt=0.1, usd=0.01))
    assert found.schedule is not None
    assert found.schedule.seconds == pytest.approx(2.4, abs=0.01)
    assert found.schedule.usd == pytest.approx(0.019)
    assert found.schedule.up > 0
    assert place(graph(ONE), facts()).schedule is None


@pytest.mark.parametrize("seed", range(10))
def test_places_are_those_of_a_graph_of_the_same_nodes(seed: int) -> None:
    made, figures = random_graph(random.Random(seed), 10)
    ruled = place_nodes(made, facts())
    found = place(made, facts(), figures).nodes
    assert list(found) == list(ruled)
    for name, each in found.items():
        if each.place != ruled[name].place:
            assert ruled[name].free
            assert AGENTS[made.nodes[name]["agent"]].effect == "none"


ANY = "  a: {agent: llmAgent, inputs: {prompt: :text}, any: [{model: small}, {model: large}]}\n"


class ByModel(Given):
    """Figures by the model that is asked: the seconds of a node are those of `small` and of `large`."""

    def node(self, path: str, spec: Any, place: str, model: str | None) -> Any:
        return super().node(path, spec, "cloud" if model == "large" else "edge", model)


def test_of_several_implementations_the_one_is_chosen_that_suits_the_run() -> None:
    quick = place(graph(ANY), facts(), ByModel({"a": (9.0, 1.0)}, rtt=0.1)).nodes["a"]
    assert (quick.place, quick.implementation, quick.model) == ("cloud", 1, "large")
    assert quick.reason == "quicker by large at the worker: 1.1 s vs 9.0 s"
    assert [(each.number, each.place) for each in quick.others][-2:] in ([(0, "edge"), (0, "cloud")], [(0, "cloud"), (0, "edge")])
    slow = place(graph(ANY), facts(), ByModel({"a": (1.0, 9.0)}, rtt=0.1)).nodes["a"]
    assert (slow.place, slow.implementation, slow.model) == ("edge", 0, "tiny")


def test_a_choice_that_was_made_before_stays() -> None:
    figures = ByModel({"a": (1.0, 9.0)}, rtt=0.1)
    kept = place(graph(ANY), facts(), figures, fixed={"a": "cloud 1"}).nodes["a"]
    assert (kept.place, kept.implementation) == ("cloud", 1)


def labelled(dice: random.Random) -> tuple[Graph, Given]:
    """A random graph of which some nodes are private, one of them inside a nested graph that is handed something private."""
    made, figures = random_graph(dice, 9)
    nodes = {name: dict(spec) for name, spec in made.document["nodes"].items()}
    for name in dice.sample([*nodes], 3):
        nodes[name]["sensitivity"] = "private"
    inner = {"x": {"agent": "llmAgent", "model": "small", "inputs": {"p": ":t"}}}
    source = dice.choice([*nodes])
    nodes["nest"] = {"agent": "nestedAgent", "inputs": {"t": f":{source}"}, "graph": {"nodes": inner}}
    figures.seconds = {**figures.seconds, "nest/x": (50.0, 0.1)}
    return Graph.of({"version": 0.5, "nodes": nodes}, [*AGENTS]), figures


@pytest.mark.parametrize("seed", range(40))
def test_figures_take_nothing_off_the_device_that_is_private(seed: int) -> None:
    print(f"seed {seed}")
    dice = random.Random(seed)
    made, figures = labelled(dice)
    try:
        found = place(made, facts(models=["tiny", "large"]), figures).nodes
    except NoPlace:
        return
    labels = label_graph(made, AGENTS)
    for path, each in found.items():
        root, _, inner = path.partition("/")
        inside = labels.inside[root].touched if inner else labels.touched
        if inside.get(inner or root, frozenset()) - {UNSEEN}:
            assert each.place == "edge", path


def test_a_graph_inside_that_is_handed_something_private_stays_while_another_goes() -> None:
    inner = "{nodes: {x: {agent: llmAgent, model: small, inputs: {p: :t}}}}"
    nodes = f"  n: {{agent: nestedAgent, inputs: {{t: :text}}, graph: {inner}}}\n"
    figures = Given({"n/x": (50.0, 0.1)}, rtt=0.01)
    assert placed(nodes, figures)["n/x"][0] == "cloud"
    secret = nodes.replace("inputs: {t: :text}", "inputs: {t: :own}") + "  own: {value: mine, sensitivity: private}\n"
    assert set(placed(secret, figures)) == {"n"}


LATE = """\
  a: {agent: llmAgent, inputs: {prompt: :text}, any: [{model: small}, {model: large}]}
  slow: {agent: postAgent, inputs: {v: :text}}
  b: {agent: llmAgent, inputs: {prompt: :a}, any: [{model: small}, {model: large}]}
  end: {agent: llmAgent, inputs: {x: :b, y: :slow}, any: [{model: small}, {model: large}]}
"""


def test_late_nodes_have_the_larger_model_where_it_makes_no_difference() -> None:
    here: dict[str, Any] = {"models": ["tiny", "large"], "offer": None, "digests": {}}
    even = ByModel({"a": (1.0, 1.0), "slow": (9.0, 9.0), "b": (1.0, 1.0), "end": (1.0, 1.0)})
    found = place(graph(LATE), facts(**here), even).nodes
    assert {name: found[name].model for name in ("a", "b", "end")} == {"a": "tiny", "b": "tiny", "end": "large"}
    dearer = ByModel({"a": (1.0, 1.0), "slow": (9.0, 9.0), "b": (1.0, 1.0), "end": (1.0, 2.0)})
    assert place(graph(LATE), facts(**here), dearer).nodes["end"].model == "tiny"
