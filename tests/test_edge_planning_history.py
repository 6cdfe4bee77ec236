"""What a run took is noted when it stops: by node and by agent, by place and by model, never a value."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from edge.planning.keys import agent_key, computed_nodes, node_key
from ferry import Ferry
from graphs.journal import Journal
from graphs.journal.history import HistoryRow
from graphs.language.load import load_text
from graphs.language.spec import Graph
from workers import worker

TWO_PLACES = """\
version: 0.5
nodes:
  topic: {value: the tide}
  outline: {agent: llmAgent, model: scripted, inputs: {prompt: "Outline ${:topic}"}}
  draft: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: :outline.text}}
"""

MAP = """\
version: 0.5
nodes:
  list: {value: [a, b, c, d]}
  each:
    agent: mapAgent
    inputs: {rows: :list}
    isResult: true
    graph:
      nodes:
        say: {agent: llmAgent, model: scripted, inputs: {prompt: "Say ${:row}"}, isResult: true}
"""

LOOP = """\
version: 0.5
loop: {count: 5}
nodes:
  said: {value: "", update: :say.text}
  say: {agent: llmAgent, model: scripted, inputs: {prompt: "again ${:said}"}, isResult: true}
"""

MADE = """\
version: 0.5
nodes:
  graph: {agent: copyAgent, params: {nodes: {}}, inputs: {version: 0.5, nodes: {say: {agent: llmAgent, model: scripted, params: {prompt: hi}}}}}
  opened: {agent: nestedAgent, graph: :graph, isResult: true}
"""


def rows(home: Path, text: str) -> dict[str, list[HistoryRow]]:
    """What was noted of each node of this graph, by its place in the document, and of `llmAgent`."""
    graph = Graph(load_text(text).data)
    with Journal.open(home / "edge" / "journal.db") as journal:
        found = {path: journal.history([node_key(path, spec)]) for path, spec in computed_nodes(graph)}
        return found | {"llmAgent": journal.history([agent_key("llmAgent")])}


def run(cli: CommandLine, folder: Path, text: str, *words: str) -> dict[str, Any]:
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    outcome = cli("run", "g.yaml", "--json", *words)
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def test_nodes_of_both_places_are_noted_with_their_models_and_tokens(ferry: Ferry, home: Path) -> None:
    told = ferry(TWO_PLACES)
    store = Journal.open(home / "cloud" / "journal.db")
    there = store.store_id.hex()
    store.close()
    found = rows(home, TWO_PLACES)
    for path, place, model in (("outline", "edge", "scripted"), ("draft", there, "large")):
        (row,) = found[path]
        assert (row.place, row.model, row.runs, row.whole) == (place, model, 1, 1)
        usage = told["nodes"][path]["usage"]
        assert (row.prompt, row.completion) == (usage["prompt_tokens"], usage["completion_tokens"])
        assert row.bytes > len(json.dumps(told["results"].get(path, "")))
    assert {(row.place, row.model) for row in found["llmAgent"]} == {("edge", "scripted"), (there, "large")}


@pytest.mark.parametrize(("text", "path", "runs"), [(MAP, "each/say", 4), (LOOP, "say", 5), (MADE, "opened", 0)])
def test_rows_and_turns_count_together(cli: CommandLine, own_home: Path, tmp_path: Path, text: str, path: str, runs: int) -> None:
    assert run(cli, tmp_path, text)["status"] == "completed"
    (row,) = rows(own_home, text)[path]
    assert (row.runs, row.completion is not None) == (runs, True)


PARTLY = """\
version: 0.5
nodes:
  topic: {value: the tide, sensitivity: internal}
  open: {agent: llmAgent, model: large, inputs: {prompt: "A word"}, isResult: true}
  each:
    agent: mapAgent
    inputs: {rows: [a, b, c], said: :topic}
    place: cloud
    isResult: true
    graph:
      nodes:
        say: {agent: llmAgent, model: large, inputs: {prompt: "${:row} ${:said}"}, isResult: true}
"""


def test_a_sum_of_tokens_without_those_that_stayed_at_the_worker_is_none(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    """What labelled nodes used inside a graph there is not here: the agent's sum would be that of the other node, for four executions."""
    with worker(own_home, clearance=["internal"]) as served:
        (own_home / "edge").mkdir(exist_ok=True)
        config = f"cloud: {{url: '{served.url}'}}\nsensitivity: {{internal: [edge, cloud]}}\n"
        (own_home / "edge" / "config.yaml").write_text(config, encoding="utf-8")
        told = run(cli, tmp_path, PARTLY)
        planned = json.loads(cli("plan", "g.yaml", "--json").stdout)["nodes"]
    found = rows(own_home, PARTLY)
    (say,), (agent,), (plain,) = found["each/say"], found["llmAgent"], found["open"]
    assert (say.runs, say.prompt, say.completion) == (3, None, None)
    assert (agent.runs, agent.prompt, agent.completion) == (4, None, None)
    assert plain.completion == told["nodes"]["open"]["usage"]["completion_tokens"] > 0
    assert (planned["each"]["completion_tokens"]["source"], planned["open"]["completion_tokens"]["source"]) == (
        "default",
        "measured",
    )


def test_each_run_has_its_row_and_a_resumed_one_no_second(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    text = TWO_PLACES.replace("model: large", "model: nowhere")
    first = run(cli, tmp_path, text, "--offline")
    assert first["status"] == "suspended"
    assert [len(each) for each in rows(own_home, text).values()] == [1, 0, 1]
    with worker(own_home, models=("nowhere",)) as served:
        assert cli("resume", first["run"], "--cloud", served.url).status == 0
        assert [len(each) for each in rows(own_home, text).values()] == [1, 1, 2]
        run(cli, tmp_path, text, "--cloud", served.url)
    assert [len(each) for each in rows(own_home, text).values()] == [2, 2, 4]


def test_a_long_run_that_goes_on_is_noted_anew_only_if_it_was_not(
    cli: CommandLine, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.planning.history._MOST", 2)
    text = TWO_PLACES.replace("model: large", "model: nowhere")
    first = run(cli, tmp_path, text, "--offline")["run"]
    (noted,) = rows(own_home, text)["outline"]
    assert cli("resume", first, "--offline").status == 3
    assert rows(own_home, text)["outline"] == [noted], "its beginning says the same as before"
    with sqlite3.connect(own_home / "edge" / "journal.db") as db:
        db.execute("DELETE FROM history")
    db.close()
    assert cli("resume", first, "--offline").status == 3
    (again,) = rows(own_home, text)["outline"]
    assert again.t > noted.t


def test_a_nodes_figures_outlive_changes_of_what_is_around_it_and_not_its_own() -> None:
    nodes = dict(computed_nodes(Graph(load_text(MAP).data)))
    moved = dict(computed_nodes(Graph(load_text(MAP.replace("scripted", "other").replace("[a, b, c, d]", "[z]")).data)))
    assert node_key("each/say", nodes["each/say"]) == node_key("each/say", moved["each/say"])
    changed = dict(computed_nodes(Graph(load_text(MAP.replace("Say ", "Shout ")).data)))
    assert node_key("each/say", nodes["each/say"]) != node_key("each/say", changed["each/say"])


def test_values_are_in_no_row(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    run(cli, tmp_path, TWO_PLACES.replace("the tide", "CANARY"), "--offline")
    with Journal.open(own_home / "edge" / "journal.db") as journal:
        (row,) = journal.runs(role="root")
        assert b"CANARY" not in (journal.plan(row.run) or b"")
    assert "CANARY" not in repr(rows(own_home, TWO_PLACES.replace("the tide", "CANARY")))
