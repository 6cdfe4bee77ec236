"""What this machine has left for models, and which of its processes hold a model's file."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

__all__ = ["available_memory", "holders", "pages_available"]

_PROC: Final = Path("/proc")
_GROUP: Final = Path("/sys/fs/cgroup")
_KIB: Final = 1024
_PATIENCE: Final = 5.0


def available_memory(proc: Path = _PROC, group: Path = _GROUP) -> int | None:
    """Bytes that can be taken without swapping, a container's limit counted; None where nobody says."""
    if sys.platform == "darwin":
        return pages_available(_said("vm_stat"))
    free = _field(proc / "meminfo", "MemAvailable:")
    granted = _granted(group)
    known = [each for each in (free * _KIB if free is not None else None, granted) if each is not None]
    return min(known) if known else None


def pages_available(vm_stat: str) -> int | None:
    """What macOS has left, in bytes, by the answer of its `vm_stat`: pages that are free, and those whose content lies in files or
    may be thrown away. None if the answer is not understood.

    Inactive pages are not counted as a whole: those of programs would have to be compressed or written out first.
    """
    size = re.search(r"page size of (\d+) bytes", vm_stat)
    counts = {name: int(count) for name, count in re.findall(r'^"?([^":\n]+)"?:\s+(\d+)\.?$', vm_stat, re.MULTILINE)}
    if size is None or "Pages free" not in counts:
        return None
    files = min(counts.get("File-backed pages", 0), counts.get("Pages inactive", 0))
    pages = counts["Pages free"] + counts.get("Pages speculative", 0) + counts.get("Pages purgeable", 0) + files
    return pages * int(size[1])


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


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
