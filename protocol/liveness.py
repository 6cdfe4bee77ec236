"""Liveness: when to send PING, and when to give a connection up (docs/protocol.md §16). Times are ms of one monotonic clock."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["DEAD_AFTER", "PROBE_MS", "WELCOME_MS", "Beat", "Liveness", "backoff"]

DEAD_AFTER: Final = 2.5
"""Heartbeats without a byte from the peer."""
PROBE_MS: Final = 3_000
"""How long the peer may take to answer after this machine slept."""
WELCOME_MS: Final = 5_000
"""How long the first word of a connection may take."""
_FIRST_MS, _STEP_MS, _LONGEST_MS = 250, 500, 30_000
STABLE_MS: Final = 60_000
"""A connection that lasted so long resets the backoff."""


class Beat(Enum):
    """What is to be done now."""

    NOTHING = "nothing"
    PING = "ping"
    DEAD = "dead"


class Liveness:
    """The timers of one connection."""

    __slots__ = ("_hb", "_heard", "_left", "_limit", "_longest", "_spoke", "_stuck", "_ticked")

    def __init__(self, now: int, hb_ms: int) -> None:
        self._hb = hb_ms
        self._longest = int(DEAD_AFTER * hb_ms)
        self._heard = self._spoke = self._ticked = now
        self._limit: int | None = now + WELCOME_MS
        """When a byte must have arrived at the latest, if sooner than usual."""
        self._stuck: int | None = None
        """Since when the peer took no byte of what waits to be sent, if something does."""
        self._left = 0

    def agreed(self, hb_ms: int) -> None:
        """The peer named the heartbeat it keeps."""
        self._hb = min(self._hb, hb_ms)
        self._longest = int(DEAD_AFTER * self._hb)

    def heard(self, now: int) -> None:
        """Bytes came."""
        self._heard = now
        self._limit = None

    def spoke(self, now: int) -> None:
        """Bytes went."""
        self._spoke = now

    def blocked(self, now: int, left: int) -> None:
        """Nothing can be sent: `left` bytes wait for the peer to take them."""
        if self._stuck is None or left < self._left:
            self._stuck = now
        self._left = left

    def flows(self) -> None:
        """Something can be sent again."""
        self._stuck = None

    @property
    def is_blocked(self) -> bool:
        """Whether nothing can be sent."""
        return self._stuck is not None

    def deadline(self) -> int:
        """When `tick` wants to be called at the latest."""
        due = self._heard + self._longest
        # while nothing can be sent, too: only who looks once a heartbeat notices that the machine slept
        look = self._spoke if self._stuck is None else self._ticked
        if look + self._hb < due:
            due = look + self._hb
        if self._stuck is not None and self._stuck + self._longest < due:
            due = self._stuck + self._longest
        return due if self._limit is None or due < self._limit else self._limit

    def tick(self, now: int) -> Beat:
        """What is to be done at this time."""
        slept = now - self._ticked > self._hb + _FIRST_MS
        self._ticked = now
        if slept and self._limit is None:
            # the peer's silence says nothing: this machine was not there to hear it
            self._heard = now
            self._limit = now + PROBE_MS
            if self._stuck is not None:
                self._stuck = now
            return Beat.PING
        if now >= self._heard + self._longest or (self._limit is not None and now >= self._limit):
            return Beat.DEAD
        if self._stuck is not None:
            return Beat.DEAD if now >= self._stuck + self._longest else Beat.NOTHING
        return Beat.PING if now >= self._spoke + self._hb else Beat.NOTHING


def backoff(attempt: int, chance: float) -> int:
    """How many ms to wait before connection attempt `attempt` (0 is the first after a loss); `chance` is a random number of [0, 1)."""
    if attempt == 0:
        return int(_FIRST_MS * chance)
    return int(min(_LONGEST_MS, _STEP_MS * 2 ** min(attempt - 1, 10)) * (0.5 + chance))
