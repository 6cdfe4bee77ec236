"""What a link notices of itself while it is used: how long an answer takes, and how fast bodies go over. Pure: it is told the time.

Nothing is sent to find it out. Small values say nothing about bandwidth, so only larger bodies count.
"""

from __future__ import annotations

from typing import Final

from protocol.bodies import RANGE
from protocol.messages import Ref

__all__ = ["LEAST_BYTES", "Meter"]

LEAST_BYTES: Final = 256 * 1024
"""Bytes from which the time of a transfer says more about the way's width than about its length."""

_READ: Final = 3 * RANGE
"""When a peer asks for more, at most so much of what it asked for before is not there yet (protocol.bodies)."""
_MOST: Final = 64


class Meter:
    """`answers` are seconds from HELLO to WELCOME, `down` and `up` bytes a second of bodies that came and that were given."""

    __slots__ = ("_given", "answers", "down")

    def __init__(self) -> None:
        self.answers: list[float] = []
        self.down: list[float] = []
        self._given: dict[Ref, tuple[float, float | None]] = {}
        """When the peer began to ask for a body, and how fast it went, as far as is known."""

    @property
    def up(self) -> list[float]:
        """Bytes a second of the bodies that were given."""
        return [rate for _, rate in self._given.values() if rate is not None]

    def answered(self, seconds: float) -> None:
        """The peer's first word came so long after this side's."""
        self.answers.append(seconds)

    def pulled(self, size: int, seconds: float) -> None:
        """A body came: so many bytes of it in so many seconds."""
        if size >= LEAST_BYTES and seconds > 0:
            self.down = [*self.down[1 - _MOST :], size / seconds]

    def asked(self, ref: Ref, off: int, now: float) -> None:
        """The peer asks for a body from `off` on, at `now` seconds: what it asked for before is nearly all there."""
        if off == 0 or ref not in self._given:
            self._given.pop(ref, None)
            if off == 0:
                self._given[ref] = now, None
                while len(self._given) > _MOST:
                    del self._given[next(iter(self._given))]
            return
        began, _ = self._given[ref]
        there = off - _READ
        if there >= LEAST_BYTES and now > began:
            self._given[ref] = began, there / (now - began)
