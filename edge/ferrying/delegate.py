"""Delegation: the part of a run that is at a worker, as a child run of its own.

The device's engine stays the authority. It finds the shipped nodes ready by the same rules as its own and *expects* them; the
worker runs ahead from the cut graphs and the boundary values that are sent as they become known, and reports. What it reports
are events of the device's engine. Where a concurrency limit could bind, a shipped node starts only when the device's queue says
so (docs/protocol.md §8). What becomes of a node that meets a condition of the link is up to its policy: it waits, unless that says otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from edge.ferrying.attached import Attached
from edge.ferrying.child_log import RUN_CHANGED, ChildLog
from edge.ferrying.earlier import Earlier
from edge.ferrying.expectations import Expectations
from edge.ferrying.fallback import Fallback
from edge.ferrying.fragments import Fragment, Fragments, depending, follows, shipped_node
from edge.ferrying.needs import read_here
from edge.ferrying.shipped import soon
from graphs.engine.events import Event as EngineEvent, Outcome, Settled, Start, Told
from graphs.engine.frames import Frame
from graphs.engine.outcomes import NODE_CODES, told_condition, told_failure
from graphs.errors import LinkCondition
from graphs.language.run_labels import RunLabels
from graphs.language.spec import is_computed
from graphs.paths import escape, node_path, opener, split_frame, split_path
from graphs.records import (
    End,
    Error,
    Event,
    Frame as FrameRecord,
    Known,
    Record,
    Result,
    State,
)
from graphs.values import Value
from protocol.payload import Reference, references, references_in

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["Delegate"]

_GIVEN_UP: Final = "given up by the holder"


class Delegate:
    """The child run of one root run: `graphs.running.ports.Remote` towards the engine.

    `made` are the results the worker reported with their sizes in bytes, `retries` the failed attempts there before the last one; `log` is what
    this side says. `labels` are those of the run. `one_frame` says that only the root graph can have any, in one turn; `shows_all` that the caller
    wants all its nodes' values. `feed` takes events for the engine, `on_token(path, token)` the pieces of answers as they are made, `on_begun` a node
    that the worker has begun on order, `on_spent` any record; `fallback` decides about nodes that do not come. `earlier` is what other processes
    left, `attached` the open child run to go on with; the run ends at `deadline`.
    """

    def __init__(
        self,
        *,
        run: bytes,
        fragments: Fragments,
        labels: RunLabels,
        options: Mapping[str, Value],
        one_frame: bool = False,
        shows_all: bool = False,
        journal: Journal,
        feed: Callable[[EngineEvent], None],
        clock: Callable[[], float],
        on_token: Callable[[str, Value], None],
        on_begun: Callable[[Start], None],
        on_spent: Callable[[Record], None] = lambda _record: None,
        fallback: Fallback,
        attached: Attached | None = None,
        earlier: Earlier | None = None,
        deadline: float | None = None,
    ) -> None:
        self.run = run
        self.made: dict[str, tuple[Result, int]] = {}
        self.retries: dict[str, int] = {}
        self._fragments, self._shows_all = fragments, shows_all
        self._feed, self._clock = feed, clock
        self._on_token, self._on_begun, self._on_spent = on_token, on_begun, on_spent
        self._frames: dict[str, Fragment] = {}
        self._missed: list[tuple[Frame, int]] = []
        before = attached or earlier
        self._expected = Expectations(fallback, feed, self._may_have_begun, deadline, before.withheld if before else {})
        self._fallback, self._earlier = fallback, earlier
        self._own = set(earlier.own) if earlier is not None else set()
        self._read: dict[str, frozenset[str]] = {}
        """The nodes whose values this device reads, by the frame without its turn."""
        self._owes = False
        self.log = ChildLog(
            run,
            labels=labels,
            options=options,
            one_frame=one_frame,
            journal=journal,
            attached=attached,
            refused=self._refused,
            over=lambda: self._expected.lost is not None,
        )

    # -- opening and closing

    def use(self, link: WorkerLink) -> None:
        """The worker can be reached over this link."""
        self.log.link = link
        if self.log.attached is not None:
            link.attach(self.log.child, self)

    async def close(self, *, suspended: bool = False) -> None:
        """The run is over here: tell the worker that nothing more will come, unless it is only `suspended`: then both may go on."""
        log, link = self.log, self.log.link
        if link is not None and self._expected.lost is None and log.opened:
            if self._expected and not suspended:
                self._owes = True
                log.cancel(None, "the device's run is over")
            elif not suspended:
                log.close_all()
            log.flush()
            await link.flush()
            if self._owes and not suspended and self._expected.away is None:
                await soon(log.ended)  # then it has said what nodes used up that were stopped
            link.forget(log.child)
        log.link = None  # what is still said in this process is said too late

    def lost(self, condition: LinkCondition) -> None:
        """Nothing more comes of the child run in this process: there was no worker, or it takes or has the run no longer."""
        self._expected.lose(condition)

    def shaken(self, why: str, grace: float) -> None:
        """The connection was lost just now, and may take `grace` seconds to come back."""
        self._expected.doubt(why, self._clock(), grace)

    def away(self, condition: LinkCondition) -> None:
        """The worker cannot be reached any more, for now. What is said is kept for it, and what it says later is taken by whoever wants it."""
        self._expected.leave(condition)

    def back(self) -> None:
        """The worker is reached again, or at last: what waits goes out, first the frames that began meanwhile."""
        self._expected.trust()
        missed, self._missed = self._missed, []
        for frame, turn in missed:
            if frame.turn == turn and frame.results and not frame.dead:
                self._ship(frame.name_of(turn), *self._fragments.rest_of(frame, turn))
        self._expected.rouse(self._clock())

    @property
    def hashes(self) -> set[bytes]:
        """The addresses of the cut graphs that are in use."""
        return {fragment.graph.hash for fragment in self._frames.values()}

    # -- graphs.running.ports.Remote: what the device's engine says

    def opened(self, frame: Frame, turn: int) -> None:
        """A turn begins with nodes at the worker: ship its cut, and open the frame there. Whatever the gate or the limits refuse is a link condition:
        the nodes of the frame wait, the run goes on without them.
        """
        nobody = self._expected.lost or (self.log.link is None and self._expected.away is None)
        if nobody or not frame.results:  # without: it was over in the same breath
            return
        name = frame.name_of(turn)
        if frame.base not in self._read:
            everything = self._shows_all if frame.nesting is None else frame.nesting.everything
            self._read[frame.base] = read_here(frame.plan, everything=everything, may_run=self._fallback.has_alternative)
        if turn and (before := self._frames.get(frame.base)) is not None and before.whole_loop and before.shipped:
            self._frames[name] = before
            if (condition := self._expected.refused(before.name)) is not None:
                self._expected.note(name, condition)
            return
        if frame.broken is not None:
            return  # it cannot start, so nothing of it is to be done anywhere
        if self._expected.away is not None:
            self._missed.append((frame, turn))
            return
        self._ship(name, *self._fragments.of(frame, turn))

    def _ship(self, name: str, fragment: Fragment, told: set[str]) -> None:
        if not fragment.graph.nodes or self._expected.lost is not None:
            return  # all of it is known, or in doubt; or nothing comes any more since an earlier frame of this moment
        self._frames[name] = fragment
        self.log.told |= told
        try:
            self.log.ship(fragment, self, alone=len(self._frames) == 1)
        except LinkCondition as condition:
            if condition.condition == RUN_CHANGED:
                self._expected.lose(condition, soon=True)
            else:
                self._expected.refuse_frame(name, condition)
            return
        for path, outcome in fragment.late.items():
            self.log.send(path, outcome.value)
        if fragment.settled:
            self.log.close(fragment)

    def over(self, frame: Frame, turn: int, *, cancelled: bool) -> None:
        """It is over: nothing more is needed of it. Of one that broke the worker may not know that, and wait for orders."""
        fragment = self._frames.pop(frame.name_of(turn), None)
        if fragment is None or self._expected.lost is not None or not self.log.opened:
            return
        self._owes |= (cancelled := cancelled or frame.broken is not None)
        if fragment.whole_loop and not cancelled:
            self._frames[frame.base] = fragment  # the next turn is in the same frame
        elif cancelled and fragment.name:
            self.log.cancel([fragment.name], _GIVEN_UP)
        elif not cancelled:
            self.log.close(fragment)

    def expect(self, start: Start) -> bool:
        """The engine finds a shipped node ready. True: it starts on order, and what starts after it waits until it has begun."""
        path = start.path
        if not self._expected.add(start):
            return False
        attached = self.log.attached
        if attached is not None and path in attached.failed:  # it was told to an earlier process, and is not again
            asyncio.get_running_loop().call_soon(self._failed, attached.failed[path], self._clock())
            return False
        if path in self.log.ordered:
            return False  # by an earlier process, or before the worker was away; and perhaps begun long ago
        if start.node.on_order:
            self.order(path, start.at)
        return start.node.on_order and path in self._expected

    def order(self, path: str, at: int) -> None:
        """The node may begin there, or, in a run with a budget, be tried once more."""
        self.log.order(path, at)

    def settled(self, event: Settled) -> None:
        """A node settled here: if a cut names it, the worker is told, unless it was the worker who said so."""
        path = event.path
        if event.state == State.SUSPENDED or self.log.link is None or self._expected.lost is not None:
            return
        self._expected.over(path)
        fragment = self._frames.get(event.frame.name_of(event.turn))
        name = event.node.id
        if fragment is None or name not in fragment.graph.nodes or path in self.made or path in self.log.told:
            return
        if event.state == State.COMPLETED:
            self.log.send(path, event.value)
            if event.node.stands_in:
                self._own.add(path)
        if not is_computed(fragment.graph.nodes[name]):
            fragment.unsettled.discard(name)
            if fragment.settled:
                self.log.close(fragment)

    def stop(self, start: Start, *, waits: bool = False) -> None:
        """The engine gives a shipped node up, which is expected, or `waits` there to be tried once more."""
        if (self._expected.over(start.path) or waits) and self.log.link is not None and self._expected.lost is None:
            self._owes = True
            self.log.cancel([start.path], _GIVEN_UP)

    # -- what the link says

    def got(self, record: Record, size: int) -> None:
        """A record of the worker's log is durable here."""
        now = self._clock()
        self._on_spent(record)
        if isinstance(record, Result) and record.path in self._own:
            self._made_too_late(record.path)
        elif isinstance(record, Result):
            self.made[record.path] = (record, size)
            self.retries[record.path] = record.retry
            self._expected.over(record.path)
            self._feed(Told(record.path, Outcome(State.COMPLETED, record.value), now))
        elif isinstance(record, Error):
            self._failed(record, now)
        elif isinstance(record, Event) and record.path is not None and record.state == State.SKIPPED:
            self._expected.over(record.path)
            self._feed(Told(record.path, Outcome(State.SKIPPED), now))
        elif isinstance(record, Event) and record.path is None and record.state == State.SUSPENDED:
            why = str((record.info or {}).get("why") or "the worker suspended its part of the run")
            self.lost(LinkCondition("SUSPENDED", why))
        elif isinstance(record, End):
            self.log.ended.set()
            self.lost(LinkCondition("ENDED", "the worker ended its part of the run before these nodes were done"))

    def reads(self, record: Record) -> Sequence[Reference]:
        """The values in a record that somebody here reads, were it only for what they took; the others stay where they were made."""
        if isinstance(record, Result):
            frame_name, name = split_path(record.path)
            if record.path in self._own or name not in self._read.get(split_frame(frame_name)[0], ()):
                return references_in(record.usage) if self._fragments.asks else ()
        return references(record)

    def follows(self, record: Record, earlier: Record) -> bool:
        """Whether the worker may have made what one record tells from the value of the other: then it is not told before that."""
        return follows(getattr(record, "path", None) or "", getattr(earlier, "path", None) or "", self._frames)

    def lacks(self, record: Record, condition: LinkCondition) -> None:
        """The values in a record do not come, for instance because the worker has lost them."""
        if isinstance(record, Result) and record.path in self._own:
            self._made_too_late(record.path)
        elif isinstance(record, (Result, Error)) and record.path is not None:
            self._expected.refuse(record.path, condition)
        else:
            self.lost(condition)

    def began(self, path: str) -> None:
        """The worker says that a node executes, and so does the one whose nested graph it is in."""
        while path:
            start = self._expected.get(path)
            if start is not None:
                self._on_begun(start)
            path = opener(path)

    def delta(self, path: str, tokens: Collection[Value]) -> None:
        """Pieces of an answer that the worker is making."""
        for token in tokens:
            self._on_token(path, token)

    def _made_too_late(self, path: str) -> None:
        """The worker finished a node before it heard that this device had. What it makes from its own value does not count."""
        frame_name, name = split_path(path)
        if (fragment := self._frames.get(frame_name)) and (fragment.whole_loop or depending(fragment.graph, name) - {name}):
            self.log.abandon("it goes on from a value that is not the result")
            self.lost(LinkCondition(RUN_CHANGED, f"the worker finished {path!r} too late, and went on from that: resume"))

    def _failed(self, record: Error, now: float) -> None:
        text = record.text if isinstance(record.text, str) else record.code
        path = record.path
        all_of_it = LinkCondition(record.code, f"the worker could not run its part: {text}", retryable=record.retryable)
        if path is None:
            self.lost(all_of_it)
        elif record.code not in NODE_CODES and (turns := [name for name, each in self._frames.items() if each.name == path]):
            for name in turns:
                self._expected.refuse_frame(name, all_of_it)
        elif not record.final:
            return  # the worker tries again by itself
        elif record.code in NODE_CODES:
            self.retries[path] = record.retry
            self._expected.over(path)
            self._feed(Told(path, told_failure(record), now))
        else:
            self._expected.refuse(shipped_node(path, self._frames), told_condition(record))

    # -- inside

    def _may_have_begun(self, start: Start) -> bool:
        """Whether the worker may have begun a node, as far as anybody here knows."""
        fragment = self._frames.get(split_path(start.path)[0])
        if fragment is None or not fragment.shipped:
            return self._earlier is not None and self._earlier.may_have_begun(start.path)
        return not start.node.on_order or start.path in self.log.ordered

    def _refused(self, record: Known, path: str | None, condition: LinkCondition) -> None:
        if isinstance(record, FrameRecord):
            if (fragment := self._frames.get(record.frame)) is not None:
                fragment.shipped = False
            self._expected.refuse_frame(record.frame, condition)
        elif path is None:
            self.lost(condition)
        else:
            self._withhold(path, condition)

    def _withhold(self, path: str, condition: LinkCondition) -> None:
        """A boundary value may not or cannot be sent: what depends on it at the worker waits."""
        frame_name, name = split_path(path)
        if (fragment := self._frames.get(frame_name)) is None:
            return
        for each in depending(fragment.graph, name):
            reader = node_path(frame_name, escape(each))
            if reader not in self.made:
                self._expected.note(reader, condition)
        self._expected.refuse_noted(condition)
