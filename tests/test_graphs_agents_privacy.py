"""The agents about privacy: what they refuse, what labels their nodes have, and the way of a private letter to a worker and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent_context import context, run
from conftest import CommandLine
from graphs.agents import standard
from graphs.agents.privacy import declassify_agent, pseudonymise_agent, restore_agent
from graphs.departures import witnessed
from graphs.errors import NodeError
from graphs.language.declassify import PSEUDONYMS
from graphs.language.labels import label_graph
from graphs.language.load import load_text
from graphs.language.spec import Graph
from wiretap import tap
from workers import worker

CHAIN = """\
version: 0.5
nodes:
  letter:
    value: "Dear Ada Lovelace, your knee is fine. Write to charles@example.org. Charles"
    sensitivity: private
  hidden: {agent: pseudonymiseAgent, inputs: {text: :letter}}
  open: {agent: declassifyAgent, params: {reason: names are hidden}, inputs: {value: :hidden.text}}
  answer: {agent: llmAgent, place: cloud, params: {model: large}, inputs: {prompt: :open}}
  shown: {agent: restoreAgent, isResult: true, inputs: {text: :answer.text, table: :hidden.table}}
"""


def labels(text: str) -> dict[str, list[str]]:
    agents = standard()
    found = label_graph(Graph.of(load_text(text).data, agents), agents)
    return {name: sorted(each) for name, each in found.values.items()}


# -- labels


def test_only_what_a_declassifying_node_gives_is_without_labels() -> None:
    assert labels(CHAIN) == {
        "letter": ["private"],
        "hidden": sorted(["private", PSEUDONYMS]),
        "shown": sorted(["private", PSEUDONYMS]),
    }


@pytest.mark.parametrize("source", [":hidden", ":hidden.table", ":hidden.table.PERSON_1", "${:hidden}", ":copy.text"])
def test_nothing_takes_off_the_label_of_the_table(source: str) -> None:
    text = CHAIN.replace(":hidden.text", f'"{source}"') + "  copy: {agent: copyAgent, inputs: {text: :hidden.text}}\n"
    assert PSEUDONYMS in labels(text)["open"]


def test_a_node_that_shapes_its_value_anew_has_no_part_without_the_table() -> None:
    text = CHAIN.replace("inputs: {text: :letter}}", "inputs: {text: :letter}, output: {text: .table}}")
    assert PSEUDONYMS in labels(text)["open"]


def test_a_table_named_among_the_labels_stays() -> None:
    text = CHAIN.replace("reason: names are hidden", f"reason: x, labels: [private, {PSEUDONYMS}]").replace(
        ":hidden.text", ":hidden"
    )
    assert labels(text)["open"] == [PSEUDONYMS]


def test_labels_that_are_not_named_stay_and_so_do_those_of_conditions() -> None:
    text = """\
version: 0.5
nodes:
  a: {value: 1, sensitivity: [private, pii]}
  c: {value: true, sensitivity: secret}
  open: {agent: declassifyAgent, if: :c, params: {reason: x, labels: private}, inputs: {value: :a}}
  all: {agent: declassifyAgent, params: {reason: x}, inputs: {value: :a}, passThrough: {c: :c}}
  added: {agent: declassifyAgent, params: {reason: x}, inputs: {value: :a}, sensitivity: internal}
"""
    found = labels(text)
    assert (found["open"], found["all"], found["added"]) == (["pii", "secret"], ["secret"], ["internal"])


def test_inside_a_nested_graph_it_counts_as_well() -> None:
    text = """\
version: 0.5
nodes:
  a: {value: 1, sensitivity: private}
  in:
    agent: nestedAgent
    inputs: {x: :a}
    graph:
      version: 0.5
      nodes:
        x: {value: 0}
        open: {agent: declassifyAgent, isResult: true, params: {reason: x}, inputs: {value: :x}}
"""
    assert "in" not in labels(text)


# -- what they refuse


@pytest.mark.parametrize(
    ("inputs", "params"),
    [
        ({"value": 1}, {}),
        ({"value": 1}, {"reason": " "}),
        ({"value": 1, "reason": "because"}, {"reason": "x"}),
        ({"value": 1, "params": {"reason": "because"}}, {"reason": "because"}),
    ],
)
def test_a_reason_is_the_graphs_own(inputs: dict[str, Any], params: dict[str, Any]) -> None:
    with pytest.raises(NodeError, match="in words of the graph itself"):
        run(declassify_agent, context(inputs, params))


class Seen:
    def __init__(self) -> None:
        self.said: list[Any] = []

    async def leaves(self, *said: Any) -> None:
        raise AssertionError("nothing left")

    async def declassified(self, *said: Any) -> None:
        self.said.append(said)


def test_each_time_is_written_down() -> None:
    seen = Seen()
    with witnessed(seen):
        assert run(declassify_agent, context({"value": "abc"}, {"reason": "a count", "labels": ["pii"]}, path="open")) == "abc"
        run(declassify_agent, context({"value": None}, {"reason": "a count"}, path="open"))
    assert seen.said == [("open", ["pii"], "a count", 4), ("open", None, "a count", 1)]


@pytest.mark.parametrize(
    ("inputs", "params", "words"),
    [
        ({}, {}, "nothing to look through"),
        ({"text": 3}, {}, "is a text"),
        ({"text": "x"}, {"kinds": ["PERSONS"]}, "kinds"),
        ({"text": "x"}, {"words": "x"}, "words"),
        ({"text": "x"}, {"words": {"project": ["x"]}}, "capitals"),
        ({"text": "x"}, {"words": [""]}, "texts of at most"),
        ({"text": "x"}, {"words": ["a"] * 1001}, "more than"),
        ({"text": "x", "table": {"A": 1}}, {}, "table"),
    ],
)
def test_what_cannot_be_hidden_is_refused(inputs: dict[str, Any], params: dict[str, Any], words: str) -> None:
    with pytest.raises(NodeError, match=words):
        run(pseudonymise_agent, context(inputs, params))


def test_without_a_table_nothing_is_restored() -> None:
    with pytest.raises(NodeError, match="table"):
        run(restore_agent, context({"text": "PERSON_1"}))
    with pytest.raises(NodeError, match="nothing to restore"):
        run(restore_agent, context({"table": {}}))


def test_words_may_come_as_an_input() -> None:
    given = context({"text": "Bluebird flies", "words": ["bluebird"]})
    assert run(pseudonymise_agent, given) == {"text": "WORD_1 flies", "table": {"WORD_1": "Bluebird"}}


# -- in a run


def test_a_private_letter_goes_to_a_worker_without_names_and_comes_back_with_them(
    cli: CommandLine, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "g.yaml").write_text(CHAIN, encoding="utf-8")
    with worker(home) as served, tap(served.url) as line:
        outcome = cli("run", "g.yaml", "--cloud", line.url)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout == "You said: Dear Ada Lovelace, your knee is fine. Write to charles@example.org. Charles\n"
    seen = b"".join(each.everything() for each in line.connections)
    assert b"your knee is fine" in seen
    for word in (b"Lovelace", b"Ada", b"charles", b"Charles"):
        assert word not in seen
    run_id = json.loads(cli("runs", "--json").stdout)[0]["run"]
    (said,) = json.loads(cli("audit", run_id, "--json").stdout)["declassified"]
    assert (said["path"], said["why"], said["labels"]) == ("open", "names are hidden", ["all"])


def test_without_declassifying_it_does_not_leave(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(CHAIN.replace("prompt: :open", "prompt: :hidden.text"), encoding="utf-8")
    with worker(home) as served, tap(served.url) as line:
        outcome = cli("run", "g.yaml", "--cloud", line.url)
    assert outcome.status == 2
    assert "private" in outcome.stderr
    assert not any(b"knee" in each.everything() for each in line.connections)


@pytest.mark.parametrize("agent", ["declassifyAgent", "pseudonymiseAgent", "restoreAgent"])
def test_they_run_on_the_device_and_nowhere_else(cli: CommandLine, tmp_path: Path, agent: str) -> None:
    node = f"{{agent: {agent}, place: cloud, params: {{reason: x}}, inputs: {{value: 1, table: {{}}}}}}"
    (tmp_path / "g.yaml").write_text(f"version: 0.5\nnodes:\n  a: {node}\n")
    outcome = cli("run", "g.yaml", "--cloud", "ws://127.0.0.1:9/v1/link")
    assert outcome.status == 2
    assert ("is for this device alone" if agent == "declassifyAgent" else "no policy clears it") in outcome.stderr


def test_no_value_and_no_model_names_them(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  name: {value: declassifyAgent}\n  a: {agent: :name, params: {reason: x}, inputs: {value: 1}}\n"
    )
    outcome = cli("run", "g.yaml", "--json")
    assert outcome.status == 1
    assert "is a node of its own" in json.loads(outcome.stdout)["errors"]["a"]["message"]


def test_a_graph_of_others_takes_labels_off_only_if_that_is_granted(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: declassifyAgent, isResult: true, params: {reason: x}, inputs: {value: hi}}\n"
    )
    refused = cli("run", "g.yaml", "--untrusted")
    assert refused.status == 2
    assert "--grant declassify" in refused.stderr
    assert cli("run", "g.yaml", "--untrusted", "--grant", "declassify").stdout == "hi\n"


def test_they_stand_for_no_other_node(cli: CommandLine, tmp_path: Path) -> None:
    place = "{at: cloud, offline: local, local: {agent: pseudonymiseAgent}}"
    (tmp_path / "g.yaml").write_text(
        f"version: 0.5\nnodes:\n  a: {{agent: copyAgent, place: {place}, isResult: true, inputs: {{text: Dear Ada}}}}\n"
    )
    outcome = cli("run", "g.yaml", "--offline")
    assert outcome.status in (1, 4)
    assert "cannot be an alternative" in outcome.stderr
