"""Delegation: a fragment of a run at a worker, as a child run of its own.

The device's engine stays the authority. It finds the shipped nodes ready by the same rules as its own and *expects* them; the
worker runs ahead from the cut graph and the boundary values that are sent as they become known, and reports. What it reports
are events of the device's engine (docs/protocol.md §8). Conditions of the link suspend nodes, they never fail them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from graphs.cut import CutGraph
from graphs.errors import LinkCondition, NodeError, NodeTimeout
from graphs.events import Event as EngineEvent, Outcome, Settled, Start, Suspend, Told
from graphs.journal.ids import new_run_id
from graphs.paths import escape, root_node, unescape
from graphs.records import Cancel, Close, End, Error, Event, Input, Record, Result, State, Submit, encode
from graphs.spec import is_computed, reads
from graphs.values import MISSING, Value, canonical

if TYPE_CHECKING:
    from edge.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["Delegate"]

_GONE: Final = ("cancel", 30_000)
"""What the worker does when this device is gone for so long (ms): there is no resume of links yet, so it stops and a new child run
goes on.
"""

_NODE_CODES: Final = frozenset({"NODE_FAILED", "NODE_TIMEOUT", "MODEL_REFUSED", "CONTEXT_TOO_LONG", "VALUE_UNSUPPORTED"})
"""Failures of the node's own doing; everything else is a condition of the link (docs/protocol.md §17)."""


_ROOM: Final = 48 * 1024
"""Bytes of inputs that go along with the order of a child run; a record holds 64 KiB."""


class Delegate:
    """One child run of one root run. `made` are the results the worker reported with their sizes in bytes, `sent` the bytes
    sent for a boundary node.

    `feed` takes events for the engine, `on_token(path, token)` the pieces of answers as they are made.
    """

    def __init__(
        self,
        *,
        run: bytes,
        fragment: CutGraph,
        labels: Mapping[str, Collection[str]],
        journal: Journal,
        feed: Callable[[EngineEvent], None],
        clock: Callable[[], float],
        on_token: Callable[[str, Value], None],
    ) -> None:
        self.run = run
        self.child = new_run_id()
        self.fragment = fragment
        self.made: dict[str, tuple[Result, int]] = {}
        self.sent: dict[str, int] = {}
        self._labels = labels
        self._journal = journal
        self._feed = feed
        self._clock = clock
        self._on_token = on_token
        self._link: WorkerLink | None = None
        self._expected: dict[str, Start] = {}
        self._conditions: dict[str, LinkCondition] = {}
        self._lost: LinkCondition | None = None
        self._closed = False
        self._ended = False
        self._unsettled = set(fragment.boundary)
        self._told: set[str] = set()

    # -- opening and closing

    async def open(
        self, link: WorkerLink, statics: Mapping[str, Value], known: Mapping[str, Outcome], options: Mapping[str, Value]
    ) -> None:
        """Ship the cut graph and open the child run. `statics` are the values of static nodes that stand as boundary nodes, `known`
        the outcomes of shipped nodes that the run has already: they go along with the order, so the worker never starts those.

        Whatever the gate or the limits refuse is a link condition: the nodes wait, the run goes on without them.
        """
        fragment = self.fragment
        inputs = {name: [int(State.INJECTED), value] for name, value in statics.items()}
        self._unsettled -= set(statics)
        known = {path: each for path, each in known.items() if each.state == State.COMPLETED}
        late = _fill(inputs, known)
        self._told.update(known)
        submit = Submit("", fragment.hash, inputs, {"parent": [self.run, 1], "options": dict(options), "gone": list(_GONE)})
        labels = {label for each in self._labels.values() for label in each}
        try:
            if not link.put_graph(fragment.hash, fragment.canonical, labels):
                raise LinkCondition(
                    "LABEL_WITHHELD", "the part of the graph for the worker carries labels it is not cleared for", retryable=False
                )
            self._journal.create_run(
                self.child,
                role="child",
                parent=self.run,
                graph_hash=fragment.hash,
                graph=fragment.canonical,
                name="cut",
                started=int(time.time() * 1000),
            )
            link.open_run(self.child, self, submit, labels)
            self._link = link
        except LinkCondition as condition:
            self.lost(condition)
            return
        self.sent[""] = len(fragment.canonical)
        for path, outcome in late.items():
            self._append(Input(path, State.COMPLETED, outcome.value), self._labels.get(root_node(path), ()), path)
        self._close_if_settled()

    async def close(self) -> None:
        """The run is over here: tell the worker that nothing more will come."""
        if self._link is not None and self._lost is None:
            if self._expected:
                self._append(Cancel(None, "the device's run is over"))
            else:
                self._close()
            await self._link.flush()
            self._link.forget(self.child)

    def lost(self, condition: LinkCondition) -> None:
        """The worker cannot be reached any more, or never could: what is expected of it waits."""
        if self._lost is not None:
            return
        self._lost = condition
        expected, self._expected = self._expected, {}
        for start in expected.values():
            self._feed(Suspend(start, condition, self._clock()))

    # -- graphs.ports.Remote: what the device's engine says

    def expect(self, start: Start) -> None:
        """The engine finds a shipped node ready."""
        path = start.path
        condition = self._lost or self._conditions.get(path)
        if condition is not None:
            self._soon(Suspend(start, condition, self._clock()))
        else:
            self._expected[path] = start

    def settled(self, event: Settled) -> None:
        """A node settled here: if the cut names it, the worker is told, unless it was the worker who said so."""
        path = event.path
        if event.state == State.SUSPENDED or self._link is None or self._lost is not None:
            return
        self._expected.pop(path, None)
        name = event.node.id if event.frame.nesting is None else None
        if name is None or name not in self.fragment.nodes or path in self.made or path in self._told:
            return
        if event.state == State.COMPLETED:
            labels = self._labels.get(name, ())
            record = Input(path, State.COMPLETED, event.value)
            self._append(record, labels, path)
        if not is_computed(self.fragment.nodes[name]):
            self._unsettled.discard(name)
            self._close_if_settled()

    def stop(self, start: Start) -> None:
        """The engine gives a shipped node up."""
        if self._expected.pop(start.path, None) is not None and self._link is not None and self._lost is None:
            self._append(Cancel([start.path], "given up by the holder"))

    # -- what the link says

    def got(self, record: Record, size: int) -> None:
        """A record of the worker's log is durable here."""
        now = self._clock()
        if isinstance(record, Result):
            self.made[record.path] = (record, size)
            self._expected.pop(record.path, None)
            self._feed(Told(record.path, Outcome(State.COMPLETED, record.value), now))
        elif isinstance(record, Error):
            self._failed(record, now)
        elif isinstance(record, Event) and record.path is None and record.state == State.SUSPENDED:
            why = str((record.info or {}).get("why") or "the worker suspended its part of the run")
            self.lost(LinkCondition("SUSPENDED", why))
        elif isinstance(record, End):
            self._ended = True
            self.lost(LinkCondition("ENDED", "the worker ended its part of the run before these nodes were done"))

    def delta(self, path: str, tokens: Collection[Value]) -> None:
        """Pieces of an answer that the worker is making."""
        for token in tokens:
            self._on_token(path, token)

    def _failed(self, record: Error, now: float) -> None:
        text = record.text if isinstance(record.text, str) else record.code
        if record.path is None:
            self.lost(LinkCondition(record.code, f"the worker could not run its part: {text}", retryable=record.retryable))
            return
        if not record.final:
            return  # the worker tries again by itself
        if record.code in _NODE_CODES:
            error: NodeError = (
                NodeTimeout(text) if record.code == NodeTimeout.code else NodeError(text, retryable=record.retryable)
            )
            state = State.TIMED_OUT if isinstance(error, NodeTimeout) else State.FAILED
            self._expected.pop(record.path, None)
            self._feed(Told(record.path, Outcome(state, MISSING, error), now))
            return
        condition = LinkCondition(record.code, text, retryable=record.retryable, retry_ms=record.retry_ms)
        self._conditions[record.path] = condition
        start = self._expected.pop(record.path, None)
        if start is not None:
            self._feed(Suspend(start, condition, now))

    # -- inside

    def _append(self, record: Any, labels: Collection[str] = (), path: str | None = None) -> None:
        assert self._link is not None
        if self._ended:
            return
        try:
            self._link.append(self.child, record, labels)
        except LinkCondition as condition:
            if path is None:
                self.lost(condition)
            else:
                self._withhold(path, condition)
            return
        if path is not None:
            self.sent[path] = len(encode(record).tail)

    def _withhold(self, path: str, condition: LinkCondition) -> None:
        """A boundary value may not or cannot be sent: what depends on it at the worker waits."""
        for name in _depending(self.fragment, unescape(path)):
            reader = escape(name)
            if reader not in self.made:
                self._conditions[reader] = condition
        for reader, start in list(self._expected.items()):
            if reader in self._conditions:
                del self._expected[reader]
                self._soon(Suspend(start, condition, self._clock()))

    def _close_if_settled(self) -> None:
        if not self._unsettled:
            self._close()

    def _close(self) -> None:
        """No further boundary value will come, so the worker may end when nothing can run any more (docs/protocol.md §8)."""
        if not self._closed and not self._ended:
            self._closed = True
            self._append(Close(None))

    def _soon(self, event: EngineEvent) -> None:
        """Not now: the engine is in the middle of saying this."""
        import asyncio

        asyncio.get_running_loop().call_soon(self._feed, event)


def _fill(inputs: dict[str, Value], known: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Put known outcomes into the inputs of an order, as far as they fit into one record; gives those that follow it on their own."""
    late: dict[str, Outcome] = {}
    room = _ROOM - len(canonical(inputs))
    for path, outcome in known.items():
        entry = [int(State.COMPLETED), outcome.value]
        room -= len(path) + len(canonical(entry))
        if room < 0:
            late[path] = outcome
        else:
            inputs[path] = entry
    return late


def _depending(graph: CutGraph, name: str) -> set[str]:
    """The computed nodes that read this one, directly or through others."""
    found = {name}
    grown = True
    while grown:
        more = {each for each, spec in graph.nodes.items() if each not in found and not found.isdisjoint(reads(spec))}
        found |= more
        grown = bool(more)
    return found - {name}
