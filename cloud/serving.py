"""What a serving worker says of itself to commands on the same machine: a small file beside its journal, there while it serves."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from graphs.errors import UsageError

__all__ = ["Serving"]

_NAME: Final = "serving.json"


@dataclass(frozen=True, slots=True)
class Serving:
    """`url` is the link URL, `fingerprint` that of the certificate if devices are to pin it, `accounts` the names in its configuration."""

    url: str
    fingerprint: str | None
    accounts: Collection[str]
    pid: int

    def write(self, folder: Path) -> None:
        """Put it there, in place of an earlier worker's."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = folder / f"{_NAME}.{self.pid}"
        new.write_text(json.dumps(asdict(self) | {"accounts": list(self.accounts)}) + "\n", encoding="utf-8")
        new.replace(folder / _NAME)

    def remove(self, folder: Path) -> None:
        """The worker stops; another's stays."""
        try:
            if Serving.read(folder).pid == self.pid:
                (folder / _NAME).unlink()
        except (UsageError, OSError):
            return

    @classmethod
    def read(cls, folder: Path) -> Serving:
        """The worker that serves from this folder. Raises UsageError if there is none."""
        try:
            data = json.loads((folder / _NAME).read_text(encoding="utf-8"))
            found = cls(data["url"], data["fingerprint"], data["accounts"], data["pid"])
            _look_at(found.pid)
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(
                f"no worker serves from {folder}",
                hint="Start it first: graphferry serve. GRAPHFERRY_HOME has to be the same for both.",
            ) from None
        return found


def _look_at(pid: int) -> None:
    """Raises OSError if there is no such process."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return  # it runs as somebody else
