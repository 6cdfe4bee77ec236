from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from graphs.models.llama.states import States

TOKENS = list(range(10))
BOUND = 1 << 20


def stored(folder: Path, tokens: list[int] = TOKENS, state: bytes = b"state", identity: str = "a", limit: int = 1000) -> States:
    states = States(folder, identity, limit=limit)
    states.store(tokens, state)
    states.flush()
    return states


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_the_longest_beginning_is_found_by_this_process_and_the_next(tmp_path: Path) -> None:
    stored(tmp_path, TOKENS[:4], b"short")
    for states in (stored(tmp_path), States(tmp_path, "a", limit=BOUND)):
        found = states.find([*TOKENS, 99])
        assert found is not None
        assert (found.tokens, found.state) == (TOKENS, b"state")
        short = states.find(TOKENS)
        assert short is not None
        assert short.state == b"short"
        assert states.find([*TOKENS, 99], more_than=10) is None
        assert states.find([5, *TOKENS]) is None
        assert states.has(TOKENS)
        assert not states.has(TOKENS[:5])


def test_another_model_or_version_finds_nothing(tmp_path: Path) -> None:
    stored(tmp_path)
    assert States(tmp_path, "b", limit=BOUND).find([*TOKENS, 99]) is None


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "states"
    stored(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(files(folder)[0].stat().st_mode) == 0o600


@pytest.mark.parametrize("place", [0, 9, 42, 50, -40, -1])
def test_a_damaged_file_is_a_miss_and_goes(tmp_path: Path, place: int) -> None:
    stored(tmp_path)
    (path,) = files(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    states = States(tmp_path, "a", limit=BOUND)
    assert states.find([*TOKENS, 99]) is None
    assert files(tmp_path) == []
    assert not states.has(TOKENS)


@pytest.mark.parametrize("size", [0, 5, 60])
def test_a_file_cut_short_is_a_miss(tmp_path: Path, size: int) -> None:
    stored(tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    assert States(tmp_path, "a", limit=BOUND).find([*TOKENS, 99]) is None


def test_a_file_of_other_tokens_or_another_model_under_this_name_is_a_miss(tmp_path: Path) -> None:
    stored(tmp_path / "a")
    (mine,) = files(tmp_path / "a")
    for other in (stored(tmp_path / "b", [*range(1, 11)]), stored(tmp_path / "c", identity="b")):
        (theirs,) = files(other._folder)
        mine.write_bytes(theirs.read_bytes())
        assert States(tmp_path / "a", "a", limit=BOUND).find([*TOKENS, 99]) is None
        stored(tmp_path / "a")


def test_a_file_that_went_away_is_a_miss(tmp_path: Path) -> None:
    states = stored(tmp_path)
    files(tmp_path)[0].unlink()
    assert states.find([*TOKENS, 99]) is None


def test_the_folder_stays_within_its_limit_and_the_last_used_stay(tmp_path: Path) -> None:
    for number in range(3):
        stored(tmp_path, [number] * 3, b"x" * 200)
    for age, path in enumerate(files(tmp_path)):
        os.utime(path, ns=(age, age))
    oldest = files(tmp_path)[0]
    states = stored(tmp_path, [9] * 3, b"x" * 200)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 1000
    assert states.find([9, 9, 9, 9]) is not None
    assert not oldest.exists()


def test_what_is_too_large_or_cannot_be_written_is_not_kept(tmp_path: Path) -> None:
    assert stored(tmp_path, state=b"x" * 251).find([*TOKENS, 99]) is None
    (tmp_path / "file").write_text("no folder")
    assert stored(tmp_path / "file").find([*TOKENS, 99]) is None


def test_no_draft_is_left_and_foreign_files_do_not_disturb(tmp_path: Path) -> None:
    (tmp_path / "note.state").write_text("mine")
    (tmp_path / "a-b-c-d.state").write_text("mine")
    states = stored(tmp_path)
    assert states.find([*TOKENS, 99]) is not None
    assert len(files(tmp_path)) == 3
