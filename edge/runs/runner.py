"""Runs a graph on the device: journal, placement, engine, and the worker where one is needed.

The order is the product's promise. The run is on record before anything starts; each node has a place and a reason before
anything is shipped; what leaves the process waits for the journal; however the run stops, what is finished is kept and the way
to go on is known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge.clearance_settings import worker_place
from edge.ferrying.attached import Attached, go_on, open_children
from edge.ferrying.earlier import Earlier
from edge.ferrying.outside import label_guard, learn, run_guard
from edge.means import Device, RunOptions
from edge.offers import check_offer, keep_offer, last_offer
from edge.people.desk import Desk
from edge.placement import Facts, NoPlace, Place, Placement, place_nodes
from edge.policies import acts, node_policies
from edge.runs.at_work import at_work
from edge.runs.bystanders import bystanders
from edge.runs.labelling import run_labels
from edge.showing.report import RunReport, status_of
from edge.showing.watch import Watch
from edge.syncing.waiting import waits
from graphs.budget import measure
from graphs.engine.events import Start
from graphs.engine.frames import Frame
from graphs.engine.orders import Orders, orders
from graphs.engine.outcomes import Known
from graphs.errors import LimitReached, LinkCondition, RunSuspended, UsageError, WorkerUnreachable
from graphs.journal.ids import new_run_id, run_id_text
from graphs.language.spec import Graph, is_computed
from graphs.paths import escape, root_node
from graphs.records import Known as Recordable, State, Submit
from graphs.running.ports import Services
from graphs.running.recorder import LogRecorder
from graphs.running.runtime import Runtime
from graphs.values import Value
from protocol.run_log import RunLog, open_run

if TYPE_CHECKING:
    from edge.ferrying.delegate import Delegate
    from edge.ferrying.worker import WorkerLink

__all__ = ["Device", "Run", "RunOptions", "run_graph"]


async def run_graph(device: Device, graph: Graph, options: RunOptions, *, name: str, source: str | None = None) -> RunReport:
    """Run a checked graph from its beginning.

    Raises UsageError for what can be known to be impossible before anything runs, and JournalError. Failures of nodes and
    conditions of the link are in the report.
    """
    run = Run(device, graph, options, new_run_id(), Known())
    await run.prepare()
    inputs = {node: [int(State.INJECTED), value] for node, value in options.inject.items()}
    submit = Submit("", graph.hash, inputs, {"parent": None, "options": options.as_record()})
    about: dict[str, Any] = {
        "graph_hash": graph.hash,
        "graph": graph.canonical,
        "name": name,
        "source": source,
        "started": _now(),
    }
    open_run(device.journal, run.id, submit, about, shared=options.sync, labels=run.labels.of_inputs(inputs))
    run.labels.tell()
    with at_work(device.journal.path, run.id):
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
        self.link: WorkerLink | None = None
        self.unreachable: LinkCondition | None = None
        self.limits: Orders = Orders({})
        self.delegate: Delegate | None = None
        self.attached: Attached | None = None
        self.earlier: Earlier | None = None
        self.not_shipping: LinkCondition | None = None
        """Why nothing is given to the worker in this process, although it can be reached."""
        self.runtime: Runtime | None = None
        self.recall: Any = None
        self.labels = run_labels(device, graph, run_id)
        self.desk = Desk(device.journal, run_id, self.record, labels=self.labels.by_node, person=device.person)

    @property
    def text(self) -> str:
        return run_id_text(self.id)

    # -- before anything runs

    async def prepare(self, children: Sequence[bytes] = ()) -> None:
        """Place every node, reaching for the worker only if a node may need it. Raises UsageError if no place satisfies a node, and
        for a graph that is not trusted and wants more than it may, GraphInvalid.

        `children` are the run's open child runs, the newest first: that one is gone on with if the worker has it, the others are ended.
        """
        self.options.permissions.require(self.graph.document, self.graph.nodes, self.device.agents)
        self.options.require_nodes(name for name, spec in self.graph.nodes.items() if is_computed(spec))
        self.placed = self._place(last_offer(self.device.journal, self.options.url))
        if self._reaches_out and not self.options.local_only:
            await self._reach_worker(children)
            if self.link is not None:
                await self._place_with(self.link)
                await self.link.caught_up()
                await self._attach(self.link, open_children(self.device.journal, self.id) if children else ())

    async def _place_with(self, link: WorkerLink) -> None:
        try:
            self.placed = self._place(link.offer)
            check_offer(self.graph, self.placed, self._shipped(), link.offer)
        except UsageError:
            await link.close()
            raise

    async def _attach(self, link: WorkerLink, children: Sequence[bytes]) -> None:
        try:
            spoilt = self.earlier.spoilt(children) if self.earlier is not None else ()
            self.attached = go_on(self.device.journal, link, children, spoilt)
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

    def _place(self, offer: Mapping[str, Any] | None) -> dict[str, Placement]:
        try:
            return place_nodes(self.graph, self._facts(offer))
        except NoPlace as error:
            raise UsageError(str(error), hint=error.remedy) from error

    @property
    def _offer(self) -> Mapping[str, Any]:
        """What the worker offers, or did last."""
        return self.link.offer if self.link is not None else last_offer(self.device.journal, self.options.url) or {}

    def _facts(self, offer: Mapping[str, Any] | None) -> Facts:
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
        )

    def _shipped(self) -> list[str]:
        return [name for name in self.graph.nodes if self._place_of(name) == "cloud"]

    def _place_of(self, name: str) -> Place | None:
        placement = self.placed.get(escape(name))
        return placement.place if placement is not None else None

    @property
    def _reaches_out(self) -> bool:
        """Whether any node, at whatever depth, is placed at the worker."""
        return any(placement.place == "cloud" for placement in self.placed.values())

    def _orders(self) -> Orders:
        """What of the shipped nodes starts when this device's queue says so, as a concurrency limit could bind across the cut."""
        nests = {name: each.nests for name, each in self.device.agents.items() if each.nests}
        places = {path: placement.place for path, placement in self.placed.items() if placement.place == "cloud"}
        return orders(self.graph, places, nests) if places else Orders(places)

    def _one_frame(self, limits: Orders) -> bool:
        """Whether all that can be shipped is in one turn of the root graph."""
        specs = [spec for name, spec in self.graph.nodes.items() if self._place_of(name) == "edge" or escape(name) in limits]
        here = [spec["agent"] for spec in specs if is_computed(spec)]
        opens = any(not isinstance(name, str) or name.startswith(":") or self._nests(name) for name in here)
        return not opens and "loop" not in self.graph.document

    def _nests(self, name: str) -> bool:
        agent = self.device.agents.get(name)
        return agent is not None and agent.nests is not None

    async def _reach_worker(self, children: Sequence[bytes]) -> None:
        url = self.options.url
        if self.options.offline:
            self.unreachable = WorkerUnreachable(url or "", "this run is offline: no worker was asked")
        elif url is None:
            self.unreachable = WorkerUnreachable(
                "",
                "no worker is configured",
                hint="Start one with `graphferry serve` and name it with --cloud URL, or get the model here: `graphferry models get NAME`.",
            )
        else:
            assert self.device.connect is not None
            try:
                self.link = await self.device.connect(url, self.options.token, self.device.journal, children)
            except WorkerUnreachable as error:
                self.unreachable = error
                return
            keep_offer(self.device.journal, url, self.link.offer)

    # -- the run

    async def execute(self, name: str) -> RunReport:
        device = self.device
        device.emit({"event": "run-started", "t": time.time() * 1000, "run": self.text, "graph": name, "nodes": len(self.placed)})
        watch = Watch(self.placed, self._made, device.emit)
        suspended = True
        try:
            with run_guard(self.options, device.journal, self.id, self.labels):  # the runtime keeps it for its agents
                runtime = self.runtime = self._runtime(watch)
                self.desk.feed, self.desk.clock = runtime.feed, runtime.clock
                if self._reaches_out:
                    self.delegate = self._make_delegate(runtime, watch)
                state = await self._run_to_its_end(runtime)
                suspended = state == State.SUSPENDED
        except asyncio.CancelledError:
            self._finish("suspended", "interrupted")
            raise
        finally:
            await self._close(suspended=suspended)
        return await self._conclude(runtime, watch, state)

    def _runtime(self, watch: Watch) -> Runtime:
        device, options, graph, log = self.device, self.options, self.graph, self._log()
        limits = self.limits = self._orders()
        permissions = options.permissions
        compiler = permissions.compiler(
            device.agents, strict=options.strict, places=limits, orders=limits, offered=self._offer.get("agents") or ()
        )
        compiler.opened = self.labels.know
        return Runtime(
            compiler.plan(graph),
            compiler,
            known=self.known.outcomes,
            begun=self.known.begun,
            retried=self.known.retried,
            indeterminate=self.known.indeterminate,
            repeated=self.known.repeated,
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
            recorder=LogRecorder(log.record, lambda: device.journal.barrier(full=True), append_encoded=log.encoded),
            remote=self,
            observers=[watch, *bystanders(graph, device, self.placed, self.known.outcomes)],
            run_id=self.id,
        )

    def _make_delegate(self, runtime: Runtime, watch: Watch) -> Delegate:
        from edge.ferrying.delegate import Delegate
        from edge.ferrying.fallback import Fallback
        from edge.ferrying.fragments import Fragments
        from edge.ferrying.salting import store_secret

        delegate = Delegate(
            run=self.id,
            fragments=Fragments(self.known.outcomes, self._not_shipped(), self.labels, store_secret(self.device.journal)),
            labels=self.labels,
            options=self._submit_options(),
            one_frame=self._one_frame(self.limits),
            shows_all=self.options.all,
            journal=self.device.journal,
            feed=runtime.feed,
            clock=runtime.clock,
            on_token=watch.streamed,
            on_begun=runtime.begun_elsewhere,
            fallback=Fallback(
                node_policies(self.graph, self.placed, self._facts(self._offer)), runtime.compiler.stand_in, runtime.clock
            ),
            attached=self.attached,
            earlier=self.earlier,
            deadline=runtime.clock() + self.options.deadline if self.options.deadline is not None else None,
        )
        doubtful = {root_node(path) for path in self.known.indeterminate}
        if self.link is None:
            assert self.unreachable is not None
            delegate.lost(self.unreachable)
        elif self.not_shipping is not None:
            delegate.lost(self.not_shipping)
        elif doubtful and self.graph.document.get("loop"):
            text = f"node {min(doubtful)!r} may have happened or not, and the nodes of this loop wait for it"
            delegate.lost(LinkCondition("NODE_INDETERMINATE", text, retryable=False))
        else:
            delegate.use(self.link)
        return delegate

    def _not_shipped(self) -> set[str]:
        """Nodes that nobody is to run. A new child run does not even begin what this device has made: it might, before it is told of that."""
        made = self.earlier.own if self.earlier is not None and self.attached is None else set()
        return self.known.indeterminate | made

    def _submit_options(self) -> dict[str, Value]:
        options = self.options
        return {
            "config": dict(options.config),
            "strict": options.strict,
            "max_turns": options.max_turns,
            "models": dict(self.device.tiers),
            "grants": sorted(options.permissions.made.grants),
        }

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
        if state == State.SUSPENDED and why is None:
            why = RunSuspended(
                self.text, "deadline", f"the deadline of {self.options.deadline:g} s passed before the run was complete"
            )
            errors[""] = why
        results = engine.results(all=self.options.all)
        try:
            measure(results, self.options.permissions.bounds, "what the run gives")
        except LimitReached as error:  # its parts are shared, so it may be more than any memory holds once written out
            status, results, errors[""], first = "failed", {}, error, ("", error)
        self._finish(status, str(why) if why is not None else status, waits=any(map(waits, engine.suspended.values())))
        await self.device.journal.barrier(full=True)
        for node in self.graph.nodes:  # nodes that never became ready belong in the table too
            path = escape(node)
            if path in self.placed and path not in watch.nodes:
                watch.nodes[path] = watch.waiting(path)
        self.device.emit({"event": "run-ended", "t": time.time() * 1000, "run": self.text, "status": status})
        return RunReport(
            run=self.text,
            status=status,
            results=results,
            errors=errors,
            nodes=self._in_graph_order(watch),
            first_error=first,
        )

    def _in_graph_order(self, watch: Watch) -> dict[str, Any]:
        order = {name: place for place, name in enumerate(self.graph.nodes)}
        sent = self.delegate.sent if self.delegate is not None else {}
        for path, size in sent.items():
            if path in watch.nodes:
                watch.nodes[path].up = size
        return dict(sorted(watch.nodes.items(), key=lambda item: order.get(root_node(item[0]), len(order))))

    def record(self, record: Recordable) -> int:
        """Write a record into this run's own log; its number."""
        return self._log().record(record)

    def _log(self) -> RunLog:
        durable, shared = self.options.each_durable, self.options.sync
        return RunLog(self.device.journal, self.id, each_durable=durable, shared=shared, labels=self.labels.touched)

    def _finish(self, status: str, why: str, *, waits: bool = False) -> None:
        asks = {"questions": list(self.desk.open)} if status == "suspended" and self.desk.open else {}
        self._log().end(status, why, waits=waits, now=_now(), more=asks)

    async def leave(self) -> None:
        """Nothing is to run after all."""
        if self.link is not None:
            await self.link.close()

    async def _close(self, *, suspended: bool) -> None:
        await self.desk.close()
        if self.delegate is not None:
            await self.delegate.close(suspended=suspended)
        await self.leave()

    def _made(self, path: str) -> Any:
        found = self.delegate.made.get(path) if self.delegate is not None else None
        if found is not None:
            return found
        record = self.known.made.get(path)
        return (record, 0) if record is not None else None

    # -- graphs.running.ports.Remote, passed on to the delegate

    def opened(self, frame: Frame, turn: int) -> None:
        assert self.delegate is not None
        self.delegate.opened(frame, turn)

    def over(self, frame: Frame, turn: int, *, cancelled: bool) -> None:
        if not self._is_over:
            assert self.delegate is not None
            self.delegate.over(frame, turn, cancelled=cancelled)

    def expect(self, start: Start) -> bool:
        assert self.delegate is not None
        return self.delegate.expect(start)

    def settled(self, event: Any) -> None:
        learn(self.labels, event)
        if self.delegate is not None:
            self.delegate.settled(event)

    def stop(self, start: Start) -> None:
        if self.delegate is not None and not self._is_over:
            self.delegate.stop(start)

    @property
    def _is_over(self) -> bool:
        """Whether the whole run ends: what becomes of the worker's part is decided when it is closed, and a suspended run leaves it be."""
        return self.runtime is not None and self.runtime.ended


def _now() -> int:
    return int(time.time() * 1000)
