"""A device that has seen what a node takes here and there places it by that, and says so; over a real link, by the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from workers import ServedWorker, worker

AGENTS = """\
import asyncio
import threading

from graphferry import agent


@agent("sideAgent", effect="none", version="1")
async def side(context):
    here = threading.current_thread() is threading.main_thread()
    await asyncio.sleep(context.inputs["here"] if here else context.inputs["there"])
    return {"side": "device" if here else "worker"}
"""

GRAPH = """\
version: 0.5
nodes:
  n: {agent: sideAgent, isResult: true, inputs: {here: %s, there: %s}}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedWorker]:
    (tmp_path / "sides.py").write_text(AGENTS, encoding="utf-8")
    with worker(tmp_path / "home", agents=["sides.py"], folder=tmp_path) as made:
        yield made


def run(cli: CommandLine, folder: Path, text: str, url: str, *words: str) -> dict[str, Any]:
    (folder / "g.yaml").write_text(text, encoding="utf-8")
    outcome = cli("run", "g.yaml", "--cloud", url, "--json", "--agents", "sides.py", *words)
    assert outcome.status == 0, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


@pytest.mark.parametrize(("here", "there", "place"), [(1.0, 0.0, "cloud"), (0.0, 1.0, "edge")])
def test_a_node_goes_where_it_was_quicker(
    cli: CommandLine, tmp_path: Path, served: ServedWorker, here: float, there: float, place: str
) -> None:
    text = GRAPH % (here, there)
    first = run(cli, tmp_path, text, served.url)
    assert first["nodes"]["n"]["place"] == "edge", "nothing is known yet"
    for _ in range(3):
        run(cli, tmp_path, text, served.url, "--place", "n=edge")
        run(cli, tmp_path, text, served.url, "--place", "n=cloud")
    found = run(cli, tmp_path, text, served.url)
    assert found["nodes"]["n"]["place"] == place
    assert found["nodes"]["n"]["reason"].startswith(f"quicker {'at the worker' if place == 'cloud' else 'here'}: ")
    assert found["results"]["n"]["side"] == ("worker" if place == "cloud" else "device")
    offline = run(cli, tmp_path, text, served.url, "--offline")
    assert offline["nodes"]["n"]["place"] == "edge"
