"""What a command is handed of the world around it, and the status it leaves with.

Commands take streams, variables and places of files from an `Environment` and never from `sys` or `os`, so that tests run whole
commands in one process, against streams of their own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final, Literal, TextIO, TypeAlias

__all__ = ["SWITCH_SECONDS", "Environment", "ExitStatus", "Side"]

Side: TypeAlias = Literal["edge", "cloud", "models"]
"""Whose files: the device's, the worker's, or the model files that both share."""


SWITCH_SECONDS: Final = 1e-4
"""How soon the journal's thread gets the interpreter beside a busy event loop.

With Python's 5 ms a saturated loop made a commit wait half a second.
"""


class ExitStatus(IntEnum):
    """What a command leaves the shell with."""

    COMPLETED = 0
    FAILED = 1
    USAGE = 2
    SUSPENDED = 3
    UNREACHABLE = 4
    INTERRUPTED = 130
    PIPE_CLOSED = 141

    @property
    def meaning(self) -> str:
        """The status in words, as `--help` and the documentation state it."""
        return _MEANINGS[self]


_MEANINGS: Mapping[ExitStatus, str] = {
    ExitStatus.COMPLETED: "completed",
    ExitStatus.FAILED: "failed",
    ExitStatus.USAGE: "wrong usage, or an invalid graph; nothing was run",
    ExitStatus.SUSPENDED: "suspended: everything finished is kept, and the run can be resumed",
    ExitStatus.UNREACHABLE: "suspended, and nothing could complete because no worker was reached",
    ExitStatus.INTERRUPTED: "interrupted; the run can be resumed, unless another process cancelled it",
    ExitStatus.PIPE_CLOSED: "whoever read the output stopped reading",
}


@dataclass(frozen=True, slots=True)
class Environment:
    """Streams, variables and the current folder of one call of a command."""

    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = field(default_factory=Path)

    @classmethod
    def current(cls) -> Environment:
        """Those of this process."""
        return cls(sys.stdin, sys.stdout, sys.stderr, os.environ, Path.cwd())

    @property
    def is_tty(self) -> bool:
        """Whether a person watches: progress goes to stderr, so stderr decides."""
        return self.stderr.isatty() and self.environ.get("TERM") != "dumb"

    @property
    def colour(self) -> bool:
        """Whether colours may be written to stderr (https://no-color.org)."""
        return self.is_tty and not self.environ.get("NO_COLOR")

    @property
    def debug(self) -> bool:
        """Whether GRAPHFERRY_DEBUG asks for stack traces."""
        return self.environ.get("GRAPHFERRY_DEBUG", "") not in ("", "0")

    def home(self, side: Side) -> Path:
        """The folder of that side's files, which need not exist yet.

        `GRAPHFERRY_HOME` moves all of them; otherwise they are where this system keeps the data of its users' programs.
        """
        named = self.environ.get("GRAPHFERRY_HOME")
        if named:
            return self.cwd / Path(named).expanduser() / side
        import platformdirs

        return platformdirs.user_data_path("graphferry", appauthor=False) / side
