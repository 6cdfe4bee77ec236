"""What `graphferry runs show` says of a run: the same for people and as data."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from conftest import CommandLine
from fleet import edge, run
from graphs.records import Result
from workers import worker

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


TWO = """\
version: 0.5
nodes:
  one: {agent: llmAgent, model: large, inputs: {prompt: the first words}}
  two: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: :one.text}}
"""


def test_of_a_damaged_run_what_is_readable_is_shown_before_the_error(cli: CommandLine, tmp_path: Path) -> None:
    with worker(tmp_path / "w") as served:
        root = str(run(cli, TWO, "--cloud", served.url)["run"])
    with sqlite3.connect(edge(cli) / "journal.db") as db:
        (at, tail) = db.execute("SELECT id, tail FROM records WHERE type = ? ORDER BY id DESC", (Result.TYPE,)).fetchone()
        db.execute("UPDATE records SET tail = ? WHERE id = ?", (tail[:-1] + bytes([tail[-1] ^ 1]), at))
    shown = cli("runs", "show", root)
    assert shown.status == 1
    assert "is damaged: record" in shown.stderr
    assert shown.stdout.startswith(f"run {root}\ngraph g.yaml ")
    assert [line.split()[0] for line in shown.stdout.splitlines() if "large" in line] == ["one"]
    data = json.loads(cli("runs", "show", root, "--json").stdout)
    assert [each["path"] for each in data["records"] if each["type"] == "result"] == ["one"]
    assert f"is damaged: record {at & 0xFFFFFFFF} of writer" in data["damaged"]
