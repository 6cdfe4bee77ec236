"""How many threads a model may use.

One core is always left to everything else. A second thread beside one busy process makes llama.cpp four times slower, not faster:
its threads wait for each other at every layer, so the slowest core sets the pace.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["physical_cores", "thread_count"]

_TOPOLOGY: Final = Path("/sys/devices/system/cpu")
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def thread_count() -> int:
    """Threads for prompts and generation of one model: the physical cores this process may use less one, at least 1."""
    return max(1, physical_cores() - 1)


def physical_cores(topology: Path = _TOPOLOGY, quota: Path = _QUOTA) -> int:
    """Cores this process may use. Hyper-threads of one core count once, a container's quota counts; where nobody says, one."""
    if sys.platform == "darwin":
        return _darwin_cores()
    if not hasattr(os, "sched_getaffinity"):
        return 1
    siblings = {_siblings(topology, cpu) for cpu in os.sched_getaffinity(0)}
    return max(1, min(len(siblings), _allowed(quota)))


def _allowed(quota: Path) -> int:
    """Whole cores the control group grants, written as `microseconds period` or `max period`."""
    try:
        granted, period = quota.read_text(encoding="ascii").split()
        return sys.maxsize if granted == "max" else int(granted) // int(period)
    except (OSError, ValueError):
        return sys.maxsize


def _siblings(topology: Path, cpu: int) -> str:
    try:
        return (topology / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text(encoding="ascii").strip()
    except OSError:
        return str(cpu)


def _darwin_cores() -> int:
    # The first performance level only: the efficiency cores would set the pace of all the others.
    for key in ("hw.perflevel0.physicalcpu", "hw.physicalcpu"):
        answer = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, check=False)
        if answer.stdout.strip().isdigit():
            return int(answer.stdout)
    return 1
