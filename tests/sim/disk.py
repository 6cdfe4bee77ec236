"""Simulated disks: real SQLite files and real body files, written when virtual time says so, and what a loss of power leaves of them.

A commit is written at once and known to be durable some milliseconds later. A process that is killed in between leaves it on the disk; a loss
of power leaves what was synced and, of the rest, any beginning: whole frames, half a one, or nothing. What comes back is SQLite's own recovery.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphs.journal.rows import Log
from graphs.journal.schema import Synchronous
from graphs.journal.writer import Item, Writer, _Waiter
from graphs.records import Encoded
from sim.loop import SimLoop

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["Disk", "DiskFull", "SimWriter"]

_COMMIT: Final = 0.000_3
_SYNC: Final = 0.004
"""Seconds that a commit takes, and how much longer it takes to be synced."""


class DiskFull(sqlite3.OperationalError):
    """What sqlite3 raises when there is no room."""

    sqlite_errorcode = sqlite3.SQLITE_FULL
    sqlite_errorname = "SQLITE_FULL"


class Disk:
    """The disk of a machine: a folder, anew after each loss of power. `full` refuses every commit."""

    def __init__(self, world: World, name: str, root: Path) -> None:
        self.world = world
        self.name = name
        self.root = root
        self.full = False
        self._generation = 0
        self._writers: list[SimWriter] = []
        self.folder.mkdir(parents=True)

    @property
    def folder(self) -> Path:
        return self.root / f"disk{self._generation}"

    @property
    def journal(self) -> Path:
        """Where this machine's journal is."""
        return self.folder / "journal.db"

    def opened_by(self, writer: SimWriter) -> None:
        """A process opened its journal."""
        self._writers.append(writer)
        self.world.journals.append(writer)

    def died(self, loop: SimLoop) -> None:
        """Nothing that this process still does reaches the disk."""
        for writer in self._writers:
            if writer.loop is loop:
                writer.dead = True
        self._writers = [writer for writer in self._writers if writer.loop is not loop]

    def failed(self, loop: SimLoop) -> bool:
        """Whether a process' journal cannot be written any more."""
        return any(writer.loop is loop and writer._failure is not None for writer in self._writers)

    def lose_power(self, keep: float) -> None:
        """What was not synced is gone but for a part `keep` of it, from 0 to 1: the processes of this machine are dead already."""
        old, synced = self.folder, self._synced()
        self._generation += 1
        new = self.folder
        new.mkdir()
        for path in sorted(old.rglob("*")):
            target = new / path.relative_to(old)
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif path.name.endswith("-wal"):
                data = path.read_bytes()
                tail = max(0, len(data) - synced)
                target.write_bytes(data[: len(data) - tail + int(tail * keep)])
            elif path.name.endswith(".part"):  # never synced before it is whole
                data = path.read_bytes()
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data[: int(len(data) * keep)])
            elif not path.name.endswith(("-shm", ".new")):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
        self.world.tell("power", self.name, synced)

    def _synced(self) -> int:
        return self._wal_synced

    _wal_synced = 0

    def synced(self, size: int) -> None:
        """So many bytes of the write-ahead log survive a loss of power."""
        self._wal_synced = size


class SimWriter(Writer):
    """A journal's writer without a thread: commits happen when virtual time says so, and fail when the disk is full."""

    def __init__(self, path: Path, db: sqlite3.Connection, synchronous: Synchronous) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        machine = loop.world.machine
        assert machine is not None
        self.loop = loop
        self.dead = False
        self._disk = machine.disk
        self._untold: list[Sequence[Item]] = []
        self._size = 0
        self._in_sync = False
        db.execute("PRAGMA wal_autocheckpoint = 0")  # so that the log only grows, and its synced part is a number
        self._wal = path.with_name(path.name + "-wal")
        super().__init__(path, db, synchronous)
        self._disk.opened_by(self)
        self._disk.synced(self._wal_size())  # whatever was found there was read, so it is there

    def _begin(self) -> None:
        self._asleep = True

    def _ring(self) -> None:
        self._asleep = False
        self.loop.call_later(_COMMIT * self.loop.world.chance.random(), self._work)

    def _end(self) -> None:
        self._tell_now()
        self._drain()
        self._tell_now()

    def _work(self) -> None:
        """Write what is queued; when that is known to be durable, write what was queued meanwhile."""
        if self.dead:
            return
        self._tell_now()
        self._in_sync = True
        try:
            self._drain()
        finally:
            self._in_sync = False
        if not self._untold:
            self._rest()
            return
        seconds = _COMMIT + (_SYNC if self._is_full else 0.0) * (0.5 + self.loop.world.chance.random())
        self.loop.call_later(seconds, self._durable)

    def _durable(self) -> None:
        if self.dead:
            return
        self._tell_now()
        self._rest()

    def _rest(self) -> None:
        if self._queue:
            self._work()
        else:
            self._asleep = True

    def write(self, log: Log, encoded: Encoded) -> int:
        self._tell_now()
        world = self.loop.world
        world.hit("commit", self._disk.name)
        if self.dead or self._disk.full:
            with self.mutex:
                seq = self.record(log, encoded, ring=False)
            self.flush()
            return seq
        seq = super().write(log, encoded)
        self._recorded(log)
        world.tell("write", self.loop.name)
        world.hit("committed", self._disk.name)
        if not self.dead and self._synchronous == "full":
            self._disk.synced(self._wal_size())
        return seq

    def _drain(self, *, full: bool = False) -> None:
        if not self._in_sync:  # somebody waits for it here and now, behind what is being written
            self._tell_now()
        super()._drain(full=full)

    def _commit(self, batch: Sequence[Item], full: bool) -> None:
        world = self.loop.world
        world.hit("commit", self._disk.name)
        if self.dead:
            raise sqlite3.OperationalError("the process was killed")
        if self._disk.full:
            raise DiskFull("database or disk is full")
        super()._commit(batch, full)
        for item in batch:
            if isinstance(item, tuple):
                self._recorded(item[0])
        self._is_full = full or self._synchronous == "full" or any(type(item) is _Waiter and item.full for item in batch)
        world.tell("commit", self.loop.name, len(batch), self._is_full)
        world.hit("committed", self._disk.name)

    _is_full = False

    def _recorded(self, log: Log) -> None:
        if not log.copied:
            recorders = self.loop.world.recorded.setdefault((self._disk.name, log.run, log.writer), [])
            if not recorders or recorders[-1] is not self.loop:
                if recorders and not recorders[-1].dead:
                    self.loop.world.tell("lost while alive", recorders[-1].name)
                recorders.append(self.loop)

    def _settle(self, batch: Sequence[Item]) -> None:
        if self._in_sync and self._failure is None and batch:
            self._untold.append(batch)
            return
        self._note_sync()
        super()._settle(batch)

    def _tell_now(self) -> None:
        untold, self._untold = self._untold, []
        for batch in untold:
            self._note_sync()
            super()._settle(batch)

    def _note_sync(self) -> None:
        if self._is_full and not self.dead and self._failure is None:
            self._disk.synced(self._wal_size())

    def _wal_size(self) -> int:
        return self._wal.stat().st_size if self._wal.exists() else 0

    def shut(self) -> None:
        """Close the files of a process that died."""
        self._db.close()
