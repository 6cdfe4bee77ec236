"""What is said round after round: a line that the round before had is not said again."""

from __future__ import annotations

from typing import TextIO

__all__ = ["Repeated"]


class Repeated:
    """Tells lines, round by round."""

    def __init__(self) -> None:
        self._before: set[str] = set()
        self._now: set[str] = set()

    def next_round(self) -> None:
        """What was told from the last call on is the round before now."""
        self._before, self._now = self._now, set()

    def tell(self, stream: TextIO, line: str) -> None:
        """Write a line unless it was one of the round before, or is one of this round."""
        if line not in self._before and line not in self._now:
            stream.write(f"{line}\n")
        self._now.add(line)
