"""The shipped nodes that the device's engine found ready: their outcomes are to come from the worker, or it is said here why they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from edge.offline import DEADLINE, too_near
from graphs.engine.events import Event, Start, Suspend, Wake
from graphs.errors import LinkCondition
from graphs.paths import split_path

if TYPE_CHECKING:
    from edge.ferrying.fallback import Fallback

__all__ = ["Expectations"]


class Expectations:
    """What is expected, by path, and the conditions under which nodes and frames do not come.

    `feed` takes events for the engine; what becomes of a node that does not come says `fallback`. `begun` says whether a node may have
    begun at the worker. `lost` is why nothing comes any more, `away` why nothing does until the worker is reached again. The run is suspended
    at `deadline`. `withheld` are nodes that have their results at the worker, and why those do not come.
    """

    def __init__(
        self,
        fallback: Fallback,
        feed: Callable[[Event], None],
        begun: Callable[[Start], bool],
        deadline: float | None = None,
        withheld: Mapping[str, LinkCondition] = MappingProxyType({}),
    ) -> None:
        self.lost: LinkCondition | None = None
        self.away: LinkCondition | None = None
        self._late: LinkCondition | None = None
        self._deadline = deadline
        self._fallback = fallback
        self._feed = feed
        self._begun = begun
        self._expected: dict[str, Start] = {}
        self._conditions = {path: _not_here(condition) for path, condition in withheld.items()}
        self._asleep: dict[str, None] = {}
        """The nodes that wait for the worker because it is away, in the order in which they began to."""

    def __len__(self) -> int:
        return len(self._expected)

    def __contains__(self, path: object) -> bool:
        return path in self._expected

    def get(self, path: str) -> Start | None:
        return self._expected.get(path)

    def add(self, start: Start) -> bool:
        """The engine waits for this node, which may begin at the worker; False if it does not come."""
        condition = self.condition_of(start.path) or self.lost or self.away
        if condition is None and self._late is not None and self._stands_in(start, self._late):
            condition = self._late
        if condition is not None:
            asyncio.get_running_loop().call_soon(self._tell, start, condition)  # the engine is in the middle of asking
            return False
        self._expected[start.path] = start
        return True

    def over(self, path: str) -> bool:
        """It does so no longer; whether it did."""
        self._asleep.pop(path, None)  # it was told all the same, and is not again
        return self._expected.pop(path, None) is not None

    def condition_of(self, path: str) -> LinkCondition | None:
        """Why a node does not come, itself or with its whole frame; None if nothing is known against it."""
        return self._conditions.get(path) or self._conditions.get(split_path(path)[0])

    def refused(self, frame: str) -> LinkCondition | None:
        """Why nothing of a frame comes."""
        return self._conditions.get(frame)

    # -- the worker as a whole

    def lose(self, condition: LinkCondition, *, soon: bool = False) -> None:
        """Nothing comes any more; the engine hears of it `soon` if it is in the middle of something."""
        if self.lost is None:
            self.lost = condition
            if soon:
                self.refuse_those(lambda _start: True, condition)
            else:
                self._refuse_all(condition)

    def leave(self, condition: LinkCondition) -> None:
        """Nothing comes until the worker is reached again: nobody waits for that."""
        self.away = condition
        self._refuse_all(condition)

    def doubt(self, why: str, now: float, grace: float) -> None:
        """For `grace` seconds the worker may come back, and is waited for; unless the run's deadline comes first."""
        if too_near(now, grace, self._deadline):
            text = f"{why}, and the run's deadline comes before the {grace:g} s are over in which it may come back"
            late = self._late = LinkCondition(DEADLINE, text)
            self.refuse_those(lambda start: self._stands_in(start, late), late)

    def trust(self) -> None:
        """The worker is reached."""
        self.away = self._late = None

    def rouse(self, now: float) -> None:
        """Those that wait because the worker was away are expected again."""
        asleep, self._asleep = self._asleep, {}
        for path in asleep:
            self._feed(Wake(path, now))

    # -- what does not come

    def note(self, path: str, condition: LinkCondition) -> None:
        """A node, or a frame, does not come, should it be expected later."""
        self._conditions[path] = condition

    def refuse(self, path: str, condition: LinkCondition) -> None:
        """A node does not come: the engine is told now, or as soon as it asks."""
        self.note(path, condition)
        if (start := self._expected.pop(path, None)) is not None:
            self._tell(start, condition)

    def refuse_those(self, which: Callable[[Start], bool], condition: LinkCondition) -> None:
        """Of those expected now, these do not come: the engine, which may be in the middle of something, hears of it soon."""
        for start in [start for start in self._expected.values() if which(start)]:
            del self._expected[start.path]
            asyncio.get_running_loop().call_soon(self._tell, start, condition)

    def refuse_noted(self, condition: LinkCondition) -> None:
        """Of those expected now, these do not come of which that was noted."""
        self.refuse_those(lambda start: self.condition_of(start.path) is condition, condition)

    def refuse_frame(self, frame: str, condition: LinkCondition) -> None:
        """Nothing of this frame can run at the worker: its nodes wait."""
        self.note(frame, condition)
        self.refuse_those(lambda start: split_path(start.path)[0] == frame, condition)

    def _refuse_all(self, condition: LinkCondition) -> None:
        expected, self._expected = self._expected, {}
        for start in expected.values():
            self._tell(start, condition)

    def _stands_in(self, start: Start, condition: LinkCondition) -> bool:
        return self._fallback.runs_here(start, condition, begun=self._begun(start))

    def _tell(self, start: Start, condition: LinkCondition) -> None:
        event = self._fallback.event(start, condition, begun=self._begun(start))
        if condition is self.away and isinstance(event, Suspend):
            self._asleep[start.path] = None
        self._feed(event)


def _not_here(condition: LinkCondition) -> LinkCondition:
    """A node that has its result elsewhere waits for that, whatever it does while it has none: the first result is the result."""
    if condition.condition != "UNREACHABLE":
        return condition
    return LinkCondition("VALUE_AWAY", f"its result is there, but not its value: {condition.message}", hint=condition.hint)
