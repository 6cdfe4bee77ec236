"""What disks do to a database whose process was killed: the tail of its write-ahead log torn, or lost, and a disk that is full.

The log is a header of 32 bytes and frames: 24 bytes of head (page, size of the database if the frame ends a commit, two salts, a checksum
over all before it) and a page. SQLite takes what it finds up to the last commit whose checksums hold.
"""

from __future__ import annotations

import random
import resource
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["fill", "lose", "tear"]

_HEADER, _HEAD = 32, 24


class _Frame(NamedTuple):
    start: int
    end: int
    commits: bool


def tear(journal: Path, chance: random.Random) -> None:
    """What the power's going leaves of a commit that was being written: half a frame, noise, or a page that is not its checksum's.

    All that was committed stays, so nothing may be different but what the process was about to write. Nothing if another process of the device, which
    ended meanwhile, has put the log away.
    """
    with suppress(FileNotFoundError):
        _tear(_wal(journal), chance)


def _tear(wal: Path, chance: random.Random) -> None:
    frames = list(_frames(wal))
    ends = [frame.end for frame in frames if frame.commits]
    if not frames:
        return
    end = ends[-1] if ends else _HEADER
    data = wal.read_bytes()
    size = frames[0].end - frames[0].start
    head = struct.pack(">II", chance.randint(1, 40), chance.choice((0, 30))) + data[16:24] + chance.randbytes(8)
    noise = b"".join(head + chance.randbytes(size - _HEAD) for _ in range(3))
    kept = data[end:] if chance.random() < 0.3 else b""
    with wal.open("r+b") as file:
        file.truncate(end)
        file.seek(end)
        file.write((kept + noise)[: chance.randint(1, len(kept) + len(noise))])


def lose(journal: Path, chance: random.Random) -> bool:
    """Damage the last commits: cut off, or overwritten, as by a disk that lied about what it had written. Whether there were any.

    SQLite goes back to the commit before; what was acknowledged since is lost, which the other side must notice.
    """
    wal = _wal(journal)
    ends = [frame for frame in _frames(wal) if frame.commits]
    if not ends:
        return False
    place = chance.randint(max(0, ends[-min(len(ends), chance.randint(1, 8))].start), ends[-1].end - 1)
    with wal.open("r+b") as file:
        if chance.random() < 0.5:
            file.truncate(place)
        else:
            file.seek(place)
            file.write(chance.randbytes(min(ends[-1].end - place, chance.choice((1, 64, 9_000)))))
    return True


def fill(pid: int, journal: Path, chance: random.Random) -> None:
    """From now on this process finds the disk full: no file grows beyond what the log has now, and a little.

    The limit is the kernel's, for any process of any user; a write beyond it fails half way, as on a disk.
    """
    wal = _wal(journal)
    size = wal.stat().st_size if wal.exists() else 0
    most = max(1, size + chance.choice((0, 1, 2_000, 9_000, 30_000)))
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, hard))
    except ProcessLookupError:
        return  # it is over already


def _wal(journal: Path) -> Path:
    return journal.with_name(journal.name + "-wal")


def _frames(wal: Path) -> Iterator[_Frame]:
    """The frames of the log as it is now; what an earlier turn of the file left has other salts."""
    try:
        data = wal.read_bytes()
    except FileNotFoundError:
        return
    if len(data) < _HEADER:
        return
    page = int.from_bytes(data[8:12], "big")
    salts = data[16:24]
    for start in range(_HEADER, len(data) - _HEAD - page + 1, _HEAD + page):
        if data[start + 8 : start + 16] != salts:
            return
        yield _Frame(start, start + _HEAD + page, data[start + 4 : start + 8] != bytes(4))
