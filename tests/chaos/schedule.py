"""One schedule of chaos: a run of real processes whose link is disturbed and who are killed, at points that a seed drew."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from chaos.agents import AGENTS, GRAPH
from chaos.disks import fill, lose, tear
from chaos.proxy import Fault, Proxy
from chaos.verify import check_effects, check_journals
from chaos.zygote import Process, Zygote

__all__ = ["Outcome", "doomed_of", "faults_of", "play"]

ROUNDS: Final = 14
"""Commands in a row that may leave a run suspended: more than there are faults."""
_ABORTED: Final = "'NoneType' object has no attribute 'call_soon'"
"""What websockets logs when a connection is aborted that was lost in the same turn of the loop: asyncio's transport has no loop then."""
PATIENCE: Final = 30.0
_DISKS: Final = tuple(f"{side}-{what}" for side in ("worker", "device") for what in ("torn", "lost", "full"))
KINDS: Final = (*("cut", "close", "half", "delay", "throttle", "worker", "device") * 2, "cut", "cut", *_DISKS)


@dataclass(frozen=True)
class Outcome:
    """How a schedule ended. `asked`: nodes with effects that were in flight when their side died, so that a person is asked; `diverged`
    and `damaged` (by what was said): a disk lost what was durable, and that was noticed.
    """

    results: Any
    rounds: int
    happened: tuple[Fault, ...]
    doomed: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    diverged: bool = False
    damaged: str | None = None


def faults_of(seed: int) -> list[Fault]:
    """The faults that a seed draws. Seed 0 has none: the undisturbed run."""
    if seed == 0:
        return []
    chance = random.Random(seed)
    count = chance.randint(1, 5)
    return [
        Fault(
            connection=chance.choice((0, 1, 1, 2, 3)) if number else 0,
            direction=chance.choice(("up", "down")),
            offset=int(chance.choice((200, 800, 2_000, 4_000, 8_000, 400_000)) * chance.random()) + 1,
            kind=chance.choice(KINDS),
        )
        for number in range(count)
    ]


def doomed_of(seed: int) -> list[str]:
    """The nodes with effects in the middle of which their process kills itself."""
    chance = random.Random(-seed)
    return [node for node in ("paid", "sent") if seed and chance.random() < 0.15]


class _Worker:
    """`graphferry serve`, started again on the same store whenever it ended."""

    def __init__(self, zygote: Zygote, folder: Path, home: Path) -> None:
        self._zygote, self._folder, self._home = zygote, folder, home
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
        process = self._zygote.start(words, self._folder, {"GRAPHFERRY_HOME": str(self._home)}, self._folder / "worker.err")
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


class _Device:
    """The command of the moment."""

    def __init__(self, zygote: Zygote, folder: Path, home: Path) -> None:
        self._zygote, self._folder, self._home = zygote, folder, home
        self._process: Process | None = None
        self.damage: list[Callable[[], None]] = []
        """What happens to its disk when it is over."""

    def run(self, words: Sequence[str]) -> tuple[int, str, str]:
        """Status, stdout and stderr of a command; killed ones have a negative status."""
        words = [*words, "--json", "--agents", "chaos_agents.py"]
        errors = self._folder / "device.err"
        errors.unlink(missing_ok=True)
        process = self._process = self._zygote.start(words, self._folder, {"GRAPHFERRY_HOME": str(self._home)}, errors)
        hanging = threading.Timer(PATIENCE, _show_where, [process])
        hanging.start()
        stdout = process.stdout.read()
        status = process.wait()
        hanging.cancel()
        process.close()
        stderr = errors.read_text()
        assert status != -signal.SIGABRT, f"`graphferry {' '.join(words)}` hung:\n{stderr[-9_000:]}"
        while self.damage:
            self.damage.pop()()
        return status, stdout, stderr

    @property
    def pid(self) -> int | None:
        """The process of the moment."""
        return None if self._process is None else self._process.pid

    def kill(self) -> None:
        if self._process is not None:
            self._process.signal(signal.SIGKILL)


def _show_where(process: Process) -> None:
    """End what hangs, so that it says where: first its tasks, then its threads."""
    process.signal(signal.SIGUSR1)
    time.sleep(0.5)
    process.signal(signal.SIGABRT)


class _Hooks(Mapping[str, Callable[[], None]]):
    """What the proxy does to the processes: `worker` and `device` kill, with `-torn`, `-lost` and `-full` their disks suffer, too."""

    def __init__(self, seed: int, home: Path, worker: _Worker, device: _Device) -> None:
        self._chance = random.Random(f"disks {seed}")
        self._journals = {"worker": home / "cloud" / "journal.db", "device": home / "edge" / "journal.db"}
        self._sides: dict[str, _Worker | _Device] = {"worker": worker, "device": device}
        self.lost: set[str] = set()
        """Whose disk lost what it had called durable."""

    def __getitem__(self, kind: str) -> Callable[[], None]:
        side, _, what = kind.partition("-")
        return lambda: self._strike(side, what)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sides)

    def __len__(self) -> int:
        return len(self._sides)

    def _strike(self, name: str, what: str) -> None:
        side, journal = self._sides[name], self._journals[name]
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


def play(seed: int, folder: Path, zygote: Zygote) -> Outcome:
    """Run the schedule of this seed in an empty folder; what it came to. Raises AssertionError where an invariant does not hold."""
    home, log = folder / "home", folder / "executions"
    home.mkdir()
    (folder / "chaos_agents.py").write_text(AGENTS, encoding="utf-8")
    (folder / "g.yaml").write_text(GRAPH.format(log=log), encoding="utf-8")
    doomed = doomed_of(seed)
    for node in doomed:
        (folder / f"doom-{node}").touch()
        (folder / f"was-doomed-{node}").touch()
    worker, device = _Worker(zygote, folder, home), _Device(zygote, folder, home)
    hooks = _Hooks(seed, home, worker, device)
    proxy = Proxy(worker.port, faults_of(seed), hooks)
    try:
        outcome = _until_over(device, worker, proxy, home, hooks)
    finally:
        device.kill()
        proxy.close()
        status = worker.stop()
    check_effects(log, forgetful=hooks.lost)
    if outcome.damaged is None:
        check_journals(home, forgetful=hooks.lost, diverged=outcome.diverged)
    errors = (folder / "worker.err").read_text()
    assert "Traceback" not in errors or _ABORTED in errors, f"the worker said:\n{errors[-4_000:]}"
    assert status == 0 or (status == 1 and _filled(proxy)), f"the worker ended with {status}:\n{errors[-2_000:]}"
    return outcome


def _filled(proxy: Proxy) -> bool:
    return any(fault.kind.endswith("-full") for fault in proxy.happened)


def _until_over(device: _Device, worker: _Worker, proxy: Proxy, home: Path, hooks: _Hooks) -> Outcome:
    words, stdout, stderr = ["run", "g.yaml"], "", ""
    for number in range(ROUNDS):
        worker.up()
        if worker.broken is not None:
            raise AssertionError(worker.broken)
        status, stdout, stderr = device.run([*words, "--cloud", proxy.url])
        assert "Traceback" not in stderr, stderr[-4_000:]
        assert "internal error" not in stderr, stderr[-4_000:]
        report = json.loads(stdout) if stdout.strip() else {}
        errors = {path: error.get("code") for path, error in (report.get("errors") or {}).items()}
        outcome = partial(Outcome, rounds=number + 1, happened=tuple(proxy.happened), doomed=_doomed(home.parent))
        if status == 0:
            return outcome(report["results"])
        asked = [path for path, code in errors.items() if code == "NODE_INDETERMINATE"]
        if asked:
            return outcome(None, asked=tuple(asked))
        if hooks.lost and "RUN_DIVERGED" in errors.values():
            return outcome(None, diverged=True)
        if hooks.lost and status == 1 and "is damaged: " in stderr:
            return outcome(None, damaged=stderr)
        said = "could not be" in stderr or "error: the journal".startswith(stderr.strip())  # what is said has no more room either
        full = status == 1 and _filled(proxy) and said
        assert full or status in (3, 4, -9), f"ended with {status}:\n{stdout[-2_000:]}\n{stderr[-2_000:]}"
        run = _run(home)
        if run is None and "device" in hooks.lost:
            return outcome(None, damaged="the device's disk lost the run itself")
        words = ["resume", run] if run is not None else ["run", "g.yaml"]
    raise AssertionError(f"not over after {ROUNDS} commands; the last said:\n{stdout[-2_000:]}\n{stderr[-2_000:]}")


def _doomed(folder: Path) -> tuple[str, ...]:
    """The doomed nodes whose doom came."""
    return tuple(
        node for node in ("paid", "sent") if (folder / f"was-doomed-{node}").exists() and not (folder / f"doom-{node}").exists()
    )


def _run(home: Path) -> str | None:
    """The root run that the device has begun; None if it died before."""
    from graphs.errors import JournalError
    from graphs.journal.reader import Reader

    path = home / "edge" / "journal.db"
    if not path.exists():
        return None
    reader = Reader(path)
    try:
        rows = reader.runs(role="root")
        return rows[0].run.hex() if rows else None
    except JournalError:
        return None  # it died before there were tables, or they are lost
    finally:
        reader._reader.close()
