from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.journal.reader import graph_address
from graphs.journal.removals import forget_removal, is_older_than_removed, note_removal
from graphs.records import Result, encode

GRAPH = b"{}"
HASH = graph_address(GRAPH)
WORKER = b"a worker"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def test_logs_that_lack_what_was_here_are_known_to_be_older(journal: Journal) -> None:
    run, child = new_run_id(), new_run_id()
    journal.create_run(run, role="root", graph_hash=HASH, graph=GRAPH, name="g.yaml", started=1)
    journal.create_run(child, role="child", graph_hash=HASH, name="", started=1, parent=run)
    for number in (1, 2):
        journal.append(run, encode(Result(f"n{number}", 1, 0, number, 7, {})))
    journal.accept(child, WORKER, 1, encode(Result("far", 1, 0, 1, 8, {})))
    whole = {run + journal.store_id: 2, child + WORKER: 1}
    assert not is_older_than_removed(journal, run, {}), "it was never removed"

    note_removal(journal, run)
    for each in (child, run):
        journal.remove_run(each)
    journal.flush()
    assert not is_older_than_removed(journal, run, whole)
    assert not is_older_than_removed(journal, run, {**whole, run + WORKER: 5}), "others may have gone on since"
    for log, last in whole.items():
        assert is_older_than_removed(journal, run, {**whole, log: last - 1})
    assert is_older_than_removed(journal, run, {})

    forget_removal(journal, run)
    journal.flush()
    assert not is_older_than_removed(journal, run, {})
