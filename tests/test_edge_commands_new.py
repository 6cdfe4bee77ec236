"""`graphferry new`: what it writes is right, runs, and is never written over anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import CommandLine
from draft7 import problems
from graphs.language.load import load_file


@pytest.fixture(autouse=True)
def scripted_model(own_home: Path) -> None:
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_text("models: {small: scripted}\n")


def test_the_starter_has_its_schema_beside_it_and_fits_it(cli: CommandLine, tmp_path: Path) -> None:
    outcome = cli("new")
    assert (outcome.status, outcome.stdout) == (0, "graph.yaml\n")
    assert "graphferry run graph.yaml" in outcome.stderr
    text = (tmp_path / "graph.yaml").read_text()
    first = text.splitlines()[0]
    assert first == "# yaml-language-server: $schema=graphferry.schema.json"
    schema = json.loads((tmp_path / first.partition("=")[2]).read_text())
    assert problems(schema, load_file(tmp_path / "graph.yaml").data) == []


def test_the_starter_passes_the_strict_check_and_runs(cli: CommandLine) -> None:
    cli("new", "story")
    assert cli("check", "story.yaml", "--strict").status == 0
    outcome = cli("run", "story.yaml", "--progress", "quiet", "--topic", "harbours")
    assert (outcome.status, outcome.stdout) == (0, "You said: Write one short sentence about harbours.\n")
    assert cli("graph", "story.yaml", "--places").status == 0


def test_nothing_is_overwritten(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text("mine")
    (tmp_path / "graphferry.schema.json").write_text("mine, too")
    outcome = cli("new")
    assert outcome.status == 2
    assert "graph.yaml is there already" in outcome.stderr
    outcome = cli("new", "other")
    assert outcome.status == 0
    assert "graphferry.schema.json was there already" in outcome.stderr
    assert (tmp_path / "graph.yaml").read_text() == "mine"
    assert (tmp_path / "graphferry.schema.json").read_text() == "mine, too"


def test_what_to_type_next_works_for_a_name_with_a_blank_and_an_empty_name_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    outcome = cli("new", "my story")
    assert "graphferry run 'my story.yaml'  " in outcome.stderr
    assert "# Run it:      graphferry run 'my story.yaml'\n" in (tmp_path / "my story.yaml").read_text()
    assert (cli("new", "").status, list(tmp_path.glob(".*"))) == (2, [])


def test_names_files_and_schemas_of_ones_choice(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert cli("new", "-o", "folder/x.yml").stdout == "folder/x.yml\n"
    assert (tmp_path / "folder" / "graphferry.schema.json").exists()
    assert cli("new", "named.yaml", "--schema", "https://example.org/SCHEMA FILE.json").stdout == "named.yaml\n"
    assert (tmp_path / "named.yaml").read_text().splitlines()[0].endswith("$schema=https://example.org/SCHEMA FILE.json")
    assert not (tmp_path / "graphferry.schema.json").exists()


@pytest.mark.parametrize("words", [["a\nb"], ["-o", "nowhere/x.yaml"], ["--schema", "x\ny"]])
def test_what_cannot_be_written_is_said_and_leaves_nothing(cli: CommandLine, tmp_path: Path, words: list[str]) -> None:
    outcome = cli("new", *words)
    assert outcome.status != 0
    assert outcome.stderr.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_an_input_without_value_or_default_is_asked_for_before_anything_runs(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\ninputs: {topic: {}, size: {default: 1}, tone: null}\n"
        "nodes: {a: {agent: copyAgent, inputs: {t: ':topic', s: ':size', o: ':tone'}, isResult: true}}\n"
    )
    outcome = cli("run", "g.yaml", "--json")
    assert outcome.status == 2
    assert "the graph wants values for topic, tone" in outcome.stderr
    assert "--topic VALUE --tone VALUE" in outcome.stderr
    assert cli("runs").stdout == "no runs yet\n"
    assert cli("run", "g.yaml", "--progress", "quiet", "--topic", "x", "--set", "tone=null").status == 0
