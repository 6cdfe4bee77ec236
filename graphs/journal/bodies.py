"""Bodies beside the journal: values too large for a record, as files under their names.

    journal.db-bodies/<scope>/<name>         whole, looked at, durable
    journal.db-bodies/<scope>/<name>.short   the same, kept as what it has beyond another body of its run (graphs.journal.body_repeats)
    journal.db-bodies/<scope>/<name>.part    on its way here: its length is what is held of it
    journal.db-bodies/<scope>/<name>.crc     4 bytes, the CRC-32 of a body whose name says nothing about it; here before the body is
    journal.db-bodies/<scope>/<name>.damaged  put aside when it was read, as it is not what it was; the body counts as lost

A scope is whose bodies they are: a worker keeps those of each account apart, so that knowing a hash gives nobody anything. A name is 32 bytes, the
SHA-256 of the bytes, or 16, an id that says nothing about them. Which runs need a body is in the journal's table `bodies`. Files, not rows: 100 MB
took 41 ms of CPU to write as a file and 390 ms in chunked rows. All of it blocks; of bodies of more than 8 MiB none is held in memory but by `load`
and `keep`.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from graphs.errors import JournalError
from graphs.journal.body_digest import BodyDigest
from graphs.journal.body_repeats import Recent, Short, read_short, whole_of
from graphs.journal.open_files import OpenFiles

__all__ = ["BodyFiles"]

_BLOCK: Final = 1 << 20
_MOST_PIECES: Final = 1024
"""The system takes no more at once."""
_PART: Final = ".part"
_SHORT: Final = ".short"
_CRC: Final = ".crc"
_DAMAGED: Final = ".damaged"
_NO_WAIT: Final = getattr(os, "RWF_NOWAIT", 0xFFFF)
"""Where the system has no such flag, a value that it refuses."""


class BodyFiles:
    """The folder of a journal's bodies. Safe in any thread, for one writer of a name at a time. Raises JournalError where the disk does.

    A body is looked at when it comes, and whenever it is read whole; `read` gives parts as they lie there, to be looked at by whom they are for.
    """

    def __init__(self, journal: Path) -> None:
        self.folder = journal.with_name(journal.name + "-bodies")
        self._digests: dict[Path, tuple[int, BodyDigest]] = {}
        """For each body on its way: up to where it was looked at, and what came of it. Another process may find the file longer."""
        self._open = OpenFiles()
        self._recent = Recent()
        self._remembering = threading.Lock()

    def keep(self, scope: str, name: bytes, data: bytes, run: bytes | None = None) -> None:
        """Store a whole body, so that it survives a loss of power; nothing if it is here. What it repeats of earlier ones of that run is kept
        once. What is here under an id may be something else: the value of a record that was lost, whose number this one's has got.
        """
        path = self._path(scope, name)
        with self._failing(path):
            for each in (path, _short(path)) if len(name) == 32 else ():
                if each.exists():
                    os.utime(each)  # whoever sweeps sees that somebody wants it again
                    return
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if len(name) != 32:
                self._put_crc(path, zlib.crc32(data))
            short = self._shortened(scope, name, data, run)
            here, other = (path, _short(path)) if short is None else (_short(path), path)
            self._put(here, data if short is None else short)
            self._open.shut(path)  # what is open is what was here
            other.unlink(missing_ok=True)

    def _put_crc(self, path: Path, crc: int) -> None:
        self._put(_crc(path), crc.to_bytes(4, "big"))

    def _put(self, path: Path, data: bytes) -> None:
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.new")
        with _opened(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            _write(file, (data,), 0)
            os.fsync(file)
        fresh.rename(path)
        _sync(path.parent)

    def _shortened(self, scope: str, name: bytes, data: bytes, run: bytes | None) -> bytes | None:
        """The file of a body that is kept short; None if it is kept whole."""
        if run is None or not self._recent.admits(len(data)):
            return None
        with self._remembering:
            return self._recent.shorten(scope, run, name, data)

    def held(self, scope: str, name: bytes) -> tuple[int, bool]:
        """How many bytes of a body are here, and whether it is whole and was looked at."""
        path = self._path(scope, name)
        with self._failing(path):
            for each, whole in ((path, True), (_short(path), True), (_part(path), False)):
                try:
                    size = each.stat().st_size
                except FileNotFoundError:
                    continue
                short = self._short(path) if each.suffix == _SHORT else None
                return (size if short is None else short.size), whole
        return 0, False

    def write(self, scope: str, name: bytes, off: int, *data: bytes | memoryview) -> None:
        """Add bytes, in one or more pieces, to a body on its way here, at `off`: the end of what is here, or before it."""
        path = self._path(scope, name)
        part = _part(path)
        with self._failing(part):
            with self._open.file(part, os.O_WRONLY | os.O_CREAT) as file:
                end = _write(file, data, off)
            done, digest = self._digests.pop(part, (0, None))
            if off == 0:
                done, digest = 0, BodyDigest(name)
            if done == off and digest is not None:
                for piece in data:
                    digest.update(piece)
                self._digests[part] = end, digest

    def check(self, scope: str, name: bytes, size: int, crc: int | None, run: bytes | None = None) -> bool:
        """Whether the body on its way here, now that it should be whole, is what its name says, or has that checksum; else it is deleted. As with
        `keep`, what it repeats of earlier ones of the run is kept once.
        """
        path = self._path(scope, name)
        part = _part(path)
        with self._failing(part):
            if path.exists() or _short(path).exists():
                return True
            self._open.shut(part)
            try:
                good = part.stat().st_size == size and self._is(part, name, size, crc)
                if good and crc is not None and len(name) != 32:
                    self._put_crc(path, crc)
                if good:
                    self._place(scope, name, size, run)
                else:
                    part.unlink()
                return good
            except (
                FileNotFoundError
            ):  # another process of this store fetched it, too, and has just put it there, or thrown it away
                return path.exists() or _short(path).exists()
            finally:
                self._digests.pop(part, None)

    def _place(self, scope: str, name: bytes, size: int, run: bytes | None) -> None:
        """Put a body that came, and is what it should be, where it belongs."""
        path = self._path(scope, name)
        part, short = _part(path), None
        if run is not None and self._recent.admits(size):
            short = self._shortened(scope, name, part.read_bytes(), run)
        if short is not None:
            self._put(_short(path), short)
            part.unlink()
            return
        with _opened(part, os.O_RDONLY) as file:
            os.fsync(file)
        part.rename(path)
        _sync(path.parent)

    def _is(self, part: Path, name: bytes, size: int, crc: int | None) -> bool:
        done, digest = self._digests.get(part, (0, None))
        if done != size or digest is None:  # begun by an earlier process
            digest = BodyDigest(name)
            for block in _blocks(part):
                digest.update(block)
        return digest.holds(crc)

    def read(self, scope: str, name: bytes, off: int, length: int) -> bytes | None:
        """Up to `length` bytes from `off` on; None if the body is not here, whole."""
        path = self._path(scope, name)
        with self._failing(path):
            try:
                with _opened(path, os.O_RDONLY) as file:
                    return os.pread(file, length, off)
            except FileNotFoundError:
                data = self._whole(scope, name)
                return None if data is None else data[off : off + length]

    def read_cached(self, scope: str, name: bytes, off: int, length: int) -> bytes | bytearray | None:
        """As `read`, but only what the system has in memory, so that it does not block; None if that is not all of it."""
        path = self._path(scope, name)
        if self._remembering.acquire(blocking=False):
            data = self._recent.get(scope, name)
            self._remembering.release()
            if data is not None and _short(path).exists():  # else it is gone, or lies there whole
                return data[off : off + length]
        buffer = bytearray(length)
        try:
            with self._open.file(path, os.O_RDONLY) as file:
                count = os.preadv(file, [buffer], off, _NO_WAIT)
                end = min(length, os.fstat(file).st_size - off)
        except OSError:
            return None
        if not 0 < count == end:
            return None
        return buffer if count == length else bytes(buffer[:count])

    def crc(self, scope: str, name: bytes) -> int | None:
        """The CRC-32 that a handle's body was kept with; None for a body whose name is its hash, or if it is not here."""
        path = self._path(scope, name)
        if len(name) == 32:
            return None
        with self._failing(path):
            try:
                return int.from_bytes(_crc(path).read_bytes(), "big")
            except FileNotFoundError:  # nor here, or kept by a version that wrote it down elsewhere
                data = path.read_bytes() if path.exists() else self._joined(scope, name)
        return None if data is None else zlib.crc32(data)

    def load(self, scope: str, name: bytes) -> bytes | None:
        """A whole body; None if it is not here. Raises JournalError if it is not what it was when it was kept."""
        path = self._path(scope, name)
        with self._failing(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return self._whole(scope, name)
            self._require(path, BodyDigest(name, data))
            return data

    def pieces(self, scope: str, name: bytes, size: int) -> Iterator[bytes]:
        """A whole body of so many bytes, 1 MiB at a time. Raises JournalError at its end where `load` does, and if it is not here."""
        path, digest = self._path(scope, name), BodyDigest(name)
        for off in range(0, size, _BLOCK):
            piece = self.read(scope, name, off, min(_BLOCK, size - off))
            if piece is None:
                raise JournalError(f"the body {path} is not there, or went away while it was read.")
            digest.update(piece)
            yield piece
        self._require(path, digest)

    def _whole(self, scope: str, name: bytes) -> bytes | None:
        """The whole of a body that is kept short; None if it is not here. Raises JournalError if it is damaged."""
        with self._remembering:
            data = self._recent.get(scope, name)
        path = self._path(scope, name)
        if data is not None and _short(path).exists():
            return data
        data = self._joined(scope, name)
        if data is not None:
            self._require(path, BodyDigest(name, data))
            with self._remembering:
                self._recent.remember(scope, name, data)
        return data

    def _joined(self, scope: str, name: bytes) -> bytes | None:
        """What the file of a short body and what it goes back to make together; None if there is no such file."""
        path = self._path(scope, name)
        short = self._short(path)
        if short is None:
            return None
        try:
            data = whole_of(short, lambda base: self._base(scope, base))
        except ValueError as error:
            raise self._damaged(path, str(error)) from error
        if data is None:
            raise self._damaged(path, "a body that it repeats a part of is not there")
        return data

    def _base(self, scope: str, name: bytes) -> bytes | Short | None:
        path = self._path(scope, name)
        return path.read_bytes() if path.exists() else self._short(path)

    def _short(self, path: Path) -> Short | None:
        """What the file of a short body says; None if there is none."""
        try:
            return read_short(_short(path).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise self._damaged(path, str(error)) from error

    def remove(self, scope: str, name: bytes) -> None:
        """Delete what is here of a body on its way."""
        path = self._path(scope, name)
        with self._failing(path):
            self._open.shut(_part(path))
            _part(path).unlink(missing_ok=True)
            self._digests.pop(_part(path), None)

    def sweep(self, needed: Collection[tuple[str, bytes]], before: float) -> int:
        """Delete what no run needs, neither itself nor for another body, and nobody touched since `before` (seconds since 1970); how many files
        that were.
        """
        removed = 0
        with self._failing(self.folder):
            paths = list(self.folder.glob("*/*")) if self.folder.exists() else []
            kept = self._with_bases(paths, needed, before)
            for path in paths:
                if _key(path) not in kept and path.stat().st_mtime < before:
                    self._open.shut(path)
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _with_bases(self, paths: Sequence[Path], needed: Collection[tuple[str, bytes]], before: float) -> set[tuple[str, bytes]]:
        """The bodies that are needed or young, and those that they go back to."""
        bases: dict[tuple[str, bytes], tuple[str, bytes]] = {}
        kept = set(needed)
        for path in paths:
            key = _key(path)
            if path.suffix == _SHORT and (short := self._short(path.with_suffix(""))) is not None:
                bases[key] = key[0], short.base
            if path.stat().st_mtime >= before:
                kept.add(key)
        todo = list(kept)
        while todo:
            base = bases.get(todo.pop())
            if base is not None and base not in kept:
                kept.add(base)
                todo.append(base)
        return kept

    def close(self) -> None:
        """Close all files."""
        self._open.close()

    def _path(self, scope: str, name: bytes) -> Path:
        return self.folder / scope / name.hex()

    def _require(self, path: Path, digest: BodyDigest) -> None:
        if not digest.holds(self.crc(path.parent.name, _name(path.name))):
            raise self._damaged(path, digest.complaint)

    def _damaged(self, path: Path, what: str) -> JournalError:
        """Puts the file aside, so that the body counts as lost: then it can be fetched, or made, anew."""
        for each in (path, _short(path)):
            with suppress(FileNotFoundError):
                each.rename(path.with_name(path.name + _DAMAGED))
                self._open.shut(each)
        hint = "It is put aside: try again, and it is fetched from where it is still whole, or what made it runs again if it may."
        return JournalError(f"the body {path} is damaged: {what}.", hint=hint)

    @contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "Free some space, or check the folder's permissions, then try again."
            raise JournalError(f"the body {path} could not be kept: {error.strerror or error}.", hint=hint) from error


def _part(path: Path) -> Path:
    return path.with_name(path.name + _PART)


def _crc(path: Path) -> Path:
    return path.with_name(path.name + _CRC)


def _short(path: Path) -> Path:
    return path.with_name(path.name + _SHORT)


def _key(path: Path) -> tuple[str, bytes]:
    """Whose body a file is of, and its name."""
    return path.parent.name, _name(path.name.partition(".")[0])


def _name(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _write(descriptor: int, pieces: Sequence[bytes | memoryview], off: int) -> int:
    """Write the pieces one after the other from `off` on; where they end."""
    end = off + sum(map(len, pieces))
    if len(pieces) > 1 and os.pwritev(descriptor, pieces[:_MOST_PIECES], off) == end - off:
        return end
    for piece in pieces:  # one, or a disk that is nearly full takes a part
        data = memoryview(piece)
        while data:
            count = os.pwrite(descriptor, data, off)
            data, off = data[count:], off + count
    return end


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            yield block


def _sync(folder: Path) -> None:
    """Make a new name in the folder durable."""
    with _opened(folder, os.O_RDONLY) as file:
        os.fsync(file)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
