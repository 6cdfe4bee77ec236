"""Nodes that are placed on this device and leave it for the worker when they are about to start, as facts have changed since they were placed.

Each goes by itself, in a child run of its own, with the values that it reads: all of them are known by then. If the worker does not take it or is
lost, it runs here after all, as that very node. Nodes that this device may not do twice never leave, nor those of loops, which their frame turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.runs.places import known_digests
from graphs.errors import JournalError, LinkCondition, UsageError
from graphs.paths import document_path

if TYPE_CHECKING:
    from edge.ferrying.delegate import Delegate
    from edge.ferrying.fallback import Fallback
    from edge.ferrying.worker import WorkerLink
    from edge.runs.runner import Run
    from graphs.engine.events import Settled, Start
    from graphs.records import Result
    from graphs.running.runtime import Runtime
    from graphs.values import Value

__all__ = ["Leaving", "WayOut", "ways_out"]

_AGAIN: Final = 10.0
"""Seconds after which a worker that was not reached is looked for again, while a run goes on that has, or would have, nodes for it."""


class WayOut(NamedTuple):
    """A node as it would be done at the worker: its attributes, and the model that it asks on this device."""

    spec: Mapping[str, Value]
    model: str | None


def ways_out(run: Run) -> dict[str, WayOut]:
    """The nodes that are placed on this device and could leave it, by their place in the document: nothing forbids it, the worker would do them
    just so as far as anybody knows, and nobody counts what they cost.
    """
    options, device = run.options, run.device
    offer = run.offer
    if options.local_only or options.unasked() is not None or device.connect is None or not offer or run.guard is not None:
        return {}
    from edge.placing.choices import choices_of
    from edge.placing.tasks import CLOUD

    facts = replace(run.facts(offer), digests=known_digests(device, offer))
    choices = choices_of(run.places.written, run.placed, facts)
    found: dict[str, WayOut] = {}
    for path, ways in choices.units.items():
        out = next((way for way in ways if way.place == CLOUD), None)
        spec = choices.specs[path]
        agent = device.agents.get(spec["agent"]) if isinstance(spec["agent"], str) else None
        if ways[0].place == CLOUD or out is None or agent is None or agent.cheap or spec.get("anyInput") is True:
            continue
        if options.wishes.minimise == "cost" and _is_priced(offer, out.model):
            continue
        found[path] = WayOut(out.spec or {key: value for key, value in spec.items() if key != "place"}, ways[0].model)
    return found


def _is_priced(offer: Mapping[str, Any], model: str | None) -> bool:
    from graphs.models.prices import Price

    about = (offer.get("models") or {}).get(model) if model is not None else None
    return isinstance(about, Mapping) and Price.of_offer(about) is not None


class Leaving:
    """The nodes of one run that left. `ways` are those that may, `wanted` those that would be at the worker if it had been reached. The run's link is
    opened for the first of them if there is none.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.ways: Mapping[str, WayOut] = {}
        self.wanted: Collection[str] = ()
        self.found = False
        """Whether the worker has been reached since the run began without it."""
        self.made: dict[str, tuple[Result, int]] = {}
        self._runtime: Runtime
        self._streamed: Callable[[str, Value], None]
        self._delegates: dict[str, Delegate] = {}
        self._going: dict[str, asyncio.Task[None]] = {}
        self._opening: asyncio.Task[None] | None = None
        self._looking: asyncio.TimerHandle | None = None

    def begin(self, runtime: Runtime, streamed: Callable[[str, Value], None]) -> None:
        """The run begins; `streamed` takes pieces of answers."""
        self._runtime, self._streamed = runtime, streamed
        if self._run.joins or (self.wanted and self.ways):
            self._look_later()

    @property
    def possible(self) -> bool:
        """Whether the worker is there, or may be: nobody has looked yet."""
        link = self._run.link
        return link.is_reached if link is not None else self._run.unreachable is None

    def go(self, start: Start) -> None:
        """A node is to begin at the worker: the engine hears of its outcome, or that it runs here."""
        path = start.path
        task = self._going[path] = asyncio.get_running_loop().create_task(self._go(start))
        task.add_done_callback(lambda _task: self._going.pop(path, None))

    def settled(self, event: Settled) -> None:
        """A node settled; if it had left, nothing more is said of it there."""
        delegate = self._delegates.pop(event.path, None) if self._delegates else None
        if delegate is None:
            return
        if event.path in delegate.made:
            self.made[event.path] = delegate.made[event.path]
        if self._run.link is not None:
            self._run.link.forget(delegate.log.child)

    def result(self, path: str) -> tuple[Result, int] | None:
        """What the worker made of a node that left, with its size; also before the run is told that it settled."""
        delegate = self._delegates.get(path)
        return delegate.made.get(path) if delegate is not None else self.made.get(path)

    def stop(self, start: Start) -> None:
        """The engine gives a node up."""
        if (going := self._going.pop(start.path, None)) is not None:
            going.cancel()
        if (delegate := self._delegates.get(start.path)) is not None:
            delegate.stop(start)

    async def close(self, *, suspended: bool) -> None:
        """The run is over here, or only suspended."""
        if self._looking is not None:
            self._looking.cancel()
        tasks = [*self._going.values(), *([self._opening] if self._opening is not None else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for delegate in list(self._delegates.values()):
            await delegate.close(suspended=suspended)

    # -- the way there

    async def _link(self) -> WorkerLink:
        run = self._run
        if run.link is None:
            if self._opening is None:
                self._opening = asyncio.get_running_loop().create_task(run.reach_worker())
            await asyncio.shield(self._opening)
            self._opening = None
        if run.link is None:
            assert run.unreachable is not None
            raise run.unreachable
        return run.link

    def _look_later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(_AGAIN, self._look)

    def _look(self) -> None:
        task = asyncio.get_running_loop().create_task(self._find())
        self._going[""] = task
        task.add_done_callback(lambda _task: self._going.pop("", None))

    async def _find(self) -> None:
        from edge.runs.delegating import join

        try:
            await self._link()
            self._run.unreachable, self.found = None, True
            join(self._run)
        except LinkCondition:
            self._look_later()
        except (UsageError, JournalError):
            return  # a person has to do something about that first; of its journal the run hears by itself

    # -- one node

    async def _go(self, start: Start) -> None:
        fallback = self._fallback(start)
        try:
            link = await self._link()
            if start.over:
                return
            delegate = self._delegates[start.path] = self._delegate(start, fallback)
            delegate.use(link)
            delegate.opened(start.frame, start.turn)
            delegate.expect(start)
        except LinkCondition as condition:
            self._runtime.feed(fallback.event(start, condition, begun=False))
        except UsageError as error:  # the worker does not let this device in, for instance: the node can do without it
            refused = LinkCondition("UNREACHABLE", str(error), retryable=False)
            self._runtime.feed(fallback.event(start, refused, begun=False))

    def _fallback(self, start: Start) -> Fallback:
        from edge.ferrying.fallback import Fallback
        from edge.policies import Policy

        here = {key: value for key, value in start.node.spec.items() if key != "place"}
        policy = Policy("local", here, degrades=False, once=False, free=True, here=here)
        return Fallback({document_path(start.path): policy}, self._runtime.compiler.stand_in, self._runtime.clock)

    def _delegate(self, start: Start, fallback: Fallback) -> Delegate:
        from edge.ferrying.alone import Alone
        from edge.ferrying.delegate import Delegate
        from edge.ferrying.salting import store_secret
        from edge.runs.delegating import submit_options

        run, runtime = self._run, self._runtime
        return Delegate(
            run=run.id,
            fragments=Alone(start, run.labels, store_secret(run.device.journal)),
            labels=run.labels,
            options=submit_options(run),
            one_frame=True,
            shows_all=True,
            journal=run.device.journal,
            feed=runtime.feed,
            clock=runtime.clock,
            on_token=self._streamed,
            on_begun=runtime.begun_elsewhere,
            fallback=fallback,
        )
