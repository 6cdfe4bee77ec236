"""`-` in the place of a file: a graph by standard input, a run by standard output and back."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from conftest import CommandLine, Terminal
from graphferry.cli import main
from graphs.environment import Environment

GRAPH = """\
version: 0.5
inputs: {topic: {type: string}}
nodes:
  a: {agent: copyAgent, isResult: true, inputs: {text: :topic}}
"""


def test_a_graph_comes_by_standard_input_with_its_inputs_as_options(cli: CommandLine) -> None:
    outcome = cli("run", "-", "--topic", "boats", "--json", stdin=GRAPH)
    assert outcome.status == 0, outcome.stderr
    assert json.loads(outcome.stdout)["results"] == {"a": {"text": "boats"}}
    assert "standard input" in cli("runs").stdout


@pytest.mark.parametrize("command", ["check", "plan", "graph", "run"])
def test_what_is_wrong_in_it_is_told_with_its_line(cli: CommandLine, command: str) -> None:
    outcome = cli(command, "-", stdin=GRAPH.replace(":topic", ":nowhere"))
    assert outcome.status == 2
    assert "standard input:4:" in outcome.stderr
    assert "inputs: {text: :nowhere}" in outcome.stderr
    assert "cannot read" not in outcome.stderr
    unreadable = cli(command, "-", stdin="nodes: [")
    assert "nodes: [" in unreadable.stderr


@pytest.mark.parametrize("command", ["check", "plan", "graph", "run", "calibrate"])
def test_nothing_by_standard_input_is_said_to_be_nothing(cli: CommandLine, command: str) -> None:
    outcome = cli(command, "-")
    assert outcome.status == 2
    assert "no graph came by standard input" in outcome.stderr


def test_a_graph_loaded_by_one_from_standard_input_lies_in_the_current_folder(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(
        "version: 0.5\nnodes:\n  i: {agent: copyAgent, isResult: true, inputs: {x: 3}}\n", encoding="utf-8"
    )
    outer = "version: 0.5\nnodes:\n  o: {agent: nestedAgent, isResult: true, graphLoader: {fileName: inner.yaml}}\n"
    outcome = cli("run", "-", "--json", stdin=outer)
    assert outcome.status == 0, outcome.stderr
    assert json.loads(outcome.stdout)["results"] == {"o": {"i": {"x": 3}}}


def test_a_value_comes_by_standard_input_but_not_two_things(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    outcome = cli("run", "g.yaml", "--set", "topic=@-", "--json", stdin="a letter\n")
    assert json.loads(outcome.stdout)["results"] == {"a": {"text": "a letter\n"}}
    both = cli("run", "-", "--set", "topic=@-", stdin=GRAPH)
    assert both.status == 2
    assert "only once" in both.stderr


def test_a_file_of_that_name_is_still_a_file(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "-").write_text(GRAPH, encoding="utf-8")
    assert cli("check", "./-").status == 0


def test_a_run_goes_out_by_a_pipe_and_comes_in_by_one(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    run = json.loads(cli("run", "-", "--topic", "boats", "--json", stdin=GRAPH).stdout)["run"]
    out, err = io.BytesIO(), io.StringIO()
    status = main(["runs", "export", run, "-o", "-"], _env(io.BytesIO(), out, err, own_home, tmp_path))
    assert status == 0, err.getvalue()
    assert out.getvalue().startswith(b"graphferry run 1\n")
    assert run in err.getvalue()
    assert not (tmp_path / "-").exists()
    cli("runs", "rm", run)
    back = io.BytesIO()
    assert main(["runs", "import", "-"], _env(io.BytesIO(out.getvalue()), back, err, own_home, tmp_path)) == 0, err.getvalue()
    assert run.encode() in back.getvalue()
    assert "completed" in cli("runs", "show", run).stdout


def test_bytes_do_not_go_to_a_terminal(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    run = json.loads(cli("run", "-", "--topic", "boats", "--json", stdin=GRAPH).stdout)["run"]
    screen, err = Terminal(), io.StringIO()
    env = Environment(io.StringIO(), screen, err, {"GRAPHFERRY_HOME": str(own_home)}, tmp_path)
    assert main(["runs", "export", run, "-o", "-"], env) == 2
    assert "terminal" in err.getvalue()
    assert screen.getvalue() == ""


def test_a_file_that_is_not_there_is_told_and_not_the_options_that_it_would_have(cli: CommandLine, tmp_path: Path) -> None:
    missing = cli("run", "missing.yaml", "--topic", "boats")
    assert missing.status == 2
    assert "cannot read missing.yaml" in missing.stderr
    (tmp_path / "bad.yaml").write_text("nodes: [", encoding="utf-8")
    bad = cli("plan", "bad.yaml", "--topic", "boats")
    assert "bad.yaml:" in bad.stderr
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    assert "unrecognized arguments: --tpic" in cli("run", "g.yaml", "--tpic", "boats").stderr


def _env(source: io.BytesIO, out: io.BytesIO, err: io.StringIO, home: Path, cwd: Path) -> Environment:
    stdin = io.TextIOWrapper(source, encoding="utf-8")
    stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    _KEPT.extend((stdin, stdout))  # a wrapper that goes away closes what it wraps
    return Environment(stdin, stdout, err, {"GRAPHFERRY_HOME": str(home)}, cwd)


_KEPT: list[io.TextIOWrapper] = []
