"""One process of a device works on a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.claim import claim, is_claimed
from graphs.errors import UsageError

RUN, OTHER = bytes(16), b"\x01" * 16


def test_a_run_is_claimed_once(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    assert not is_claimed(journal, RUN)
    with claim(journal, RUN):
        assert is_claimed(journal, RUN)
        assert not is_claimed(journal, OTHER)
        with pytest.raises(UsageError, match="another process"), claim(journal, RUN):
            raise AssertionError
        with claim(journal, OTHER):
            pass
    assert not is_claimed(journal, RUN)
    with claim(journal, RUN):
        pass
    assert list((tmp_path / "journal.db-claims").iterdir()) == []


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    program = (
        "import sys, os, pathlib; from edge.claim import claim\nwith claim(pathlib.Path(sys.argv[1]), bytes(16)): os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(journal)], check=True)
    assert (tmp_path / "journal.db-claims" / RUN.hex()).exists(), "it died before it could clear up"
    assert not is_claimed(journal, RUN)
    with claim(journal, RUN):
        assert is_claimed(journal, RUN)
