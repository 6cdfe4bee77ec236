"""What `graphferry runs show` says of a run: the same for people and as data."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import CommandLine

GRAPH = """\
version: 0.5
nodes:
  letter: {value: Dear Ada, sensitivity: private}
  a: {agent: stringSplitterAgent, inputs: {text: :letter}}
  ok: {agent: humanAgent, inputs: {draft: :a.contents}, params: {mode: approve, prompt: Send it?}}
  bad: {agent: fileReadAgent, inputs: {file: nowhere.txt, t: :a}, params: {baseDir: .}}
"""


def test_people_and_programs_are_told_the_same(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    ended = cli("run", "g.yaml", "--json")
    run = json.loads(ended.stdout)["run"]
    data = json.loads(cli("runs", "show", run, "--json").stdout)
    text = cli("runs", "show", run).stdout
    lines = text.splitlines()
    assert lines[0] == f"run {data['run']}"
    assert lines[1] == f"graph g.yaml ({data['graph_hash'][:12]})"
    assert lines[2].startswith(data["status"])
    assert data["labels"] == ["private"]
    assert "its values carry private" in lines
    (failed,) = [each for each in data["records"] if each["type"] == "error"]
    assert f"edge: bad: {failed['code']}: {failed['text']}" in text
    assert [each["path"] for each in data.get("questions", [])] == ([] if data["status"] == "failed" else ["ok"])
    assert "planned" in text
    assert {"plan", "fact"} <= data.keys()


def test_a_run_that_is_not_here_is_an_error_with_what_to_do(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes:\n  a: {agent: copyAgent, inputs: {t: 1}}\n", encoding="utf-8")
    cli("run", "g.yaml")
    outcome = cli("runs", "show", "0123")
    assert outcome.status == 2
    assert "graphferry runs lists them" in outcome.stderr
