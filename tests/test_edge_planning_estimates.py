"""Estimates: which of the things that are known counts, and what is said of where a figure comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import pytest

from edge.network.conditions import Conditions
from edge.placing.facts import Facts
from edge.placing.figures import Figure
from edge.placing.node_needs import model_named
from edge.planning.estimates import Estimates, Told
from edge.planning.keys import agent_key, computed_nodes, node_key
from edge.planning.knowledge import FREE_OF_CHARGE, Knowledge, LinkFacts, ModelFacts
from graphs.agents import standard
from graphs.journal.history import HistoryRow
from graphs.language.implementations import implementations, settled
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.models.prices import Price

NOW = 2_000_000_000.0
STORE = "aa" * 8

ASKS = """\
version: 0.5
nodes:
  topic: {value: the tide comes and goes and comes again}
  say: {agent: llmAgent, model: small, inputs: {prompt: "Say it: ${:topic}"}}
  then: {agent: sleeperAgent, inputs: {t: :say.text}}
  last: {agent: copyAgent, inputs: {t: :then}}
"""

NESTED = """\
version: 0.5
loop: {count: 3}
nodes:
  list: {value: [1, 2, 3, 4, 5]}
  each:
    agent: mapAgent
    inputs: {rows: :list}
    graph:
      nodes:
        one: {agent: llmAgent, model: small, params: {max_tokens: 10, prompt: hi}}
        two: {agent: copyAgent, inputs: {t: :one.text}, isResult: true}
"""


def estimates(text: str, knowledge: Knowledge | None = None, rows: Iterable[HistoryRow] = (), **more: Any) -> Estimates:
    known = list(rows)
    return Estimates(
        Graph(load_text(text).data),
        knowledge or Knowledge(NOW),
        lambda names: [row for row in known if row.what in names],
        agents=standard(),
        model_of=partial(model_named, facts=Facts(standard(), (), tiers={"small": "tiny"})),
        **more,
    )


def nodes(text: str) -> Mapping[str, Mapping[str, Any]]:
    return dict(computed_nodes(Graph(load_text(text).data)))


def asked(made: Estimates, path: str = "say", text: str = ASKS, place: str = "edge", model: str | None = "tiny") -> Told:
    return made.node(path, nodes(text)[path], place, model)


def row(
    what: str, run: int, ms: int, completion: int | None = 20, *, place: str = "edge", model: str = "tiny", **more: Any
) -> HistoryRow:
    figures = {"runs": 1, "whole": True, "bytes": 700, "prompt": 10} | more
    return HistoryRow(what, place, model, bytes([run]) * 16, int(NOW - run) * 1000, completion=completion, ms=ms, **figures)


def key(text: str, path: str) -> str:
    return node_key(path, nodes(text)[path])


def test_energy_is_what_the_battery_gives_while_it_is_computed_here_else_so_much_a_core() -> None:
    fast = {"tiny": ModelFacts(prompt=Figure(1e9, "measured", 1, 5.0), answer=Figure(100.0, "measured", 1, 5.0))}
    told = asked(estimates(ASKS, Knowledge(NOW, here=fast, conditions=Conditions(watts=8.0), cores=4)))
    assert told.joules is not None
    assert told.joules.value == pytest.approx(8.0 * told.seconds.value)
    usual = asked(estimates(ASKS, Knowledge(NOW, here=fast, cores=4)))
    assert usual.joules is not None
    assert usual.joules.value == pytest.approx(20.0 * usual.seconds.value)
    assert usual.joules.source == "default"
    outside = asked(estimates(ASKS, Knowledge(NOW, here={"tiny": ModelFacts(outside=True)})))
    assert outside.joules is not None
    assert outside.joules.value == 0


def test_what_the_node_took_here_with_that_model_counts_before_anything_else() -> None:
    own = key(ASKS, "say")
    rows = [
        row(own, 1, 100),
        row(own, 2, 300),
        row(own, 3, 200),
        row(own, 4, 9_000, model="other"),
        row(agent_key("llmAgent"), 1, 7),
    ]
    told = asked(estimates(ASKS, Knowledge(NOW, here={"tiny": ModelFacts(answer=Figure(1.0, "measured", 1, 5.0))}), rows))
    assert told.seconds == Figure(0.2, "measured", 3, 1.0)
    assert (told.prompt, told.completion) == (Figure(10.0, "measured", 3, 1.0), Figure(20.0, "measured", 3, 1.0))
    assert told.tokens == Figure(30.0, "measured", 3, 1.0)
    assert told.out_bytes == Figure(700.0, "measured", 3, 1.0)
    elsewhere = asked(estimates(ASKS, Knowledge(NOW), rows), model="third")
    assert elsewhere.completion == Figure(20.0, "default"), "what another model said is a guess"
    assert elsewhere.seconds.source == "default"


def test_the_speed_of_a_model_makes_seconds_of_tokens() -> None:
    fast = ModelFacts(prompt=Figure(100.0, "measured", 1, 60.0), answer=Figure(10.0, "measured", 1, 60.0))
    counted = [row(key(ASKS, "say"), 1, 5, 30, model="other", place=STORE)]
    told = asked(estimates(ASKS, Knowledge(NOW, here={"tiny": fast}), counted))
    assert told.seconds.value == pytest.approx(10 / 100 + 30 / 10)
    assert told.seconds.source == "default", "for how many tokens it will be is a guess"


def test_a_workers_word_is_reported_and_of_another_worker_nothing_is_known() -> None:
    there = Knowledge(
        NOW, there={"large": ModelFacts(Figure(500.0, "reported", 1, 9.0), Figure(50.0, "reported", 1, 9.0))}, store=STORE
    )
    own = key(ASKS, "say")
    at_worker = [row(own, run, 400, place=STORE, model="large") for run in range(1, 6)]
    told = asked(estimates(ASKS, there, at_worker), place="cloud", model="large")
    assert (told.seconds.source, told.seconds.value) == ("measured", 0.4)
    other = Knowledge(NOW, there=there.there, store="bb" * 8)
    assert asked(estimates(ASKS, other, at_worker), place="cloud", model="large").seconds.source != "measured"
    assert estimates(ASKS, there).link("cloud").rtt.source == "default"


def test_tokens_of_the_same_model_count_wherever_they_were_counted() -> None:
    there = Knowledge(
        NOW, there={"tiny": ModelFacts(Figure(500.0, "reported", 1, 9.0), Figure(50.0, "reported", 1, 9.0))}, store=STORE
    )
    told = asked(estimates(ASKS, there, [row(key(ASKS, "say"), 1, 900)]), place="cloud")
    assert told.completion == Figure(20.0, "measured", 1, 1.0)
    assert told.seconds == Figure(10 / 500 + 20 / 50, "reported", 1, 9.0)


def test_what_is_known_of_the_way_counts_and_what_is_not_is_said_to_be_assumed() -> None:
    link = LinkFacts(b"w" * 8, rtt=Figure(0.3, "measured", 4, 2.0), down=Figure(5e5, "measured", 1, 2.0))
    way = estimates(ASKS, Knowledge(NOW, url="wss://far/v1/link", link=link, conditions=Conditions(metered=True))).link("cloud")
    assert (way.rtt, way.down, way.metered) == (link.rtt, link.down, True)
    assert way.up == Figure(14_600 / 0.3, "measured", 4, 2.0), "what TCP sends in a round trip, until more was seen to go over"
    near = estimates(ASKS, Knowledge(NOW, url="ws://127.0.0.1:1/v1/link")).link("cloud")
    assert near.rtt.value < way.rtt.value
    full = Knowledge(NOW, offer={"queue": 0}, offer_age=3.0)
    assert estimates(ASKS, full).link("cloud").queue.value > 0
    assert estimates(ASKS, Knowledge(NOW, offer={"queue": 2}, offer_age=3.0)).link("cloud").queue == Figure(
        0.0, "reported", 1, 3.0
    )


@pytest.mark.parametrize(
    ("facts", "usd", "unpriced"),
    [
        (ModelFacts(), None, ("tiny",)),
        (ModelFacts(price=FREE_OF_CHARGE), 0.0, ()),
        (ModelFacts(price=Price(1.0, 2.0)), (10 * 1.0 + 20 * 2.0) / 1e6, ()),
    ],
)
def test_a_price_that_nobody_said_is_unknown_and_never_nothing(
    facts: ModelFacts, usd: float | None, unpriced: tuple[str, ...]
) -> None:
    told = asked(estimates(ASKS, Knowledge(NOW, here={"tiny": facts}), [row(key(ASKS, "say"), 1, 100)]))
    assert (told.usd.value if told.usd else None, told.unpriced) == (usd, unpriced)


def test_rows_and_turns_are_counted_where_the_graph_says_them_and_measured_where_it_ran() -> None:
    one = asked(estimates(NESTED), "each/one", NESTED)
    assert one.runs == Figure(15.0, "declared")
    assert one.completion == Figure(150.0, "declared"), "fifteen times the tokens it may say"
    ran = [row(key(NESTED, "each/one"), 1, 600, 90, runs=9), row(key(NESTED, "each/one"), 2, 10, 10, runs=1, whole=False)]
    measured = asked(estimates(NESTED, rows=ran), "each/one", NESTED)
    assert measured.runs == Figure(9.0, "measured", 1, 1.0), "a log that was not read to its end does not say how many"
    assert (
        estimates(NESTED, injected={"list": [1, 2]}).node("each/one", nodes(NESTED)["each/one"], "edge", "tiny").runs.value == 6
    )
    unknown = asked(estimates(NESTED.replace("[1, 2, 3, 4, 5]", "none")), "each/one", NESTED)
    assert unknown.runs.source == "default"


def test_a_node_with_a_graph_in_it_is_all_its_nodes_together() -> None:
    price = {"tiny": ModelFacts(price=Price(10.0, 10.0))}
    ran = [row(key(NESTED, "each/one"), 1, 3_000, 150, runs=15, prompt=150)]
    made = estimates(NESTED, Knowledge(NOW, here=price), ran)
    told = made.node("each", nodes(NESTED)["each"], "edge", None)
    assert told.seconds.value == pytest.approx(3.0)
    assert told.usd is not None
    assert told.usd.value == pytest.approx(300 * 10 / 1e6)


def test_agents_without_a_model_take_what_they_took_or_next_to_nothing() -> None:
    own = [row(key(ASKS, "then"), 1, 40, None, model="", prompt=None)]
    assert asked(estimates(ASKS, rows=own), "then", model=None).seconds == Figure(0.04, "measured", 1, 1.0)
    never = asked(estimates(ASKS), "then", model=None)
    assert (never.seconds.source, never.tokens) == ("default", None)
    cheap = asked(estimates(ASKS), "last", model=None)
    assert (cheap.seconds.value, cheap.seconds.source) == (0.0, "declared"), "its agent says so"


def test_the_size_of_a_value_that_is_written_out_is_known() -> None:
    made = estimates(ASKS, injected={"topic": "x" * 1_000})
    assert made.value_bytes("topic").value == 1_003
    assert estimates(NESTED).value_bytes("list") == Figure(6.0, "measured", 1, 0.0)
    assert estimates(NESTED).value_bytes("each/nowhere").source == "default"


def test_each_implementation_of_a_node_has_figures_of_its_own() -> None:
    text = ASKS.replace("model: small,", "any: [{model: small}, {agent: sleeperAgent}, {model: big, params: {max_tokens: 5}}],")
    spec = nodes(text)["say"]
    small, sleeps, big = implementations(spec)
    rows = [row(node_key("say", small), 1, 500), row(node_key("say", sleeps), 2, 70, None, model="", prompt=None)]
    made = estimates(text, rows=rows)
    assert made.node("say", small, "edge", "tiny").seconds == Figure(0.5, "measured", 1, 1.0)
    assert made.node("say", sleeps, "edge", None).seconds == Figure(0.07, "measured", 1, 2.0)
    assert made.node("say", big, "edge", "big").seconds.source == "default"
    assert made.node("say", big, "edge", "big").completion == Figure(5.0, "declared")
    chosen = settled(Graph(load_text(text).data), {"say": 1})
    assert node_key("say", chosen.nodes["say"]) == node_key("say", sleeps), "it is noted as what was chosen"
