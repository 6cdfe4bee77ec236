"""A worker that lost the graph of a part of a run gets it again from the device's journal, whoever is at the device: it would wait for it, and the
run with it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from conftest import CommandLine
from edge.ferrying.attached import open_children
from edge.ferrying.shipped import shipped_before
from fleet import edge, new_device, run
from graphs.environment import ExitStatus
from graphs.journal import Journal
from graphs.records import Submit
from protocol.noted import Noted, note
from workers import worker

GRAPH = """\
version: 0.5
nodes:
  ok: {agent: humanAgent, params: {mode: approve, prompt: Send it?}}
  far: {agent: llmAgent, model: large, place: cloud, isResult: true, inputs: {prompt: :ok.approved}}
"""


@pytest.fixture
def laptop(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return new_device(tmp_path_factory.mktemp("device"), tmp_path)


def asking(laptop: CommandLine, url: str) -> bytes:
    """A run that waits for a person, with a part of it open at the worker."""
    begun = run(laptop, GRAPH, "--cloud", url, status=ExitStatus.SUSPENDED)["run"]
    return bytes.fromhex(str(begun).replace("-", ""))


def test_what_was_shipped_is_in_the_journal_with_all_labels_of_its_run(own_home: Path, laptop: CommandLine) -> None:
    with worker(own_home) as served:
        root = asking(laptop, served.url)
    with Journal.open(edge(laptop) / "journal.db") as journal:
        children = open_children(journal, root)
        (order,) = [each.record for each in journal.records(children[0]) if isinstance(each.record, Submit)]
        stored = journal.graph(order.graph)
        assert stored is not None
        assert shipped_before(journal, children, order.graph) == (stored.body, frozenset(), root)
        assert shipped_before(journal, children, journal.run(root).graph) is None, "it was not shipped"
        assert shipped_before(journal, [], order.graph) is None
        note(journal, root, Noted(frozenset({"private"})))
        journal.flush()
        assert shipped_before(journal, children, order.graph) == (stored.body, frozenset({"private"}), root)


def test_a_run_that_is_pushed_comes_back_though_the_worker_lost_the_graph_of_its_part(
    own_home: Path, laptop: CommandLine
) -> None:
    with worker(own_home) as served:
        root = asking(laptop, served.url)
    with sqlite3.connect(own_home / "cloud" / "journal.db") as db:
        assert db.execute("DELETE FROM graphs").rowcount == 1
    db.close()
    with worker(own_home) as served:
        pushed = laptop("runs", "push", root.hex(), "--continue", "--cloud", served.url)
        assert pushed.status == ExitStatus.COMPLETED, pushed.stderr
        pulled = laptop("runs", "pull", root.hex(), "--cloud", served.url)
        assert pulled.status == ExitStatus.COMPLETED, pulled.stderr
        outcome = laptop("answer", root.hex(), "ok", "yes", "--resume", "--cloud", served.url, "--json")
        assert outcome.status == ExitStatus.COMPLETED, outcome.stderr
