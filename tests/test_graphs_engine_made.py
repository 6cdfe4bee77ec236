"""What graphs from others may reach: nothing that was not granted, whatever way they name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import graphferry as gf
from graphs.engine.made import Permissions
from graphs.errors import LimitReached, NodeError, UsageError

WRITE = {"agent": "fileWriteAgent", "inputs": {"file": "a.txt", "text": "x"}, "params": {"baseDir": "."}, "isResult": True}
FETCH = {"agent": "vanillaFetchAgent", "inputs": {"url": "http://127.0.0.1:9/"}, "isResult": True}
NAMED = {"agent": ":name", "inputs": WRITE["inputs"], "params": WRITE["params"]}


def graph(**nodes: Any) -> dict[str, Any]:
    return {"version": 0.5, "nodes": nodes}


def made(inner: dict[str, Any], agent: str = "nestedAgent", **inputs: Any) -> dict[str, Any]:
    """A graph that opens `inner` as a graph made at run time."""
    return graph(
        g={"value": inner}, n={"agent": agent, "graph": ":g", "inputs": {"name": "fileWriteAgent", **inputs}, "retry": 3}
    )


WAYS = {
    "at once": made(graph(w=WRITE)),
    "the network": made(graph(w=FETCH)),
    "by a name out of a value": made(graph(w=NAMED)),
    "inside a nested graph": made(graph(n={"agent": "nestedAgent", "inputs": {}, "graph": graph(w=WRITE)})),
    "inside a map": made(graph(n={"agent": "mapAgent", "inputs": {"rows": [1]}, "graph": graph(w=WRITE)})),
    "as a map": made(graph(w=WRITE), "mapAgent", rows=[1, 2]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_graph_made_at_run_time_reaches_no_files_and_no_network(way: str, tmp_path: Path) -> None:
    ended = gf.run(WAYS[way], files=tmp_path)
    assert "which is not granted to such graphs" in str(ended.errors["n"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("the network", "as a map")])
def test_what_is_granted_it_may_use(way: str, tmp_path: Path) -> None:
    assert gf.run(WAYS[way], files=tmp_path, grants=["files"]).status == "completed"
    assert (tmp_path / "a.txt").read_text() == "x"


def test_a_graph_that_is_not_trusted_is_refused_before_it_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs files"):
        gf.run(graph(w=WRITE), untrusted=True, files=tmp_path)
    assert gf.run(graph(w=WRITE), untrusted=True, files=tmp_path, grants=["files"]).status == "completed"


def test_a_name_out_of_a_value_does_not_help_it(tmp_path: Path) -> None:
    ended = gf.run(graph(name={"value": "fileWriteAgent"}, w=NAMED), untrusted=True, files=tmp_path)
    assert isinstance(ended.errors["w"], NodeError)


def test_a_graph_made_at_run_time_has_limits_of_its_own() -> None:
    loop = {**graph(c={"agent": "copyAgent", "inputs": {"x": 1}}), "loop": {"count": 10**9}}
    error = gf.run(made(loop), limits={"made.turns": 7}).errors["n"]
    assert isinstance(error, LimitReached)
    assert (error.limit, error.most) == ("turns", 7)


def test_its_time_is_its_own_and_what_it_began_is_stopped() -> None:
    sleeps = graph(s={"agent": "sleeperAgent", "params": {"duration": 10**9}})
    error = gf.run(made(sleeps), limits={"made.seconds": 0.05}).errors["n"]
    assert isinstance(error, LimitReached)
    assert error.limit == "seconds"


def test_only_what_there_is_can_be_granted() -> None:
    with pytest.raises(UsageError, match="nothing of that name"):
        Permissions.of(grants=["everything"])
