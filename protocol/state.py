"""The state one end of the link keeps: its runs, what waits to be durable, and the connection of the moment.

Shared by the session's two halves, the application's side (protocol.session) and the reading of messages (protocol.inbox).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from graphs.records import RECORDS, Cancel, End, Event as EventRecord, Submit, plain_writers
from graphs.values import Value
from protocol.bodies import Gives, Wants
from protocol.codec import LOWEST_LIMITS, MAX_FIRST_PACKET
from protocol.config import Config, Role
from protocol.copies import Copies
from protocol.errors import RemoteProtocolError
from protocol.events import Diverged, Event, Faulted, NeedRecords
from protocol.gate import NEVER
from protocol.liveness import Liveness
from protocol.log import InLog, OutLog, Run
from protocol.messages import Fault, Hash, Message, PutGraph, RunId, StoreId
from protocol.outbox import Outbox
from protocol.shelf import Shelf
from protocol.states import HEARD, Phase, after
from protocol.store import Copy, Effect, Left, LogHead, Snapshot, Trim, Write

__all__ = ["Connection", "State"]


class Connection:
    """One connection: everything that ends with it."""

    def __init__(self, now: int, number: int, config: Config) -> None:
        self.number = number
        self.outbox = Outbox(LOWEST_LIMITS)
        self.liveness = Liveness(now, config.hb_ms)
        self.aliases: dict[int, tuple[Run, InLog]] = {}
        """The peer's aliases of logs that are taken."""
        self.announced = 0
        """The peer's last alias: records of one up to here that is not in `aliases` are dropped."""
        self.role = config.role
        self.phase = Phase.OPENING
        self.hears = HEARD[config.role, Phase.OPENING]
        """The kinds of messages that may come now."""
        self.greeted = False
        """Whether HELLO (on a worker) or WELCOME (on a device) was received."""
        self.longest = config.limits.packet if config.role is Role.DEVICE else MAX_FIRST_PACKET
        """Bytes of the next packet at most."""
        self._limits = config.limits
        self.going_away = False
        """Whether the peer takes no new runs."""
        self.closing: int | None = None
        """The close code, once the connection is to end."""
        self.pings = 0
        self.looked = now
        """When chunks of bodies were last looked for."""
        self.offered_at: int | None = None
        self.hurries = True
        """Whether something has to be done sooner than was said when somebody last asked."""
        self.drain_at: int | None = None

    def move(self, event: str) -> None:
        """Something happened that the table of connections names."""
        self.phase = after(self.role, self.phase, event)
        self.hears = HEARD[self.role, self.phase]
        if self.phase is Phase.OPEN:
            self.greeted = True
            self.longest = self._limits.packet


_NONE_LEFT: Mapping[Any, int] = {}
_LOOKED_AT = {Submit.TYPE, Cancel.TYPE, EventRecord.TYPE, End.TYPE}
"""Records that begin or end something."""


class State:
    """See the module."""

    def __init__(self, config: Config, snapshot: Snapshot) -> None:
        self.config = config
        self.is_device = config.role is Role.DEVICE
        """Which end this is."""
        self.store = snapshot.store
        self.peer: StoreId | None = snapshot.peer
        self.runs: dict[RunId, Run] = {}
        self.expired: set[RunId] = set()
        self.taken: set[RunId] = set()
        """On a worker: runs that a later session of the device goes on with."""
        self.connection: Connection | None = None
        self.highest = 0
        """The highest number a connection had."""
        self.session = config.session
        """On a device: what this session is called at the worker; 0 while the next connection gives it its number."""
        self.events: list[Event] = []
        self.offer: Mapping[str, Value] = dict(config.offer)
        self.offer_changed = False
        self.draining: int | None = None
        """On a worker that takes no new runs: when to come back, in ms."""
        self.shelf = Shelf(self.clear, snapshot.peer, snapshot.held)
        self.wants = Wants(self._say, self._tell)
        self.gives = Gives(self.clear, self._say, self._tell)
        self.wanted: set[Hash] = set()
        """On a worker: graphs it asked for and did not get yet."""
        self.durable = 0
        """How many effects are durable, of those that were ever asked for."""
        self.unwritten = 0
        """Bytes of the peer's records that are not durable yet."""
        self.heard = 0
        """How many messages of the peer were looked at."""
        self.copies = Copies(self)
        self.parked: dict[Run, int] = {}
        """Runs that were refused for now, and when each is offered again."""
        self.asks: list[Effect] = []
        """What is to be made durable and was not handed out yet. Always this one list: `Commits` looks whether anything is in it."""
        self._taken: list[Effect] = []
        self.marks: list[Any] = []
        """For each effect handed out, then for each one asked for: the log of a run, if it is a record of one."""
        self.came: list[Event] = []
        """What is told of the peer's records among them when they are durable, in their order."""
        orders = frozenset(type_ for type_ in RECORDS if type_ < 0x30)
        answers = frozenset(RECORDS) - orders
        self.writers = plain_writers((orders if self.is_device else answers) - _LOOKED_AT)
        """What encodes records that need no second look where they are appended: nearly all."""
        self.reads = (answers if self.is_device else orders) - _LOOKED_AT
        """The types of records that need none where they come."""
        self.learn(snapshot)

    def clear(self, labels: Collection[str]) -> bool:
        """The gate, asked about this peer."""
        return NEVER.isdisjoint(labels) and self.config.clear(labels, self.config.peer)

    def _say(self, message: Message) -> None:
        """Control, while there is a connection that may carry it; without one it is said anew later."""
        if self.connection is not None and self.connection.greeted:
            self.connection.outbox.control(message)

    def put_graph(self, message: PutGraph | None) -> None:
        """Send a graph, if there is one to be sent and somebody to send it to: without a connection the next one begins with it."""
        if message is not None and self.connection is not None:
            self.connection.outbox.control(message)

    def _tell(self, event: Event) -> None:
        self.events.append(event)

    def learn(self, snapshot: Snapshot) -> None:
        """Take in runs of the store that are not here yet."""
        new: dict[RunId, list[LogHead]] = {}
        for head in snapshot.logs:
            if head.run not in self.runs:
                new.setdefault(head.run, []).append(head)
        for id_, heads in new.items():
            run = self.runs[id_] = Run(id_)
            for head in heads:
                if head.writer == self.store:
                    run.out = OutLog(id_, head.writer, head)
                else:
                    run.into = InLog(id_, head.writer, head)
            if run.out is None:
                run.out = OutLog(id_, self.store)
            run.reserved = self.config.reserved
            run.diverged = id_ in snapshot.diverged
            run.fence()
        self.expired.update(snapshot.expired)
        self.taken.update(snapshot.taken)

    def release(self, id_: RunId) -> None:
        """A run from before goes on."""
        run = self.runs.get(id_)
        if run is not None:
            run.reserved = False
            self.fence(run)

    def fence(self, run: Run) -> None:
        """What is held back of a run may have changed; what no longer is goes."""
        run.fence()
        if self.connection is not None and run.into is not None:
            self.connection.outbox.acknowledge(run.into)

    # -- durability

    @property
    def staged(self) -> int:
        """How many effects were ever asked for."""
        return self.durable + len(self._taken) + len(self.asks)

    def stage(self, effect: Effect) -> None:
        """Ask for this to be made durable."""
        self.asks.append(effect)
        self.marks.append(None)

    def take_copy(self, effect: Copy) -> None:
        """Ask for a copied record of the peer to be made durable."""
        self.unwritten += len(effect.record.tail)
        self.stage(effect)

    def take(self) -> list[Effect]:
        """What was asked for since the last call."""
        asked = self.asks[:]  # a new list: a store may hold the one it was given
        if asked:
            self.asks.clear()
            self._taken = self._taken + asked if self._taken else asked
        return asked

    def committed(self, count: int) -> list[Event]:
        """The first `count` effects that were taken are durable: their records may be sent, acknowledged, told."""
        marks = self.marks
        taken: list[Any] = self._taken
        if len(marks) == 1 and (mark := marks[0]) is not None:  # a record by itself, as each is that somebody waits for
            marks.clear()
            self._taken = []
            self.durable += 1
            mark.durable = taken[0][2]
            if mark.__class__ is OutLog:
                if (run := self.runs.get(mark.run)) is not None:
                    self.flow(run)
                return []
            mark.kept = mark.accepted
            self.unwritten = 0
            if self.connection is not None:
                self.connection.outbox.acknowledge(mark)
            events, self.came = self.came, []
            return events
        events, left = self.came, _NONE_LEFT
        if count == len(marks):
            self.marks, self.came, self._taken = [], [], []
            self.unwritten = 0
        else:
            self.marks, self._taken = marks[count:], taken[count:]
            marks = marks[:count]
            told = sum(mark.__class__ is InLog for mark in marks)
            self.came, events = events[told:], events[:told]
            left = self._left()
        self.durable += count
        # of each log, the last record
        for log, last in dict(zip(marks, taken, strict=False)).items():
            if log.__class__ is OutLog:
                log.durable = last[2]
                if (run := self.runs.get(log.run)) is not None:
                    self.flow(run)
            elif log is not None:
                log.durable = last[2]
                log.kept = log.accepted - left.get(log, 0)
                if self.connection is not None:
                    self.connection.outbox.acknowledge(log)
            else:
                for effect, mark in zip(taken, marks, strict=False):
                    if mark is None:
                        self._kept(effect)
                events += self.drain_events()
        return events

    def _left(self) -> dict[Any, int]:
        """Bytes of the peer's records that are not durable yet, by log; of copies under None. They are counted anew."""
        left: dict[Any, int] = {}
        for effect, mark in zip([*self._taken, *self.asks], self.marks, strict=True):
            if mark.__class__ is not OutLog and isinstance(effect, (Write, Copy)):
                left[mark] = left.get(mark, 0) + len(effect.record.tail)
        self.unwritten = sum(left.values())
        return left

    def _kept(self, effect: Effect) -> None:
        """What is no record of a run on this link is durable."""
        if isinstance(effect, Copy):
            self.copies.kept(effect)
        elif isinstance(effect, Left) and effect.kind == "graph":
            self.put_graph(self.shelf.noted(effect.ref))

    # -- runs

    def flow(self, run: Run) -> None:
        """Let the run's records go, if they may go on this connection."""
        out, connection = run.out, self.connection
        if out is None or connection is None or run.diverged or run.refused is not None or (self.parked and run in self.parked):
            return
        if not run.live:
            # a run the worker cannot know yet needs no word of it first; GOAWAY keeps it for the next connection
            if not self.is_device or out.offered or connection.going_away:
                return
            run.live = True
        if out.sent < out.durable:
            if out.sent >= out.held and (missing := out.lacks()) is not None:
                self.events.append(NeedRecords(run.id, out.writer, *missing))
            connection.outbox.records(out)

    def resume(self, run: Run) -> None:
        """Both sides know where the run's logs stand: records and token streams flow."""
        run.live = True
        self.flow(run)
        if self.connection is not None and run.out is not None:
            for stream in run.out.streams.by_start.values():
                if stream.pending:
                    self.connection.outbox.tokens(run.out, stream, stream.pending)

    def diverge(self, run: Run, writer: StoreId) -> None:
        """The copies of a log contradict each other: nothing of this run is sent or taken any more."""
        if not run.diverged:
            run.diverged = True
            run.live = False
            run.look_closer()
            self.events.append(Diverged(run.id, writer))

    def trim(self, run: Run) -> None:
        """On a worker: let the run's retention begin if the device holds its END."""
        out = run.out
        if not self.is_device and out is not None and out.ended and out.acked == out.last and not run.trimmed:
            run.trimmed = True
            self.stage(Trim(run.id, out.writer, out.acked))

    def forget(self, runs: Iterable[Run]) -> None:
        """Drop what needs no further word; the store still has it."""
        for run in list(runs):
            del self.runs[run.id]

    # -- faults

    def fail(self, error: RemoteProtocolError) -> None:
        """The peer broke a rule: tell it, tell the application, and close if it must be."""
        assert self.connection is not None
        about = error.about
        self.connection.outbox.control(Fault(error.fault, error.text, error.fatal, about))
        self.events.append(Faulted(error.fault, error.text, True, error.close, about))
        if error.close is not None and self.connection.closing is None:
            self.connection.closing = error.close
            self.connection.hurries = True
            self.connection.move("fault")

    def drain_events(self) -> list[Event]:
        """What happened since the last call."""
        events, self.events = self.events, []
        return events
