"""The command line as a real process at a pseudo terminal, with somebody who reads what it asks and types."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import Outcome
from processes import PATIENCE, ROOT

__all__ = ["AtTerminal", "at_terminal"]

END_OF_INPUT = "\x04"
"""Ctrl-D."""


class AtTerminal:
    """One call of the command line. Its stdin and stderr are the terminal, its stdout is a pipe."""

    def __init__(self, popen: subprocess.Popen[bytes], terminal: int) -> None:
        self._popen = popen
        self._terminal = terminal
        self.screen = ""
        """All that was shown so far, what was typed included, without colours and movements of the cursor."""
        self._seen = 0

    def expect(self, text: str) -> None:
        """Wait until this is shown, after what was expected before."""
        ends = time.monotonic() + PATIENCE
        while (found := self.screen.find(text, self._seen)) < 0:
            if not self._read(ends - time.monotonic()):
                raise AssertionError(f"{text!r} was not shown:\n{self.screen}")
        self._seen = found + len(text)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._terminal, f"{text}\n".encode())

    def leave(self) -> None:
        """Ctrl-D on an empty line."""
        os.write(self._terminal, END_OF_INPUT.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._popen.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait(PATIENCE)

    def outcome(self) -> Outcome:
        """Waits for its end; the stderr is what the terminal showed."""
        ends = time.monotonic() + PATIENCE
        while self._read(ends - time.monotonic()):
            pass
        assert self._popen.stdout is not None
        stdout = self._popen.stdout.read().decode()
        return Outcome(self._popen.wait(PATIENCE), stdout, self.screen)

    def _read(self, seconds: float) -> bool:
        """Take in what is shown next; False if nothing came in that time, or nothing will."""
        ready, _, _ = select.select([self._terminal], [], [], max(seconds, 0))
        if not ready:
            return False
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # the other end is closed
            return False
        self.screen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode("utf-8", "replace")).replace("\r", "")
        return bool(data)


@contextmanager
def at_terminal(*words: str, home: Path, cwd: Path, **environ: str) -> Iterator[AtTerminal]:
    """A command at a terminal of its own; killed at the end of the block if it still goes on."""
    ours, its = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHFERRY_")}
    variables = {**kept, "PYTHONPATH": str(ROOT), "GRAPHFERRY_HOME": str(home), "TERM": "xterm", **environ}
    command = [sys.executable, "-m", "graphferry", *words]
    try:
        popen = subprocess.Popen(
            command, stdin=its, stdout=subprocess.PIPE, stderr=its, cwd=cwd, env=variables, start_new_session=True
        )
        os.close(its)
        with popen:
            try:
                yield AtTerminal(popen, ours)
            finally:
                popen.kill()
    finally:
        os.close(ours)
