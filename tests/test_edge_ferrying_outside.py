"""Models behind servers, from the command line: who may ask them, what is said of it, and that no key is kept anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from edge.ferrying.outside import label_guard
from edge.privacy.clearance import NOWHERE
from graphs.journal import Journal
from graphs.language.run_labels import RunLabels
from graphs.language.spec import Graph
from model_server import ModelServer, answering, serving

KEY = "sk-very-secret-4711"

PLAIN = """\
version: 0.5
nodes:
  word: {value: tide}
  said: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: :word}, params: {max_tokens: 2}}
"""
LABELLED = PLAIN.replace("{value: tide}", "{value: tide, sensitivity: private}")
CHOSEN = """\
version: 0.5
nodes:
  word: {value: tide, sensitivity: private}
  which: {value: large}
  open: {agent: llmAgent, inputs: {prompt: hello, model: :which}, params: {max_tokens: 2}, isResult: true}
  said: {agent: llmAgent, inputs: {prompt: :word, model: :which}, params: {max_tokens: 2}, isResult: true}
  inside:
    agent: nestedAgent
    isResult: true
    inputs: {word: :word, which: :which}
    graph:
      version: 0.5
      nodes:
        deep: {agent: llmAgent, isResult: true, inputs: {prompt: :word, model: :which}, params: {max_tokens: 2}}
"""


@pytest.fixture
def server(own_home: Path) -> Iterator[ModelServer]:
    with serving(answering) as server:
        configure(own_home, server)
        yield server


def configure(home: Path, server: ModelServer, **more: Any) -> None:
    (home / "edge").mkdir(exist_ok=True)
    entry = {"url": server.url, "model": "big:7b", "key": {"secret": "MY_KEY"}, **more}
    (home / "edge" / "config.yaml").write_text(json.dumps({"models": {"small": "scripted", "large": entry}}))
    secrets = home / "edge" / "secrets.yaml"
    secrets.write_text(f"MY_KEY: {KEY}\n")
    secrets.chmod(0o600)


def run(cli: CommandLine, tmp_path: Path, graph: str, *words: str) -> tuple[int, dict[str, Any], str]:
    (tmp_path / "g.yaml").write_text(graph)
    outcome = cli("run", "g.yaml", "--json", *words)
    return outcome.status, json.loads(outcome.stdout) if outcome.stdout else {}, outcome.stderr


def test_a_node_asks_the_server_and_its_result_says_so(
    cli: CommandLine, own_home: Path, tmp_path: Path, server: ModelServer
) -> None:
    status, report, _ = run(cli, tmp_path, PLAIN)
    assert (status, report["results"]["said"]["text"]) == (0, "tide tide")
    node = report["nodes"]["said"]
    assert (node["place"], node["reason"]) == ("edge", "large is behind a server that this device asks")
    assert node["by"]["model"] == "big:7b"
    assert node["by"]["backend"] == "openai " + server.url.removesuffix("/v1")
    assert node["by"].get("digest") is None
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    kept = [path for path in own_home.rglob("*") if path.is_file() and path.name != "secrets.yaml"]
    assert kept
    assert not any(KEY.encode() in path.read_bytes() for path in kept)
    with Journal.open(own_home / "edge" / "journal.db") as journal:
        entries = [
            entry for row in journal.runs() for each in journal.writers(row.run) for entry in journal.entries(row.run, each)
        ]
    assert not any(KEY.encode() in entry.tail for entry in entries)
    assert KEY not in json.dumps(report)


@pytest.mark.parametrize(
    ("graph", "words", "told"),
    [
        (PLAIN, ["--local-only"], "behind a server, and --local-only forbids that"),
        (LABELLED, [], "carries the label private and so must stay on this device, and 'large' is behind a server"),
    ],
)
def test_what_may_not_leave_is_refused_before_anything_runs(
    cli: CommandLine, tmp_path: Path, server: ModelServer, graph: str, words: list[str], told: str
) -> None:
    (tmp_path / "g.yaml").write_text(graph)
    outcome = cli("run", "g.yaml", *words)
    assert outcome.status == 2
    assert told in outcome.stderr
    assert server.asked == []


def test_offline_the_node_waits(cli: CommandLine, tmp_path: Path, server: ModelServer) -> None:
    status, report, _ = run(cli, tmp_path, PLAIN, "--offline")
    assert (status, report["status"]) == (4, "suspended")
    assert "this run is offline" in json.dumps(report["errors"])
    assert server.asked == []
    assert cli("resume", report["run"], "--json").status == 0
    assert len(server.asked) == 1


def test_a_labelled_node_that_chooses_its_model_as_it_runs_asks_no_server(
    cli: CommandLine, tmp_path: Path, server: ModelServer
) -> None:
    status, report, _ = run(cli, tmp_path, CHOSEN)
    assert (status, report["status"]) == (3, "suspended")
    states = {path: node["state"] for path, node in report["nodes"].items()}
    assert (states["open"], states["said"], states["inside/deep"]) == ("completed", "suspended", "suspended")
    assert [asked.body["messages"][-1]["content"] for asked in server.asked] == ["hello"]
    assert "carries the label private" in json.dumps(report["errors"])
    status, report, _ = run(cli, tmp_path, CHOSEN, "--local-only")
    assert {node["state"] for node in report["nodes"].values()} >= {"suspended"}
    assert len(server.asked) == 1


@pytest.mark.parametrize(("graph", "words"), [(LABELLED, []), (PLAIN, ["--offline"]), (CHOSEN, [])])
def test_a_server_whose_owner_says_it_is_on_the_device_counts_as_part_of_it(
    cli: CommandLine, own_home: Path, tmp_path: Path, server: ModelServer, graph: str, words: list[str]
) -> None:
    configure(own_home, server, on_device=True)
    status, report, _ = run(cli, tmp_path, graph, *words)
    assert (status, report["status"]) == (0, "completed")


FETCH = """\
version: 0.5
nodes:
  word: {value: tide, sensitivity: private}
  open: {agent: vanillaFetchAgent, isResult: true, inputs: {url: URL, method: POST, body: hello}}
  closed: {agent: vanillaFetchAgent, isResult: true, inputs: {url: URL, method: POST, body: ":word"}}
"""


def test_no_agent_takes_a_labelled_value_to_a_server(cli: CommandLine, tmp_path: Path, server: ModelServer) -> None:
    graph = FETCH.replace("URL", server.url + "/embeddings").replace("closed: {agent: vanillaFetchAgent", "closed: {agent: :name")
    status, report, _ = run(cli, tmp_path, f"{graph}  name: {{value: vanillaFetchAgent}}\n")
    assert status == 3
    assert report["errors"]["closed"]["code"] == "LABEL_WITHHELD"
    assert "private" in report["errors"]["closed"]["message"]
    assert report["nodes"]["closed"]["state"] == "suspended"
    assert "tide" not in json.dumps([asked.body for asked in server.asked])


@pytest.mark.parametrize("command", ["run", "check", "plan"])
def test_what_a_network_agent_would_be_refused_is_told_before_the_run(
    cli: CommandLine, tmp_path: Path, server: ModelServer, command: str
) -> None:
    (tmp_path / "g.yaml").write_text(FETCH.replace("URL", server.url + "/embeddings"))
    outcome = cli(command, "g.yaml")
    assert "'closed' carries the label private" in outcome.stderr + outcome.stdout
    assert "declassifyAgent" in outcome.stderr + outcome.stdout
    assert (outcome.status, server.asked) == (2, [])


def test_a_run_that_is_local_only_fetches_nothing(cli: CommandLine, tmp_path: Path, server: ModelServer) -> None:
    named = (
        FETCH.replace("URL", server.url).replace(", sensitivity: private", "").replace("agent: vanillaFetchAgent", "agent: :name")
    )
    status, report, _ = run(cli, tmp_path, f"{named}  name: {{value: vanillaFetchAgent}}\n", "--local-only")
    assert {report["errors"][name]["code"] for name in ("open", "closed")} == {"UNREACHABLE"}
    assert (status in (3, 4), server.asked) == (True, [])


def test_without_labels_no_filter_costs_anything() -> None:
    graph = Graph({"version": 0.5, "nodes": {"a": {"agent": "copyAgent", "inputs": {"x": 1}}}})
    assert label_guard(RunLabels(graph), NOWHERE) == []
