"""Asking twice, across the link: the small model here, the large one at a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from edge.showing.node_table import duration
from graphs.models.prices import Price
from workers import ServedWorker, worker

AGENTS = """\
import asyncio
import math

from pathlib import Path

from graphferry import agent

BEGAN = Path(__file__).with_name("began")


@agent("askAgent", effect="none", version="1")
async def ask(context):
    who, mute = context.model or "here", context.inputs.get("mute")
    context.made_by(model="model-of-" + who, backend="scripted")
    if not (who == mute and context.inputs.get("silent")):
        context.used(prompt_tokens=7, completion_tokens=2)
    if who == mute:
        BEGAN.touch()
        await asyncio.Event().wait()
    while mute not in (None, "nobody") and not BEGAN.exists():
        await asyncio.sleep(0.001)
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
    inputs: {question: why, mute: %s, silent: %s}
    hedge: {after: %s, to: large}
    isResult: true
"""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedWorker]:
    monkeypatch.setattr("edge.ferrying.shipped._SOON", 120.0)  # a slow worker, too, says what was used up
    (tmp_path / "asking.py").write_text(AGENTS, encoding="utf-8")
    with worker(tmp_path / "home", models=("large", "small"), agents=["asking.py"], folder=tmp_path) as made:
        made.worker.prices = {"large": Price(1000.0, 2000.0)}
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
    report = run(cli, tmp_path, HEDGE % ("here", False, 1), "--cloud", served.url)
    assert report["results"]["x"]["text"] == "large says why"
    assert report["nodes"]["x/second"]["place"] == "cloud"
    assert report["nodes"]["x/first"]["state"] == "aborted"
    assert report["nodes"]["x/first"]["ms"] >= 0
    told = settled(cli, report, "x/first")
    assert (told["place"], told["prompt_tokens"], told["completion_tokens"], told["stopped_attempts"]) == ("edge", 7, 2, 1)


def test_a_hedge_takes_the_answer_of_here_and_cancels_at_the_worker(
    cli: CommandLine, tmp_path: Path, served: ServedWorker
) -> None:
    report = run(cli, tmp_path, HEDGE % ("large", False, 0), "--cloud", served.url)
    assert report["results"]["x"]["text"] == "here says why"
    assert report["status"] == "completed"
    told = settled(cli, report, "x/second", usd=0.011)
    assert (told["place"], told["prompt_tokens"], told["completion_tokens"], told["stopped_attempts"]) == ("cloud", 7, 2, 1)


def settled(cli: CommandLine, report: dict[str, Any], loser: str, usd: float = 0.0) -> dict[str, Any]:
    """What was used up by the asking that was stopped: in the report of the run, by whom and for how much, and in what is shown of it later."""
    node = report["nodes"][loser]
    assert (node["state"], node["usage"]["prompt_tokens"], node["usage"]["completion_tokens"]) == ("aborted", 7, 2)
    assert node["by"]["model"] == ("model-of-large" if node["place"] == "cloud" else "model-of-here")
    assert node["usd"] == pytest.approx(usd)
    assert report["cost"]["usd_known"] == pytest.approx(0.011), "the one at the worker costs, whether it wins or loses"
    shown = json.loads(cli("runs", "show", report["run"], "--json").stdout)
    fact: dict[str, Any] = shown["fact"]["nodes"][loser]
    assert fact["usd"] == pytest.approx(usd), "by the price of the name that it was asked by"
    (line,) = lines_of(cli, report, loser)
    assert line[1:3] == [f"{node['place']},", "stopped"]
    assert line[3:5] == duration(fact["seconds"] * 1000).split(), "its time was spent, and is shown"
    return fact


def lines_of(cli: CommandLine, report: dict[str, Any], node: str) -> list[list[str]]:
    """The lines about this node in what people are shown of the run later, word by word."""
    text = cli("runs", "show", report["run"]).stdout
    return [line.split() for line in text.splitlines() if line.startswith(f"{node} ")]


def test_of_a_loser_that_said_nothing_before_it_was_stopped_that_is_said(
    cli: CommandLine, tmp_path: Path, served: ServedWorker
) -> None:
    report = run(cli, tmp_path, HEDGE % ("here", True, 1), "--cloud", served.url)
    assert report["results"]["x"]["text"] == "large says why"
    (line,) = lines_of(cli, report, "x/first")
    assert line[1:5] == ["edge,", "stopped", "not", "told"]
    shown = json.loads(cli("runs", "show", report["run"], "--json").stdout)
    assert shown["fact"]["nodes"]["x/first"]["stopped_attempts"] == 1
    assert "stopped_attempts" not in shown["fact"]["nodes"]["x/second"]


def test_a_second_asking_that_never_began_was_not_stopped(cli: CommandLine, tmp_path: Path, served: ServedWorker) -> None:
    report = run(cli, tmp_path, HEDGE % ("nobody", False, "10m"), "--cloud", served.url)
    assert report["results"]["x"]["text"] == "here says why"
    (line,) = lines_of(cli, report, "x/second")
    assert line[1:3] == ["-", "-"]
