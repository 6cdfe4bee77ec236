"""What a run took beside what was planned, and what it cost: by records of real runs on both sides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgpack import ExtType

from conftest import CommandLine
from edge.planning.took import Bill, Prices, Took, Totals
from edge.showing.plan_fact import cost_text
from graphs.journal import Journal
from graphs.models.prices import Price
from graphs.values import canonical
from workers import worker

TWO = """\
version: 0.5
nodes:
  topic: {value: the tide}
  outline: {agent: llmAgent, model: scripted, inputs: {prompt: "Outline ${:topic}"}}
  each:
    agent: mapAgent
    inputs: {rows: [a, b, c], said: :outline.text}
    place: cloud
    isResult: true
    graph:
      nodes:
        say: {agent: llmAgent, model: large, inputs: {prompt: "${:row} ${:said}"}, isResult: true}
"""

PRICE = Price(3.0, 5.0)


def shown(cli: CommandLine, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("runs", "show", run, "--json").stdout)
    return found


def test_plan_and_fact_stand_side_by_side_with_the_same_lines(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(TWO, encoding="utf-8")
    with worker(own_home) as served:
        served.call(lambda: setattr(served.worker, "prices", {"large": PRICE}))
        ran = json.loads(cli("run", "g.yaml", "--cloud", served.url, "--json").stdout)
    found = shown(cli, ran["run"])
    assert list(found["plan"]["nodes"]) == list(found["fact"]["nodes"]) == ["outline", "each"]
    each, planned = found["fact"]["nodes"]["each"], found["plan"]["nodes"]["each"]
    assert (each["place"], planned["place"]) == ("cloud", "cloud")
    said = [each["usage"] for each in found["records"] if each.get("path", "").endswith("/say") and each["type"] == "result"]
    assert len(said) == 3
    tokens = {name: sum(usage[f"{name}_tokens"] for usage in said) for name in ("prompt", "completion")}
    assert (each["prompt_tokens"], each["completion_tokens"]) == (tokens["prompt"], tokens["completion"])
    assert each["usd"] == pytest.approx(PRICE.of(tokens["prompt"], tokens["completion"]), abs=1e-9)
    assert found["fact"]["nodes"]["outline"]["usd"] == 0, "a model of this device costs nothing"
    total = found["fact"]["total"]
    assert (total["usd"], total["unpriced"], total["prices"]) == (each["usd"], [], "when the run began")
    assert total["up"] == total["graphs"] + found["fact"]["nodes"]["outline"]["up"] > total["graphs"] > 0
    assert total["down"] == each["down"] > 0
    assert ran["cost"] == {"usd": each["usd"], "usd_known": each["usd"], "unpriced": [], "prices": "when the run began"}
    assert ran["nodes"]["outline"]["usd"] == 0
    text = cli("runs", "show", ran["run"]).stdout
    assert "planned" in text
    assert "took " in text
    assert f"cost ${each['usd']:.2g}"[:8] in text


def test_what_labelled_nodes_used_at_the_worker_is_known_later_too(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    """Counts of tokens of a labelled text travel as values of their own, and a record has but their names."""
    nodes = "  topic: {value: the tide, sensitivity: internal}\n  far: {agent: llmAgent, model: large, inputs: {prompt: :topic}, isResult: true}\n"
    (tmp_path / "g.yaml").write_text(f"version: 0.5\nnodes:\n{nodes}", encoding="utf-8")
    with worker(own_home, clearance=["internal"]) as served:
        (own_home / "edge").mkdir(exist_ok=True)
        config = f"cloud: {{url: '{served.url}'}}\nsensitivity: {{internal: [edge, cloud]}}\n"
        (own_home / "edge" / "config.yaml").write_text(config, encoding="utf-8")
        served.call(lambda: setattr(served.worker, "prices", {"large": PRICE}))
        ran = json.loads(cli("run", "g.yaml", "--json").stdout)
        planned = json.loads(cli("plan", "g.yaml", "--json").stdout)
    found = shown(cli, ran["run"])
    assert found["fact"]["nodes"]["far"]["completion_tokens"] == ran["nodes"]["far"]["usage"]["completion_tokens"] > 0
    assert found["fact"]["total"]["usd"] == ran["cost"]["usd"] > 0
    assert planned["nodes"]["far"]["completion_tokens"]["source"] == "measured"
    assert "ExtType" not in cli("runs", "show", ran["run"]).stdout


def test_what_labelled_nodes_used_inside_a_graph_at_the_worker_is_not_counted_as_nothing(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    """Nobody here reads their values, so the counts stay where they were made."""
    nodes = TWO.replace("topic: {value: the tide}", "topic: {value: the tide, sensitivity: internal}")
    (tmp_path / "g.yaml").write_text(nodes.replace("Outline ${:topic}", "Outline").replace("said: :outline.text", "said: :topic"))
    with worker(own_home, clearance=["internal"]) as served:
        (own_home / "edge").mkdir(exist_ok=True)
        config = f"cloud: {{url: '{served.url}'}}\nsensitivity: {{internal: [edge, cloud]}}\n"
        (own_home / "edge" / "config.yaml").write_text(config, encoding="utf-8")
        served.call(lambda: setattr(served.worker, "prices", {"large": PRICE}))
        ran = json.loads(cli("run", "g.yaml", "--json").stdout)
    fact = shown(cli, ran["run"])["fact"]
    assert (fact["nodes"]["each"]["usd"], fact["nodes"]["each"]["untold"]) == (None, 3)
    assert (fact["total"]["usd"], fact["total"]["untold"]) == (None, 3)
    assert ran["cost"]["usd"] is None
    assert "cost unknown (what 3 attempts used is at the worker)" in cli("runs", "show", ran["run"]).stdout


def test_of_what_is_partly_at_the_worker_the_rest_is_the_least_that_it_was() -> None:
    prices = Prices({"cloud large": PRICE}, True)
    line = Took()
    line.bill.add(prices, "cloud", {"model": "large"}, {"prompt_tokens": 1000, "completion_tokens": 1000, "ms": 5})
    line.bill.add(prices, "cloud", {"model": "large"}, {"prompt_tokens": ExtType(2, b"x"), "completion_tokens": 3})
    fact = Totals({"each": line}, 1.0, 0, prices)
    assert cost_text(fact) == "cost at least $0.0080 (what one attempt used is at the worker)"
    assert fact.as_json()["total"]["usd"] is None
    assert fact.as_json()["total"]["usd_known"] == pytest.approx(PRICE.of(1000, 1000))


def test_without_a_price_the_cost_is_unknown_and_says_of_what(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(TWO, encoding="utf-8")
    with worker(own_home) as served:
        ran = json.loads(cli("run", "g.yaml", "--cloud", served.url, "--json").stdout)
    assert ran["cost"]["usd"] is None
    assert ran["cost"]["unpriced"] == ["large"]
    assert ran["nodes"]["outline"]["usd"] == 0
    fact = shown(cli, ran["run"])["fact"]
    assert (fact["total"]["usd"], fact["total"]["unpriced"]) == (None, ["large"])
    assert "cost unknown (no price for large)" in cli("runs", "show", ran["run"]).stdout


def test_a_run_that_waits_has_the_facts_of_what_was_done(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(TWO, encoding="utf-8")
    ran = json.loads(cli("run", "g.yaml", "--offline", "--json").stdout)
    found = shown(cli, ran["run"])
    assert (found["fact"]["nodes"]["outline"]["runs"], found["fact"]["nodes"]["each"]["runs"]) == (1, 0)
    assert found["plan"]["nodes"]["each"]["then"] == "waits"
    assert cli("runs", "show", ran["run"]).status == 0


def test_a_run_that_went_on_is_counted_by_the_prices_it_began_with(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(TWO, encoding="utf-8")
    with worker(own_home) as served:
        served.call(lambda: setattr(served.worker, "prices", {"large": PRICE}))
        url = served.url
        cli("plan", "g.yaml", "--cloud", url, "--refresh")
        begun = json.loads(cli("run", "g.yaml", "--offline", "--cloud", url, "--json").stdout)
        assert begun["cost"] == {"usd": 0, "usd_known": 0, "unpriced": [], "prices": "when the run began"}
        ended = json.loads(cli("resume", begun["run"], "--cloud", url, "--json").stdout)
    assert ended["status"] == "completed"
    assert ended["cost"]["usd"] == shown(cli, begun["run"])["fact"]["total"]["usd"] > 0


def test_a_run_takes_its_plan_along_into_a_file_and_without_one_it_is_shown_all_the_same(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "g.yaml").write_text(TWO.replace("place: cloud", "place: edge").replace("large", "scripted"), encoding="utf-8")
    run = json.loads(cli("run", "g.yaml", "--json").stdout)["run"]
    assert cli("runs", "export", run, "-o", "run.gfr").status == 0
    other = tmp_path / "other"
    assert cli("runs", "import", "run.gfr", GRAPHFERRY_HOME=str(other)).status == 0
    shown_there = cli("runs", "show", run, "--json", GRAPHFERRY_HOME=str(other)).stdout
    assert json.loads(shown_there) == shown(cli, run)
    with Journal.open(own_home / "edge" / "journal.db") as journal:
        journal.keep_plan(journal.run(run).run, canonical({"nodes": {"outline": 5}}))
    found = shown(cli, run)
    assert found["plan"] is None
    assert found["fact"]["total"]["prices"] == "now"
    assert {path: node["runs"] for path, node in found["fact"]["nodes"].items()} == {"outline": 1, "each": 3}


@pytest.mark.parametrize(
    ("place", "by", "asked", "price"),
    [
        ("cloud", {"model": "x"}, "large", PRICE),
        ("cloud", {"model": "large"}, None, PRICE),
        ("cloud", {"model": "x", "backend": "llama.cpp"}, None, None),
        ("edge", {"model": "x", "backend": "llama.cpp"}, None, Price(0.0, 0.0)),
        ("edge", {"model": "x", "backend": "openai http://h"}, None, None),
        ("edge", {"model": "hosted", "backend": "openai http://h"}, None, Price(1.0, 1.0)),
    ],
)
def test_what_made_a_result_has_the_price_of_its_name_at_its_place(
    place: str, by: dict[str, Any], asked: str | None, price: Price | None
) -> None:
    prices = Prices.of_now({"hosted": Price(1.0, 1.0)}, {"models": {"large": PRICE.as_offer(), "other": {}}})
    assert prices.of(place, by, asked) == price


def test_what_used_no_tokens_costs_nothing_whatever_is_unknown() -> None:
    prices, bill = Prices({"cloud large": PRICE}, True), Bill()
    assert bill.add(prices, "cloud", {"model": "other"}, {"ms": 5}) is None
    assert bill.as_json(prices) is None
    assert bill.add(prices, "cloud", {"model": "large"}, {"prompt_tokens": 1_000_000, "completion_tokens": True}) == 3.0
    assert bill.add(prices, "cloud", {"model": "other"}, {"prompt_tokens": 5}) is None
    assert bill.as_json(prices) == {"usd": None, "usd_known": 3.0, "unpriced": ["other"], "prices": "when the run began"}
