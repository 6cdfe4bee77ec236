"""`graphferry plan`: what it shows, what it asks nobody, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from ferry import FakeServer, Ferry
from graphs.journal import Journal
from graphs.models.prices import Price
from workers import worker

TWO = """\
version: 0.5
inputs: {topic: {type: string}}
nodes:
  outline: {agent: llmAgent, model: scripted, inputs: {prompt: "Outline ${:topic}"}}
  draft: {agent: llmAgent, model: large, inputs: {prompt: :outline.text}}
  end: {agent: copyAgent, isResult: true, inputs: {t: :draft.text}}
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "g.yaml"
    path.write_text(TWO, encoding="utf-8")
    return path


def told(cli: CommandLine, *words: str, status: int = 0) -> dict[str, Any]:
    outcome = cli("plan", "g.yaml", "--json", *words)
    assert outcome.status == status, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def test_it_runs_nothing_and_asks_nobody(cli: CommandLine, own_home: Path, graph: Path) -> None:
    server = FakeServer("500 No")
    try:
        outcome = cli("plan", graph.name, "--cloud", server.url, "--topic", "tides")
    finally:
        server.close()
    assert (outcome.status, outcome.stderr, server.asked) == (0, "", [])
    lines = outcome.stdout.splitlines()
    assert lines[0].split() == ["node", "place", "why", "time", "tokens", "up/down", "cost"]
    assert [line.split()[:2] for line in lines[1:4]] == [["outline", "edge"], ["draft", "cloud"], ["end", "edge"]]
    assert "needs large: not on this device" in lines[2]
    assert lines[2].endswith("unknown"), "nobody said what it costs"
    assert lines[4].startswith("total ")
    assert "critical path outline > draft > end" in lines[4]
    assert "unknown cost of large" in lines[4]
    assert "2 crossings" in lines[4]
    assert "assumed" in lines[5]
    assert "was never met" in lines[6]
    with Journal.open(own_home / "edge" / "journal.db") as journal:
        assert journal.runs() == []


def test_what_ran_is_measured_and_what_the_worker_said_is_reported_with_its_age(
    cli: CommandLine, own_home: Path, graph: Path
) -> None:
    with worker(own_home) as served:
        served.call(lambda: setattr(served.worker, "prices", {"large": Price(2.0, 4.0)}))
        url = ("--cloud", served.url)
        for _ in range(2):
            assert cli("run", graph.name, "--topic", "tides", "--json", *url).status == 0
        found = told(cli, "--topic", "tides", *url)
    nodes = found["nodes"]
    assert [(nodes[name]["seconds"]["source"], nodes[name]["seconds"]["n"]) for name in ("outline", "draft")] == [
        ("measured", 2)
    ] * 2
    assert nodes["draft"]["completion_tokens"]["source"] == "measured"
    assert nodes["draft"]["usd"]["source"] == "reported"
    used = nodes["draft"]["prompt_tokens"]["value"] * 2 + nodes["draft"]["completion_tokens"]["value"] * 4
    assert found["total"]["usd"] == pytest.approx(used / 1e6)
    assert found["link"]["rtt"]["source"] == "measured"
    assert found["link"]["rtt"]["n"] == 2
    assert found["facts"]["worker"]["offer_age"] is not None
    assert found["facts"]["worker"]["models"]["large"]["price"] == {"input": 2.0, "output": 4.0}
    assert nodes["outline"]["up"]["value"] > 0
    text = cli("plan", graph.name, *url).stdout
    assert "draft measured at this worker, n=2" in text
    assert "about $0.0000" in text


def test_refresh_asks_the_worker_and_nothing_else_does(cli: CommandLine, own_home: Path, graph: Path, tmp_path: Path) -> None:
    with worker(own_home) as served:
        url = ("--cloud", served.url)
        before = told(cli, *url)
        assert (before["facts"]["worker"]["offer_age"], before["link"]["rtt"]["source"]) == (None, "default")
        after = told(cli, *url, "--refresh")
    assert after["facts"]["worker"]["offer_age"] < 60
    assert after["link"]["rtt"]["source"] == "measured"
    assert after["unreached"] is None
    metered = cli("plan", graph.name, *url, GRAPHFERRY_CONDITIONS="metered 40%")
    assert "the network is metered (GRAPHFERRY_CONDITIONS)" in metered.stdout
    gone = told(cli, *url, "--refresh")
    assert "cannot be reached" in gone["unreached"]
    assert gone["nodes"]["draft"]["then"] == "waits"
    asked = tmp_path / "asked"
    for words in (("--offline",), ("--local-only", "--place", "draft=edge")):
        (own_home / "edge" / "config.yaml").write_text(f"link:\n  conditions: touch '{asked}'\n", encoding="utf-8")
        cli("plan", graph.name, *url, *words, GRAPHFERRY_CONDITIONS="")
        assert not asked.exists(), "how the network stands is nobody's business then"
    outcome = cli("plan", graph.name, *url, GRAPHFERRY_CONDITIONS="")
    assert (outcome.status, asked.exists()) == (0, True), outcome
    nobody = cli("plan", graph.name, "--refresh")
    assert (nobody.status, "none is named" in nobody.stderr) == (2, True)
    refused = cli("plan", graph.name, "--refresh", "--offline")
    assert (refused.status, "which --offline and --local-only forbid" in refused.stderr) == (2, True)


def test_offline_it_says_what_waits_what_stands_in_and_what_fails(cli: CommandLine, graph: Path) -> None:
    waits = told(cli, "--offline")
    assert {name: each["then"] for name, each in waits["nodes"].items()} == {"outline": "runs", "draft": "waits", "end": "waits"}
    text = cli("plan", graph.name, "--offline").stdout
    assert "waits: this run is offline: no worker was asked" in text
    assert "the run is suspended until a worker is reached" in text
    fails = cli("plan", graph.name, "--offline", "--when-offline", "fail").stdout
    assert "fails: this run is offline" in fails
    assert "the run fails" in fails
    graph.write_text(
        TWO.replace("model: large,", "model: large, place: {offline: local, local: {model: scripted}},"), encoding="utf-8"
    )
    stands = told(cli, "--offline")["nodes"]
    assert [(each["then"], each["place"]) for each in stands.values()] == [
        ("runs", "edge"),
        ("stands in", "edge"),
        ("runs", "edge"),
    ]
    assert stands["draft"]["note"].startswith("scripted stands in, degraded")


def test_without_a_worker_configured_it_says_so(cli: CommandLine, graph: Path) -> None:
    assert told(cli)["nodes"]["draft"]["note"] == "waits: no worker is configured"


def test_a_node_that_no_place_satisfies_is_named_with_the_rule_and_what_would_resolve_it(cli: CommandLine, graph: Path) -> None:
    for words in (("--local-only",), ("--place", "draft=edge")):
        refused = cli("plan", graph.name, *words)
        assert (refused.status, refused.stdout) == (2, "")
        assert "node 'draft'" in refused.stderr
        assert "`graphferry models get URL --name large` or `graphferry models add PATH --name large`" in refused.stderr
        found = told(cli, *words, status=2)
        assert (found["status"], found["node"]) == ("impossible", "draft")
        assert "`graphferry models get URL --name large` or `graphferry models add PATH --name large`" in found["hint"]


def test_a_model_that_neither_side_has_is_refused_by_the_workers_last_offer(
    cli: CommandLine, own_home: Path, graph: Path
) -> None:
    with worker(own_home, models=("other",)) as served:
        told(cli, "--cloud", served.url, "--refresh", status=2)
        url = served.url
    refused = cli("plan", graph.name, "--cloud", url)
    assert refused.status == 2
    assert "needs the model 'large', which neither this device nor the worker has" in refused.stderr
    assert "--refresh asks it again" in refused.stderr


def test_an_invalid_graph_is_refused_as_run_refuses_it(cli: CommandLine, graph: Path) -> None:
    graph.write_text(TWO.replace(":outline.text", ":outlin.text"), encoding="utf-8")
    assert cli("plan", graph.name).status == 2
    assert told(cli, status=2)["status"] == "invalid"
    graph.write_text(TWO, encoding="utf-8")
    assert "--place nobody" in cli("plan", graph.name, "--place", "nobody=edge").stderr


def test_a_plan_and_its_run_place_alike(ferry: Ferry, home: Path, tmp_path: Path) -> None:
    del home
    ran = ferry(TWO.replace("inputs: {topic: {type: string}}\n", "").replace("nodes:\n", "nodes:\n  topic: {value: t}\n"))
    found = told(ferry.cli, "--cloud", "ws://127.0.0.1:1/v1/link")
    assert {name: (each["place"], each["reason"]) for name, each in found["nodes"].items()} == {
        name: (each["place"], each["reason"]) for name, each in ran["nodes"].items()
    }


def test_the_way_of_a_label_that_keeps_nodes_here_is_shown(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    text = """\
version: 0.5
nodes:
  letter: {value: my knee, sensitivity: private}
  short: {agent: copyAgent, inputs: {t: ":letter"}}
  last: {agent: copyAgent, if: ":short.t", isResult: true, inputs: {t: 1}}
"""
    (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
    assert told(cli)["labels"] == {"private": ["letter", "short", "last"]}
    assert "labels: private keeps nodes on this device: letter -> short -> last\n" in cli("plan", "g.yaml").stdout


def test_every_source_of_a_label_is_shown(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    text = """\
version: 0.5
nodes:
  letter: {value: my knee, sensitivity: private}
  pay: {value: my pay, sensitivity: private}
  last: {agent: copyAgent, isResult: true, inputs: {l: ":letter", p: ":pay"}}
"""
    (tmp_path / "g.yaml").write_text(text, encoding="utf-8")
    found = told(cli)
    assert (found["labels"], found["sources"]) == ({"private": ["letter", "last"]}, {"private": ["letter", "pay"]})
    assert "labels: private keeps nodes on this device: letter -> last (also from pay)\n" in cli("plan", "g.yaml").stdout
