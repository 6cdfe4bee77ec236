"""The numbers of a device's connections, as a worker sees them (docs/protocol.md §6). Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["WINDOW", "Numbers"]

WINDOW: Final = 1_024
"""So far behind the highest number one may be that comes for the first time: processes of a device overtake each other on their way."""
_MASK: Final = (1 << WINDOW) - 1


class Numbers:
    """A device gives each number once. One that comes a second time, or is far behind, is of a store that went back in time, or of a copy of it."""

    __slots__ = ("_seen", "highest")

    def __init__(self) -> None:
        self.highest = 0
        self._seen = 1
        """Which of the last numbers came: bit n is that of `highest` - n."""

    def take(self, number: int) -> bool:
        """Whether the number is new."""
        ahead = number - self.highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & _MASK if ahead < WINDOW else 1
            self.highest = number
            return True
        if -ahead >= WINDOW or self._seen >> -ahead & 1:
            return False
        self._seen |= 1 << -ahead
        return True
