"""What is kept where nobody looks at the wire: logs of the process, files of a worker, the journal of another account's device.

Logs and standard error are searched for every canary, cleared or not, since no value belongs there, and like the files for the tokens of accounts.
"""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from canaries.planted import Canary

__all__ = ["Logs", "Withheld", "found_in_files", "logged"]

_WORD: Final = re.compile(rb"[A-Za-z0-9]{24,}")


class Logs(logging.Handler):
    """All that is logged or written to standard error in this process since it was last `taken`, tracebacks included."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self.errors = io.StringIO()
        self._lines: list[str] = []
        self.lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def taken(self) -> bytes:
        """What there was."""
        self.lines += len(self._lines)
        text = "\n".join([*self._lines, self.errors.getvalue()])
        self._lines.clear()
        self.errors.seek(0)
        self.errors.truncate()
        return text.encode()


@contextmanager
def logged() -> Iterator[Logs]:
    """Every logger says all that it has to say."""
    logs, root = Logs(), logging.getLogger()
    before, stderr = root.level, sys.stderr
    root.addHandler(logs)
    root.setLevel(logging.DEBUG)
    sys.stderr = logs.errors
    try:
        yield logs
    finally:
        sys.stderr = stderr
        root.setLevel(before)
        root.removeHandler(logs)


def found_in_files(
    files: Iterable[Path], texts: Mapping[str, object], secrets: Collection[str] = ()
) -> Iterator[tuple[Path, str]]:
    """Which of the texts, of 24 letters each, and of the secrets are in which file."""
    length = 24
    for file in files:
        if not file.is_file():
            continue
        data = file.read_bytes()
        for secret in secrets:
            if secret.encode() in data:
                yield file, secret
        for match in _WORD.finditer(data):
            word = match.group().decode()
            for start in range(len(word) - length + 1):
                if word[start : start + length] in texts:
                    yield file, word[start : start + length]


class Withheld:
    """The canaries that no play so far was cleared to bring to a worker, whose files are all those in `folder` that begin with its `name`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._seeds: dict[str, int] = {}
        self._labels: dict[str, frozenset[str]] = {}

    def begin(self, seed: int, canaries: Iterable[Canary], cleared: frozenset[str]) -> Iterator[tuple[int, Path, str]]:
        """A play begins whose device may send values of the `cleared` labels to the worker. What was left open in an earlier play is gone on with in
        this one, and may arrive by right: what it carries is looked for now, for the last time. Gives the seed and the file of what is found.
        """
        self._labels |= {each.text: each.labels for each in canaries}
        self._seeds |= {each.text: seed for each in canaries}
        free = {text for text, labels in self._labels.items() if labels <= cleared}
        yield from self.found({text for text in free if self._seeds[text] != seed})
        for text in free:
            del self._labels[text], self._seeds[text]

    def found(self, texts: Collection[str] | None = None) -> Iterator[tuple[int, Path, str]]:
        """Which of them, or of these, are in which file."""
        looked_for = self._seeds if texts is None else {text: self._seeds[text] for text in texts}
        if looked_for:
            files = (each for each in self._folder.rglob("*") if each.relative_to(self._folder).parts[0].startswith(self._name))
            yield from ((looked_for[text], file, text) for file, text in found_in_files(files, looked_for))
