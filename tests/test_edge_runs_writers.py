"""Where the writers of a run's logs are."""

from __future__ import annotations

from pathlib import Path

from edge.runs.writers import place_of_writer
from graphs.journal import Journal, new_run_id
from graphs.records import Handover, Submit, encode

WORKER, OTHER = b"worker-1", b"device-2"


def test_a_worker_is_who_was_given_the_run_without_asking(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        run, first = new_run_id(), encode(Submit("", bytes(32), {}, {"parent": None}))
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g", started=1, first=first)
        journal.append(run, encode(Handover(WORKER, 2)))
        journal.accept(run, OTHER, 1, encode(Handover(OTHER, 3)))
        journal.accept(run, WORKER, 1, encode(Handover(OTHER, 3)))
        journal.flush()
        place = place_of_writer(journal, run)
        assert [place(each) for each in (journal.store_id, WORKER, OTHER, b"answerer")] == ["edge", "cloud", "edge", "edge"]
