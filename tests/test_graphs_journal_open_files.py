from __future__ import annotations

import os
from pathlib import Path

import pytest

from graphs.journal.open_files import OpenFiles


def test_a_file_stays_open_until_it_is_shut(tmp_path: Path) -> None:
    files, path = OpenFiles(), tmp_path / "a" / "file"
    with files.file(path, os.O_RDWR | os.O_CREAT) as first:
        os.write(first, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    path.write_bytes(b"two")
    with files.file(path, os.O_RDWR | os.O_CREAT) as again:
        assert again == first
        assert os.pread(again, 9, 0) == b"one"
    files.shut(path)
    with files.file(path, os.O_RDONLY) as fresh:
        assert os.pread(fresh, 9, 0) == b"two"
    files.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fresh)


def test_two_that_use_a_file_at_once_have_one_each_and_one_is_kept(tmp_path: Path) -> None:
    files, path = OpenFiles(), tmp_path / "file"
    path.write_bytes(b"x")
    with files.file(path, os.O_RDONLY) as first, files.file(path, os.O_RDONLY) as second:
        assert first != second
    kept = [each for each in (first, second) if _is_open(each)]
    assert len(kept) == 1
    files.close()


def test_a_file_that_fails_in_use_is_not_kept(tmp_path: Path) -> None:
    files, path = OpenFiles(), tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(OSError, match="full"), files.file(path, os.O_RDONLY) as file:
        raise OSError("full")
    assert not _is_open(file)


def _is_open(file: int) -> bool:
    try:
        os.fstat(file)
    except OSError:
        return False
    return True
