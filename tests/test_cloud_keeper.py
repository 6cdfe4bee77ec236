"""Which nodes of a run that it holds a worker leaves to devices. How such runs go on is in tests/e2e/test_handover.py and tests/sim/fleet.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.keeper import only_elsewhere
from cloud.worker import Worker
from graphs.agents import standard
from graphs.journal import Journal
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.registry import agent

FREE = agent("freeAgent", effect="none")(lambda _: 1)
READS = agent("readsAgent", effect="none", needs={"files"})(lambda _: 1)
CALLS = agent("callsAgent", effect="none", needs={"network"})(lambda _: 1)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    with Journal.open(tmp_path / "journal.db") as journal:
        agents = standard().with_agents([FREE, READS, CALLS])
        yield Worker(journal, agents, ScriptedModels([ScriptedModel("large")]))


@pytest.mark.parametrize(
    ("node", "elsewhere"),
    [
        ({"agent": "freeAgent"}, False),
        ({"agent": "freeAgent", "place": "edge"}, True),
        ({"agent": "freeAgent", "place": {"at": "edge"}}, True),
        ({"agent": "freeAgent", "place": "cloud"}, False),
        ({"agent": "strangeAgent"}, True),
        ({"agent": ":name"}, True),
        ({"agent": "readsAgent"}, True),
        ({"agent": "callsAgent"}, True),
        ({"agent": "stringTemplateAgent", "place": "edge"}, False),
        ({"agent": "humanAgent", "place": "edge"}, False),
        ({"agent": "textInputAgent"}, False),
        ({"agent": "eventAgent"}, True),
        ({"agent": "llmAgent", "model": "large"}, False),
        ({"agent": "llmAgent", "model": "another"}, True),
        ({"agent": "llmAgent"}, True),
        ({"agent": "llmAgent", "place": "cloud"}, False),
        ({"agent": "nestedAgent", "graph": ":made"}, True),
    ],
    ids=str,
)
def test_what_is_left_to_devices(worker: Worker, node: dict[str, Any], elsewhere: bool) -> None:
    assert only_elsewhere({"nodes": {"a": node, "b": {"value": 1}}}, worker) == ({"a"} if elsewhere else set())


def test_inside_nested_graphs_each_node_counts(worker: Worker) -> None:
    inner = {"nodes": {"free": {"agent": "freeAgent"}, "far": {"agent": "strangeAgent"}}}
    document = {"nodes": {"outer": {"agent": "nestedAgent", "graph": inner}}}
    assert only_elsewhere(document, worker) == {"outer/far"}


def test_what_the_command_line_or_the_graph_says_counts(worker: Worker) -> None:
    document = {"place": "edge", "nodes": {"a": {"agent": "freeAgent"}, "b": {"agent": "freeAgent", "place": "cloud"}}}
    assert only_elsewhere(document, worker) == {"a"}
    assert only_elsewhere(document, worker, {"a": "cloud", "b": "edge"}) == {"b"}
