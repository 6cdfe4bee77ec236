"""The other side of a cut, as the engine sees it. Part of the engine, and as pure.

A holder's engine *expects* the nodes that others run, and takes their outcomes as they are told. A worker's engine runs a
fragment that somebody else holds: it is told the outcomes of boundary nodes, and starts nodes on demand only when the holder's
queue says so (docs/protocol.md §8).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from graphs.engine import turns
from graphs.engine.events import Stop
from graphs.engine.frames import Frame
from graphs.engine.plan import PlanNode
from graphs.paths import split_path
from graphs.states import State

if TYPE_CHECKING:
    from graphs.engine.engine import Engine
    from graphs.engine.events import Close, Order, Outcome, Start, Told

__all__ = ["Elsewhere"]

_WAITING, _QUEUED = State.WAITING.value, State.QUEUED.value


class Elsewhere:
    """What is expected from elsewhere and what waits for an order. `demand` names the root frame's nodes that start on order only."""

    def __init__(self, engine: Engine, demand: Collection[str]) -> None:
        self._engine = engine
        self._demand = demand
        self._ordered: set[str] = set()
        self._awaiting: dict[str, tuple[Frame, PlanNode]] = {}
        self._expected: dict[str, Start] = {}
        self.cut_short = False
        """Whether nodes of the root frame stay waiting for an order that will not come: then its turn is left as it is, and no other follows."""

    def expect(self, start: Start) -> None:
        """A node that is placed elsewhere is ready: its outcome will be told."""
        self._expected[start.path] = start

    def give_up(self, start: Start) -> None:
        """That attempt is over here."""
        self._expected.pop(start.path, None)

    def told(self, event: Told) -> None:
        """An outcome: of a node that is expected, or that runs here and need not any more; else known from now on, and perhaps what
        a boundary node waits for.
        """
        engine = self._engine
        path, outcome = event.path, event.outcome
        start = self._expected.pop(path, None)
        if start is not None and self._is_awaited(start, path, outcome):
            return
        frame_name, name = split_path(path)
        if frame_name == engine.root.name and (running := self._running(name)) is not None:
            if running.nesting is not None:
                turns.abandon(engine, running)
            engine.commands.append(Stop(running))
            engine.take(running.frame, running.node, outcome, running)
            return
        if frame_name == engine.root.name and (waiting := self._withdrawn(path, name)) is not None:
            engine.take(engine.root, waiting, outcome, None)
            return
        engine.known[path] = outcome
        if frame_name == engine.root.name:
            engine.later(engine.root.told, path, name)

    def _is_awaited(self, start: Start, path: str, outcome: Outcome) -> bool:
        """Whether somebody waited for the outcome of an expected node; if so it was taken."""
        engine, frame, node = self._engine, start.frame, start.node
        if path in engine.suspended and not frame.dead:  # given up for this run, as it seemed
            if outcome.error is not None:  # why it waits may have led to that: whoever resumes will see
                self._expected[path] = start
                return True
            del engine.suspended[path]
            frame.held -= 1
            frame.active += 1
            engine.take(frame, node, outcome, None)
            return True
        if frame.starts.get(node.index) is not start:
            return False
        if node.stands_in:
            if outcome.error is not None:  # what runs here may do better
                self._expected[path] = start
                return True
            engine.commands.append(Stop(start))
        engine.take(frame, node, outcome, start)
        return True

    def _running(self, name: str) -> Start | None:
        root = self._engine.root
        number = root.plan.numbers.get(name)
        return root.starts.get(number) if number is not None else None

    def _withdrawn(self, path: str, name: str) -> PlanNode | None:
        """The root frame's node of that name, if it waited for a place or an order: it does so no longer."""
        root = self._engine.root
        number = root.plan.numbers.get(name)
        node = root.plan.nodes[number] if number is not None else None
        if node is None:
            return None
        ordered = self._awaiting.pop(path, None) is not None
        return node if ordered or self._engine.queue.withdraw(root, node) else None

    def withhold(self, frame: Frame, node: PlanNode) -> bool:
        """Whether a ready node has to wait for its order; if so it is kept until that comes."""
        if frame is not self._engine.root or node.id not in self._demand:
            return False
        path = frame.path_of(node)
        if path in self._ordered:
            self._ordered.discard(path)
            self._engine.queue.occupy(node)
            self._engine.begin_node(frame, node)
        elif self._engine.open:
            frame.states[node.index] = _QUEUED
            self._awaiting[path] = (frame, node)
        else:
            self._leave(frame, node)
        return True

    def order(self, event: Order) -> None:
        """A node may start; if it is not ready yet, as soon as it is."""
        entry = self._awaiting.pop(event.path, None)
        if entry is None:
            self._ordered.add(event.path)
        else:
            self._engine.queue.occupy(entry[1])
            self._engine.begin_node(*entry)

    def close(self, _event: Close) -> None:
        """No further order and no outcome of a boundary node will come: what waits for one stays waiting."""
        engine = self._engine
        engine.open = False
        for frame, node in self._awaiting.values():
            self._leave(frame, node)
        self._awaiting.clear()
        engine.root.check_end()

    def _leave(self, frame: Frame, node: PlanNode) -> None:
        frame.states[node.index] = _WAITING
        frame.active -= 1
        self.cut_short = True
