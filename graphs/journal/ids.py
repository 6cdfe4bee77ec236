"""Run ids: UUIDv7, so that they sort by the time they were made (RFC 9562), and their written forms.

A run id is 16 bytes wherever the program handles it; people see the canonical UUID text, or its first twelve digits, which
are the millisecond and therefore nearly always enough to name one run.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable

from graphs.errors import UsageError

__all__ = ["id_prefix_range", "new_run_id", "parse_run_id", "run_id_short", "run_id_text"]

_RANDOM_BITS = 74
_STEP_BITS = 32
_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
_PREFIX = re.compile(r"[0-9a-f]{1,32}")


class _Generator:
    """Ids that rise strictly within a process, whatever the clock does."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> bytes:
        with self._lock:
            fresh = (self._clock() << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
            # A random step, not 1: a forked child starts from the same last id and must not make its parent's next one.
            self._last = fresh if fresh > self._last else self._last + 1 + secrets.randbits(_STEP_BITS)
            return _pack(self._last)


def _pack(number: int) -> bytes:
    """The UUID of a 122-bit number: 48 bits of time, 12 and 62 random ones, version 7 and variant 2 in between."""
    high, low = number >> 62, number & (1 << 62) - 1
    time_ms, middle = high >> 12, high & 0xFFF
    return ((time_ms << 80) | (7 << 76) | (middle << 64) | (2 << 62) | low).to_bytes(16, "big")


_generate = _Generator(lambda: time.time_ns() // 1_000_000)


def new_run_id() -> bytes:
    """A new run id, 16 bytes; greater than all that this process made before. Safe in any thread."""
    return _generate()


def run_id_text(run: bytes) -> str:
    """The canonical UUID text of a run id."""
    digits = run.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def run_id_short(run: bytes) -> str:
    """The first twelve digits, for lists; `Journal.run` accepts it while it names one run only."""
    return run_id_text(run)[:13]


def parse_run_id(text: str) -> bytes:
    """The 16 bytes of a whole run id, with or without dashes. Raises UsageError for anything else."""
    plain = text.strip().lower()
    if not _TEXT.fullmatch(plain):
        raise UsageError(
            f"{text!r} is not a run id: it has 32 hexadecimal digits, as in 01890a5d-ac96-774b-bcce-b302099a8057.",
            hint="graphferry runs lists the ids.",
        )
    return bytes.fromhex(plain.replace("-", ""))


def id_prefix_range(text: str) -> tuple[bytes, bytes]:
    """The least and the greatest run id that begin with `text`, dashes ignored. Raises UsageError if none can."""
    digits = text.strip().lower().replace("-", "")
    if not _PREFIX.fullmatch(digits):
        raise UsageError(
            f"{text!r} is not the beginning of a run id: those are up to 32 hexadecimal digits.",
            hint="graphferry runs lists the ids.",
        )
    return bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))
