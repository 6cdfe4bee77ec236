"""Asking twice, across the link: the small model here, the large one at a worker."""

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
import math

from graphferry import agent


@agent("askAgent", effect="none", version="1")
async def ask(context):
    if (context.model or "here") == context.inputs.get("mute"):
        await asyncio.Event().wait()
    sure = context.inputs.get("sure", 1)
    return {"text": f"{context.model or 'here'} says {context.inputs['question']}", "confidence": {"mean": math.log(sure)}}
"""

ESCALATE = """\
version: 0.5
nodes:
  x:
    agent: askAgent
    inputs: {question: why, sure: %s}
    escalate: {below: 0.8}
    place: {offline: %s}
    isResult: true
  then: {agent: copyAgent, inputs: {text: ":x.text"}, isResult: true}
"""

HEDGE = """\
version: 0.5
nodes:
  x:
    agent: askAgent
    inputs: {question: why, mute: %s}
    hedge: {after: %s, to: large}
    isResult: true
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedWorker]:
    (tmp_path / "asking.py").write_text(AGENTS, encoding="utf-8")
    with worker(tmp_path / "home", models=("large", "small"), agents=["asking.py"], folder=tmp_path) as made:
        yield made


def run(cli: CommandLine, folder: Path, graph: str, *words: str, status: int = 0) -> dict[str, Any]:
    (folder / "g.yaml").write_text(graph, encoding="utf-8")
    done = cli("run", "g.yaml", "--agents", "asking.py", "--json", *words)
    assert done.status == status, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_only_what_is_unsure_goes_to_the_worker(cli: CommandLine, tmp_path: Path, served: ServedWorker) -> None:
    sure = run(cli, tmp_path, ESCALATE % (0.9, "wait"), "--cloud", served.url)
    assert sure["results"]["then"] == {"text": "here says why"}
    assert sure["nodes"]["x/first"]["place"] == "edge"
    unsure = run(cli, tmp_path, ESCALATE % (0.5, "wait"), "--cloud", served.url)
    assert unsure["results"]["then"] == {"text": "large says why"}
    assert unsure["nodes"]["x/second"]["place"] == "cloud"
    assert unsure["results"]["x"]["cascade"] == {"confidence": 0.5, "below": 0.8, "by": "mean", "unsure": True}


def test_offline_the_first_answer_may_do_and_says_so(cli: CommandLine, tmp_path: Path, served: ServedWorker) -> None:
    report = run(cli, tmp_path, ESCALATE % (0.5, "local"), "--cloud", served.url, "--offline")
    assert report["results"]["then"] == {"text": "here says why"}
    assert report["nodes"]["x/second"]["degraded"] == "unreachable"


def test_offline_what_is_unsure_waits_and_is_gone_on_with(cli: CommandLine, tmp_path: Path, served: ServedWorker) -> None:
    report = run(cli, tmp_path, ESCALATE % (0.5, "wait"), "--cloud", served.url, "--offline", status=3)
    done = cli("resume", report["run"], "--agents", "asking.py", "--cloud", served.url, "--json")
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["results"]["then"] == {"text": "large says why"}


def test_a_hedge_takes_the_workers_answer_and_stops_here(cli: CommandLine, tmp_path: Path, served: ServedWorker) -> None:
    report = run(cli, tmp_path, HEDGE % ("here", 1), "--cloud", served.url)
    assert report["results"]["x"]["text"] == "large says why"
    assert report["nodes"]["x/second"]["place"] == "cloud"
    assert report["nodes"]["x/first"]["state"] == "aborted"
    assert report["nodes"]["x/first"]["ms"] >= 0


def test_a_hedge_takes_the_answer_of_here_and_cancels_at_the_worker(
    cli: CommandLine, tmp_path: Path, served: ServedWorker
) -> None:
    report = run(cli, tmp_path, HEDGE % ("large", 0), "--cloud", served.url)
    assert report["results"]["x"]["text"] == "here says why"
    assert report["status"] == "completed"
