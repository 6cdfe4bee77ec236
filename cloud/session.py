"""One process of a device at this worker: its session, whatever connections it comes over, and what it orders."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cloud.child import ChildRun
from cloud.holdings import AccountStore
from cloud.parking import GRAPH_SECONDS, Parking
from cloud.worker import RefusedCut
from graphs.errors import JournalError, LinkCondition
from graphs.journal.ids import run_id_text
from graphs.paths import split_path
from graphs.records import Frame, Input, Record, Submit
from protocol.config import Config, Role
from protocol.events import Acked, Closed, Copied, CopyRefused, Diverged, Event, Faulted, Got, GraphReceived
from protocol.intake import Intake
from protocol.messages import GraphStatus, RunId
from protocol.moving import MovingLink
from protocol.session import Conn
from protocol.store import Snapshot

if TYPE_CHECKING:
    from cloud.owner import Owner

__all__ = ["Session"]

_log = logging.getLogger("graphferry.link")
_NOT_KEPT: Final = "the worker could not keep or read a value of this on its disk; its log says why"


class Session:
    """A session of a device. `number` is what the device calls it, 0 if it names none; `rank` orders those of one device: a later one may go on with
    runs of an earlier one, never the other way round.
    """

    def __init__(self, owner: Owner, number: int) -> None:
        self._owner = owner
        self.number = number
        self.rank = number
        self.connected = 0
        self.named: Collection[RunId] = ()
        """The runs that its last HELLO named, and that it goes on with."""
        holdings, account = owner.holdings, owner.share.account
        config = Config(
            role=Role.WORKER,
            peer=owner.name.hex(),
            device=owner.name,
            agent="graphferry",
            offer=owner.offer(),
            clear=account.clear,
            room=lambda run: owner.room(self, run),
            accepts=lambda _run, kind, size: holdings.accepts(account, kind, size),
        )
        self._store = _SessionStore(self, owner)
        self._conn = Conn(config, Snapshot(holdings.journal.store_id))
        self.link = MovingLink(self._conn, self._store, self._hear)
        self.intake = Intake(self.link.bodies, self._obey, self._lacks)
        self._parked: Parking[tuple[ChildRun, Submit | Frame]] = Parking(self._missing)

    # -- its runs

    async def load(self, runs: Collection[RunId]) -> None:
        """Take in runs that an earlier process of this worker left open."""
        self._conn.learn(await self._store.load(runs))

    async def load_body(self, ref: bytes) -> bytes | None:
        """The bytes of a value that is here."""
        return await self._store.load_body(ref)

    def take_over(self, run: RunId, before: Session) -> None:
        """The run has moved here from another session: so does what waits there for values or for a graph."""
        for record in before.intake.leave(run):
            self.intake.take(run, record)
        for child, order in before._parked.leave(lambda waiting: waiting[0].run == run):
            self._start(child, order)

    def drop(self, run: RunId) -> None:
        """Nothing of the run waits any more."""
        self.intake.forget(run)
        self._parked.leave(lambda waiting: waiting[0].run == run)

    @property
    def is_over(self) -> bool:
        """Whether nobody is connected, and nothing is to be done in it."""
        return self.connected == 0 and self.link.is_idle and self._parked.is_empty and self.intake.is_empty

    # -- what the session says

    def _hear(self, event: Event) -> None:
        owner = self._owner
        if isinstance(event, Got):
            self.intake.take(event.run, event.record)
        elif isinstance(event, Copied):
            owner.keeper.heard(event.run, event.record.type)
        elif isinstance(event, CopyRefused) and event.unkept:
            _log.warning("%s", event.text)
        elif isinstance(event, Acked):
            owner.acknowledged(event)
        elif isinstance(event, GraphReceived):
            self._graph_received(event)
        elif isinstance(event, Diverged):
            self.intake.forget(event.run)
            owner.diverged(event.run)
        elif isinstance(event, Closed):
            self._left()
        elif isinstance(event, Faulted) and event.local and event.code == "INTERNAL":
            hint = "Free some space, and start the worker again: once there is room it goes on with what it has."
            owner.broken(JournalError(event.text, hint=hint))

    def _obey(self, run: RunId, record: Record, _bodies: int) -> None:
        owner = self._owner
        if isinstance(record, Submit):
            owner.open(run, record, self)
        child = owner.runs.get(run)
        if child is not None:
            self._take(child, record)
        owner.forget_ended()
        owner.await_device()

    def _take(self, child: ChildRun, record: Record) -> None:
        if isinstance(record, (Submit, Frame)):
            child.park(record)
            self._start(child, record)
        else:
            child.order(record)

    def _lacks(self, run: RunId, record: Record, condition: LinkCondition) -> None:
        """Values of an order do not come: the frame that it is for cannot go on. What this disk has to do with it is not for the device to read:
        the journal's words name paths of this machine.
        """
        if condition.condition == "INTERNAL":
            _log.warning("run %s: %s", run_id_text(run), condition.message)
            condition = LinkCondition("INTERNAL", _NOT_KEPT)
        if isinstance(record, Submit):
            self._owner.open(run, record, self)
        child = self._owner.runs.get(run)
        if child is not None and isinstance(record, (Submit, Frame)):
            child.park(record)
            child.refuse(record, RefusedCut(condition.condition, [("", condition.condition, str(condition))]))
        elif child is not None and isinstance(record, Input):
            child.lacks(split_path(record.path)[0], condition)

    # -- graphs

    def _start(self, child: ChildRun, order: Submit | Frame) -> None:
        address, worker = order.graph, self._owner.share
        try:
            graph = worker.graph(address, child.bypass)
            if graph is not None:
                worker.check_models(graph, child.model_names)
        except RefusedCut as refusal:
            self.link.graph_state(address, GraphStatus.INVALID, refusal.problems)
            child.refuse(order, refusal)
            return
        if graph is None:
            self._parked.park(address, (child, order))
            self.link.graph_state(address, GraphStatus.UNKNOWN)
        else:
            self.link.graph_state(address, GraphStatus.OK)
            child.begin(order, graph)

    def _graph_received(self, event: GraphReceived) -> None:
        try:
            if (full := self._no_room_for(event)) is not None:
                raise RefusedCut("QUOTA", [("", "QUOTA", full.message)])
            self._owner.share.keep_graph(event.h, event.body)
        except RefusedCut as refusal:
            self.link.graph_state(event.h, GraphStatus.INVALID, refusal.problems)
            for child, order in self._parked.take(event.h):
                child.refuse(order, refusal)
            return
        self.link.graph_state(event.h, GraphStatus.OK)
        for child, order in self._parked.take(event.h):
            self._start(child, order)

    def _missing(self, parked: tuple[ChildRun, Submit | Frame]) -> None:
        child, order = parked
        text = f"the graph {order.graph.hex()} of this frame was asked for and did not come within {GRAPH_SECONDS:.0f} s"
        child.refuse(order, RefusedCut("GRAPH_MISSING", [("", "GRAPH_MISSING", text)]))

    def _no_room_for(self, event: GraphReceived) -> LinkCondition | None:
        owner = self._owner
        if owner.holdings.journal.graph(event.h) is not None:
            return None
        return owner.holdings.admit_graph(owner.share.account, len(event.body))

    # -- coming and going

    def came(self, number: int) -> None:
        """A connection of this session is open, or about to be; the event `Closed` ends it."""
        self.connected += 1
        self.rank = self.number or max(self.rank, number)
        self._parked.connected()
        self._owner.came()
        self.link.offer(self._owner.offer())

    def _left(self) -> None:
        self.connected -= 1
        if self.connected == 0:
            self._parked.disconnected()
        self._owner.left(self)

    async def stop(self) -> None:
        """Nothing comes over it any more; what was written last becomes durable, too."""
        self._parked.disconnected()
        self.intake.close()
        await self.link.close()


class _SessionStore(AccountStore):
    """The store of one session: a run that its peer names comes to it, unless a later session has it."""

    def __init__(self, session: Session, owner: Owner) -> None:
        super().__init__(owner.holdings, owner.share.account, owner.name)
        self._session = session
        self._owner = owner

    async def find(self, runs: Collection[RunId]) -> Snapshot:
        taken = await self._owner.claim(self._session, set(runs))
        return replace(await self.load([run for run in runs if run not in taken]), taken=taken)

    async def load(self, runs: Collection[RunId]) -> Snapshot:
        """What the store has of these runs."""
        return await super().find(runs)
