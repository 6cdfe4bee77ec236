"""What must hold after any schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.verify import check_stores
from edge.showing.report import status_of
from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.journal.reader import Reader, RunRow
from graphs.values import clean

__all__ = ["deeds", "from_journal", "journals", "one_after_another", "open_runs", "same"]


def deeds(told: Sequence[tuple[Any, ...]], *, forks: bool = False) -> None:
    """No node with effects began twice; with `forks`, not in two of the runs either, which are one and forks of it."""
    counts = Counter((b"" if forks else words[4], words[3]) for words in told if words[1] == "deed")
    twice = {path: number for (_, path), number in counts.items() if number > 1}
    assert not twice, f"nodes with effects ran again: {twice}"


def journals(device: Path, worker: Path, made: Collection[bytes]) -> None:
    """Both journals agree, and no result was recorded twice. `made` are bodies that the worker has of its own."""
    try:
        check_stores(device, worker, made=made)
    except JournalError as error:
        raise AssertionError(f"a journal cannot be read: {error}") from error


def one_after_another(recorded: Mapping[Any, Sequence[object]]) -> None:
    """Nobody recorded anything in a log of his store in which another process had recorded something since."""
    for log, processes in recorded.items():
        names = [str(getattr(each, "name", each)) for each in processes]
        assert len({id(each) for each in processes}) == len(processes), f"processes recorded in turn in {log}: {names}"


def open_runs(worker: Path) -> list[str]:
    """The child runs that a worker still works on."""
    if not worker.exists():
        return []
    reader = Reader(worker)
    try:
        return [row.run.hex() for row in reader.runs(role="child") if row.status == "running"]
    finally:
        reader._reader.close()


def same(name: str, report: Any, expected: Any) -> None:
    """The answer is that of the run which nobody disturbed."""
    state, results = expected
    assert report.status == status_of(state), f"{name} is {report.status}, undisturbed it is {status_of(state)}: {report.errors}"
    found = clean(report.results)
    assert found == results, f"{name} gives {str(found)[:600]}, undisturbed it gives {str(results)[:600]}"


def from_journal(journal: Journal, row: RunRow) -> tuple[str, Any]:
    """What a run came to whose process died before it could say so."""
    return row.status, None
