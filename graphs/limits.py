"""The queue: which ready node starts next under the global and the label limits (graph-spec §7).

One queue serves a run's outermost graph and everything nested in it. An entry stands behind all entries of the same or higher
priority. An entry whose label is at its limit is passed over, those behind it may start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Queue"]


class Queue:
    """Ready nodes that wait for a place, and the count of those that run.

    `line` is all that waits, in order, as long as only one priority and no label limit were ever seen; None otherwise. `limit`
    is the global limit, raised by one while a node with a nested graph runs, so that a waiting parent does not count against
    its children.
    """

    __slots__ = ("_lanes", "_opened", "_order", "_parents", "_running", "labels", "limit", "line", "running", "waiting")

    def __init__(self, limit: int, labels: Mapping[str, int]) -> None:
        self.limit = limit
        self.running = 0
        self.waiting = 0
        self._opened = 0
        self.labels = labels
        self._running: dict[str, int] = dict.fromkeys(labels, 0)
        self._parents: dict[str, list[Any]] = {label: [] for label in labels}
        self._lanes: dict[float, deque[tuple[Any, Any]]] = {0: deque()}
        self._order: list[float] = [0]  # the lanes' priorities, highest first
        self.line: deque[tuple[Any, Any]] | None = None if labels else self._lanes[0]

    def push(self, frame: Any, node: Any) -> None:
        """Put a node behind all of the same or higher priority."""
        self.waiting += 1
        if self.line is not None and not node.priority:
            self.line.append((frame, node))
            return
        lane = self._lanes.get(node.priority)
        if lane is None:
            lane = self._lanes[node.priority] = deque()
            self._order = sorted(self._lanes, reverse=True)
            self.line = None
        lane.append((frame, node))

    def take(self) -> tuple[Any, Any] | None:
        """The first entry that may start now, counted as running; None if there is none."""
        if self.running >= self.limit or not self.waiting:
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
        if self.waiting or self.running >= self.limit:
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

    def clear(self) -> None:
        """Drop all that waits."""
        for lane in self._lanes.values():
            lane.clear()
        self.waiting = 0

    def withdraw(self, frame: Any, node: Any) -> bool:
        """Drop one entry; False if it does not wait here."""
        lane = self._lanes.get(node.priority, ())
        if (frame, node) not in lane:
            return False
        self._lanes[node.priority].remove((frame, node))
        self.waiting -= 1
        return True

    def drop(self, gone: Callable[[Any], bool]) -> None:
        """Drop what waits of the frames that are gone."""
        if not self.waiting:
            return
        for lane in self._lanes.values():
            kept = [entry for entry in lane if not gone(entry[0])]
            self.waiting -= len(lane) - len(kept)
            if len(kept) < len(lane):
                lane.clear()
                lane.extend(kept)

    def _taken(self, entry: tuple[Any, Any]) -> tuple[Any, Any]:
        self.running += 1
        self.waiting -= 1
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
