"""`graphferry check`: all problems of one graph or several, with the lines they are in."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import CommandLine

GOOD = "version: 0.5\nnodes:\n  a: {agent: copyAgent, inputs: {x: 1}}\n"
BAD = "version: 0.5\nnodes:\n  a: {agent: copyAgent, inputs: {x: :b}}\n"
OPEN = "version: 0.5\nnodes: {\n"


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def test_a_good_graph_is_named_with_its_nodes(cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, good=GOOD)
    outcome = cli("check", "good.yaml")
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "good.yaml: 1 node, no problems\n", "")


def test_nodes_that_only_hold_a_value_are_not_among_those_that_a_run_counts(cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, valued=GOOD + "  b: {value: 1}\n")
    assert cli("check", "valued.yaml").stdout == "valued.yaml: 2 nodes (1 computed), no problems\n"
    assert "of valued.yaml: 1 computed node\n" in cli("run", "valued.yaml", "--progress", "plain").stderr


def test_each_of_several_graphs_has_its_report(cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, good=GOOD, bad=BAD, open=OPEN)
    outcome = cli("check", "bad.yaml", "good.yaml", "open.yaml")
    assert outcome.status == 2
    assert outcome.stdout == "good.yaml: 1 node, no problems\n"
    assert outcome.stderr.count("1 problem. Nothing was run.\n") == 2
    assert "--> bad.yaml:3:" in outcome.stderr
    assert "--> open.yaml:3:1" in outcome.stderr


def test_a_text_that_is_no_yaml_is_shown_where_it_breaks(cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, tabs="version: 0.5\nnodes:\n\ta: 1\n")
    assert "3 |  a: 1" in cli("check", "tabs.yaml").stderr


def test_for_programs_there_is_one_object_that_names_the_files(cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, good=GOOD, bad=BAD, open=OPEN)
    outcome = cli("check", "bad.yaml", "good.yaml", "open.yaml", "--json")
    told = json.loads(outcome.stdout)
    assert (outcome.status, told["status"]) == (2, "invalid")
    assert [problem["file"] for problem in told["problems"]] == ["bad.yaml", "open.yaml"]
    assert json.loads(cli("check", "good.yaml", "--json").stdout) == {"status": "valid", "problems": []}


LETTER = """\
version: 0.5
nodes:
  letter: {value: x, sensitivity: private}
  short: {agent: copyAgent, inputs: {t: ":letter"}}
  far: {agent: copyAgent, place: cloud, inputs: {t: ":short"}}
  deep:
    agent: nestedAgent
    inputs: {x: ":letter"}
    graph:
      nodes:
        inner: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: ":x"}}
        other: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: 1}}
  big: {agent: llmAgent, model: giant, inputs: {prompt: ":short"}}
"""


def test_where_labels_leave_a_node_no_place_is_told_with_the_way_they_came(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    write(tmp_path, letter=LETTER, good=LETTER.replace(", sensitivity: private", ""))
    assert cli("check", "good.yaml").status == 0
    outcome = cli("check", "letter.yaml", "--json")
    problems = json.loads(outcome.stdout)["problems"]
    assert [(each["code"], each["line"]) for each in problems] == [("GF129", 5), ("GF129", 11), ("GF129", 13)]
    assert "(letter -> short -> far)" in problems[0]["message"]
    assert "'inner'" in problems[1]["message"]
    assert "which has no 'giant' (letter -> short -> big)" in problems[2]["message"]
    assert not (own_home / "edge" / "journal.db").exists()


def test_the_devices_policy_counts_or_another_that_is_tried_out(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    write(tmp_path, letter=LETTER)
    (own_home / "edge").mkdir()
    config = own_home / "edge" / "config.yaml"
    config.write_text("cloud: {url: 'ws://127.0.0.1:9'}\nsensitivity: {private: [edge, cloud]}\n")
    assert cli("check", "letter.yaml").status == 0
    (tmp_path / "strict.yaml").write_text("sensitivity: {private: edge}\n")
    assert cli("check", "letter.yaml", "--policy", "strict.yaml").status == 2
