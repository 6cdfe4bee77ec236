"""`graphferry vectors`."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import CommandLine


def test_prints_one_object_a_line(cli: CommandLine) -> None:
    lines = [json.loads(line) for line in cli("vectors", "--kind", "graph").stdout.splitlines()]
    assert len(lines) >= 30
    assert {each["kind"] for each in lines} == {"graph"}


def test_checks_what_came_with_this_version(cli: CommandLine) -> None:
    outcome = cli("vectors", "--check")
    assert outcome.status == 0
    assert outcome.stdout.endswith("session: all hold\n")


def test_checks_a_file_and_names_what_does_not_hold(cli: CommandLine, tmp_path: Path) -> None:
    (first, second) = cli("vectors", "--kind", "graph").stdout.splitlines()[:2]
    wrong = {**json.loads(first), "sha256": "00"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(wrong) + "\n" + second + "\n")
    outcome = cli("vectors", "--check", "--kind", "graph", "--file", "mine.jsonl")
    assert (outcome.status, outcome.stdout) == (1, "2 graph: 1 do not hold\n")
    assert outcome.stderr == f"{wrong['name']}: another hash\n"


def test_a_file_of_something_else_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"kind": "poem", "name": "x"}\n')
    assert "line 1 is no vector" in cli("vectors", "--file", "mine.jsonl").stderr
    assert cli("vectors", "--file", "absent.jsonl").status == 2
