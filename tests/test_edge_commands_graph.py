"""`graphferry graph`: formats by name or by option, places of this device, and nothing run."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conftest import CommandLine, Terminal

EXAMPLES = Path(__file__).resolve().parent.parent / "graphs" / "examples"
DEMO = str(EXAMPLES / "demo.yaml")


def test_text_goes_to_stdout(cli: CommandLine) -> None:
    outcome = cli("graph", DEMO)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith("demo.yaml\n\n○  topic ")
    assert outcome.stdout.endswith("○ value  ● agent\n")


@pytest.mark.parametrize(
    ("file", "begins"),
    [("g.svg", "<svg"), ("g.dot", "digraph"), ("g.gv", "digraph"), ("g.mmd", "---\ntitle:"), ("g.txt", "demo.yaml\n")],
)
def test_the_name_of_the_file_says_the_format(cli: CommandLine, tmp_path: Path, file: str, begins: str) -> None:
    outcome = cli("graph", DEMO, "-o", file)
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "", "")
    assert (tmp_path / file).read_text(encoding="utf-8").startswith(begins)


def test_the_option_says_the_format_of_any_file(cli: CommandLine, tmp_path: Path) -> None:
    assert cli("graph", DEMO, "--format", "svg", "-o", "picture").status == 0
    ET.fromstring((tmp_path / "picture").read_text(encoding="utf-8"))
    assert cli("graph", DEMO, "--format", "mermaid").stdout.splitlines()[3] == "flowchart TD"


def test_a_name_that_says_no_format_is_refused_before_anything_is_written(cli: CommandLine, tmp_path: Path) -> None:
    outcome = cli("graph", DEMO, "-o", "picture.png")
    assert outcome.status == 2
    assert "the name does not say which format" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_places_are_those_of_this_device(cli: CommandLine, own_home: Path) -> None:
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_text("models: {small: scripted}\n")
    without, with_places = cli("graph", DEMO).stdout, cli("graph", DEMO, "--places").stdout
    assert "cloud" not in without
    placed = {line.split()[1]: line.split()[-1] for line in with_places.splitlines() if line.startswith("●")}
    assert placed == {"question": "edge", "draft": "cloud", "polish": "edge", "answer": "result"}
    reason = cli("graph", DEMO, "--places", "--format", "svg").stdout
    assert "cloud: needs large: not on this device" in reason


def test_a_node_that_no_place_can_serve_is_an_error(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  s: {value: 1, sensitivity: private}\n  a: {agent: copyAgent, place: cloud, inputs: {v: ':s'}}\n"
    )
    outcome = cli("graph", "g.yaml", "--places")
    assert outcome.status == 2
    assert "carry the label private" in outcome.stderr
    assert cli("graph", "g.yaml").status == 0


def test_agents_need_not_be_known_for_a_picture(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes:\n  a: {agent: someoneElses}\n")
    assert "someoneElses" in cli("graph", "g.yaml").stdout


def test_an_invalid_graph_is_not_drawn(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes:\n  a: {agent: copyAgent, inputs: {v: ':ghost'}}\n")
    outcome = cli("graph", "g.yaml")
    assert (outcome.status, outcome.stdout) == (2, "")
    assert 'reads from "ghost"' in outcome.stderr
    assert "g.yaml:3:" in outcome.stderr


def test_fold_leaves_out_what_is_inside(cli: CommandLine) -> None:
    summarise = str(EXAMPLES / "summarise.yaml")
    assert "sentence" in cli("graph", summarise).stdout
    folded = cli("graph", summarise, "--fold").stdout
    assert "sentence" not in folded
    assert "2 nodes inside" in folded


def test_colours_are_for_terminals_that_want_them(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from graphferry.cli import main
    from graphs.environment import Environment

    def drawn(stream: io.StringIO, **environ: str) -> str:
        env = Environment(io.StringIO(), stream, io.StringIO(), {**cli.environ, **environ}, cli.cwd)
        assert main(["graph", DEMO], env) == 0
        return stream.getvalue()

    assert "\x1b[" in drawn(Terminal())
    assert "\x1b[" not in drawn(Terminal(), NO_COLOR="1")
    assert "\x1b[" not in drawn(io.StringIO())
