"""A frame at the worker: the fragment of one turn of one graph instance, run by an engine of its own.

It runs ahead: it starts what is ready, boundary values come in as events, results go out as records. Nodes on demand start when
the holder orders them (docs/protocol.md §8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from graphs.engine.events import Close as CloseEvent, Event as EngineEvent, Order, Outcome, Suspend, Told
from graphs.engine.outcomes import Known
from graphs.engine.plan import Compiler
from graphs.errors import LinkCondition
from graphs.language.run_labels import RunLabels
from graphs.language.spec import Graph, is_boundary, is_computed
from graphs.paths import escape, node_path
from graphs.records import Cancel, Close, Input, Record, Start, State
from graphs.running.attempt import Attempt
from graphs.running.ports import Recorder, Services
from graphs.running.runtime import Runtime
from graphs.values import Value

__all__ = ["FrameRun"]


class FrameRun:
    """One frame. `name` is its name in the root run; `demand` names the nodes that start on order, True is all; `inputs` are
    what came with the order that opened it; `before` is what an earlier process of this worker has reported of it, `labels` are those of its values,
    `begun` is how often its nodes were begun before, as its owner knows. `asks` says that a node which failed is tried again on a further order only.
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        inputs: Mapping[str, Any],
        *,
        demand: bool | Collection[str],
        compiler: Compiler,
        services: Services,
        options: Mapping[str, Any],
        recorder: Recorder,
        root: bytes,
        labels: RunLabels,
        before: Known | None = None,
        begun: Mapping[str, int] | None = None,
        asks: bool = False,
    ) -> None:
        self.name = name
        self._orders: dict[str, int] = {}
        """How often each node was ordered."""
        self._ordered = asyncio.Event()
        self.labels = labels
        before = before or Known()
        known, self._inject = _split_inputs(name, graph, inputs)
        computed = {each for each, spec in graph.nodes.items() if is_computed(spec)}
        self._runtime = Runtime(
            compiler.plan(graph),
            compiler,
            known={**before.outcomes, **known},
            begun={**(begun or {}), **before.begun},
            retried=before.retried,
            indeterminate=before.doubts,
            frame=name,
            demand=computed if demand is True else set(demand or ()) & computed or None,
            open=True,
            force_loop=bool(options.get("force_loop")),
            services=services,
            config=options.get("config"),
            max_turns=options.get("max_turns"),
            recorder=recorder,
            before=self._may_try if asks else None,
            run_id=root,
        )
        self._early: list[Record] | None = []
        """Orders that came before the run had begun; None once it has."""

    async def run(self) -> State:
        """Run to the end; gives how it ended."""
        running = asyncio.ensure_future(self._runtime.run(self._inject))
        try:
            await asyncio.sleep(0)  # the run begins before the orders that came early
            early, self._early = self._early, None
            for record in early or ():
                self.order(record)
        except BaseException:
            running.cancel()  # nobody else knows of it
            await asyncio.gather(running, return_exceptions=True)
            raise
        return await running

    def order(self, record: Record) -> None:
        """A boundary value, START, CLOSE or CANCEL, of the frame if it names no nodes."""
        now = self._runtime.clock()
        if self._early is not None:
            self._early.append(record)
        elif isinstance(record, Input):
            self._feed(Told(record.path, Outcome(record.state, record.value), now))
        elif isinstance(record, Start):
            self._orders[record.path] = self._orders.get(record.path, 0) + 1
            if self._orders[record.path] == 1:
                self._feed(Order(record.path, now))
            self._ordered.set()
            self._ordered.clear()
        elif isinstance(record, Close):
            self._feed(CloseEvent(now))
        elif isinstance(record, Cancel) and record.paths is None:
            self._runtime.abort(record.why)
        elif isinstance(record, Cancel):
            self._cancel_nodes(record)

    @property
    def broken(self) -> BaseException | None:
        """Why the frame could not start at all."""
        first = self._runtime.engine.first_error()
        return first[1] if first is not None and not first[0] else None

    async def _may_try(self, start: Attempt) -> None:
        """Returns when the node may be tried: it may have failed as often as it was ordered beyond the first time. What was not ordered is inside a
        node that was.
        """
        while 0 < self._orders.get(start.path, 0) <= start.retry:
            await self._ordered.wait()

    def _cancel_nodes(self, record: Cancel) -> None:
        for start in list(self._runtime.engine.root.starts.values()):
            if start.path in (record.paths or ()):
                self._runtime.cancel(start)
                self._feed(Suspend(start, LinkCondition("CANCELLED", record.why, retryable=False), self._runtime.clock()))

    def _feed(self, event: EngineEvent) -> None:
        if not self._runtime.ended:
            self._runtime.feed(event)


def _split_inputs(frame: str, graph: Graph, inputs: Mapping[str, Any]) -> tuple[dict[str, Outcome], dict[str, Value]]:
    """Inputs by id or path: outcomes of boundary and computed nodes by path, and values of static nodes by id."""
    known: dict[str, Outcome] = {}
    inject: dict[str, Value] = {}
    for name, (state, value) in inputs.items():
        spec = graph.nodes.get(name)
        if spec is not None and not is_computed(spec) and not is_boundary(spec):
            inject[name] = value
        else:
            known[node_path(frame, escape(name)) if spec is not None else name] = Outcome(state, value)
    return known, inject
