"""Runs a graph on the device: journal, placement, engine, and the worker where one is needed.

The order is the product's promise. The run is on record before anything starts; each node has a place and a reason before
anything is shipped; what leaves the process waits for the journal; however the run stops, what is finished is kept and the way
to go on is known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge.ferrying.attached import Attached, go_on, open_children
from edge.ferrying.earlier import Earlier
from edge.ferrying.outside import label_guard, run_guard
from edge.means import Device, RunOptions
from edge.offers import check_offer, keep_offer, last_offer
from edge.people.desk import AttendedDesk
from edge.placing.facts import Facts, Place, Placement, nothing_done
from edge.planning.keeping import Keeper
from edge.policies import Policy, acts, node_policies
from edge.privacy.settings import worker_place
from edge.runs.bystanders import bystanders
from edge.runs.elsewhere import Elsewhere
from edge.runs.labelling import told_of
from edge.runs.leaving import Leaving, ways_out
from edge.runs.pauses import CANCELLED, asked_for, noted, too_late
from edge.runs.places import Chooser, Places, by_clearance
from edge.runs.resting import at_work_until_asked
from edge.showing.report import RunReport, status_of
from edge.showing.watch import Watch
from edge.spending.guarding import guard_of
from edge.syncing.waiting import INTERRUPTED
from graphs.budget import measure
from graphs.engine.orders import Orders, orders
from graphs.engine.outcomes import Known
from graphs.errors import LimitReached, LinkCondition, UsageError, WorkerUnreachable
from graphs.journal.ids import new_run_id, run_id_text
from graphs.language.spec import Graph, is_computed
from graphs.paths import escape, root_node
from graphs.records import Known as Recordable, State, Submit
from graphs.running.ports import Services
from graphs.running.recorder import LogRecorder
from graphs.running.runtime import Runtime
from protocol.run_log import RunLog, open_run

if TYPE_CHECKING:
    from edge.ferrying.delegate import Delegate
    from edge.ferrying.fallback import Fallback
    from edge.ferrying.worker import WorkerLink
    from graphs.engine.plan import Compiler
    from graphs.spending.guard import Guard
    from graphs.values import Value

__all__ = ["Device", "Run", "RunOptions", "run_graph"]


async def run_graph(device: Device, graph: Graph, options: RunOptions, *, name: str, source: str | None = None) -> RunReport:
    """Run a checked graph from its beginning.

    Raises UsageError for what can be known to be impossible before anything runs, and JournalError. Failures of nodes and
    conditions of the link are in the report.
    """
    graph = device.written_out(graph)
    options = replace(options, sync=options.sync or graph.document.get("sync") is True)
    run = Run(device, graph, options, new_run_id(), Known())
    await run.prepare()
    inputs = {node: [int(State.INJECTED), value] for node, value in options.inject.items()}
    submit = Submit("", graph.hash, inputs, {"parent": None, "options": run.options.as_record()})
    about: dict[str, Any] = {
        "graph_hash": graph.hash,
        "graph": graph.canonical,
        "name": name,
        "source": source,
        "started": _now(),
    }
    # The lock first: a run that can be seen and has none, somebody might go on with, or remove.
    with at_work_until_asked(device.journal.path, run.id, run.rest, run.stop):
        run.told.begin()
        open_run(device.journal, run.id, submit, about, shared=options.sync, labels=run.labels.of_inputs(inputs))
        run.keeper.begin()
        return await run.execute(name)


class Run:
    """One run while this process holds it."""

    def __init__(self, device: Device, graph: Graph, options: RunOptions, run_id: bytes, known: Known) -> None:
        self.id = run_id
        self.device = device
        self.graph = graph
        self.options = options
        self.known = known
        self.placed: dict[str, Placement] = {}
        self.places = Places(device, graph, options)
        self.link: WorkerLink | None = None
        self.unreachable: LinkCondition | None = None
        self.limits: Orders = Orders({})
        self.delegate: Delegate | None = None
        self.leaving = Leaving(self)
        self.elsewhere = Elsewhere(self)
        self.attached: Attached | None = None
        self.earlier: Earlier | None = None
        self.joins = False
        """Whether what waits for the worker goes out if it is reached while the run goes on."""
        self.not_shipping: LinkCondition | None = None
        """Why nothing is given to the worker in this process, although it can be reached."""
        self.runtime: Runtime | None = None
        self.recall: Any = None
        self.rests = False
        """Whether another process has asked for the run."""
        self.stops = False
        """Whether another process ends it."""
        self.fallback: Fallback | None = None
        self.guard: Guard | None = None
        self.keeper = Keeper(self)
        self.told = told_of(device, graph, run_id)
        self.labels = self.told.labels
        self._document = graph.document
        self.desk = AttendedDesk(device.journal, run_id, self.record, labels=self.labels.by_node, person=device.person)
        self._opened: list[tuple[str, Value]] = []  # graphs that are values, before there was a link to look at them

    @property
    def text(self) -> str:
        return run_id_text(self.id)

    def opened(self, path: str, document: Value) -> None:
        """The node at this path, or place, opens this graph, which is a value: it is looked at for labels, by the link's gate for itself."""
        self.told.opened(path, document)
        if self.link is not None:
            self.link.judge.opened(path, document)
        else:
            self._opened.append((path, document))

    def rest(self) -> None:
        """Begin nothing more, and suspend the run when what runs here has finished."""
        self.rests = True
        if self.runtime is not None:
            self.runtime.rest()

    def stop(self) -> None:
        """End the run as cancelled, where it is: what runs here is stopped."""
        self.stops = True
        if self.runtime is not None:
            self.runtime.abort(CANCELLED)

    # -- before anything runs

    async def prepare(self, children: Sequence[bytes] = ()) -> None:
        """Place every node, reaching for the worker only if a node may need it. Raises as `place`.

        `children` are the run's open child runs, the newest first: that one is gone on with if the worker has it, the others are ended.
        """
        goes_on = bool(children)
        try:
            self.place(goes_on=goes_on)
        except UsageError as error:
            if self.options.unasked() is not None or not by_clearance(error):
                raise
            self.place(goes_on=goes_on, hopes=True)  # by what the worker said last: it is asked now
        if self._reaches_out and not self.options.local_only:
            await self.reach_worker(children)
            if self.link is None:
                self.leaving.wanted = {path for path, each in self.placed.items() if each.free and each.place == "cloud"}
                self.place(reached=False)
            else:
                await self._place_with(self.link, goes_on=goes_on)
                await self.link.caught_up()
                await self._attach(self.link, children)
        self.options = replace(self.options, decided=self.places.decided)

    def require_places(self, offer: Mapping[str, Any], *, goes_on: bool = False) -> None:
        """Place every node, given what the worker offers. Raises UsageError if that does not satisfy one."""
        self._find(offer, goes_on=goes_on)
        check_offer(self.graph, self.placed, self.shipped(), offer)

    def place(self, *, reached: bool = True, goes_on: bool = False, hopes: bool = False) -> None:
        """Place every node by what is known without asking anybody; with `hopes` as if the worker were cleared for all it could be. Raises UsageError
        if no place satisfies a node, and for a graph that is not trusted and wants more than it may, GraphInvalid.
        """
        self.options.permissions.require(self.graph.document, self.graph.nodes, self.device.agents)
        self.options.require_nodes(self.graph.nodes)
        offer = last_offer(self.device.journal, self.options.url)
        self._find({**(offer or {}), "clearance": None} if hopes else offer, reached=reached, goes_on=goes_on)

    def _find(self, offer: Mapping[str, Any] | None, **how: bool) -> None:
        self.placed = self.places.find(self.facts(offer), **how)
        self.graph = self.places.graph

    async def _place_with(self, link: WorkerLink, *, goes_on: bool) -> None:
        try:
            self.require_places(link.offer, goes_on=goes_on)
        except UsageError:
            await link.close()
            raise

    async def _attach(self, link: WorkerLink, children: Sequence[bytes]) -> None:
        still = open_children(self.device.journal, self.id) if children else []
        try:
            spoilt = self.earlier.spoilt(still, self.placed, self.device.agents) if self.earlier is not None else ()
            self.attached = go_on(self.device.journal, link, still, spoilt, known=children)
            await link.stopped()
        except LinkCondition as condition:
            self.not_shipping = condition
        if self.attached is not None:
            computed = (spec for spec in self.graph.nodes.values() if is_computed(spec))
            self.attached.acts = any(acts(spec, self.device.agents) for spec in computed)

    async def begin_anew(self) -> None:
        """Give up the open child run: what is unfinished goes to the worker in another one. Returns when the worker knows that, so that what it
        began is known here.
        """
        assert self.link is not None
        assert self.attached is not None
        self.link.give_up(self.attached.run)
        self.attached = None
        try:
            await self.link.stopped()
        except LinkCondition as condition:
            self.not_shipping = condition

    @property
    def offer(self) -> Mapping[str, Any]:
        """What the worker offers, or did last."""
        return self.link.offer if self.link is not None else last_offer(self.device.journal, self.options.url) or {}

    def facts(self, offer: Mapping[str, Any] | None) -> Facts:
        """What nodes are placed by."""
        device, options = self.device, self.options
        return Facts(
            agents=device.agents,
            models=device.models.names(),
            tiers=device.tiers,
            default_model=device.default_model,
            offer=offer,
            pinned=options.pinned,
            local_only=options.local_only,
            servers=device.servers_for(options),
            offline=options.when_offline,
            clearance=device.clearance.towards(
                worker_place(options.url) if options.url else None, (offer or {}).get("clearance")
            ),
            noted=self.labels.noted,
            done=self.earlier.done() if self.earlier is not None else nothing_done,
        )

    def shipped(self) -> list[str]:
        """The nodes of the root graph that go to the worker."""
        return [name for name in self.graph.nodes if self.place_of(name) == "cloud"]

    def place_of(self, name: str) -> Place | None:
        placement = self.placed.get(escape(name))
        return placement.place if placement is not None else None

    @property
    def _reaches_out(self) -> bool:
        """Whether any node, at whatever depth, is placed at the worker."""
        return any(placement.place == "cloud" for placement in self.placed.values())

    def orders(self) -> Orders:
        """What of the shipped nodes starts when this device's queue says so, as a concurrency limit could bind across the cut."""
        nests = {name: each.nests for name, each in self.device.agents.items() if each.nests}
        places = {path: placement.place for path, placement in self.placed.items() if placement.place == "cloud"}
        if self.guard is not None:  # nothing begins that nobody looked at
            return Orders(places, frozenset(places), "a budget")
        return orders(self.graph, places, nests) if places else Orders(places)

    async def reach_worker(self, children: Sequence[bytes] = ()) -> None:
        """Open the link, or note why the worker is `unreachable`."""
        url, self.unreachable = self.options.url, self.options.unasked()
        if self.unreachable is not None:
            return
        assert self.device.connect is not None
        assert url is not None
        try:
            for child in children:  # how far its log goes is looked at now: `go_on` sees if somebody else writes it from here on
                self.device.journal.have(child)
            self.link = await self.device.connect(url, self.options.token, self.device.journal, children)
        except WorkerUnreachable as error:
            self.unreachable = error
            return
        self.link.judge.watch(self._document, self.device.agents, self.options.inject, self.labels.noted)
        while self._opened:
            self.link.judge.opened(*self._opened.pop(0))
        keep_offer(self.device.journal, url, self.link.offer)

    # -- the run

    async def execute(self, name: str) -> RunReport:
        device = self.device
        device.run = self.id
        device.emit({"event": "run-started", "t": time.time() * 1000, "run": self.text, "graph": name, "nodes": len(self.placed)})
        watch = Watch(self.placed, self.made, device.emit, self.earlier.made_at(self.known) if self.earlier is not None else {})
        suspended = True
        try:
            with run_guard(self.options, device.journal, self.id, self.labels):  # the runtime keeps it for its agents
                runtime = self.runtime = self._runtime(watch)
                self.desk.feed, self.desk.clock = runtime.feed, runtime.clock
                if self.guard is not None:
                    self.guard.feed, self.guard.clock = runtime.feed, runtime.clock
                if self.rests:
                    runtime.rest()
                if self.stops:  # it was said before there was anything to stop
                    asyncio.get_running_loop().call_soon(runtime.abort, CANCELLED)
                if self._reaches_out:
                    from edge.runs.delegating import make_delegate

                    self.delegate = make_delegate(self, runtime, watch)
                self.leaving.begin(runtime, watch.streamed)
                state = await self._run_to_its_end(runtime)
                suspended = state == State.SUSPENDED
        except asyncio.CancelledError:
            self._finish("suspended", INTERRUPTED)
            raise
        finally:
            await self._close(suspended=suspended)
        return await self._conclude(runtime, watch, state)

    def _runtime(self, watch: Watch) -> Runtime:
        device, options, graph, log = self.device, self.options, self.graph, self._log()
        guard = self.guard = guard_of(self)
        limits = self.limits = self.orders()
        permissions, compiler = options.permissions, self.compiler(limits)
        self.leaving.ways = ways_out(self)
        chooser = Chooser(device.models, self.placed, self.leaving, device.is_low)
        compiler.choose, compiler.busy, compiler.leaving = chooser.better, chooser.busy, self.leaving.ways
        compiler.opened = self.opened
        return Runtime(
            compiler.plan(graph),
            compiler,
            known=self.known.outcomes,
            begun=self.known.begun,
            retried=self.known.retried,
            indeterminate=self.known.doubts,
            recall=self.recall,
            max_turns=options.max_turns,
            services=Services(
                models=device.models,
                default_model=device.default_model,
                files=device.files if permissions.grants("files") else None,
                network=permissions.grants("network"),
                people=self.desk if permissions.grants("people") else None,
            ),
            config=options.config,
            filters=label_guard(self.labels, device.clearance, device.servers),
            before=guard.before if guard is not None else None,
            recorder=LogRecorder(log.record, lambda: device.journal.barrier(full=True), append_encoded=log.encoded),
            remote=self.elsewhere,
            observers=[watch, chooser, *bystanders(graph, device, self.placed, self.known.outcomes), *([guard] if guard else [])],
            run_id=self.id,
        )

    def compiler(self, limits: Orders) -> Compiler:
        """Compiles the graphs of the run, as its nodes are placed."""
        offered, options = self.offer.get("agents") or (), self.options
        return options.permissions.compiler(
            self.device.agents, strict=options.strict, places=limits, orders=limits, offered=offered
        )

    def policies(self) -> dict[str, Policy]:
        """What becomes of the nodes at the worker while it is away, by their place in the document."""
        return node_policies(self.graph, self.placed, self.facts(self.offer))

    async def _run_to_its_end(self, runtime: Runtime) -> State:
        deadline = self.options.deadline
        if deadline is None:
            return await runtime.run(self.options.inject)
        try:
            async with asyncio.timeout(deadline):
                return await runtime.run(self.options.inject)
        except TimeoutError:
            return State.SUSPENDED

    async def _conclude(self, runtime: Runtime, watch: Watch, state: State) -> RunReport:
        engine = runtime.engine
        status = status_of(state)
        errors = {**watch.errors}
        first = engine.first_error()
        if first is not None and not first[0]:
            errors[""] = first[1]
        why = next((error for error in engine.suspended.values()), None)
        if state == State.SUSPENDED and (why is None or self.rests):
            why = errors[""] = asked_for(self.text) if self.rests else too_late(self.text, self.options.deadline)
        results = engine.results(all=self.options.all)
        try:
            measure(results, self.options.permissions.bounds, "what the run gives")
        except LimitReached as error:  # its parts are shared, so it may be more than any memory holds once written out
            status, results, errors[""], first = "failed", {}, error, ("", error)
        self._finish(status, str(why) if why is not None else status, **noted(engine.suspended, rests=self.rests))
        await self.device.journal.barrier(full=True)
        self.keeper.end()
        for node in self.graph.nodes:  # nodes that never became ready belong in the table too
            path = escape(node)
            if path in self.placed and path not in watch.nodes:
                watch.nodes[path] = watch.waiting(path)
        self.device.emit({"event": "run-ended", "t": time.time() * 1000, "run": self.text, "status": status})
        report = RunReport(self.text, status, results, errors, nodes=self._in_graph_order(watch), first_error=first)
        return self.keeper.priced(report)

    def _in_graph_order(self, watch: Watch) -> dict[str, Any]:
        order = {escape(name): place for place, name in enumerate(self.graph.nodes)}
        sent = self.delegate.log.sent if self.delegate is not None else {}
        for path, size in sent.items():
            if path in watch.nodes:
                watch.nodes[path].up = size
        places = {path: order[path] if path in order else order.get(escape(root_node(path)), len(order)) for path in watch.nodes}
        return {path: watch.nodes[path] for path in sorted(places, key=places.__getitem__)}

    def record(self, record: Recordable) -> int:
        """Write a record into this run's own log; its number."""
        return self._log().record(record)

    def _log(self) -> RunLog:
        durable, shared = self.options.each_durable, self.options.sync
        return RunLog(self.device.journal, self.id, each_durable=durable, shared=shared, labels=self.labels.touched)

    def _finish(self, status: str, why: str, *, waits: bool = False, **more: Any) -> None:
        asks = {"questions": list(self.desk.open)} if status == "suspended" and self.desk.open else {}
        self._log().end(status, why, waits=waits, now=_now(), more={**asks, **more})

    async def leave(self) -> None:
        """Nothing is to run after all."""
        if self.link is not None:
            await self.link.close()

    async def _close(self, *, suspended: bool) -> None:
        await self.desk.close()
        if self.guard is not None:
            self.guard.close()
        await self.leaving.close(suspended=suspended)
        if self.delegate is not None:
            await self.delegate.close(suspended=suspended)
        await self.leave()

    def made(self, path: str) -> Any:
        found = self.leaving.result(path) or (self.delegate.made.get(path) if self.delegate is not None else None)
        if found is not None:
            return found
        return (self.known.made[path], 0) if path in self.known.made else None


def _now() -> int:
    return int(time.time() * 1000)
