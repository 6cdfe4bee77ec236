"""A child run that an earlier process of this device left open: what was said in it, so that a resumed run goes on with it.

Nothing the worker has finished is done again, and what it is doing goes on. The engine of the resumed run says everything anew; what the log
holds already is not said twice (docs/protocol.md §8, §10).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.ferrying.fence import give_up
from graphs.engine.outcomes import NODE_CODES, known_outcomes
from graphs.errors import LinkCondition
from graphs.paths import escape, node_path, split_frame, split_path
from graphs.records import Cancel, Close, End, Error, Event, Frame, Input, Record, Result, Start, State, Submit

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["Attached", "go_on", "open_children", "usable"]


@dataclass(slots=True)
class Attached:
    """What both sides have said so far in the child run `run`.

    `frames` are the hashes of the cuts by frame, `demand` what was said of nodes that start on order, `told` the paths whose outcome the
    worker has, by itself or from this device, `ordered` those that were ordered to start, `closed` the closed frames, None among them if no
    further frame may follow, `given_up` the frames that were cancelled. `in_flight` are nodes with effects that the worker began and has not ended,
    `failed` those of whose failure it has told, `withheld` those whose values do not come for now, and why. `acts` says that the run has nodes with
    effects at all: one of them may begin there until the worker holds that the child run is given up.
    """

    run: bytes
    frames: dict[str, bytes] = field(default_factory=dict)
    demand: dict[str, Any] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    ordered: set[str] = field(default_factory=set)
    closed: set[str | None] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    in_flight: set[str] = field(default_factory=set)
    failed: dict[str, Error] = field(default_factory=dict)
    withheld: dict[str, LinkCondition] = field(default_factory=dict)
    over: bool = False
    acts: bool = False
    turns: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """The turns of each frame that was shipped, by its name without them, and what those frames are called."""

    def note(self, record: Record) -> None:
        """Take in one record of either log."""
        if isinstance(record, (Submit, Frame)):
            self.frames[record.frame] = record.graph
            base, turn = split_frame(record.frame)
            self.turns.setdefault(base, []).append((turn, record.frame))
            self.demand[record.frame] = record.opts.get("demand")
            self.told.update(_paths(record.frame, record.inputs))
        elif isinstance(record, Input):
            self.told.add(record.path)
        elif isinstance(record, Start):
            self.ordered.add(record.path)
        elif isinstance(record, Close):
            self.closed.add(record.frame)
        elif isinstance(record, Cancel):
            self.over = self.over or record.paths is None
            self.given_up |= set(record.paths or ())
        elif isinstance(record, Result):
            self.told.add(record.path)
            self.failed.pop(record.path, None)
        elif isinstance(record, End) or (isinstance(record, Event) and record.path is None and record.state == State.SUSPENDED):
            self.over = True
        elif isinstance(record, Error) and record.final and (record.path is None or record.code not in NODE_CODES):
            self.over = True  # the worker would not try again in this child run what it could not do; in another one it may
        elif isinstance(record, Error) and record.final and record.path is not None:
            self.failed[record.path] = record

    def may_have_begun(self, path: str) -> bool:
        """Whether the worker may have begun a node that was shipped to it, as far as anybody knows who reads no more than this."""
        frame, name = split_path(path)
        base, turn = split_frame(frame)
        # a loop that is whole there is one frame for all its turns there: nobody knows here which ones are
        earlier = [(before, shipped) for before, shipped in self.turns.get(base, ()) if before <= turn]
        if not earlier:
            return False
        demand = self.demand.get(max(earlier)[1])
        on_order = demand is True or (isinstance(demand, list) and name in demand)
        return not on_order or path in self.ordered


def open_children(journal: Journal, run: bytes) -> list[bytes]:
    """The child runs of a root run that this store opened and that have no END yet, the newest first. One whose SUBMIT was never written is none:
    nobody heard of it.
    """
    found = []
    for child in reversed(journal.children(run)):
        if journal.store_id not in journal.writers(child.run):
            continue
        kinds = [type(logged.record) for logged in journal.records(child.run)]
        if Submit in kinds and End not in kinds:
            found.append(child.run)
    return found


def usable(journal: Journal, child: bytes) -> Attached | None:
    """What a resumed run needs to go on with this child run; None if it cannot: it was cancelled, has work undone for which the worker had
    no means, or is the part of one node that left this device by itself: that runs where it is placed, and another child run is the run's.
    """
    found = Attached(child)
    records = [logged.record for logged in journal.records(child)]
    for record in records:
        found.note(record)
    alone = any(isinstance(record, Submit) and record.opts.get("alone") is True for record in records)
    if found.over or not found.frames or alone:
        return None
    found.in_flight = set(known_outcomes(records).indeterminate)
    return found


def go_on(
    journal: Journal,
    link: WorkerLink,
    children: Sequence[bytes],
    spoilt: Container[bytes] = (),
    *,
    known: Collection[bytes] | None = None,
) -> Attached | None:
    """Which of a run's open child runs (the newest first) it goes on with over this link; the worker is told to end the others, also those
    that are `spoilt`, as it has made there what does not count. Those of another worker are given up. `known` are those that the link knows of, if
    not all.

    Raises LinkCondition RUN_DIVERGED if one of them contradicts the worker's copy: one of the two stores lost what it had called durable, so
    nobody can say what happened, and another child run might do it again; RUN_TAKEN if another process of this device goes on with it, or has said
    something in it since this one looked, or has opened it: this link would never say that to the worker, or hear of it.
    """
    if known is not None and not set(children).issubset(known):
        raise _taken()
    attached: Attached | None = None
    for child in children:
        condition = link.refused.get(child)
        if condition is not None:
            foreign = any(head.writer not in (journal.store_id, link.store) for head in journal.heads(child))
            if condition.condition in ("RUN_DIVERGED", "RUN_TAKEN") and not foreign:
                raise condition
            if foreign or condition.condition == "STORE_CHANGED":
                give_up(journal, [child], "the run goes on at another worker")
            continue
        own = max((head.last for head in journal.heads(child) if head.writer == journal.store_id), default=0)
        if own > journal.have(child):
            raise _taken()
        if child not in spoilt:
            attached = attached or usable(journal, child)
        if attached is None or attached.run != child:
            link.give_up(child)
    return attached


def _taken() -> LinkCondition:
    return LinkCondition("RUN_TAKEN", "another process of this device goes on with this run")


def _paths(frame: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    """The paths of inputs that go along with an order: those of the frame's own nodes stand there by their ids."""
    for name in inputs:
        if "/" not in frame or "/" in name:
            yield name
        if "/" not in frame or "/" not in name:
            yield node_path(frame, escape(name))
