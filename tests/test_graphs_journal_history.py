"""What runs took, as the journal keeps it: read back, replaced, forgotten."""

from __future__ import annotations

from pathlib import Path

from graphs.journal import Journal
from graphs.journal.history import NEWEST, OLDEST_MS, HistoryRow

NOW = 1_800_000_000_000


def row(run: int, *, what: str = "agent a", model: str = "", ms: int = 5, t: int = NOW) -> HistoryRow:
    return HistoryRow(what, "edge", model, run.to_bytes(16, "big"), t, 1, True, ms, 100, None, 7)


def test_rows_are_read_back_by_their_names_the_newest_first(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        journal.note_history([row(1), row(2, what="node b")], NOW)
        journal.note_history([row(3, ms=9)], NOW)
        journal.flush()
        assert journal.history(["agent a"]) == [row(3, ms=9), row(1)]
        assert journal.history(["node b", "nobody"]) == [row(2, what="node b")]
        assert journal.history([]) == []
    with Journal.open(tmp_path / "j.db") as journal:
        assert len(journal.history(["agent a", "node b"])) == 3


def test_to_note_a_run_again_takes_its_rows_place(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        for ms in (5, 50):
            journal.note_history([row(1, ms=ms)], NOW)
        journal.flush()
        assert [each.ms for each in journal.history(["agent a"])] == [50]


def test_no_more_than_the_newest_runs_are_kept_of_each(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        for run in range(NEWEST + 5):
            journal.note_history([row(run), row(run, model="small")], NOW)
        journal.flush()
        kept = journal.history(["agent a"])
        numbers = [int.from_bytes(each.run, "big") for each in kept if not each.model]
        assert numbers == list(range(NEWEST + 4, 4, -1))
        assert len(kept) == 2 * NEWEST


def test_what_is_old_is_forgotten_when_something_new_is_noted(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        journal.note_history([row(1, what="node old", t=NOW - OLDEST_MS - 1)], NOW - OLDEST_MS)
        journal.note_history([], NOW)
        journal.flush()
        assert journal.history(["node old"])
        journal.note_history([row(2)], NOW)
        journal.flush()
        assert journal.history(["node old"]) == []


def test_a_plan_goes_with_its_run(tmp_path: Path) -> None:
    run = bytes(16)
    with Journal.open(tmp_path / "j.db") as journal:
        journal.keep_plan(run, b"nobody's")
        journal.flush()
        assert journal.plan(run) is None
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g.yaml", started=NOW)
        journal.keep_plan(run, b"first")
        journal.keep_plan(run, b"second")
        journal.flush()
        assert journal.plan(run) == b"second"
        journal.remove_run(run)
        journal.flush()
        assert journal.plan(run) is None
