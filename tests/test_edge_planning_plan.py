"""Plans of small graphs: what crosses, how long it takes along which nodes, and what becomes of nodes without a worker."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from edge.placement import place_nodes
from edge.placing.facts import Facts, Sayings
from edge.placing.figures import Figure
from edge.placing.node_needs import model_named
from edge.planning.estimates import Estimates
from edge.planning.keys import computed_nodes, node_key
from edge.planning.knowledge import Knowledge, LinkFacts, ModelFacts
from edge.planning.plan import Plan, is_plan, make_plan
from graphs.agents import standard
from graphs.journal.history import HistoryRow
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.models.prices import Price

NOW = 2_000_000_000.0
STORE = b"worker01"

CHAIN = """\
version: 0.5
nodes:
  topic: {value: tides}
  here: {agent: llmAgent, model: small, inputs: {prompt: :topic}}
  beside: {agent: sleeperAgent, inputs: {t: :topic}}
  far: {agent: llmAgent, model: large, inputs: {prompt: :here.text}}
  farther: {agent: llmAgent, model: large, inputs: {prompt: :far.text}}
  end: {agent: copyAgent, isResult: true, inputs: {a: :farther.text, b: :beside}}
"""

SECONDS = {"here": 1.0, "beside": 0.5, "far": 2.0, "farther": 4.0, "end": 0.0}


def plan(
    text: str, *, unreached: str | None = None, took: Mapping[str, float] = SECONDS, servers: tuple[str, ...] = (), **facts: Any
) -> Plan:
    graph = Graph(load_text(text).data)
    known = Facts(standard(), ["small", *servers], default_model="small", servers=servers, **facts)
    placed = place_nodes(graph, known)
    link = LinkFacts(STORE, *(Figure(value, "measured", 1, 0.0) for value in (0.2, 1e4, 1e5)))
    models = {"large": ModelFacts(price=Price(0.0, 100.0))}
    rows = []
    for path, spec in computed_nodes(graph):
        placement = placed.get(path) or placed[path.partition("/")[0]]
        place = "edge" if placement.place == "edge" else STORE.hex()
        asks = 10 if placement.model else None
        rows.append(
            HistoryRow(node_key(path, spec), place, placement.model or "", bytes(16), int(NOW * 1000), 1, True,
                       int(took.get(path, 0.0) * 1000), 1_000, asks, asks)
        )  # fmt: skip
    knowledge = Knowledge(NOW, there=models, store=STORE.hex(), link=link, url="wss://far/v1/link")
    estimates = Estimates(
        graph,
        knowledge,
        lambda names: [row for row in rows if row.what in names],
        agents=standard(),
        model_of=partial(model_named, facts=known),
    )
    return make_plan(graph, placed, known, estimates, unreached)


def thens(made: Plan) -> dict[str, str]:
    return {path: each.then for path, each in made.nodes.items()}


def test_the_time_is_that_of_the_longest_way_with_the_transfers_on_it() -> None:
    made = plan(CHAIN)
    assert list(made.nodes) == ["here", "beside", "far", "farther", "end"]
    assert list(made.path) == ["here", "far", "farther", "end"]
    over, back = 0.1 + 1_000 / 1e4, 0.1 + 1_000 / 1e5
    meeting = 4 * 0.2  # round trips in which the link is opened and closed
    assert made.seconds == pytest.approx(meeting + 1.0 + over + 2.0 + 4.0 + back, rel=0.02), "and some bytes beside the values"
    assert made.crossings == 2
    assert {path: each.up.value for path, each in made.nodes.items() if each.up} == {"here": 1_000}
    assert {path: each.down.value for path, each in made.nodes.items() if each.down} == {"far": 1_000, "farther": 1_000}
    assert made.up == 1_000 + made.text
    assert 100 < made.text < 400
    assert made.usd == pytest.approx(2 * 10 * 100 / 1e6)


def test_a_long_node_that_nobody_needs_for_the_rest_decides_where_it_is_longer() -> None:
    made = plan(CHAIN, took={**SECONDS, "beside": 60.0})
    assert made.path[0] == "beside"
    assert not {"here", "far"} & set(made.path)


def test_a_large_value_that_nobody_here_reads_stays_where_it_is() -> None:
    text = CHAIN.replace("a: :farther.text", "a: :far.text")
    made = plan(text)
    assert made.nodes["farther"].down is not None
    assert made.nodes["farther"].down.value == 1_000


def test_without_a_worker_nodes_wait_and_so_does_what_reads_them() -> None:
    made = plan(CHAIN, unreached="nobody is there")
    assert thens(made) == {"here": "runs", "beside": "runs", "far": "waits", "farther": "waits", "end": "waits"}
    assert made.nodes["far"].note == "waits: nobody is there"
    assert made.nodes["end"].note == "waits for farther"
    assert (made.link, made.crossings, made.text, made.usd) == (None, 0, 0, 0.0)
    assert made.seconds == pytest.approx(1.0), "what runs takes its time"


def test_an_alternative_stands_in_and_says_that_it_is_less() -> None:
    made = plan(CHAIN, unreached="nobody is there", offline=Sayings(nodes={"far": "local"}))
    far = made.nodes["far"]
    assert (far.then, far.place, far.model) == ("stands in", "edge", "small")
    assert far.note == "small stands in, degraded: nobody is there"
    assert far.estimate is not None
    assert thens(made)["farther"] == "waits"
    every = plan(CHAIN, unreached="nobody is there", offline=Sayings(every="local"))
    assert thens(every)["end"] == "runs"


def test_an_alternative_that_this_device_has_not_the_means_for_waits_and_says_why() -> None:
    text = CHAIN.replace(
        "model: large, inputs: {prompt: :here.text}", "model: large, place: {offline: local, local: {model: big}}, inputs: {}"
    )
    note = plan(text, unreached="nobody is there").nodes["far"].note
    assert note.startswith("waits: nobody is there; no alternative here: this device has no model 'big'")


def test_what_fails_is_not_waited_for() -> None:
    made = plan(CHAIN, unreached="nobody is there", offline=Sayings(nodes={"far": "fail"}))
    assert thens(made) == {
        "here": "runs",
        "beside": "runs",
        "far": "fails",
        "farther": "is not reached",
        "end": "is not reached",
    }
    assert made.nodes["end"].note == "comes after farther, which fails"
    assert made.nodes["far"].note == "fails: nobody is there"


def test_a_node_that_takes_whatever_comes_first_waits_for_nobody_in_particular() -> None:
    text = CHAIN.replace("end: {agent: copyAgent,", "end: {agent: copyAgent, anyInput: true,")
    assert thens(plan(text, unreached="nobody"))["end"] == "runs"


def test_a_model_behind_a_server_cannot_be_asked_either() -> None:
    made = plan(CHAIN, unreached="this run is offline", servers=("small",))
    assert made.nodes["here"].note == "waits: small is behind a server, and this run is offline"


def test_nodes_inside_a_graph_that_is_opened_here_have_lines_of_their_own() -> None:
    text = """\
version: 0.5
nodes:
  list: {value: [a, b]}
  each:
    agent: mapAgent
    inputs: {rows: :list}
    isResult: true
    graph:
      nodes:
        near: {agent: llmAgent, model: small, place: edge, inputs: {prompt: :row}}
        far: {agent: llmAgent, model: large, place: cloud, inputs: {prompt: :near.text}, isResult: true}
"""
    made = plan(text, took={"each/near": 1.0, "each/far": 2.0})
    assert [(path, each.place, each.opens) for path, each in made.nodes.items()] == [
        ("each", "edge", True),
        ("each/near", "edge", False),
        ("each/far", "cloud", False),
    ]
    assert made.seconds > 3.0
    cut_off = plan(text, unreached="nobody")
    assert thens(cut_off) == {"each": "waits", "each/near": "runs", "each/far": "waits"}
    assert cut_off.nodes["each"].note == "waits for each/far"


def test_it_is_told_as_data_with_the_source_of_every_figure() -> None:
    told = plan(CHAIN).as_json()
    assert told["nodes"]["far"]["seconds"] == {"value": 2.0, "source": "measured", "n": 1, "age": 0.0}
    assert told["nodes"]["far"]["usd"]["source"] == "reported"
    assert told["total"]["critical_path"] == ["here", "far", "farther", "end"]
    assert told["link"]["rtt"]["value"] == 0.2
    assert told["prices"] == {"cloud large": [0.0, 100.0]}


def test_a_plan_is_known_from_anything_else_that_a_file_may_hold() -> None:
    told = plan(CHAIN).as_json()
    assert is_plan(told)
    assert is_plan(plan(CHAIN, unreached="nobody").as_json())
    wrong: list[Any] = [None, [], {}, {**told, "nodes": []}, {**told, "total": {}}, {**told, "prices": {"edge a": [1]}}]
    for broken in wrong:
        assert not is_plan(broken)
    node = told["nodes"]["far"]
    for part in (
        {"place": None},
        {"model": 5},
        {"seconds": 3},
        {"usd": {"value": "much", "source": "x"}},
        {"up": {"value": 1e300, "source": "x"}},
    ):
        assert not is_plan({**told, "nodes": {"far": {**node, **part}}})
