"""Pacing: so many bytes a second, and not more for long. Pure: time is an argument."""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """A token bucket: what is not used in a second may be used later, up to `burst` bytes. `rate` are bytes a second.

    Whoever takes more than there is owes it, and waits until it is paid: so a piece may be larger than the bucket, and over any time `t` at most
    `burst + rate * t` bytes and the last piece leave.
    """

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at: float | None = None

    def take(self, now: float, size: int) -> float:
        """Take so many bytes at `now` (seconds, of a clock that only goes forward): the seconds after which they may leave."""
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= size
        return max(0.0, -self._left / self._rate)
