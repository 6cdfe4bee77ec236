from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from graphs.language.spec import Graph
from graphs.models.files.store import DEFAULT_MODEL, ModelStore
from graphs.models.prefetch import Prefetcher, coming_models
from runs import run


class Noted:
    def __init__(self) -> None:
        self.names: list[str] = []

    def prefetch(self, name: str) -> None:
        self.names.append(name)


NODES: dict[str, Any] = {
    "word": {"value": "tide"},
    "first": {"agent": "copyAgent", "inputs": {"text": ":word"}},
    "ask": {"agent": "copyAgent", "inputs": {"text": ":first.text"}},
    "check": {"agent": "copyAgent", "inputs": {"text": ":ask.text"}, "isResult": True},
    "free": {"agent": "copyAgent", "inputs": {"text": ":word"}},
}


def test_a_model_is_coming_when_a_node_before_it_starts() -> None:
    graph = Graph.of({"version": 0.5, "nodes": NODES}, {"copyAgent"})
    assert coming_models(graph, {"ask": "a", "check": "b", "free": "c"}) == {"first": ["a"], "ask": ["b"], "": ["c"]}
    assert coming_models(graph, {"ask": "a", "first": "a", "free": "a"}) == {"first": ["a"], "": ["a"]}


def test_each_is_said_once_and_in_time() -> None:
    models = Noted()
    graph = Graph.of({"version": 0.5, "nodes": NODES}, {"copyAgent"})
    prefetcher = Prefetcher(models, coming_models(graph, {"ask": "a", "check": "b", "free": "c"}))  # type: ignore[arg-type]
    prefetcher.begin()
    assert models.names == ["c"]
    run(NODES, observers=[prefetcher])
    assert models.names == ["c", "a", "b"]
    run(NODES, observers=[prefetcher])
    assert models.names == ["c", "a", "b"]


HOLD = """
import asyncio
from graphferry import agent

@agent("holdAgent", effect="none")
async def hold(context):
    async with asyncio.timeout(120):
        while not context.services.models.describe(context.params["until"]).loaded:
            await asyncio.sleep(0.01)
    return {"text": f"{context.params['until']} is there"}
"""


@pytest.mark.real_model
@pytest.mark.usefixtures("home_with_model")
def test_a_real_model_is_in_memory_before_the_node_that_asks_it_may_start(cli: CommandLine, tmp_path: Path) -> None:
    """The node before it ends only once the model is loaded: without prefetching it would wait in vain."""
    models = tmp_path / "own" / "models"
    models.mkdir(parents=True)
    for name in ("left", "right"):
        (models / f"{name}.gguf").symlink_to(ModelStore().find(DEFAULT_MODEL).path)
    (tmp_path / "own" / "edge").mkdir()
    (tmp_path / "own" / "edge" / "config.yaml").write_text("memory: {budget: 8GB}\n")
    (tmp_path / "hold.py").write_text(HOLD)
    asked = {"agent": "llmAgent", "params": {"max_tokens": 2}}
    nodes = {
        "first": {**asked, "model": "left", "inputs": {"prompt": "Say yes."}},
        "hold": {"agent": "holdAgent", "inputs": {"text": ":first.text"}, "params": {"until": "right"}},
        "second": {**asked, "model": "right", "inputs": {"prompt": ":hold.text"}, "isResult": True},
    }
    (tmp_path / "g.json").write_text(json.dumps({"version": 0.5, "nodes": nodes}))
    words = ("run", "g.json", "--agents", "hold.py", "--json")
    outcome = cli(*words, GRAPHFERRY_HOME=str(tmp_path / "own"))
    assert outcome.status == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    assert [report["nodes"][name]["by"].get("model") for name in nodes] == ["left", None, "right"]
