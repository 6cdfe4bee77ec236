"""The command line as real processes: a worker that serves, a device that runs. Each is ended by the handle it was started with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from conftest import FREE, Outcome

__all__ = ["Process", "Worker", "graphferry", "serve", "start"]

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0
"""Seconds after which a process that should have ended, or said something, is given up."""


class Process:
    """One call of the command line in a process of its own."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    def line(self) -> str:
        """The next line of its stdout; empty once it ended."""
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().rstrip("\n")

    def error_line(self) -> str:
        """The next line of its stderr; what was read so is not in `outcome` any more."""
        assert self._popen.stderr is not None
        line = self._popen.stderr.readline().rstrip("\n")
        assert line, "it ended"
        return line

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def outcome(self) -> Outcome:
        """Waits for its end."""
        stdout, stderr = self._popen.communicate(timeout=PATIENCE)
        return Outcome(self._popen.returncode, stdout, stderr)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._popen.kill()
        self._popen.communicate(timeout=PATIENCE)


class Worker(Process):
    """`graphferry serve`. `url` is the line it printed."""

    url: str = ""

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].partition("/")[0])


def _popen(
    words: Sequence[str], home: Path, cwd: Path, environ: dict[str, str], inside: Sequence[str] = ()
) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHFERRY_")}
    variables = {**kept, "PYTHONPATH": str(ROOT), "GRAPHFERRY_HOME": str(home), "GRAPHFERRY_CONDITIONS": FREE, **environ}
    command = [*inside, sys.executable, "-m", "graphferry", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, cwd=cwd, env=variables)


@contextmanager
def start(*words: str, home: Path, cwd: Path, inside: Sequence[str] = (), **environ: str) -> Iterator[Process]:
    """A command that goes on while the block runs; killed at its end if it still does. `inside` are words that start it somewhere."""
    with _popen(words, home, cwd, environ, inside) as popen:
        try:
            yield Process(popen)
        except BaseException:
            _tell(popen)
            raise
        finally:
            popen.kill()


def _tell(popen: subprocess.Popen[str]) -> None:
    """Show what a process had to say, for whoever reads why the test failed."""
    popen.kill()
    assert popen.stdout is not None
    if not popen.stdout.closed:
        print(popen.args, *popen.communicate(timeout=PATIENCE), sep="\n")


def graphferry(*words: str, home: Path, cwd: Path, **environ: str) -> Outcome:
    """A command from its beginning to its end."""
    with start(*words, home=home, cwd=cwd, **environ) as process:
        return process.outcome()


@contextmanager
def serve(
    *words: str, home: Path, cwd: Path, models: str = "{large: {scripted: true}}", accounts: str = "{}", **environ: str
) -> Iterator[Worker]:
    """A worker that is ready. `models` and `accounts` are those parts of its configuration."""
    config = home / "worker.yaml"
    config.write_text(f"models: {models}\naccounts: {accounts}\n", encoding="utf-8")
    given = ["serve", "--config", str(config), *([] if "--port" in words else ["--port", "0"]), *words]
    with _popen(given, home, cwd, environ) as popen:
        worker = Worker(popen)
        try:
            worker.url = worker.line()
            if not worker.url.startswith(("ws://", "wss://")):
                raise AssertionError(f"the worker did not start: {worker.outcome()}")
            yield worker
        except BaseException:
            _tell(popen)
            raise
        finally:
            popen.kill()
