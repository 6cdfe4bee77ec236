"""What a run's labels were is known of a copy of it, also where who works labels out is wrong: it was heard as well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from edge.device import open_device
from edge.runs.fork import fork_run
from edge.runs.resuming import resume_run
from edge.runs.runner import Device, RunOptions, run_graph
from edge.syncing.sharing import labels_of
from graphs.environment import Environment
from graphs.language.labels import label_graph
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.registry import agent
from protocol.noted import noted

GRAPH = """\
version: 0.5
nodes:
  word: {value: tide}
  page: {agent: diaryAgent}
  made:
    agent: jsonParserAgent
    inputs: {text: '{"nodes": {"s": {"value": "deep", "sensitivity": "pii"}, "r": {"agent": "copyAgent", "isResult": true, "inputs": {"x": ":s"}}}}'}
  opens: {agent: nestedAgent, graph: ":made.data"}
  end: {agent: copyAgent, isResult: true, inputs: {t: ":page", o: ":opens"}}
"""
WAITS = """\
version: 0.5
nodes:
  far: {agent: copyAgent, place: {at: cloud, offline: wait}, inputs: {x: 1}}
  page: {agent: diaryAgent, inputs: {x: ":far"}, isResult: true}
"""
NOTHING = Graph({"version": 0.5, "nodes": {}})


@agent("diaryAgent", effect="none", labels=["private"])
def diary(_context: Any) -> str:
    """A page that only this device knows to be labelled."""
    return "dear diary"


@agent("diaryAgent", effect="none")
def open_diary(_context: Any) -> str:
    """The same on a device whose pages are open to everybody."""
    return "nothing happened"


@pytest.fixture
def device(own_home: Path) -> Iterator[Device]:
    from edge.config import EdgeConfig

    with open_device(Environment.current(), EdgeConfig(home=own_home / "edge")) as opened:
        opened.agents.add(diary)
        yield opened


def played(device: Device, text: str = GRAPH, **how: Any) -> bytes:
    report = asyncio.run(run_graph(device, Graph.of(load_text(text).data, device.agents), RunOptions(**how), name="g.yaml"))
    return bytes.fromhex(report.run.replace("-", ""))


def none_found() -> Any:
    return patch("graphs.language.run_labels.label_graph", lambda *_args, **_more: label_graph(NOTHING))


def test_both_who_work_labels_out_and_who_hear_them_note_all(device: Device) -> None:
    with patch("graphs.language.hearing.Hearing.tell", lambda _self: None):
        worked_out = played(device)
    with none_found():
        heard = played(device)
    for run in (worked_out, heard):
        assert labels_of(device.journal, run) >= {"private", "pii"}
        note = noted(device.journal, run)
        assert note is not None
        assert note.places == {"page": {"private"}, "opens": {"pii"}}


def test_a_fork_has_what_was_heard_of_the_run_that_it_was_made_of(device: Device) -> None:
    with none_found():
        run = played(device)
        graph = Graph.of(load_text(GRAPH).data, device.agents)
        forked = asyncio.run(fork_run(device, graph, RunOptions(), run)).run
    assert labels_of(device.journal, forked) >= {"private", "pii"}


def test_a_run_that_goes_on_where_its_agents_put_labels_on_has_these(device: Device) -> None:
    elsewhere = replace(device, agents=device.agents.with_agents([open_diary]))
    run = played(elsewhere, WAITS)
    assert labels_of(device.journal, run) == set()
    graph = Graph.of(load_text(WAITS).data, device.agents)
    asyncio.run(resume_run(device, graph, RunOptions(pinned={"far": "edge"}), run, name="g.yaml"))
    assert labels_of(device.journal, run) == {"private"}
