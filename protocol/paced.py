"""A carrier whose peer may send so many bytes and messages a second: who sends more is read later, and TCP tells him.

Nothing is cut and nothing is lost by it. Both are counted in portions, so that the short messages of those who send little cost nothing. Messages are
counted as well because the shortest have four bytes: many of them are little to carry and much to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from protocol.carrier import Carrier

__all__ = ["Paced"]

_HELD: Final = 4
"""The bit with which this module holds a carrier; see `Carrier.hold`."""
_PORTION: Final = 16 * 1024
"""Bytes that come before anybody is asked about them."""
_MESSAGES: Final = 256
"""Messages, likewise."""
_SHORT: Final = 0.002
"""Seconds that are not worth a timer: they stay owed."""


class Paced(Carrier):
    """Mixed into connections by `carrying`, in place of `Carrier`."""

    __slots__ = ("_came", "_heard", "_heard_before", "_hold_timer", "_take_bytes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._came = 0
        self._heard: Callable[[], int] | None = None
        self._heard_before = 0
        self._take_bytes: Callable[[float, int, int], float] | None = None
        self._hold_timer: asyncio.TimerHandle | None = None

    def pace(self, take: Callable[[float, int, int], float]) -> None:
        """From now on `take(now, size, messages)` is told how much came, in bytes and in messages, `now` in seconds of the loop's clock; nothing is
        read for as many seconds as it gives.
        """
        self._take_bytes = take

    def count(self, heard: Callable[[], int]) -> None:
        """`heard` gives how many messages were taken so far; without it, none are counted."""
        self._heard, self._heard_before = heard, heard()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._came += len(data)
        heard = self._heard() if self._heard is not None else 0
        messages = heard - self._heard_before
        if (self._came >= _PORTION or messages >= _MESSAGES) and self._take_bytes is not None:
            came, self._came, self._heard_before = self._came, 0, heard
            seconds = self._take_bytes(self.loop.time(), came, messages)
            if seconds >= _SHORT and self._hold_timer is None:
                self.hold(_HELD, True)
                self._hold_timer = self.loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._hold_timer = None
        self.hold(_HELD, False)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None
        super().connection_lost(exc)
