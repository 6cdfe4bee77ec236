"""What a process has used so far, told on standard output without importing anything that a start would not need anyway."""

from __future__ import annotations

import sys
import time

__all__ = ["peak_mb", "tell"]


def peak_mb() -> float:
    """The most memory this process ever held, in MB.

    On Linux from /proc: what getrusage tells there begins with the memory of the process that started this one.
    """
    if sys.platform == "linux":
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib is not loaded here, and loading it is what is measured
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def tell(answer: int, expected: int, **further: float) -> None:
    """Print seconds of CPU time since the process started, and its memory; end it if the answer is wrong."""
    cpu = time.process_time()
    if answer != expected:
        sys.exit(f"gave {answer}, not {expected}")
    facts = {"cpu": cpu, "mb": peak_mb(), **further}
    print("{" + ", ".join(f'"{name}": {value}' for name, value in facts.items()) + "}")
