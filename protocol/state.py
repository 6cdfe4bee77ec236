"""The state one end of the link keeps: its runs, what waits to be durable, and the connection of the moment.

Shared by the session's two halves, the application's side (protocol.session) and the reading of messages (protocol.inbox).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from graphs.records import Record
from graphs.values import Value
from protocol.bodies import Gives, Wants
from protocol.codec import LOWEST_LIMITS
from protocol.config import Config, Role
from protocol.copies import Copies
from protocol.errors import RemoteProtocolError
from protocol.events import Diverged, Event, Faulted, Got, NeedRecords
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
        self.greeted = self.greeted or self.phase is Phase.OPEN


_new: Callable[..., Any] = tuple.__new__
"""Makes a named tuple in half the time."""


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
        self.connection: Connection | None = None
        self.highest = 0
        """The highest number a connection had."""
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
        self.copies = Copies(self)
        self.parked: dict[Run, int] = {}
        """Runs that were refused for now, and when each is offered again."""
        self.asks: list[Effect] = []
        """What is to be made durable and was not handed out yet."""
        self._taken: list[Effect] = []
        self.whose: list[Run] = []
        """The run of each effect handed out, then of each one asked for."""
        self.meant: list[Record | None] = []
        """What each of them means, if it is a record of the peer: that is told as `Got` once durable."""
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
            run.fence()
        self.expired.update(snapshot.expired)

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

    def stage(self, effect: Effect, run: Run) -> None:
        """Ask for this to be made durable."""
        self.asks.append(effect)
        self.whose.append(run)
        self.meant.append(None)

    def received(self, effect: Write | Copy, run: Run, record: Record) -> None:
        """Ask for a record of the peer to be made durable."""
        self.unwritten += len(effect[3][2])
        self.asks.append(effect)
        self.whose.append(run)
        self.meant.append(record)

    def take(self) -> list[Effect]:
        """What was asked for since the last call."""
        asked = self.asks
        if asked:
            self.asks = []
            self._taken = self._taken + asked if self._taken else asked
        return asked

    def committed(self, count: int) -> list[Event]:
        """The first `count` effects that were taken are durable: their records may be sent, acknowledged, told."""
        if count == len(self.whose) == 1 and type(effect := self._taken[0]) is Write:
            return self._committed_alone(effect)
        events: list[Event] = []
        wrote: list[Run] = []
        read: list[InLog] = []
        copied = False
        taken = self._taken if count == len(self._taken) else self._taken[:count]
        for effect, run, meant in zip(taken, self.whose, self.meant, strict=False):
            if type(effect) is not Write:
                if type(effect) is Copy:
                    self.copies.kept(effect)
                    copied = True
                elif type(effect) is Left and effect.kind == "graph":
                    self.put_graph(self.shelf.noted(effect.ref))
            elif meant is None:
                assert run.out is not None
                run.out.durable = effect[2]
                if not wrote or run is not wrote[-1]:
                    wrote.append(run)
            else:
                id_, writer, seq, encoded, _ = effect
                into = run.into
                assert into is not None
                size = len(encoded[2])
                into.durable = seq
                into.undurable -= size
                self.unwritten -= size
                if not read or into is not read[-1]:
                    read.append(into)
                events.append(_new(Got, (id_, writer, seq, meant)))
        if count == len(self.whose):
            self._taken, self.whose, self.meant = [], [], []
        else:
            self._taken = self._taken[count:]  # a store may hold the list it was given
            del self.whose[:count], self.meant[:count]
        self.durable += count
        if self.connection is not None:
            for into in read:
                self.connection.outbox.acknowledge(into)
            for run in wrote:
                self.flow(run)
        return events + self.drain_events() if copied else events

    def _committed_alone(self, effect: Write) -> list[Event]:
        """The same for one record when nothing else waits, as whenever one question is asked after the other."""
        id_, writer, seq, encoded, _ = effect
        run, meant = self.whose.pop(), self.meant.pop()
        self._taken = []  # a store may hold the list it was given
        self.durable += 1
        if meant is None:
            assert run.out is not None
            run.out.durable = seq
            self.flow(run)
            return []
        into = run.into
        assert into is not None
        size = len(encoded[2])
        into.durable = seq
        into.undurable -= size
        self.unwritten -= size
        if self.connection is not None:
            self.connection.outbox.acknowledge(into)
        return [_new(Got, (id_, writer, seq, meant))]

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
            self.events.append(Diverged(run.id, writer))

    def trim(self, run: Run) -> None:
        """On a worker: let the run's retention begin if the device holds its END."""
        out = run.out
        if not self.is_device and out is not None and out.ended and out.acked == out.last and not run.trimmed:
            run.trimmed = True
            self.stage(Trim(run.id, out.writer, out.acked), run)

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
