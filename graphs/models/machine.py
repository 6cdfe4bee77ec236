"""What this machine has left for models, and which of its processes hold a model's file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

__all__ = ["available_memory", "holders"]

_PROC: Final = Path("/proc")
_GROUP: Final = Path("/sys/fs/cgroup")
_KIB: Final = 1024


def available_memory(proc: Path = _PROC, group: Path = _GROUP) -> int | None:
    """Bytes that can be taken without swapping, a container's limit counted; None where nobody says."""
    if sys.platform == "darwin":
        answer = subprocess.run(["sysctl", "-n", "hw.memsize"], capture_output=True, text=True, check=False).stdout.strip()
        return int(answer) // 2 if answer.isdigit() else None  # what is inactive there is not to be had from outside
    free = _field(proc / "meminfo", "MemAvailable:")
    granted = _granted(group)
    known = [each for each in (free * _KIB if free is not None else None, granted) if each is not None]
    return min(known) if known else None


def _granted(group: Path) -> int | None:
    """What the control group still grants: its limit less what is used, but for files that can be read again."""
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        return max(0, int(limit) - used + (_field(group / "memory.stat", "inactive_file") or 0)) if limit != "max" else None
    except (OSError, ValueError):
        return None


def holders(paths: Collection[Path], proc: Path = _PROC) -> Mapping[Path, list[tuple[int, int]]]:
    """For each file that is mapped into memory: the processes that have it, as far as they may be looked at, and the bytes each
    takes altogether. Empty where there is no /proc.
    """
    wanted = {str(path.resolve()).encode(): path for path in paths}
    found: dict[Path, list[tuple[int, int]]] = {}
    for entry in proc.iterdir() if wanted and proc.is_dir() else ():
        if not entry.name.isdigit():
            continue
        try:
            maps = (entry / "maps").read_bytes()
        except OSError:  # another user's, or gone
            continue
        for name, path in wanted.items():
            if name + b"\n" in maps:
                taken = _field(entry / "status", "VmRSS:")
                found.setdefault(path, []).append((int(entry.name), (taken or 0) * _KIB))
    return found


def _field(file: Path, name: str) -> int | None:
    try:
        for line in file.read_text(encoding="ascii").splitlines():
            words = line.split()
            if words and words[0] == name:
                return int(words[1])
    except (OSError, ValueError, IndexError, UnicodeDecodeError):
        pass
    return None
