"""One process works with a store, and its end is the end of its lease."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.lease import lease, still_held
from graphs.errors import JournalError, UsageError
from graphs.journal import Journal

HOLDS = "import sys, pathlib; from cloud.lease import lease\nwith lease(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_second_process_is_refused_and_told_which_the_first_is(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parent.parent
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "cloud")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"process {holder.pid}"), lease(tmp_path / "cloud"):
            raise AssertionError("the store has a worker")
        holder.kill()
    with lease(tmp_path / "cloud"):
        assert (tmp_path / "cloud" / "worker.lock").read_text() == f"{os.getpid()}\n"
    with lease(tmp_path / "cloud"):
        pass


def test_who_lost_it_without_noticing_answers_nobody(tmp_path: Path) -> None:
    told: list[JournalError] = []
    with lease(tmp_path), Journal.open(tmp_path / "journal.db", alone=True) as zombie:
        assert still_held(zombie, told.append)
        (tmp_path / "worker.lock").unlink()
        with lease(tmp_path), Journal.open(tmp_path / "journal.db", alone=True) as heir:
            assert not still_held(zombie, told.append)
            assert still_held(heir, told.append)
    (error,) = told
    assert "has taken the journal" in error.message
