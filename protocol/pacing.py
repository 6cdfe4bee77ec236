"""Pacing: so many bytes a second, or so many of anything, and not more for long. Pure: time is an argument."""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """A token bucket: what is not used in a second may be used later, up to `burst` bytes. `rate` are bytes a second.

    Whoever takes more than there is owes it, and waits until it is paid: so a piece may be larger than the bucket, and over any time `t` at most
    `burst + rate * t` bytes and the last piece leave. `owed` is the most that is remembered of a debt, for those who do not wait: who was flooded
    is not slow for ever. Times are seconds of a clock that only goes forward.
    """

    __slots__ = ("_at", "_burst", "_left", "_owed", "_rate")

    def __init__(self, rate: float, burst: float, owed: float = float("inf")) -> None:
        self._rate = rate
        self._burst = burst
        self._owed = owed
        self._left = burst
        self._at: float | None = None

    def take(self, now: float, size: int) -> float:
        """Take so many bytes at `now`: the seconds after which they may leave."""
        self._fill(now)
        self._left = max(-self._owed, self._left - size)
        return max(0.0, -self._left / self._rate)

    def allow(self, now: float, size: int = 1) -> float:
        """Take so many at `now` if they are there, which is 0.0; else nothing is taken, and these are the seconds after which they will be."""
        self._fill(now)
        if self._left >= size:
            self._left -= size
            return 0.0
        return (size - self._left) / self._rate

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
