"""Bodies as files: whole or on their way, checked by their name, gone when no run needs them."""

from __future__ import annotations

import os
import random
import time
import zlib
from pathlib import Path

import pytest

from graphs.errors import JournalError
from graphs.journal import Journal, new_run_id
from graphs.journal.bodies import BodyFiles
from graphs.values import digest

BODY = random.Random(5).randbytes(300_000)
NAME = digest(BODY)
ID = b"i" * 16
OTHER_ID = b"j" * 16


@pytest.fixture
def files(tmp_path: Path) -> BodyFiles:
    return BodyFiles(tmp_path / "journal.db")


def test_a_body_is_kept_and_read_in_parts(files: BodyFiles) -> None:
    files.keep("own", NAME, BODY)
    files.keep("own", NAME, BODY)
    assert files.held("own", NAME) == (len(BODY), True)
    assert files.load("own", NAME) == BODY
    for read in (files.read, files.read_cached):
        assert read("own", NAME, 100_000, 65_536) in (BODY[100_000:165_536], None if read == files.read_cached else b"")
        assert read("own", NAME, 299_990, 65_536) in (BODY[299_990:], None if read == files.read_cached else b"")
    assert files.read("own", digest(b"other"), 0, 5) is None
    assert files.read_cached("own", digest(b"other"), 0, 5) is None
    assert files.load("own", digest(b"other")) is None
    files.close()


def test_what_is_remembered_of_a_body_is_not_given_once_its_file_is_gone(files: BodyFiles) -> None:
    files.keep("own", NAME, BODY, b"r" * 16)
    for path in files.folder.glob("*/*"):
        path.unlink()
    assert files.held("own", NAME) == (0, False)
    assert files.read_cached("own", NAME, 0, 5) is None
    assert files.load("own", NAME) is None
    files.close()


def test_everybodys_bodies_are_apart_and_only_their_owners_may_read_them(files: BodyFiles) -> None:
    files.keep("one", NAME, BODY)
    assert files.held("two", NAME) == (0, False)
    assert files.load("two", NAME) is None
    (path,) = files.folder.glob("*/*")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("process", ["same", "new"])
def test_what_is_on_its_way_goes_on_from_its_length(files: BodyFiles, tmp_path: Path, process: str) -> None:
    files.write("own", NAME, 0, BODY[:100_000])
    if process == "new":
        files.close()
        files = BodyFiles(tmp_path / "journal.db")
    assert files.held("own", NAME) == (100_000, False)
    assert files.load("own", NAME) is None
    files.write("own", NAME, 100_000, BODY[100_000:])
    assert files.check("own", NAME, len(BODY), None)
    assert files.check("own", NAME, len(BODY), None)
    assert files.load("own", NAME) == BODY


@pytest.mark.parametrize("process", ["same", "new"])
def test_what_is_not_what_its_name_says_is_deleted(files: BodyFiles, tmp_path: Path, process: str) -> None:
    files.write("own", NAME, 0, BODY[:-1] + b"!")
    if process == "new":
        files = BodyFiles(tmp_path / "journal.db")
    assert not files.check("own", NAME, len(BODY), None)
    assert files.held("own", NAME) == (0, False)
    assert not files.check("own", NAME, len(BODY), None)
    files.write("own", NAME, 0, BODY)
    assert not files.check("own", NAME, len(BODY) + 1, None)


def test_a_body_begun_anew_is_hashed_anew(files: BodyFiles) -> None:
    files.write("own", NAME, 0, b"?" * 50_000)
    files.write("own", NAME, 0, BODY[:50_000])
    files.write("own", NAME, 50_000, BODY[50_000:])
    assert files.check("own", NAME, len(BODY), None)


def test_an_id_says_nothing_so_a_checksum_does(files: BodyFiles) -> None:
    for crc in (zlib.crc32(BODY) ^ 1, None, zlib.crc32(BODY)):
        files.write("own", ID, 0, BODY)
        assert files.check("own", ID, len(BODY), crc) is (crc == zlib.crc32(BODY))
    assert files.load("own", ID) == BODY
    assert (files.crc("own", ID), files.crc("own", NAME)) == (zlib.crc32(BODY), None)


@pytest.mark.parametrize("process", ["same", "new"])
@pytest.mark.parametrize("now", ["short", "whole"])
@pytest.mark.parametrize("before", ["short", "whole"])
def test_an_id_is_of_what_was_kept_last_under_it(files: BodyFiles, tmp_path: Path, before: str, now: str, process: str) -> None:
    """The record that it was made for was lost with the power; the next one has its number."""
    first, second, third = grown(3)
    files.keep("own", digest(first), first, RUN)
    files.keep("own", ID, second, RUN if before == "short" else None)
    assert files.read_cached("own", ID, 0, 5) is not None or files.read("own", ID, 0, 5) == second[:5]
    if process == "new":
        files.close()
        files = BodyFiles(tmp_path / "journal.db")
        files.keep("own", NAME, first, RUN)  # what it may go back to
    files.keep("own", ID, third, RUN if now == "short" else None)
    assert len([path for path in files.folder.glob(f"*/{ID.hex()}*") if path.suffix != ".crc"]) == 1
    assert files.load("own", ID) == third
    assert files.held("own", ID) == (len(third), True)
    assert files.read("own", ID, 0, 9) == third[:9]
    assert files.read_cached("own", ID, 0, 9) in (third[:9], None)
    assert files.crc("own", ID) == zlib.crc32(third)


def test_a_checksum_is_there_also_of_what_an_earlier_version_kept(files: BodyFiles) -> None:
    first, second = grown(2)
    for name, body in ((ID, first), (OTHER_ID, second)):
        files.keep("own", name, body, RUN)
        (files.folder / "own" / f"{name.hex()}.crc").unlink()
    assert (files.folder / "own" / f"{OTHER_ID.hex()}.short").exists()
    assert (files.crc("own", ID), files.crc("own", OTHER_ID)) == (zlib.crc32(first), zlib.crc32(second))
    assert files.load("own", OTHER_ID) == second
    assert files.crc("own", b"u" * 16) is None


@pytest.mark.parametrize("way", ["whole", "pieces"])
@pytest.mark.parametrize("kept", ["here", "from elsewhere", "short"])
@pytest.mark.parametrize("name", [NAME, ID], ids=["hash", "id"])
def test_a_damaged_body_is_named_and_never_returned(files: BodyFiles, tmp_path: Path, name: bytes, kept: str, way: str) -> None:
    first, body = grown(2) if kept == "short" else (BODY, BODY)
    if kept == "from elsewhere":
        files.write("own", name, 0, body)
        assert files.check("own", name, len(body), zlib.crc32(body))
    elif kept == "short":
        name = name if name == ID else digest(body)
        files.keep("own", digest(first), first, RUN)
        files.keep("own", name, body, RUN)
    else:
        files.keep("own", name, body)
    path = next(path for path in (files.folder / "own").glob(f"{name.hex()}*") if path.suffix != ".crc")
    assert (path.suffix == ".short") == (kept == "short")
    if kept == "short":
        path = path.with_name(digest(first).hex())  # what it goes back to
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    files = BodyFiles(tmp_path / "journal.db")
    with pytest.raises(JournalError, match=rf"{name.hex()} is damaged"):
        _ = files.load("own", name) if way == "whole" else list(files.pieces("own", name, len(body)))
    assert files.held("own", name) == (0, False), "it is put aside"
    assert files.load("own", name) is None
    files.keep("own", name, body)
    assert files.load("own", name) == body


def test_parts_of_what_is_not_here_are_not_made_up(files: BodyFiles) -> None:
    with pytest.raises(JournalError, match="is not there"):
        list(files.pieces("own", NAME, 5))


def test_a_disk_that_refuses_is_a_journal_error(tmp_path: Path) -> None:
    (tmp_path / "journal.db-bodies").write_text("a file where the folder should be")
    files = BodyFiles(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="could not be kept"):
        files.keep("own", NAME, BODY)
    with pytest.raises(JournalError, match="could not be kept"):
        files.write("own", NAME, 0, BODY)


def test_few_files_stay_open_however_many_bodies_are_on_their_way(files: BodyFiles) -> None:
    mine = Path("/proc/self/fd")
    before = len(list(mine.iterdir())) if mine.exists() else 0
    for number in range(40):
        files.write("own", digest(bytes([number])), 0, b"part")
    if before:
        assert len(list(mine.iterdir())) < before + 12
    files.remove("own", digest(b"\x27"))
    assert files.held("own", digest(b"\x27")) == (0, False)
    files.close()


# -- which run needs which


def test_what_no_run_needs_is_swept_away(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        first, second = new_run_id(), new_run_id()
        other = digest(b"other")
        for run in (first, second):
            journal.create_run(run, role="child", graph_hash=bytes(32), name="x", started=1)
            journal.pin_body(run, "own", NAME, len(BODY), own=run == first)
        journal.pin_body(second, "own", NAME, len(BODY), own=True, labels=["a"])
        journal.pin_body(new_run_id(), "own", other, 5, own=True)
        journal.flush()
        journal.body_files.keep("own", NAME, BODY)
        journal.body_files.write("own", other, 0, b"part")
        assert {row.name for row in journal.bodies()} == {NAME}, "a run that is not there needs nothing"
        row = journal.body("own", NAME)
        assert row is not None
        assert (row.size, journal.body("someone", NAME)) == (len(BODY), None)

        def sweep() -> int:
            journal.flush()
            needed = {(row.scope, row.name) for row in journal.bodies()}
            return journal.body_files.sweep(needed, time.time() + 5)

        assert sweep() == 1
        journal.remove_run(first)
        assert sweep() == 0
        journal.remove_run(second)
        assert sweep() == 1
        assert journal.body_files.held("own", NAME) == (0, False)


def test_a_checksum_goes_with_its_body(files: BodyFiles) -> None:
    files.keep("own", ID, BODY)
    later = time.time() + 5
    assert files.sweep({("own", ID)}, later) == 0
    assert files.load("own", ID) == BODY
    assert files.sweep((), later) == 2
    assert list(files.folder.glob("*/*")) == []


def test_what_is_young_is_left_alone(files: BodyFiles) -> None:
    files.keep("own", NAME, BODY)
    assert files.sweep((), time.time() - 3600) == 0
    assert files.sweep((), time.time() + 5) == 1
    assert BodyFiles(Path("/nowhere/journal.db")).sweep((), 0) == 0


RUN = b"r" * 16


def grown(count: int) -> list[bytes]:
    """Bodies of which each has all of the one before."""
    chance = random.Random(9)
    text, found = chance.randbytes(50_000), []
    for number in range(count):
        text += chance.randbytes(1_000)
        found.append(bytes([number]) + text)
    return found


def arrive(files: BodyFiles, body: bytes) -> bool:
    """A body comes over the link."""
    files.write("own", digest(body), 0, body[:30_000])
    files.write("own", digest(body), 30_000, body[30_000:])
    return files.check("own", digest(body), len(body), None, RUN)


@pytest.mark.parametrize("process", ["same", "new"])
@pytest.mark.parametrize("way", ["kept", "came"])
def test_what_repeats_an_earlier_body_of_its_run_is_kept_once(files: BodyFiles, tmp_path: Path, way: str, process: str) -> None:
    bodies = grown(30)
    for body in bodies:
        if way == "came":
            assert arrive(files, body)
        else:
            files.keep("own", digest(body), body, RUN)
    assert sum(path.stat().st_size for path in files.folder.glob("*/*")) < len(bodies[0]) + 30 * 1_200
    assert {path.stat().st_mode & 0o777 for path in files.folder.glob("*/*")} == {0o600}
    again = files if process == "same" else BodyFiles(tmp_path / "journal.db")
    for body in bodies:
        name = digest(body)
        assert again.held("own", name) == (len(body), True)
        assert again.read("own", name, 49_000, 5_000) == body[49_000:54_000]
        assert again.load("own", name) == body
        assert again.read_cached("own", name, 49_000, 5_000) in (body[49_000:54_000], None)
        again.keep("own", name, body, RUN)
        assert again.check("own", name, len(body), None, RUN)
    assert len(list(files.folder.glob("*/*"))) == 30
    again.close()


def test_what_a_needed_body_goes_back_to_is_not_swept_away(files: BodyFiles) -> None:
    bodies = grown(10)
    for body in bodies:
        files.keep("own", digest(body), body, RUN)
    later = time.time() + 5
    assert files.sweep({("own", digest(bodies[6]))}, later) == 3
    assert BodyFiles.load(files, "own", digest(bodies[6])) == bodies[6]
    assert files.sweep((), later) == 7
    assert files.load("own", digest(bodies[6])) is None
    files.keep("own", digest(bodies[9]), bodies[9])
    assert files.load("own", digest(bodies[9])) == bodies[9]


@pytest.mark.parametrize("harm", ["cut", "base", "swapped"])
def test_a_short_body_that_is_damaged_is_named_and_never_returned(files: BodyFiles, tmp_path: Path, harm: str) -> None:
    first, second, third = grown(3)
    for body in (first, second, third):
        files.keep("own", digest(body), body, RUN)
    path = files.folder / "own" / f"{digest(second).hex()}.short"
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif harm == "base":
        path.with_name(digest(first).hex()).unlink()
    else:
        path.write_bytes(path.with_name(f"{digest(third).hex()}.short").read_bytes().replace(digest(second), digest(first)))
    with pytest.raises(JournalError, match=digest(second).hex()):
        BodyFiles(tmp_path / "journal.db").load("own", digest(second))


def test_two_processes_that_fetch_a_body_at_once_both_have_it(files: BodyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is done while this one waits for the disk."""
    other = BodyFiles(files.folder.with_name("journal.db"))
    assert other.folder == files.folder
    for each in (files, other):
        each.write("own", NAME, 0, BODY)
    real = os.fsync

    def meanwhile(file: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        real(file)
        assert other.check("own", NAME, len(BODY), None)

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert files.check("own", NAME, len(BODY), None)
    assert files.load("own", NAME) == BODY
    files.close()
    other.close()


@pytest.mark.parametrize("moment", ["looked at", "shortened", "kept short"])
@pytest.mark.parametrize("run", [None, RUN])
def test_whatever_one_of_two_processes_is_at_when_the_other_is_done(files: BodyFiles, run: bytes | None, moment: str) -> None:
    first, second = grown(2)
    files.keep("own", digest(first), first, RUN)

    class Slow(BodyFiles):
        """Its part is gone before the next thing that it does."""

        def _is(self, part: Path, name: bytes, size: int, crc: int | None) -> bool:
            self.overtaken("looked at")
            return super()._is(part, name, size, crc)

        def _shortened(self, scope: str, name: bytes, data: bytes, run: bytes | None) -> bytes | None:
            self.overtaken("shortened")
            return super()._shortened(scope, name, data, run)

        def _put(self, path: Path, data: bytes) -> None:
            super()._put(path, data)
            self.overtaken("kept short")

        def overtaken(self, by_now: str) -> None:
            if by_now == moment:
                assert files.check("own", digest(second), len(second), None, run)

    slow = Slow(files.folder.with_name("journal.db"))
    files.write("own", digest(second), 0, second)
    assert slow.held("own", digest(second)) == (len(second), False)
    assert slow.check("own", digest(second), len(second), None, RUN)
    assert slow.load("own", digest(second)) == second
    slow.close()
    files.close()
