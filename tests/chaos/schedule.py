"""One schedule of chaos: a run of real processes whose link is disturbed and who are killed, at points that a seed drew."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chaos.agents import AGENTS, GRAPH
from chaos.proxy import Fault, Proxy
from chaos.verify import check_effects, check_journals

__all__ = ["Outcome", "doomed_of", "faults_of", "play"]

ROOT = Path(__file__).resolve().parents[2]
ROUNDS: Final = 14
"""Commands in a row that may leave a run suspended: more than there are faults."""
PATIENCE: Final = 40.0
KINDS: Final = ("cut", "cut", "cut", "close", "half", "delay", "throttle", "worker", "worker", "device", "device")


@dataclass(frozen=True)
class Outcome:
    """How a schedule ended. `asked`: nodes with effects that were in flight when their side died, so that a person is asked."""

    results: Any
    rounds: int
    happened: tuple[Fault, ...]
    doomed: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


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
            offset=int(chance.choice((200, 800, 2_000, 4_000)) * chance.random()) + 1,
            kind=chance.choice(KINDS),
        )
        for number in range(count)
    ]


def doomed_of(seed: int) -> list[str]:
    """The nodes with effects in the middle of which their process kills itself."""
    chance = random.Random(-seed)
    return [node for node in ("paid", "sent") if seed and chance.random() < 0.15]


class _Worker:
    """`graphferry serve`, started again on the same store whenever it was killed."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder, self._home = folder, home
        self.port = 0
        self._stopping = False
        self._up = threading.Event()
        self._popen = self._start()
        self._up.set()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def _watch(self) -> None:
        """Start the next one whenever one died."""
        while True:
            self._popen.communicate()
            if self._stopping:
                return
            self._up.clear()
            self._popen = self._start()
            self._up.set()

    def _start(self) -> subprocess.Popen[str]:
        words = ["serve", "--port", str(self.port), "--agents", "chaos_agents.py"]
        popen = _start(words, self._folder, self._home, "worker.err")
        assert popen.stdout is not None
        line = popen.stdout.readline()
        assert line.startswith("ws://"), f"the worker did not start: {(self._folder / 'worker.err').read_text()}"
        self.port = int(line.rsplit(":", 1)[1].partition("/")[0])
        return popen

    def kill(self) -> None:
        """kill -9; the next one is started by who watches."""
        self._up.clear()
        self._popen.kill()

    def up(self) -> None:
        """Returns when there is one: a command that finds none only uses up its turn."""
        assert self._up.wait(PATIENCE), "the worker does not come back"

    def stop(self) -> int:
        """How it ended, asked politely."""
        self.up()
        self._stopping = True
        self._popen.terminate()
        self._watching.join(PATIENCE)
        return int(self._popen.returncode)


class _Device:
    """The command of the moment."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder, self._home = folder, home
        self._popen: subprocess.Popen[str] | None = None
        self.killed = False

    def run(self, words: Sequence[str]) -> tuple[int, str, str]:
        """Status, stdout and stderr of a command; killed ones have a negative status."""
        self._popen = _start([*words, "--debug", "--json", "--agents", "chaos_agents.py"], self._folder, self._home, None)
        try:
            stdout, stderr = self._popen.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._popen.send_signal(signal.SIGABRT)  # the handler of faults shows where it hangs
            stdout, stderr = self._popen.communicate(timeout=PATIENCE)
            raise AssertionError(f"`graphferry {' '.join(words)}` hung:\n{stderr[-4_000:]}") from None
        return self._popen.returncode, stdout, stderr

    def kill(self) -> None:
        if self._popen is not None:
            self._popen.kill()


def _start(words: Sequence[str], folder: Path, home: Path, errors: str | None) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHFERRY_")}
    variables = {**kept, "PYTHONPATH": str(ROOT), "GRAPHFERRY_HOME": str(home)}
    command = [sys.executable, "-X", "faulthandler", "-m", "graphferry", *words]
    stderr: Any = subprocess.PIPE if errors is None else (folder / errors).open("a")
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder, env=variables
        )
    finally:
        if errors is not None:
            stderr.close()


def play(seed: int, folder: Path) -> Outcome:
    """Run the schedule of this seed in an empty folder; what it came to. Raises AssertionError where an invariant does not hold."""
    home, log = folder / "home", folder / "executions"
    home.mkdir()
    (folder / "chaos_agents.py").write_text(AGENTS, encoding="utf-8")
    (folder / "g.yaml").write_text(GRAPH.format(log=log), encoding="utf-8")
    doomed = doomed_of(seed)
    for node in doomed:
        (folder / f"doom-{node}").touch()
        (folder / f"was-doomed-{node}").touch()
    worker, device = _Worker(folder, home), _Device(folder, home)
    proxy = Proxy(worker.port, faults_of(seed), {"worker": worker.kill, "device": device.kill})
    try:
        outcome = _until_over(device, worker, proxy, home)
    finally:
        device.kill()
        proxy.close()
        status = worker.stop()
    check_effects(log)
    check_journals(home)
    errors = (folder / "worker.err").read_text()
    assert "Traceback" not in errors, f"the worker said:\n{errors[-4_000:]}"
    assert status == 0, f"the worker ended with {status}"
    return outcome


def _until_over(device: _Device, worker: _Worker, proxy: Proxy, home: Path) -> Outcome:
    words, stdout, stderr = ["run", "g.yaml"], "", ""
    for number in range(ROUNDS):
        worker.up()
        status, stdout, stderr = device.run([*words, "--cloud", proxy.url])
        assert "Traceback" not in stderr, stderr[-4_000:]
        report = json.loads(stdout) if stdout.strip() else {}
        if status == 0:
            return Outcome(report["results"], number + 1, tuple(proxy.happened), _doomed(home.parent))
        asked = [path for path, error in (report.get("errors") or {}).items() if error.get("code") == "NODE_INDETERMINATE"]
        if asked:
            return Outcome(None, number + 1, tuple(proxy.happened), _doomed(home.parent), tuple(asked))
        assert status in (3, 4, -9), f"ended with {status}:\n{stdout[-2_000:]}\n{stderr[-2_000:]}"
        run = _run(home)
        words = ["resume", run] if run is not None else ["run", "g.yaml"]
    raise AssertionError(f"not over after {ROUNDS} commands; the last said:\n{stdout[-2_000:]}\n{stderr[-2_000:]}")


def _doomed(folder: Path) -> tuple[str, ...]:
    """The doomed nodes whose doom came."""
    return tuple(
        node for node in ("paid", "sent") if (folder / f"was-doomed-{node}").exists() and not (folder / f"doom-{node}").exists()
    )


def _run(home: Path) -> str | None:
    """The root run that the device has begun; None if it died before."""
    from graphs.journal.reader import Reader

    path = home / "edge" / "journal.db"
    if not path.exists():
        return None
    reader = Reader(path)
    try:
        rows = reader.runs(role="root")
        return rows[0].run.hex() if rows else None
    finally:
        reader._reader.close()
