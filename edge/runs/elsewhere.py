"""What a run's runtime tells of nodes that are placed elsewhere, passed on to the delegate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.ferrying.outside import learn

if TYPE_CHECKING:
    from edge.runs.runner import Run
    from graphs.engine.events import Start
    from graphs.engine.frames import Frame

__all__ = ["Elsewhere"]


class Elsewhere:
    """A `graphs.running.ports.Remote`."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def opened(self, frame: Frame, turn: int) -> None:
        assert self._run.delegate is not None
        self._run.delegate.opened(frame, turn)

    def over(self, frame: Frame, turn: int, *, cancelled: bool) -> None:
        if not self._is_over:
            assert self._run.delegate is not None
            self._run.delegate.over(frame, turn, cancelled=cancelled)

    def expect(self, start: Start) -> bool:
        """Whether the node begins there on order; not at all, for now, if a budget has no room for it."""
        run, delegate = self._run, self._run.delegate
        assert delegate is not None
        assert run.fallback is not None
        if run.guard is not None and not run.guard.may_go(start, delegate.expect, run.fallback):
            return False
        return delegate.expect(start)

    def settled(self, event: Any) -> None:
        learn(self._run.labels, event)
        if self._run.delegate is not None:
            self._run.delegate.settled(event)

    def stop(self, start: Start) -> None:
        if self._run.delegate is not None and not self._is_over:
            self._run.delegate.stop(start)

    @property
    def _is_over(self) -> bool:
        """Whether the whole run ends: what becomes of the worker's part is decided when it is closed, and a suspended run leaves it be."""
        return self._run.runtime is not None and self._run.runtime.ended
