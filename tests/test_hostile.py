"""Graphs that mean harm are refused, or stopped by a limit that has a name, in bounded time and memory; here and at a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from graphs.agents import standard
from graphs.bounds import TRUSTED
from graphs.errors import GraphInvalid
from graphs.language.load import load_text
from graphs.language.spec import Graph
from hostile import AT_A_WORKER, GRAPHS, TEXTS, Hostile

HERE = Path(__file__).parent


def outcomes(mode: str) -> dict[str, Any]:
    """What became of each graph, run by a process whose memory is limited; it has to end by itself."""
    done = subprocess.run(
        [sys.executable, str(HERE / "hostile_runs.py"), mode],
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
        env={"PYTHONPATH": f"{HERE}:{HERE.parent}", "PATH": "/usr/bin:/bin", "HOME": str(HERE)},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    return outcomes("here")


@pytest.fixture(scope="module")
def own() -> dict[str, Any]:
    return outcomes("own")


@pytest.fixture(scope="module")
def at_a_worker() -> dict[str, Any]:
    return outcomes("worker")


@pytest.mark.slow
@pytest.mark.parametrize("each", GRAPHS, ids=lambda each: each.name)
def test_a_hostile_graph_is_stopped_by_its_limit(each: Hostile, here: dict[str, Any]) -> None:
    outcome = here[each.name]
    if each.limit is None:
        assert outcome == {"name": each.name, "status": "completed", "errors": []}
        return
    assert outcome["status"] == ("invalid" if each.limit.startswith("graph_") else "failed")
    assert any(f"the limit `{each.limit}` of" in error for error in outcome["errors"]), outcome
    if outcome["status"] == "failed":
        assert all(f"--limit {each.limit}=N" in error for error in outcome["errors"] if f"`{each.limit}`" in error)


@pytest.mark.slow
@pytest.mark.parametrize("each", [each for each in GRAPHS if each.trusted is not None], ids=lambda each: each.name)
def test_a_graph_of_ones_own_is_stopped_by_its_limit_too(each: Hostile, own: dict[str, Any]) -> None:
    outcome = own[each.name]
    assert outcome["status"] == "failed"
    assert any(f"the limit `{each.trusted}` of" in error for error in outcome["errors"]), outcome


def test_what_nothing_else_stops_is_bounded_for_ones_own_graphs() -> None:
    unbounded = {each.name for each in fields(TRUSTED) if getattr(TRUSTED, each.name) is None}
    assert unbounded == {
        "seconds",
        "graphs",
        "concurrency",
        "graph_nodes",
        "graph_values",
    }  # time is the user's; the rest is counted by another


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(AT_A_WORKER))
def test_a_worker_stops_it(name: str, at_a_worker: dict[str, Any]) -> None:
    outcome = at_a_worker[name]
    assert outcome["places"] == ["cloud"]
    assert outcome["status"] in ("failed", "suspended")
    assert any(AT_A_WORKER[name] in error for error in outcome["errors"]), outcome


def read(text: str) -> Graph:
    document = load_text(text)
    return Graph.of(document.data, standard().keys(), marks=document.marks)


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_is_refused(name: str) -> None:
    make, said = TEXTS[name]
    text = make()
    with pytest.raises(GraphInvalid) as caught:
        read(text)
    assert said in str(caught.value)
