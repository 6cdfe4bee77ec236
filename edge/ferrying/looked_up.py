"""Child runs of runs that no process worked on when somebody looked, who does not keep others from working on them."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["LookedUp"]


class LookedUp(list[bytes]):
    """`session` is a connection number that was drawn before they were looked up, and the number of the session that goes on with them: whoever
    begins to work on such a run meanwhile has a greater one, so it comes to him at the worker, too (docs/protocol.md §6).
    """

    def __init__(self, session: int, runs: Iterable[bytes]) -> None:
        super().__init__(runs)
        self.session = session
