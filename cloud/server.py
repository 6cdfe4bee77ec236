"""The worker's server: one session a device, whatever connections it comes over, and its child runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any, Final

from cloud.access import Access
from cloud.accounts import DEFAULT, Account
from cloud.child import ChildRun, grace_of
from cloud.holdings import AccountStore, Holdings, keep_pruning
from cloud.keeper import Keeper
from cloud.parking import GRAPH_SECONDS, Parking
from cloud.revival import LeftOpen, finish_ended, left_open
from cloud.share import Share
from cloud.worker import RefusedCut, Worker
from graphs.errors import JournalError, LinkCondition
from graphs.paths import split_path
from graphs.records import Frame, Input, Known, Record, Result, Submit
from graphs.values import Value, decode
from protocol.config import Config, Role
from protocol.events import Acked, Closed, Copied, Diverged, Event, Faulted, Got, GraphReceived
from protocol.intake import Intake
from protocol.journal_store import JournalStore, device_of
from protocol.messages import GraphStatus
from protocol.pairing import PAIR_PATH
from protocol.payload import Reference
from protocol.refill import refill
from protocol.session import Conn
from protocol.transport import PATH, Link, accept, listen

if TYPE_CHECKING:
    import ssl

    from websockets.asyncio.server import Server, ServerConnection

__all__ = ["WorkerServer"]

_DRAIN_MS: Final = 2_000


class _Device:
    """One device as this worker knows it: its session, and the child runs it owns."""

    def __init__(
        self,
        worker: Share,
        holdings: Holdings,
        name: bytes,
        store: JournalStore,
        conn: Conn,
        broken: Callable[[JournalError], None],
        keeper: Keeper,
    ) -> None:
        self.worker = worker
        self._keeper = keeper
        self.holdings = holdings
        self.name = name
        self.link = Link(conn, store, self._hear)
        self.intake = Intake(self.link.bodies, self._obey, self._lacks)
        self._store = store
        self._left_open: dict[bytes, LeftOpen] = {}
        self.runs: dict[bytes, ChildRun] = {}
        self.fence = conn.fence
        self.connected = 0
        self._parked = Parking(self._missing)
        self._patience: asyncio.TimerHandle | None = None
        self._acked: dict[bytes, int] = {}
        self._ack: asyncio.Future[None] | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self._broken = broken

    # -- cloud.child.ChildLog

    def append(self, run: bytes, record: Known, labels: Collection[str] = ()) -> int:
        """Write a record of a child run. Raises LinkCondition QUOTA for a result that the account has no room for."""
        if isinstance(record, Result) and (full := self.holdings.full(self.worker.account)) is not None:
            raise full
        try:
            return self.link.append(run, record, labels)
        except JournalError:
            return 0  # nothing is kept, sent or called durable any more: this process is about to end, and the next one goes on

    def delta(self, run: bytes, start: int, token: Value) -> None:
        """A piece of an answer."""
        self.link.delta(run, start, [token])

    def state(self, run: bytes, path: str, at: int, state: int) -> None:
        """Show a node's state."""
        self.link.state(run, path, at, state, int(time.time() * 1000))

    async def durable(self) -> None:
        """Returns when all that was appended is durable."""
        await self.link.durable()

    async def held(self, run: bytes, seq: int) -> None:
        """Returns when the device holds a child run's log up to `seq`; for as long as it is away, never."""
        while self._acked.get(run, 0) < seq:
            self._ack = self._ack or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._ack)

    # -- what the session says

    def _hear(self, event: Event) -> None:
        if isinstance(event, Got):
            self.intake.take(event.run, event.record)
        elif isinstance(event, Copied):
            self._keeper.heard(event.run, event.record.type)
        elif isinstance(event, Acked):
            self._acknowledged(event)
        elif isinstance(event, GraphReceived):
            self._graph_received(event)
        elif isinstance(event, Diverged):
            self._diverged(event.run)
        elif isinstance(event, Closed):
            self._left()
        elif isinstance(event, Faulted) and event.local and event.code == "INTERNAL":
            hint = "Free some space, then start the worker again: it goes on with what it has."
            self._broken(JournalError(event.text, hint=hint))

    def _obey(self, run: bytes, record: Record, _bodies: int) -> None:
        if isinstance(record, Submit):
            self._open(run, record)
        child = self.runs.get(run)
        if child is not None:
            self._take(child, record)
        self._forget_ended()
        self._await_device()

    def _open(self, run: bytes, submit: Submit) -> None:
        before = self._left_open.pop(run, None)
        self.runs[run] = ChildRun(self.worker, self, run, submit, before.known if before is not None else None)

    async def revive(self, found: LeftOpen) -> None:
        """Go on with a child run that an earlier process of this worker left open."""
        await refill(found.known, self._value)
        self._left_open[found.run] = found
        for record in found.orders:
            if not (isinstance(record, (Submit, Frame)) and record.frame in found.broken):
                self.intake.take(found.run, record)
            elif isinstance(record, Submit):
                self._open(found.run, record)  # nothing is left to do in it, but it has to end
        self._await_device()  # for what it is asked for: the values of an order, perhaps

    async def _value(self, named: Reference) -> Value:
        data = await self._store.load_body(named.ref)
        if data is None:
            raise LinkCondition("BLOB_GONE", "a value that was reported is not here any more")
        return decode(data)

    def _take(self, child: ChildRun, record: Record) -> None:
        if isinstance(record, (Submit, Frame)):
            child.park(record)
            self._start(child, record)
        else:
            child.order(record)

    def _lacks(self, run: bytes, record: Record, condition: LinkCondition) -> None:
        """Values of an order do not come: the frame that it is for cannot go on."""
        if isinstance(record, Submit):
            self._open(run, record)
        child = self.runs.get(run)
        if child is not None and isinstance(record, (Submit, Frame)):
            child.park(record)
            child.refuse(record, RefusedCut(condition.condition, [("", condition.condition, str(condition))]))
        elif child is not None and isinstance(record, Input):
            child.lacks(split_path(record.path)[0], condition)

    def _diverged(self, run: bytes) -> None:
        """The two copies of the run contradict each other: nothing may be said in it any more, so nothing more is done for it."""
        self.intake.forget(run)
        if self.holdings.journal.knows(run):
            self.holdings.journal.finish_run(run, "diverged", ended=int(time.time() * 1000))
        child = self.runs.pop(run, None)
        if child is not None:
            self._start_beside(child.stop())

    def _acknowledged(self, event: Acked) -> None:
        if event.run in self.runs:
            self._acked[event.run] = event.seq
        ack, self._ack = self._ack, None
        if ack is not None:
            ack.set_result(None)

    def _start(self, child: ChildRun, order: Submit | Frame) -> None:
        address = order.graph
        try:
            graph = self.worker.graph(address, child.bypass)
            if graph is not None:
                self.worker.check_models(graph, child.model_names)
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
            self.worker.keep_graph(event.h, event.body)
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
        if self.worker.journal.graph(event.h) is not None:
            return None
        return self.holdings.admit_graph(self.worker.account, len(event.body))

    def _forget_ended(self) -> None:
        for run in [run for run, child in self.runs.items() if child.ended]:
            del self.runs[run]
            self.intake.forget(run)
            self.link.offer(self.worker.offer())
            self._acked.pop(run, None)
            self._start_beside(self._tell_keeper(run))

    async def _tell_keeper(self, run: bytes) -> None:
        """A child run is over: the run that it is a part of may be waiting for that here."""
        try:
            await self.link.durable()
        except JournalError:
            return  # this process is about to end
        self._keeper.part_ended(run)

    def _start_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    # -- coming and going

    def came(self) -> None:
        """A connection of this device is open."""
        self.connected += 1
        self._parked.connected()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _left(self) -> None:
        self.connected -= 1
        if self.connected == 0:
            self._parked.disconnected()
        self._await_device()

    def _await_device(self) -> None:
        """Unless it is here: what it does not ask for in time is given up. It may have left before its order was durable, or an earlier process
        of this worker had the order.
        """
        if self.connected > 0 or self._patience is not None:
            return
        graces = [child.grace_ms for child in self.runs.values()] + [grace_of(submit) for _, submit in self.intake.submits()]
        grace = min((each for each in graces if each is not None), default=None)
        if grace is not None:
            self._patience = asyncio.get_running_loop().call_later(grace / 1000, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        why = "the device was gone for too long"
        for run, submit in self.intake.submits():
            if grace_of(submit) is not None:
                self.intake.give_up(run, LinkCondition("CANCELLED", why, retryable=False))
        for child in list(self.runs.values()):
            if child.grace_ms is not None:
                child.abandon(why)

    def revoked(self) -> None:
        """This device may not come any more: nothing of it goes on."""
        for child in list(self.runs.values()):
            child.abandon("the device's access was revoked")

    async def stop(self) -> None:
        """This process is about to end."""
        if self._patience is not None:
            self._patience.cancel()
        self._parked.disconnected()
        self.intake.close()
        for child in list(self.runs.values()):
            await child.stop()
        await self.link.close()  # what was written last becomes durable, too


class WorkerServer:
    """Serves one worker on one address.

    `access` says who may come; without it who shows `token`, and everybody without one. `tls` makes it `wss`, `plain` allows `ws` elsewhere
    than on loopback, `public` is the host that devices know it by.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        access: Access | None = None,
        tls: ssl.SSLContext | None = None,
        plain: bool = False,
        public: str | None = None,
    ) -> None:
        self.worker = worker
        self._host = host
        self._port = port
        self._tls = tls
        self._plain = plain
        self._public = public or host
        self._access = access or Access({DEFAULT: Account()}, token=token, anybody=True)
        self._holdings = Holdings(worker.journal, self._access.accounts)
        self._shares: dict[str, Share] = {}
        self._keeper = Keeper(worker, self._share_of)
        self._devices: dict[tuple[str, bytes], _Device] = {}
        self._server: Server | None = None
        self._pruning: asyncio.Task[None] | None = None
        self._draining: int | None = None
        self._failure: JournalError | None = None
        self._failed = asyncio.Event()

    async def start(self) -> str:
        """Begin to listen; gives the link URL. Raises UsageError for an address that is not loopback without TLS, OSError for one
        that is taken.
        """
        await self._revive()
        self._server = await listen(
            self._serve,
            host=self._host,
            port=self._port,
            admit=self._access.admit,
            tls=self._tls,
            plain=self._plain,
            draining=lambda: self._draining,
            health=self._health,
        )
        self._pruning = asyncio.get_running_loop().create_task(keep_pruning(self._holdings))
        port = next(iter(self._server.sockets)).getsockname()[1]
        host = f"[{self._public}]" if ":" in self._public else self._public
        return f"{'ws' if self._tls is None else 'wss'}://{host}:{port}{PATH}"

    async def stop(self) -> None:
        """Take no more, tell the devices, end what runs; their logs stay open and say so."""
        self._draining = _DRAIN_MS
        for device in self._devices.values():
            device.link.drain("this worker is about to stop", 0, _DRAIN_MS)
        await self._access.close()
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.gather(self._pruning, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await self._keeper.close()
        for device in self._devices.values():
            await device.stop()
        await self.worker.close()

    async def broken(self) -> JournalError:
        """Returns when the journal cannot be written any more, with why: this process can keep nothing from then on, and should end."""
        await self._failed.wait()
        assert self._failure is not None
        return self._failure

    def _break(self, failure: JournalError) -> None:
        self._failure = self._failure or failure
        self._failed.set()

    def _health(self) -> str:
        return f"ok: {self.worker.running} running\n"

    async def _revive(self) -> None:
        """What an earlier process left open goes on, whether or not its devices are there."""
        journal, accounts = self.worker.journal, self._access.accounts
        finish_ended(journal)
        left: dict[tuple[str, bytes], list[LeftOpen]] = {}
        for row in journal.runs(role="child", status="running"):
            owner, device = self._holdings.owner(row.run), device_of(row.name)
            found = left_open(journal, row.run) if device is not None and owner in accounts else None
            if device is not None and found is not None:
                left.setdefault((owner, device), []).append(found)
        self._keeper.revive()
        for (owner, name), several in left.items():
            session = await self._device(accounts[owner], name, [found.run for found in several])
            for found in several:
                await session.revive(found)

    async def _serve(self, socket: ServerConnection) -> None:
        if socket.request is not None and socket.request.path.partition("?")[0] == PAIR_PATH:
            await self._access.pair(socket)
            return
        came = await accept(socket)
        if came is None:
            return
        packet, hello = came
        grant = await self._access.enter(socket, hello.device)
        if grant is None:
            return
        device = await self._device(grant.account, hello.device, ())
        fault = device.fence(hello.conn)
        if fault is not None:
            await socket.close(4409, fault.text[:100])
            return
        device.came()
        device.link.offer(device.worker.offer())
        with self._access.watching(socket, grant, device.revoked):
            await device.link.carry(socket, hello.conn, packet)

    def _share(self, account: Account) -> Share:
        return self._shares.setdefault(account.name, Share(self.worker, account))

    def _share_of(self, run: bytes) -> Share | None:
        account = self._access.accounts.get(self._holdings.owner(run))
        return self._share(account) if account is not None else None

    async def _device(self, account: Account, name: bytes, runs: Collection[bytes]) -> _Device:
        """The session of a device of this account: the same device in another account is another one. `runs` are known of it from before."""
        device = self._devices.get((account.name, name))
        if device is not None:
            return device
        share = self._share(account)
        config = Config(
            role=Role.WORKER,
            peer=name.hex(),
            device=name,
            agent="graphferry",
            offer=share.offer(),
            clear=account.clear,
            room=lambda run: share.room() or self._holdings.room(account, run),
            accepts=lambda _run, kind, size: self._holdings.accepts(account, kind, size),
        )
        store = AccountStore(self._holdings, account, name)
        device = _Device(share, self._holdings, name, store, Conn(config, await store.find(runs)), self._break, self._keeper)
        return self._devices.setdefault((account.name, name), device)  # another connection of it may have come meanwhile
