"""What a device shares: runs that are marked, with the labels of their graphs; what it removed does not come back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.syncing.sharing import labels_of, shared_part
from graphs.agents import standard
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import Submit, encode
from protocol.digest import Held, Line
from protocol.events import DigestCame
from protocol.marks import mark, remove_mark

PLAIN = "version: 0.5\nnodes:\n  a: {value: 1}\n  b: {agent: copyAgent, inputs: {t: :a}}\n"
LABELLED = """\
version: 0.5
nodes:
  a: {value: 1, sensitivity: [private, pii]}
  m:
    agent: mapAgent
    inputs: {rows: [1]}
    graph: {nodes: {in: {value: 2, sensitivity: medical}, out: {agent: copyAgent, isResult: true, inputs: {t: :in}}}}
"""
OTHER = b"device-2"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def root(journal: Journal, text: str, *, marked: bool = True) -> bytes:
    graph = Graph.of(load_text(text).data, standard())
    run = new_run_id()
    first = encode(Submit("", graph.hash, {}, {"parent": None}))
    about: dict[str, Any] = {"graph_hash": graph.hash, "graph": graph.canonical, "name": "g", "started": 1}
    journal.create_run(run, role="root", first=first, **about)
    if marked:
        mark(journal, run)
    journal.flush()
    return run


def held(journal: Journal, *lines: Line) -> list[Held]:
    return shared_part(journal).held(DigestCame(1, True, lines, None, None, more=False, look=False))


def test_only_what_is_marked_is_shared(journal: Journal) -> None:
    marked = root(journal, PLAIN)
    root(journal, PLAIN, marked=False)
    assert [line.run for line in shared_part(journal).lines()] == [marked]


def test_a_log_has_the_labels_of_all_values_in_its_graph(journal: Journal) -> None:
    plain, labelled = root(journal, PLAIN), root(journal, LABELLED)
    found = {each.run: each.labels for each in held(journal, *(Line(run, journal.store_id, 0, 0) for run in (plain, labelled)))}
    assert found == {plain: (), labelled: ("medical", "pii", "private")}
    assert labels_of(journal, labelled) == {"medical", "pii", "private"}


def test_what_was_removed_here_is_neither_given_nor_taken_again(journal: Journal) -> None:
    run, stranger = root(journal, PLAIN), new_run_id()
    remove_mark(journal, run)
    journal.remove_run(run)
    journal.flush()
    (gone,) = held(journal, Line(run, OTHER, 5, 5))
    assert (gone.gives, gone.takes) == (False, False)
    assert held(journal, Line(stranger, OTHER, 5, 5)) == [], "another one's run is taken"


def test_of_a_run_that_may_not_go_there_the_worker_is_told_nothing(journal: Journal) -> None:
    """A log's checksum is one of values, too."""
    plain, labelled = root(journal, PLAIN), root(journal, LABELLED)
    asked: list[set[str]] = []

    def clears(labels: Collection[str]) -> bool:
        asked.append(set(labels))
        return False

    shared = shared_part(journal, clears)
    assert [line.run for line in shared.lines()] == [plain]
    assert shared.withheld == {labelled: ("medical", "pii", "private")}
    assert asked == [{"medical", "pii", "private"}]
    page = DigestCame(1, False, (), None, None, more=False, look=False)
    assert {each.run: each.gives for each in shared.held(page)} == {plain: True, labelled: False}
    assert {line.run for line in shared_part(journal, lambda _labels: True).lines()} == {plain, labelled}
