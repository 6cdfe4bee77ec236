"""Labels of what is read from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from edge.privacy.files import labels_of_file, read_files, with_labelled_files
from graphs.agents import standard
from graphs.errors import UsageError
from graphs.language.labels import labels_by_node
from graphs.language.spec import Graph
from graphs.registry import agent


def labels(tmp_path: Path, **node: Any) -> set[str]:
    files = read_files({str(tmp_path / "diary"): "private", str(tmp_path / "work" / "plan.txt"): ["internal"]}, "config")
    agents = with_labelled_files(standard().with_agents([_own]), files, tmp_path)
    nodes = {"name": {"value": "x"}, "read": {"agent": "fileReadAgent", **node}}
    graph = Graph.of({"version": 0.5, "nodes": nodes}, set(agents))
    return set(labels_by_node(graph, agents).get("read", ()))


@agent("ownReader", needs=["files"], labels=["own"])
def _own(_context: Any) -> str:
    """Reads."""
    return ""


def test_what_is_below_a_folder_has_its_labels(tmp_path: Path) -> None:
    (tmp_path / "diary").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "diary")
    reads = {"file": "may.txt"}
    assert labels(tmp_path, inputs=reads, params={"baseDir": "diary/2026"}) == {"private"}
    assert labels(tmp_path, inputs=reads, params={"baseDir": "way"}) == {"private"}
    assert labels(tmp_path, inputs=reads, params={"baseDir": "."}) == set()
    assert labels(tmp_path, inputs={"file": "diary/may.txt"}, params={"baseDir": str(tmp_path)}) == {"private"}
    assert labels(tmp_path, inputs={"array": ["a", "work/plan.txt"]}, params={"baseDir": str(tmp_path)}) == {"internal"}


def test_what_is_only_known_as_it_runs_has_all_that_it_can_have(tmp_path: Path) -> None:
    for name in (":name", "${:name}.txt", "@now"):
        assert labels(tmp_path, inputs={"file": name}, params={"baseDir": "."}) == {"private", "internal"}
    assert labels(tmp_path, inputs={"file": ":name"}, params={"baseDir": "work"}) == {"internal"}
    assert labels(tmp_path, inputs={"file": "a", "params": ":name"}, params={"baseDir": "other"}) == {"private", "internal"}
    assert labels(tmp_path, agent=":name") == {"private", "internal", "own"}
    assert labels(tmp_path, agent="toolLoopAgent", params={"tools": ["fileReadAgent"]}) == {"private", "internal"}
    assert labels(tmp_path, agent="ownReader") == {"private", "internal", "own"}


def test_what_reads_nothing_has_none(tmp_path: Path) -> None:
    assert labels(tmp_path, inputs={"file": "a"}) == set(), "it refuses"
    assert labels(tmp_path, agent="fileWriteAgent", inputs={"file": "a", "text": "b"}, params={"baseDir": "diary"}) == set()
    assert with_labelled_files(agents := standard(), {}, tmp_path) is agents


def test_a_file_by_its_path(tmp_path: Path) -> None:
    files = read_files({str(tmp_path): "private"}, "config")
    assert labels_of_file(files, tmp_path / "x" / "y") == {"private"}
    assert labels_of_file(files, tmp_path.parent / "x") == frozenset()


@pytest.mark.parametrize("data", [["a"], {"diary": "private"}, {"/d": []}, {"/d": [1]}, {"/d": 1}, {1: "private"}])
def test_a_mistake_names_the_entry(data: Any) -> None:
    with pytest.raises(UsageError, match="config: "):
        read_files(data, "config")


def test_a_home_folder_is_found() -> None:
    assert list(read_files({"~/diary": "private"}, "config")) == [(Path.home() / "diary").resolve()]


def test_a_labelled_file_is_not_given_to_a_node_that_would_lose_its_labels(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_text(f"files: {{{tmp_path}: private}}\n")
    (tmp_path / "may.txt").write_text("rain")
    graph = "version: 0.5\nnodes:\n  t: {value: x}\n  a: {agent: copyAgent, isResult: true, inputs: {t: ':t'}}\n"
    (tmp_path / "g.yaml").write_text(graph)
    outcome = cli("run", "g.yaml", "--set", "t=@may.txt")
    assert outcome.status == 2
    assert "may.txt has the label private" in outcome.stderr
    assert "t: {sensitivity: [private]}" in outcome.stderr
    (tmp_path / "g.yaml").write_text(graph.replace("{value: x}", "{value: x, sensitivity: private}"))
    outcome = cli("run", "g.yaml", "--set", "t=@may.txt")
    assert (outcome.status, "rain" in outcome.stdout) == (0, True)
    assert "its values carry private\n" in cli("runs", "show", outcome.stderr.split("run ")[1][:8]).stdout
