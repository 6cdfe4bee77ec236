"""What a run's runtime tells of nodes that are placed elsewhere, passed on to the delegate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.ferrying.outside import learn
from edge.runs.retrying import Retries

if TYPE_CHECKING:
    from edge.runs.runner import Run
    from graphs.engine.events import Start
    from graphs.engine.frames import Frame

__all__ = ["Elsewhere"]


class Elsewhere:
    """A `graphs.running.ports.Remote`."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._retries: Retries | None = None

    @property
    def retries(self) -> Retries:
        if self._retries is None:
            self._retries = Retries(self._run)
        return self._retries

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
        learn(run.opened, start)
        if start.node.leaves is not None:
            run.leaving.go(start)
            return False
        assert delegate is not None
        assert run.fallback is not None
        if run.guard is not None and not run.guard.may_go(start, self._expect, run.fallback):
            return False
        return self._expect(start)

    def _expect(self, start: Start) -> bool:
        assert self._run.delegate is not None
        on_order = self._run.delegate.expect(start)
        self.retries.expected(start)
        return on_order

    def settled(self, event: Any) -> None:
        learn(self._run.opened, event)
        self._run.leaving.settled(event)
        if self._run.delegate is not None:
            self.retries.settled(event)
            self._run.delegate.settled(event)

    def stop(self, start: Start) -> None:
        if start.node.leaves is not None:
            self._run.leaving.stop(start)
        elif self._run.delegate is not None and not self._is_over:
            self._run.delegate.stop(start)

    @property
    def _is_over(self) -> bool:
        """Whether the whole run ends: what becomes of the worker's part is decided when it is closed, and a suspended run leaves it be."""
        return self._run.runtime is not None and self._run.runtime.ended
