"""One process a run, by a lock of the kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.runs.at_work import at_work, is_at_work
from graphs.errors import UsageError
from graphs.journal.ids import new_run_id

HOLD = """
import sys
from pathlib import Path
from edge.runs.at_work import at_work
with at_work(Path(sys.argv[1]), bytes.fromhex(sys.argv[2])):
    print("holding", flush=True)
    sys.stdin.read()
"""


def test_a_run_is_worked_on_by_one_process_at_a_time(tmp_path: Path) -> None:
    journal, run = tmp_path / "journal.db", new_run_id()
    words = [sys.executable, "-c", HOLD, str(journal), run.hex()]
    assert not is_at_work(journal, run)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"holding\n"
        assert is_at_work(journal, run)
        with pytest.raises(UsageError, match="another process works on run"), at_work(journal, run):
            pass
        with at_work(journal, new_run_id()):  # another run
            pass
        other.kill()
        other.communicate()
    assert not is_at_work(journal, run)
    with at_work(journal, run):  # what the dead one left behind keeps nobody out
        assert is_at_work(journal, run)
    assert list((tmp_path / "journal.db-runs").iterdir()) == []


def test_a_lock_that_was_taken_away_while_it_was_waited_for_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    journal, run = tmp_path / "journal.db", new_run_id()
    real = fcntl.flock
    taken: list[int] = []

    def flock(descriptor: int, how: int) -> None:
        if not taken:  # whoever held it ends just now
            taken.append(descriptor)
            next((tmp_path / "journal.db-runs").iterdir()).unlink()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with at_work(journal, run):
        assert is_at_work(journal, run)
