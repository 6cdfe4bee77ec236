"""The queue: which ready node starts next under the global and the label limits (graph-spec §7).

One queue serves a run's outermost graph and everything nested in it. An entry stands behind all entries of the same or higher
priority. An entry whose label is at its limit is passed over, those behind it may start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["Queue"]


class Queue:
    """Ready nodes that wait for a place, and the count of those that run.

    `line` is all that waits, in order, as long as only one priority and no label limit were ever seen (`simple`); `others` counts
    what waits in lanes by priority from then on. `limit` is the global limit, raised by one while a node with a nested graph runs,
    so that a waiting parent does not count against its children.
    """

    __slots__ = (
        "_lanes", "_opened", "_order", "_parents", "_resting", "_running", "labels", "limit", "line", "others", "running", "simple",
    )  # fmt: skip

    def __init__(self, limit: int, labels: Mapping[str, int]) -> None:
        self.limit = limit
        self.running = 0
        self.line: deque[tuple[Any, Any]] = deque()
        self.others = 0
        self.simple = not labels
        self.labels = labels
        self._opened = 0
        self._resting = 0
        self._running: dict[str, int] = dict.fromkeys(labels, 0)
        self._parents: dict[str, list[Any]] = {label: [] for label in labels}
        self._lanes: dict[float, deque[tuple[Any, Any]]] = {}
        self._order: list[float] = []  # the lanes' priorities, highest first

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self.line) + self.others

    def push(self, frame: Any, node: Any) -> None:
        """Put a node behind all of the same or higher priority."""
        if self.simple:
            if not node.priority:
                self.line.append((frame, node))
                return
            self.simple = False
            if self.line:
                self._lanes, self._order = {0: self.line}, [0]
                self.others = len(self.line)
                self.line = deque()
        lane = self._lanes.get(node.priority)
        if lane is None:
            lane = self._lanes[node.priority] = deque()
            self._order = sorted(self._lanes, reverse=True)
        lane.append((frame, node))
        self.others += 1

    def take(self) -> tuple[Any, Any] | None:
        """The first entry that may start now, counted as running; None if there is none."""
        if self.running >= self.limit:
            return None
        if self.line:
            self.running += 1
            return self.line.popleft()
        if not self.others:
            return None
        for priority in self._order:
            lane = self._lanes[priority]
            if not lane:
                continue
            if not self.labels:
                return self._taken(lane.popleft())
            for place, (frame, node) in enumerate(lane):
                if self._fits(frame, node.label):
                    entry = lane[place]
                    del lane[place]
                    return self._taken(entry)
        return None

    def enter(self, frame: Any, node: Any) -> bool:
        """Whether the node may start at once, without queueing: counted as running then."""
        if self.line or self.others or self.running >= self.limit:
            return False
        if self.labels:
            if not self._fits(frame, node.label):
                return False
            if node.label in self._running:
                self._running[node.label] += 1
        self.running += 1
        return True

    def occupy(self, node: Any) -> None:
        """A node starts whatever the limits say: the queue that counts for it, its holder's, took it."""
        self.running += 1
        if node.label in self._running:
            self._running[node.label] += 1

    def leave(self, node: Any) -> None:
        """A running node gives its place back."""
        self.running -= 1
        if node.label in self._running:
            self._running[node.label] -= 1

    @property
    def idle(self) -> bool:
        """Whether nothing really runs: parents that wait for their nested graphs do not count."""
        return self.running == self._opened

    @property
    def resting(self) -> bool:
        """Whether nothing runs but what `rests`."""
        return self.running <= self._opened + self._resting

    @contextmanager
    def rests(self) -> Iterator[None]:
        """While the block runs, one of the running nodes only waits for somebody else."""
        self._resting += 1
        try:
            yield
        finally:
            self._resting -= 1

    def open(self, frame: Any, node: Any) -> None:
        """A running node opened a nested graph."""
        self.limit += 1
        self._opened += 1
        if node.label in self._parents:
            self._parents[node.label].append(frame)

    def close(self, frame: Any, node: Any) -> None:
        """Its nested graph is over."""
        self.limit -= 1
        self._opened -= 1
        if node.label in self._parents:
            self._parents[node.label].remove(frame)

    def withdraw(self, frame: Any, node: Any) -> bool:
        """Drop one entry; False if it does not wait here."""
        if self.simple:
            if (frame, node) not in self.line:
                return False
            self.line.remove((frame, node))
            return True
        lane = self._lanes.get(node.priority, ())
        if (frame, node) not in lane:
            return False
        self._lanes[node.priority].remove((frame, node))
        self.others -= 1
        return True

    def drop(self, gone: Callable[[Any], bool]) -> None:
        """Drop what waits of the frames that are gone."""
        for lane in (self.line, *self._lanes.values()):
            kept = [entry for entry in lane if not gone(entry[0])]
            if len(kept) < len(lane):
                lane.clear()
                lane.extend(kept)
        self.others = sum(map(len, self._lanes.values()))

    def _taken(self, entry: tuple[Any, Any]) -> tuple[Any, Any]:
        self.running += 1
        self.others -= 1
        label = entry[1].label
        if label in self._running:
            self._running[label] += 1
        return entry

    def _fits(self, frame: Any, label: str | None) -> bool:
        limit = self.labels.get(label) if label is not None else None
        if limit is None:
            return True
        # Children of a running parent with this label may exceed it by one each; the parent's own siblings may not.
        assert label is not None
        lent = len([parent for parent in self._parents[label] if parent is not frame])
        return self._running[label] < limit + lent
