from __future__ import annotations

import random
from typing import Any

import pytest

from edge.placement import NoPlace, place_nodes
from edge.placing.facts import Facts, Place
from graphs.language.labels import labels_by_node
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.registry import Agent, Registry

AGENTS = Registry(
    [
        Agent("llmAgent", lambda context: None, effect="none", needs=frozenset({"model"})),
        Agent("copyAgent", lambda context: None, effect="none", cheap=True),
        Agent("workAgent", lambda context: None, effect="none"),
        Agent("fileAgent", lambda context: None, needs=frozenset({"files"})),
        Agent("askAgent", lambda context: None, needs=frozenset({"people"})),
        Agent("nestedAgent", lambda context: None, nests="nested"),
    ]
)
OFFER: dict[str, Any] = {"agents": dict.fromkeys([*AGENTS, "farAgent"], "1"), "models": {"large": {}}}


def graph(nodes: str, head: str = "") -> Graph:
    document = load_text(f"version: 0.5\n{head}nodes:\n  text: {{value: hi}}\n{nodes}", file="g.yaml")
    return Graph.of(document.data, [*AGENTS, "farAgent"])


def facts(**different: Any) -> Facts:
    usual: dict[str, Any] = {
        "agents": AGENTS,
        "models": ["tiny"],
        "tiers": {"small": "tiny"},
        "default_model": "tiny",
        "offer": OFFER,
    }
    return Facts(**{**usual, **different})


def placed(nodes: str, head: str = "", **different: Any) -> dict[str, tuple[str, str]]:
    found = place_nodes(graph(nodes, head), facts(**different))
    return {name: (each.place, each.reason) for name, each in found.items()}


@pytest.mark.parametrize(
    ("node", "place", "reason"),
    [
        ("{agent: llmAgent, model: large, inputs: {prompt: :text}}", "cloud", "needs large: not on this device"),
        ("{agent: llmAgent, params: {model: large}, inputs: {prompt: :text}}", "cloud", "needs large: not on this device"),
        ("{agent: llmAgent, inputs: {prompt: :text, model: large}}", "cloud", "needs large: not on this device"),
        ("{agent: llmAgent, model: small, inputs: {prompt: :text}}", "edge", "tiny is here"),
        ("{agent: llmAgent, inputs: {prompt: :text}}", "edge", "tiny is here"),
        ("{agent: farAgent, inputs: {t: :text}}", "cloud", "needs farAgent: not on this device"),
        ("{agent: fileAgent, inputs: {t: :text}}", "edge", "needs this device's files"),
        ("{agent: askAgent, inputs: {t: :text}}", "edge", "asks people, who are at this device"),
        ("{agent: workAgent, inputs: {t: :text}}", "edge", "needs no worker"),
        ("{agent: workAgent, place: cloud, inputs: {t: :text}}", "cloud", "placed in the graph"),
        ("{agent: workAgent, place: {at: cloud}, inputs: {t: :text}}", "cloud", "placed in the graph"),
        ("{agent: llmAgent, model: small, place: cloud, inputs: {prompt: :text}}", "cloud", "placed in the graph"),
        ("{agent: llmAgent, model: large, place: auto, inputs: {prompt: :text}}", "cloud", "needs large: not on this device"),
        ("{agent: ':text', inputs: {t: :text}}", "edge", "decided at run time, here by default"),
        ("{agent: llmAgent, inputs: {prompt: :text, model: :text}}", "edge", "decided at run time, here by default"),
    ],
)
def test_a_node_has_a_place_and_the_reason_for_it(node: str, place: str, reason: str) -> None:
    assert placed(f"  n: {node}\n") == {"n": (place, reason)}


ASKS_INSIDE = """\
  n:
    agent: nestedAgent
    {more}
    inputs: {{t: :text}}
    graph:
      nodes:
        work: {{agent: workAgent, inputs: {{t: :t}}}}
        ask: {{agent: askAgent, inputs: {{t: :work}}}}
        then: {{agent: {then}, inputs: {{t: :ask}}}}
"""


@pytest.mark.parametrize("place", ["cloud", "{at: cloud, offline: wait}"])
def test_people_are_at_the_device_whatever_place_the_graph_names(place: str) -> None:
    nodes = "  ask: {agent: askAgent, inputs: {t: :text}}\n  work: {agent: workAgent, inputs: {t: :ask}}\n"
    found = placed(nodes, f"place: {place}\n")
    assert {name: each[0] for name, each in found.items()} == {"ask": "edge", "work": "cloud"}


def test_who_asks_people_cannot_be_placed_at_the_worker() -> None:
    with pytest.raises(NoPlace, match=r"'ask' is placed at cloud, but it asks people") as caught:
        placed("  ask: {agent: askAgent, place: cloud, inputs: {t: :text}}\n")
    assert caught.value.remedy == "Place it at edge."
    with pytest.raises(NoPlace, match="asks people"):
        placed("  ask: {agent: askAgent, inputs: {t: :text}}\n", pinned={"ask": "cloud"})


@pytest.mark.parametrize(
    ("more", "then", "head", "places"),
    [
        ("place: cloud", "workAgent", "", {"n": "edge", "n/work": "cloud", "n/ask": "edge", "n/then": "cloud"}),
        ("label: l", "workAgent", "place: cloud\n", {"n": "edge", "n/work": "cloud", "n/ask": "edge", "n/then": "cloud"}),
        ("label: l", "farAgent", "", {"n": "edge", "n/work": "edge", "n/ask": "edge", "n/then": "cloud"}),
        ("label: l", "workAgent", "", {"n": "edge"}),
    ],
)
def test_a_graph_in_which_people_are_asked_is_opened_here(more: str, then: str, head: str, places: dict[str, str]) -> None:
    found = placed(ASKS_INSIDE.format(more=more, then=then), head)
    assert {name: each[0] for name, each in found.items()} == places


def test_a_node_that_asks_people_by_a_tool_needs_its_model_here() -> None:
    tools = "params: {tools: [askAgent]}"
    agents = AGENTS.with_agents([Agent("toolLoopAgent", lambda context: None, needs=frozenset({"model"}))])
    nodes = f"  n: {{agent: toolLoopAgent, model: large, {tools}, inputs: {{prompt: :text}}}}\n"
    document = load_text(f"version: 0.5\nnodes:\n  text: {{value: hi}}\n{nodes}")
    with pytest.raises(NoPlace, match="asks people, who are at this device, and needs 'large', which is not"):
        place_nodes(Graph.of(document.data, agents), facts(agents=agents))


def test_the_command_line_wins_over_the_graph_and_the_node_over_the_graphs_place() -> None:
    nodes = "  a: {agent: workAgent, inputs: {t: :text}}\n  b: {agent: workAgent, place: edge, inputs: {t: :text}}\n"
    assert placed(nodes, "place: cloud\n") == {"a": ("cloud", "the graph's place"), "b": ("edge", "placed in the graph")}
    pinned: dict[str, Place] = {"a": "edge", "b": "cloud"}
    assert placed(nodes, "place: cloud\n", pinned=pinned) == {
        "a": ("edge", "placed on the command line"),
        "b": ("cloud", "placed on the command line"),
    }


def test_static_nodes_have_no_place() -> None:
    assert "text" not in placed("  a: {agent: workAgent, inputs: {t: :text}}\n")


def test_what_is_nested_counts_for_the_node_that_opens_it() -> None:
    inner = "graph: {nodes: {i: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hi}}}}"
    assert placed(f"  n: {{agent: nestedAgent, {inner}}}\n") == {"n": ("cloud", "needs large: not on this device")}
    pinned = "graph: {nodes: {i: {agent: workAgent, place: cloud, isResult: true, inputs: {t: 1}}}}"
    assert placed(f"  n: {{agent: nestedAgent, {pinned}}}\n") == {"n": ("cloud", "a node inside it is placed there")}


def test_nodes_inside_a_node_have_places_of_their_own_where_they_differ() -> None:
    inner = "graph: {nodes: {i: {agent: workAgent, place: cloud, inputs: {t: 1}}, j: {agent: workAgent, place: edge, inputs: {t: 1}}}}"
    found = placed(f"  n: {{agent: nestedAgent, {inner}}}\n")
    assert {path: place for path, (place, _) in found.items()} == {"n": "edge", "n/i": "cloud", "n/j": "edge"}


def test_places_inside_are_found_at_any_depth_under_escaped_names_and_in_a_node_placed_here() -> None:
    inner = "graph: {nodes: {i: {agent: workAgent, place: cloud, inputs: {t: 1}}, j: {agent: workAgent, inputs: {t: 1}}}}"
    found = placed(f"  n/m: {{agent: nestedAgent, graph: {{nodes: {{k: {{agent: nestedAgent, place: edge, {inner}}}}}}}}}\n")
    assert {path: place for path, (place, _) in found.items()} == {
        "n%2Fm": "edge",
        "n%2Fm/k": "edge",
        "n%2Fm/k/i": "cloud",
        "n%2Fm/k/j": "edge",
    }
    assert found["n%2Fm"][1] == found["n%2Fm/k"][1] == "opens its graph here; the nodes inside have places of their own"


@pytest.mark.parametrize(
    "inner", ["{nodes: 5}", "{nodes: {i: 5}}", "{nodes: {i: {agent: workAgent, inputs: text, place: cloud}}}"]
)
def test_what_is_no_graph_inside_a_node_decides_nothing(inner: str) -> None:
    assert placed(f"  n: {{agent: nestedAgent, graph: {inner}}}\n")["n"][0] == "edge"


def test_a_node_at_the_worker_cannot_hold_nodes_of_the_device() -> None:
    inner = "graph: {nodes: {i: {agent: workAgent, place: edge, inputs: {t: 1}}}}"
    with pytest.raises(NoPlace, match="is placed at cloud, but nodes inside it at edge"):
        placed(f"  n: {{agent: nestedAgent, place: cloud, {inner}}}\n")


CHAIN = (
    "  a: {agent: llmAgent, model: large, inputs: {prompt: :text}}\n"
    "  b: {agent: copyAgent, inputs: {t: :a}}\n"
    "  c: {agent: copyAgent, inputs: {t: :b}}\n"
    "  d: {agent: llmAgent, model: large, inputs: {prompt: :c}}\n"
)


def test_cheap_nodes_between_two_of_the_worker_go_along() -> None:
    found = placed(CHAIN.replace("inputs: {t: :b}", "inputs: {t: :a}"))
    assert found["c"] == ("cloud", "follows a, saves a round trip")
    assert placed("  a: {agent: copyAgent, inputs: {t: :text}}\n")["a"][0] == "edge", "without a source there it saves nothing"


def test_cheap_nodes_stay_if_something_here_reads_them_or_feeds_them() -> None:
    read_here = CHAIN + "  e: {agent: workAgent, inputs: {t: :b}}\n"
    assert placed(read_here)["b"][0] == "edge"
    fed_here = "  x: {agent: workAgent, inputs: {t: :text}}\n" + CHAIN.replace("{t: :a}", "{t: :a, u: :x}")
    assert placed(fed_here)["b"][0] == "edge"
    assert placed(CHAIN.replace("{t: :b}", "{t: :a}"), offer={**OFFER, "agents": {}})["b"][0] == "edge"


@pytest.mark.parametrize(
    ("node", "different", "told"),
    [
        (
            "{agent: llmAgent, model: large, place: edge, inputs: {prompt: :text}}",
            {},
            "is placed at edge, but this device has no 'large'",
        ),
        ("{agent: farAgent, place: edge, inputs: {t: :text}}", {}, "is placed at edge, but this device has no 'farAgent'"),
        ("{agent: llmAgent, model: large, inputs: {prompt: :text}}", {"local_only": True}, "--local-only forbids the link"),
        ("{agent: workAgent, place: cloud, inputs: {t: :text}}", {"local_only": True}, "--local-only forbids the link"),
    ],
)
def test_a_node_without_any_place_says_which_rule_forbids_it(node: str, different: dict[str, Any], told: str) -> None:
    with pytest.raises(NoPlace, match=told) as caught:
        placed(f"  n: {node}\n", **different)
    assert caught.value.node == "n"
    assert caught.value.remedy


LABELLED = "  diary: {value: secret, sensitivity: private}\n"


def test_a_label_keeps_a_node_here_and_wins_over_all_other_rules() -> None:
    nodes = LABELLED + "  a: {agent: copyAgent, inputs: {t: :diary}}\n  b: {agent: copyAgent, if: :a, inputs: {t: :text}}\n"
    assert placed(nodes, "place: edge\n") == {
        "a": ("edge", "carries the label private: stays on this device"),
        "b": ("edge", "carries the label private: stays on this device"),
    }
    for head, spec in (("place: cloud\n", ""), ("", "place: cloud, ")):
        with pytest.raises(NoPlace, match="the label private, which is not cleared to leave this device"):
            placed(LABELLED + f"  a: {{agent: copyAgent, {spec}inputs: {{t: :diary}}}}\n", head)
    with pytest.raises(NoPlace, match="must stay on this device, which has no 'large'"):
        placed(LABELLED + "  a: {agent: llmAgent, model: large, inputs: {prompt: :diary}}\n")


def test_a_node_in_which_a_label_is_declared_stays_too() -> None:
    inner = "graph: {nodes: {s: {value: x, sensitivity: pii}, i: {agent: copyAgent, isResult: true, inputs: {t: :s}}}}"
    assert placed(f"  n: {{agent: nestedAgent, {inner}}}\n")["n"][0] == "edge"


def test_no_labelled_node_is_ever_placed_elsewhere() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    kinds = ("copyAgent", "workAgent", "llmAgent, model: large", "llmAgent, model: small", "farAgent")
    for _ in range(150):
        names = [f"n{number}" for number in range(dice.randint(1, 7))]
        lines = [f"  s{number}: {{value: 1{dice.choice(['', ', sensitivity: private'])}}}" for number in range(2)]
        for at, name in enumerate(names):
            sources = dice.sample(["s0", "s1", *names[:at]], k=min(2, at + 2))
            pin = dice.choice(["", "", ", place: cloud", ", place: edge"])
            inputs = ", ".join(f"i{number}: :{source}" for number, source in enumerate(sources))
            lines.append(f"  {name}: {{agent: {dice.choice(kinds)}{pin}, inputs: {{{inputs}}}}}")
        built = graph("\n".join(lines) + "\n")
        labels = labels_by_node(built)
        try:
            found = place_nodes(built, facts())
        except NoPlace:
            continue
        assert set(found) == set(names)
        assert not [name for name, each in found.items() if each.place == "cloud" and name in labels]


def test_tools_count_as_agents_of_their_node() -> None:
    agents = Registry([*AGENTS.values(), Agent("toolLoopAgent", lambda context: None, needs=frozenset({"model"}))])
    nodes = "  a: {agent: toolLoopAgent, inputs: {prompt: :text}, params: {tools: [%s]}}\n"

    def place(tools: str) -> tuple[str, str]:
        document = load_text(f"version: 0.5\nnodes:\n  text: {{value: hi}}\n{nodes % tools}", file="g.yaml")
        found = place_nodes(Graph.of(document.data, [*agents, "farAgent"]), facts(agents=agents))["a"]
        return found.place, found.reason

    assert place("copyAgent, {agent: fileAgent}") == ("edge", "needs this device's files")
    assert place("copyAgent") == ("edge", "tiny is here")
    assert place("{agent: farAgent}") == ("cloud", "needs farAgent: not on this device")


def test_a_model_behind_a_server_is_not_this_device() -> None:
    servers: dict[str, Any] = {"models": ["tiny", "served"], "servers": {"served"}, "tiers": {"small": "tiny", "big": "served"}}
    node = "  a: {agent: llmAgent, model: big, inputs: {prompt: :text}}\n"
    assert placed(node, **servers) == {"a": ("edge", "served is behind a server that this device asks")}
    with pytest.raises(NoPlace, match="'served', which is behind a server, and --local-only forbids"):
        placed(node, **servers, local_only=True)
    with pytest.raises(NoPlace, match="must stay on this device, and 'served' is behind a server"):
        placed(node.replace("model: big,", "model: big, sensitivity: pii,"), **servers)


def test_of_a_graph_that_asks_and_has_a_node_for_the_worker_only_that_one_goes() -> None:
    nodes = ASKS_INSIDE.format(more="label: l", then="workAgent").replace("work: {agent", "work: {place: cloud, agent")
    found = placed(nodes)
    assert {name: each[0] for name, each in found.items()} == {"n": "edge", "n/work": "cloud", "n/ask": "edge", "n/then": "edge"}


SEVERAL = "  n: {agent: llmAgent, inputs: {prompt: :text}, any: [%s]}\n"


def several(entries: str, **different: Any) -> Any:
    return place_nodes(graph(SEVERAL % entries), facts(**different))["n"]


@pytest.mark.parametrize(
    ("entries", "different", "place", "number", "others"),
    [
        ("{model: small}, {model: large}", {}, "edge", 0, [(1, "cloud")]),
        ("{model: large}, {model: small}", {}, "cloud", 0, [(1, "edge")]),
        ("{model: large}, {model: small}", {"offer": None}, "edge", 1, []),
        ("{model: large}, {model: small}", {"local_only": True}, "edge", 1, []),
        ("{model: huge}, {agent: workAgent}, {model: small}", {}, "edge", 1, [(2, "edge")]),
        ("{model: huge}", {}, "cloud", 0, []),
        ("{model: large}, {agent: farAgent}", {"offer": {"agents": {"farAgent": "1"}, "models": {}}}, "cloud", 1, []),
    ],
)
def test_the_first_implementation_that_can_be_had_is_placed(
    entries: str, different: dict[str, Any], place: str, number: int, others: list[Any]
) -> None:
    found = several(entries, **different)
    assert (found.place, found.implementation) == (place, number)
    assert [(each.number, each.place) for each in found.others] == others


def test_an_implementation_that_would_leave_the_device_with_a_label_is_none() -> None:
    node = "  n: {agent: llmAgent, sensitivity: private, inputs: {prompt: :text}, any: [{model: large}, {model: small}]}\n"
    found = place_nodes(graph(node), facts())["n"]
    assert (found.place, found.implementation, found.others) == ("edge", 1, ())
    with pytest.raises(NoPlace, match="large"):
        place_nodes(graph(node.replace(", {model: small}", "")), facts())


@pytest.mark.parametrize(("label", "place"), [("", "cloud"), ("sensitivity: private, ", "edge")])
def test_a_graph_with_such_a_node_inside_is_opened_here(label: str, place: str) -> None:
    inner = "{nodes: {t: {}, x: {agent: llmAgent, inputs: {prompt: :t}, any: [{model: large}, {model: small}]}}}"
    found = place_nodes(graph(f"  n: {{agent: nestedAgent, {label}inputs: {{t: :text}}, graph: {inner}}}\n"), facts())
    assert found["n"].place == "edge"
    assert found["n/x"].place == place


def test_a_node_that_is_done_has_a_place_where_it_would_have_none_and_only_there() -> None:
    one, two = ("llmAgent, model: huge, inputs: {prompt: :text}", "llmAgent, model: large, inputs: {prompt: :text}")
    nodes = f"  a: {{agent: {one}}}\n  b: {{agent: {two}}}\n"
    done = {"a", "b"}.__contains__
    assert placed(nodes, done=done) == {"a": ("edge", "is done already"), "b": ("cloud", "needs large: not on this device")}
    assert placed(nodes, done=done, local_only=True)["b"] == ("edge", "is done already")
    assert placed(nodes, done=done, offer=None)["a"][0] == "cloud", "nobody knows what the worker has"


def test_a_node_of_the_same_kind_that_is_not_done_finds_no_place() -> None:
    nodes = "".join(f"  {name}: {{agent: llmAgent, model: huge, inputs: {{prompt: :text}}}}\n" for name in "ab")
    for done in ("a", "b"):
        with pytest.raises(NoPlace, match="and --local-only forbids") as refused:
            placed(nodes, done={done}.__contains__, local_only=True)
        assert refused.value.node == "ba"["ab".index(done)]


def test_what_is_in_the_graph_of_a_node_goes_by_names_of_its_own() -> None:
    inner = "graph: {nodes: {t: {}, a: {agent: llmAgent, model: huge, inputs: {prompt: :t}}, p: {agent: askAgent}}}"
    nodes = f"  a: {{agent: workAgent}}\n  n: {{agent: nestedAgent, inputs: {{t: :text}}, {inner}}}\n"
    with pytest.raises(NoPlace):
        placed(nodes, done={"a"}.__contains__, local_only=True)
    assert placed(nodes, done={"n"}.__contains__, local_only=True)["n"] == ("edge", "is done already")


NESTED = """\
  n:
    agent: nestedAgent
    inputs: {{t: :text}}
    graph:
      {loop}
      nodes:
        t: {{}}
        far: {{agent: llmAgent, model: huge, place: cloud, inputs: {{prompt: :t}}}}
        near: {{agent: copyAgent, isResult: true, inputs: {{text: :far.text}}}}
"""


def test_of_a_graph_in_a_node_what_is_done_needs_no_place_either() -> None:
    nodes = NESTED.format(loop="concurrency: 2")
    found = placed(nodes, done={"n/far"}.__contains__, local_only=True)
    assert found == {
        "n": ("edge", "opens its graph here; the nodes inside have places of their own"),
        "n/far": ("edge", "is done already"),
        "n/near": ("edge", "needs no worker"),
    }
    with pytest.raises(NoPlace, match="--local-only forbids") as refused:
        placed(nodes, done={"n/near"}.__contains__, local_only=True)
    assert refused.value.node == "n/far"


def test_of_the_turns_of_a_loop_in_a_node_nobody_knows_how_many_there_are() -> None:
    with pytest.raises(NoPlace, match="--local-only forbids"):
        placed(NESTED.format(loop="loop: {count: 3}"), done={"n/far"}.__contains__, local_only=True)
