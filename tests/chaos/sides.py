"""The processes of a schedule of chaos: a worker that is started again whenever it ended, devices, and what becomes of their disks."""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from chaos.disks import fill, lose, tear
from chaos.zygote import Process, Zygote

__all__ = ["Device", "Hooks", "Worker"]

PATIENCE: Final = 120.0
"""Seconds after which a process hangs."""


class Worker:
    """`graphferry serve`, started again on the same store whenever it ended."""

    def __init__(self, zygote: Zygote, folder: Path, home: Path, **variables: str) -> None:
        self._zygote, self._folder = zygote, folder
        self._variables = {"GRAPHFERRY_HOME": str(home), **variables}
        self.port = 0
        self.broken: str | None = None
        """What it said when it would not start again."""
        self.damage: list[Callable[[], None]] = []
        """What happens to its disk before it starts again."""
        self._stopping = False
        self._up = threading.Event()
        self._process = self._start()
        self._up.set()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def _watch(self) -> None:
        """Start the next one whenever one ended."""
        while True:
            status = self._process.wait()
            self._process.close()
            if self._stopping and status >= 0:
                return
            self._up.clear()
            while self.damage:
                self.damage.pop()()
            try:
                self._process = self._start()
            except AssertionError as error:
                self.broken = str(error)
                self._up.set()
                return
            self._up.set()

    def _start(self) -> Process:
        words = ["serve", "--port", str(self.port), "--agents", "chaos_agents.py"]
        process = self._zygote.start(words, self._folder, self._variables, self._folder / "worker.err")
        line = process.stdout.readline()
        if not line.startswith("ws://"):
            process.wait()
            process.close()
            raise AssertionError(f"the worker did not start: {(self._folder / 'worker.err').read_text()}")
        self.port = int(line.rsplit(":", 1)[1].partition("/")[0])
        return process

    def kill(self) -> None:
        """kill -9; the next one is started by who watches."""
        self._up.clear()
        self._process.signal(signal.SIGKILL)

    def tell(self) -> None:
        """Have it say on its stderr what it waits for."""
        self._process.signal(signal.SIGUSR1)

    @property
    def pid(self) -> int:
        """The process of the moment."""
        return self._process.pid

    def up(self) -> None:
        """Returns when there is one: a command that finds none only uses up its turn."""
        assert self._up.wait(PATIENCE), "the worker does not come back"

    def stop(self) -> int:
        """How it ended, asked politely, and each process once: one that is starting, or has said its last word, only dies of it, and is followed by
        another.
        """
        self._stopping = True
        deadline = time.monotonic() + PATIENCE
        asked: Process | None = None
        while self._watching.is_alive() and time.monotonic() < deadline:
            process = self._process
            if self._up.is_set() and process is not asked:
                asked = process
                process.signal(signal.SIGTERM)
            self._watching.join(0.1)
        if self._watching.is_alive():
            _show_where(self._process)
            self._watching.join(PATIENCE)
            raise AssertionError(f"the worker does not end:\n{(self._folder / 'worker.err').read_text()[-4_000:]}")
        return self._process.wait()


class Device:
    """The commands of the moment: one, or several at once. `variables` are those of the commands. Where one hangs, `worker` tells, too."""

    def __init__(
        self, zygote: Zygote, folder: Path, home: Path, name: str = "device", worker: Worker | None = None, **variables: str
    ) -> None:
        self._zygote, self._folder, self._name, self._worker = zygote, folder, name, worker
        self._variables = {"GRAPHFERRY_HOME": str(home), **variables}
        self._processes: list[Process] = []
        self._changed = threading.Condition()
        self._count = itertools.count(1)
        self.damage: list[Callable[[], None]] = []
        """What happens to its disk once no process is left."""

    def run(self, words: Sequence[str], **variables: str) -> tuple[int, str, str]:
        """Status, stdout and stderr of a command; killed ones have a negative status. Any thread may."""
        errors = self._folder / f"{self._name}-{next(self._count)}.err"
        with self._changed:
            self._changed.wait_for(lambda: not (self.damage and self._processes))
            self._suffer()
            process = self._zygote.start(words, self._folder, {**self._variables, **variables}, errors)
            self._processes.append(process)
        hanging = threading.Timer(PATIENCE, self._hangs, [process])
        hanging.start()
        stdout = process.stdout.read()
        status = process.wait()
        hanging.cancel()
        process.close()
        stderr = errors.read_text()
        with self._changed:
            self._processes.remove(process)
            if not self._processes:
                self._suffer()
            self._changed.notify_all()
        assert status != -signal.SIGABRT, f"`graphferry {' '.join(words)}` hung:\n{stderr[-9_000:]}"
        return status, stdout, stderr

    def _hangs(self, process: Process) -> None:
        if self._worker is not None:
            self._worker.tell()
        _show_where(process)

    def _suffer(self) -> None:
        while self.damage:
            self.damage.pop()()

    @property
    def pid(self) -> int | None:
        """The process of the moment; of several the newest."""
        with self._changed:
            return self._processes[-1].pid if self._processes else None

    def kill(self) -> None:
        """kill -9, all of them."""
        with self._changed:
            for each in self._processes:
                each.signal(signal.SIGKILL)


def _show_where(process: Process) -> None:
    """End what hangs, so that it says where: first its tasks, then its threads."""
    process.signal(signal.SIGUSR1)
    time.sleep(0.5)
    process.signal(signal.SIGABRT)


class Hooks(Mapping[str, Callable[[], None]]):
    """What the proxy does to the processes: the name of a side kills it, with `-torn`, `-lost` and `-full` its disk suffers, too. `sides` are the
    processes and their journals by name.
    """

    def __init__(self, seed: int, sides: Mapping[str, tuple[Worker | Device, Path]]) -> None:
        self._chance = random.Random(f"disks {seed}")
        self._sides = sides
        self.lost: set[str] = set()
        """Whose disk lost what it had called durable."""

    def __getitem__(self, kind: str) -> Callable[[], None]:
        name, _, what = kind.partition("-")
        return lambda: self._strike(name, what)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sides)

    def __len__(self) -> int:
        return len(self._sides)

    def _strike(self, name: str, what: str) -> None:
        side, journal = self._sides[name]
        if what == "full":
            if side.pid is not None:
                fill(side.pid, journal, self._chance)
            return
        if what == "torn":
            side.damage.append(lambda: tear(journal, self._chance))
        elif what == "lost":
            side.damage.append(lambda: self._lose(name, journal))
        side.kill()

    def _lose(self, name: str, journal: Path) -> None:
        if lose(journal, self._chance):
            self.lost.add(name)
