from __future__ import annotations

from typing import Any

import pytest

from edge.placement import place_nodes
from edge.placing.facts import Facts, Placement, Sayings
from edge.policies import Policy, node_policies
from graphs.language.implementations import settled
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.registry import Agent, Registry

AGENTS = Registry(
    [
        Agent("llmAgent", lambda context: None, effect="none", needs=frozenset({"model"})),
        Agent("toolLoopAgent", lambda context: None, effect="none", needs=frozenset({"model"})),
        Agent("copyAgent", lambda context: None, effect="none", cheap=True),
        Agent("workAgent", lambda context: None, effect="none"),
        Agent("mailAgent", lambda context: None),
        Agent("nestedAgent", lambda context: None, effect="none", nests="nested"),
    ]
)

INNER = (
    "{agent: nestedAgent, inputs: {t: :text}, graph: {nodes: {in: {agent: llmAgent, model: large, inputs: {prompt: :t}%s}}}%s}"
)


def policies(text: str, head: str = "", **said: Any) -> dict[str, Policy]:
    document = load_text(f"version: 0.5\n{head}nodes:\n  text: {{value: hi}}\n{text}", file="g.yaml")
    graph = Graph.of(document.data, [*AGENTS, "farAgent"])
    models = said.pop("models", ["tiny", "other"])
    facts = Facts(
        AGENTS, models=models, tiers={"small": "tiny"}, default_model="tiny", offer={"agents": {"farAgent": "1"}},
        offline=Sayings(**said),
    )  # fmt: skip
    return node_policies(graph, place_nodes(graph, facts), facts)


def node(attributes: str) -> str:
    return f"  n: {{agent: llmAgent, model: large, inputs: {{prompt: :text}}{attributes}}}"


@pytest.mark.parametrize(
    ("place", "head", "said", "offline"),
    [
        ("", "", {}, "wait"),
        ("", "", {"device": "fail"}, "fail"),
        ("", "place: {offline: local}\n", {"device": "fail"}, "local"),
        ("", "place: {offline: local}\n", {"every": "fail"}, "fail"),
        (", place: {offline: wait}", "place: {offline: local}\n", {"every": "fail", "device": "fail"}, "wait"),
        (", place: {at: cloud, offline: wait}", "", {"every": "fail", "nodes": {"n": "local"}}, "local"),
        ("", "", {"nodes": {"other": "local"}}, "wait"),
        (", place: {at: cloud}", "place: {offline: local}\n", {}, "local"),
        (", place: {offline: local}", "", {"nodes": {"n": "local"}, "every": "fail", "always": "wait"}, "wait"),
    ],
)
def test_who_says_what_becomes_of_a_node(place: str, head: str, said: dict[str, Any], offline: str) -> None:
    assert policies(node(place), head, **said)["n"].offline == offline


def test_without_a_word_the_same_agent_asks_the_small_model_with_its_history_fitted_to_it() -> None:
    made = policies(node(", params: {temperature: 0.2, model: large}, place: {offline: local}"))["n"].alternative
    assert made == {
        "agent": "llmAgent",
        "model": "tiny",
        "inputs": {"prompt": ":text"},
        "params": {"temperature": 0.2, "fit": True},
    }


@pytest.mark.parametrize(
    ("local", "changed"),
    [
        ("{model: other}", {"model": "other"}),
        (
            "{params: {model: other, temperature: 0}}",
            {"model": "other", "params": {"temperature": 0, "max_tokens": 9, "fit": True}},
        ),
        ("{params: {fit: false}}", {"params": {"max_tokens": 9, "fit": False}}),
        ("{agent: workAgent}", {"agent": "workAgent", "model": None, "params": {}}),
        (
            "{agent: workAgent, params: {deep: 1}, timeout: 5}",
            {"agent": "workAgent", "model": None, "params": {"deep": 1}, "timeout": 5},
        ),
    ],
)
def test_the_alternative_is_the_node_with_what_is_written_of_it(local: str, changed: dict[str, Any]) -> None:
    made = policies(node(f", retry: 2, params: {{max_tokens: 9}}, place: {{offline: local, local: {local}}}"))["n"].alternative
    usual = {
        "agent": "llmAgent", "model": "tiny", "inputs": {"prompt": ":text"}, "params": {"max_tokens": 9, "fit": True}, "retry": 2,
    }  # fmt: skip
    assert made == {key: value for key, value in {**usual, **changed}.items() if value is not None}


def test_a_model_among_the_inputs_gives_way_to_the_alternatives() -> None:
    text = "  n: {agent: llmAgent, inputs: {prompt: :text, model: large}, place: {offline: local, local: {model: other}}}"
    made = policies(text)["n"].alternative
    assert made is not None
    assert (made["inputs"], made["model"]) == ({"prompt": ":text"}, "other")


def test_a_graphs_alternative_is_that_of_its_nodes_which_write_none() -> None:
    head = "place: {offline: local, local: {model: other}}\n"
    assert policies(node(""), head)["n"].alternative == policies(node(", place: {local: {model: other}}"), head)["n"].alternative
    made = policies(node(", place: {local: {model: small}}"), head)["n"].alternative
    assert made is not None
    assert made["model"] == "small"


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        (node(", place: {local: {model: huge}}"), "this device has no model 'huge'"),
        (node(", place: {local: {agent: farAgent}}"), "this device has no agent 'farAgent'"),
        ("  n: {agent: farAgent, inputs: {t: :text}}", "this device has no agent 'farAgent'"),
        ("  n: {agent: :text, place: cloud}", "which agent it calls is known only at the worker"),
        (
            "  n: {agent: nestedAgent, place: cloud, graph: :text, inputs: {t: :text}}",
            "a node that opens a graph cannot be an alternative",
        ),
        (
            "  n: {agent: toolLoopAgent, model: large, inputs: {prompt: :text}, params: {tools: [farAgent]}}",
            "this device has no agent 'farAgent'",
        ),
        (
            "  n: {agent: workAgent, place: cloud, anyInput: true, if: :text, inputs: {t: :text}}",
            "whether it runs is decided by what arrives at the worker first",
        ),
    ],
)
def test_a_node_without_an_alternative_says_what_is_lacking(text: str, lacking: str) -> None:
    found = policies(text, every="local")["n"]
    assert (found.alternative, found.lacking.startswith(lacking)) == (None, True)


@pytest.mark.parametrize(
    ("text", "once"),
    [
        (node(""), False),
        ("  n: {agent: mailAgent, place: cloud, inputs: {t: :text}}", True),
        ("  n: {agent: mailAgent, effect: idempotent, place: cloud, inputs: {t: :text}}", False),
        ("  n: {agent: llmAgent, effect: once, place: cloud, inputs: {prompt: :text}}", True),
        ("  n: {agent: farAgent, inputs: {t: :text}}", True),
        ("  n: {agent: :text, place: cloud}", True),
        ("  n: {agent: toolLoopAgent, place: cloud, inputs: {prompt: :text}, params: {tools: [mailAgent]}}", True),
        ("  n: {agent: nestedAgent, place: cloud, graph: {nodes: {m: {agent: mailAgent, inputs: {}}}}}", True),
        ("  n: {agent: nestedAgent, place: cloud, graph: {nodes: {m: {agent: workAgent, inputs: {}}}}}", False),
        ("  n: {agent: nestedAgent, place: cloud, graph: :text}", True),
    ],
)
def test_a_node_that_might_do_harm_twice_is_known(text: str, once: bool) -> None:
    assert policies(text)["n"].once is once


def test_a_cheap_node_that_is_computed_alike_here_is_not_less_than_was_asked_for() -> None:
    found = policies("  n: {agent: copyAgent, place: {at: cloud, offline: local}, inputs: {t: :text}}")["n"]
    assert (found.alternative, found.degrades) == ({"agent": "copyAgent", "inputs": {"t": ":text"}, "params": {}}, False)
    assert policies(node(", place: {offline: local, local: {agent: copyAgent}}"))["n"].degrades


def test_a_graph_is_opened_here_where_a_node_inside_has_an_alternative() -> None:
    for inside, outside, said in (
        (", place: {offline: local}", "", {}),
        ("", ", place: {at: cloud, offline: local}", {}),
        ("", "", {"every": "local"}),
    ):
        found = policies("  n: " + INNER % (inside, outside), **said)
        assert list(found) == ["n/in"]
        assert found["n/in"].offline == "local"
        assert found["n/in"].alternative is not None


def test_a_graph_whose_nodes_all_wait_or_fail_is_whole_at_the_worker() -> None:
    for inside, outside, said, offline in (
        ("", "", {}, "wait"),
        ("", "", {"every": "fail"}, "fail"),
        ("", ", place: {at: cloud, offline: fail}", {}, "fail"),
    ):
        found = policies("  n: " + INNER % (inside, outside), **said)
        assert {path: each.offline for path, each in found.items()} == {"n": offline}


def test_a_nodes_own_alternative_stands_for_all_that_is_in_it() -> None:
    found = policies("  n: " + INNER % ("", ", place: {at: cloud, offline: local, local: {agent: workAgent}}"))
    assert list(found) == ["n"]
    assert found["n"].alternative is not None
    assert found["n"].alternative["agent"] == "workAgent"


def test_a_free_node_at_the_worker_runs_here_as_it_is_unless_told_otherwise() -> None:
    free = Placement("cloud", "quicker at the worker", "tiny", free=True)
    text = "  n: {agent: llmAgent, model: small, place: auto, inputs: {prompt: :text}}\n"
    graph = Graph.of(load_text(f"version: 0.5\nnodes:\n  text: {{value: hi}}\n{text}").data, [*AGENTS])
    known = Facts(AGENTS, models=["tiny"], tiers={"small": "tiny"}, offline=Sayings(device="wait"))
    found = node_policies(graph, {"n": free}, known)["n"]
    assert (found.offline, found.degrades, found.once, found.free) == ("local", False, False, True)
    assert found.alternative == {"agent": "llmAgent", "model": "small", "inputs": {"prompt": ":text"}}
    said = Facts(AGENTS, models=["tiny"], tiers={"small": "tiny"}, offline=Sayings(nodes={"n": "wait"}))
    told = node_policies(graph, {"n": free}, said)["n"]
    assert (told.offline, told.alternative, told.free) == ("wait", None, False)


def test_without_a_worker_a_node_does_what_else_it_can_do_here() -> None:
    text = "  n: {agent: llmAgent, any: [{model: large}, {model: small}], inputs: {prompt: :text}}\n"
    graph = Graph.of(load_text(f"version: 0.5\nnodes:\n  text: {{value: hi}}\n{text}").data, [*AGENTS])
    offer = {"agents": {"llmAgent": "1"}, "models": {"large": {}}}
    known = Facts(AGENTS, models=["tiny"], tiers={"small": "tiny"}, offer=offer)
    placed = place_nodes(graph, known)
    found = node_policies(settled(graph, {"n": 0}), placed, known)["n"]
    assert (found.offline, found.degrades, found.free) == ("local", False, True)
    assert found.alternative == {"agent": "llmAgent", "model": "small", "inputs": {"prompt": ":text"}, "any": 1}
