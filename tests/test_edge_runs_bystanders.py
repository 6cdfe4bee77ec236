"""Who watches a run besides its report, and when nobody does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.means import Device
from edge.placing.facts import Placement
from edge.runs.bystanders import bystanders
from graphs.agents import standard
from graphs.journal import Journal
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.models.prefetch import Prefetcher
from graphs.running.console import Console


class Models:
    """Notes what is said to be coming."""

    def __init__(self) -> None:
        self.coming: list[str] = []

    def prefetch(self, name: str) -> None:
        self.coming.append(name)


TEXT = """\
version: 0.5
nodes:
  first: {agent: llmAgent, inputs: {prompt: hi}}
  then: {agent: llmAgent, console: true, inputs: {prompt: :first.text}}
"""
HERE = {"first": Placement("edge", "", "tiny"), "then": Placement("edge", "", "large")}


def watched(
    tmp_path: Path, placed: Any, known: Any = (), *, text: str = TEXT, write: Any = print
) -> tuple[list[type], list[str]]:
    models: Any = Models()
    with Journal.open(tmp_path / "journal.db") as journal:
        device = Device(journal=journal, agents=standard(), models=models, write=write)
        found = bystanders(Graph.of(load_text(text).data, device.agents), device, placed, known)
    return [type(each) for each in found], models.coming


def test_models_are_said_to_be_coming_and_console_prints(tmp_path: Path) -> None:
    assert watched(tmp_path, HERE) == ([Prefetcher, Console], ["tiny"])


def test_nobody_watches_where_there_is_nothing_to_do(tmp_path: Path) -> None:
    away = {name: Placement("cloud", "", "large") for name in HERE}
    text = TEXT.replace("console: true, ", "")
    assert watched(tmp_path, away, text=text) == ([], [])
    assert watched(tmp_path, HERE, known={"first", "then"}, text=text) == ([], [])
    assert watched(tmp_path, away, write=None) == ([], [])
