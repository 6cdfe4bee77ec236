"""Runs that this worker holds: handed over by a device that is away, they go on here as far as they can (docs/protocol.md §11).

The worker is then what the device was: its engine decides the whole run, from the records of all its logs. What only a device can do waits, and
the run is suspended. Whoever of the account asks for it gets it, once nothing of it runs here any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from cloud.worker import Worker
from graphs.budget import Budget
from graphs.engine.events import Start, Suspend
from graphs.engine.frames import Frame
from graphs.engine.holding import HOLDING_TYPES, Holding, holding
from graphs.engine.made import Made, require_fit
from graphs.engine.outcomes import known_outcomes
from graphs.engine.plan import Compiler
from graphs.errors import GraphferryError, JournalError, LinkCondition
from graphs.journal.ids import run_id_text
from graphs.language.spec import Graph, is_computed
from graphs.paths import escape
from graphs.records import Cancel, End, EndStatus, Event, Handover, Record, State, Submit, encode
from graphs.running.recorder import LogRecorder
from graphs.running.runtime import Runtime
from graphs.values import Value, decode
from protocol.payload import Reference
from protocol.refill import refill, resolved_here
from protocol.run_log import RunLog
from protocol.shared import is_marked

__all__ = ["Keeper", "only_elsewhere"]

_SCOPE: Final = "held"
_log = logging.getLogger("graphferry.held")


class Keeper:
    """The held runs of one worker. `worker_of` gives what the account of a run is given, by the run's id; None for an account that is no more."""

    def __init__(self, worker: Worker, worker_of: Any) -> None:
        self._journal = worker.journal
        self._worker_of = worker_of
        self._going: dict[bytes, asyncio.Task[None]] = {}
        self._again: set[bytes] = set()
        self._closed = False

    def revive(self) -> None:
        """What an earlier process held goes on."""
        for row in self._journal.runs(role="root"):
            if row.status in ("running", "suspended", "failed"):
                self.consider(row.run)

    def consider(self, run: bytes) -> None:
        """Something may have changed for this root run: a record of it came, or a part of it ended here. Cheap for runs of which nothing follows."""
        if self._closed:
            return
        if run in self._going:
            self._again.add(run)
            standing = self._standing(run)
            if standing.asking or standing.stopping:
                self._going[run].cancel()  # it is suspended first: there are never two that work on it
            return
        task = self._going[run] = asyncio.get_running_loop().create_task(self._see_to(run))
        task.add_done_callback(lambda _task: self._ended(run))

    def heard(self, run: bytes, kind: int) -> None:
        """A copied record of a run, of this type, is durable."""
        if kind in (Handover.TYPE, Cancel.TYPE):
            self.consider(run)
        elif kind == End.TYPE:
            self.part_ended(run)

    def part_ended(self, child: bytes) -> None:
        """A child run is over here: the run that it is a part of may be waiting for that."""
        root = self._journal.run(child).parent if self._journal.knows(child) else None
        if root is not None and self._journal.knows(root):
            self.consider(root)

    async def close(self) -> None:
        """This process is about to end: what runs is suspended."""
        self._closed = True
        tasks = list(self._going.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, run: bytes) -> None:
        del self._going[run]
        if run in self._again:
            self._again.discard(run)
            self.consider(run)

    def _standing(self, run: bytes) -> Holding:
        records = ((logged.writer, logged.record) for logged in self._journal.records_of(run, *HOLDING_TYPES))
        return holding(records) or Holding(b"", 0)

    async def _see_to(self, run: bytes) -> None:
        journal = self._journal
        try:
            await journal.barrier()
            standing = self._standing(run)
            if standing.holder != journal.store_id or standing.over or not is_marked(journal, run):
                return
            if any(row.status == "running" for row in journal.children(run)):
                return  # a part of it goes on here; its end is told
            if standing.stopping:
                await self._cancel(run)
                return
            if not standing.asking and not self._has_paused(run):
                await self._go_on(run)
                standing = self._standing(run)
            if standing.asking and not standing.over:
                await self._give(run, standing)
        except asyncio.CancelledError:
            await journal.barrier(full=True)
        except JournalError as error:
            _log.warning("run %s: %s", run_id_text(run), error.message)

    async def _cancel(self, run: bytes) -> None:
        """Some store asked for it, and this one decides."""
        self._journal.append(run, encode(End(EndStatus.CANCELLED, _now(), {})))
        self._journal.finish_run(run, "cancelled", ended=_now(), exit_info={"why": "cancelled by a device"})
        await self._journal.barrier(full=True)

    def _has_paused(self, run: bytes) -> bool:
        """Whether this worker has done all that it can since the run was handed to it."""
        last: Record | None = None
        for logged in self._journal.records(run, self._journal.store_id):
            last = logged.record
        return isinstance(last, Event) and last.path is None

    async def _give(self, run: bytes, standing: Holding) -> None:
        journal = self._journal
        journal.append(run, encode(Handover(standing.asking[0], standing.epoch + 1)))
        journal.finish_run(run, "suspended", ended=_now(), exit_info={"why": "handed over"})
        await journal.barrier(full=True)

    # -- going on

    async def _go_on(self, run: bytes) -> None:
        journal, worker = self._journal, self._worker_of(run)
        log = RunLog(journal, run, scope=_SCOPE)
        row = journal.run(run)
        stored = journal.graph(row.graph)
        if worker is None or stored is None:
            return
        journal.reopen_run(run)
        status, why = "suspended", "interrupted"
        try:
            status, why = await self._execute(run, worker, decode(stored.body), log)
        except GraphferryError as error:
            why = error.message
        finally:
            log.end(status, why, waits=False, now=_now())
        await journal.barrier(full=True)

    async def _execute(self, run: bytes, worker: Worker, document: Any, log: RunLog) -> tuple[str, str]:
        journal = self._journal
        logged = list(journal.records(run))
        submit = next(each.record for each in logged if isinstance(each.record, Submit))
        submit = await asyncio.to_thread(resolved_here, journal, submit)
        records: list[Any] = [each.record for each in logged]
        for child in journal.children(run):
            records += [each.record for each in journal.records(child.run)]
        known = known_outcomes(records)
        await refill(known, self._value)
        options: Mapping[str, Any] = submit.opts.get("options") or {}
        require_fit(document, worker.bounds)
        elsewhere = dict.fromkeys(only_elsewhere(document, worker, options.get("pinned") or {}), "device")
        strangers = _agents(document) - set(worker.agents)
        graph = Graph.of(document, worker.agents.keys() | strangers)
        compiler = Compiler(
            worker.agents,
            strict=bool(options.get("strict")),
            places=elsewhere,
            offered=strangers,
            budget=Budget(worker.bounds),
            made=Made(bounds=None, grants=frozenset()),
        )
        away = _Away()
        runtime = Runtime(
            compiler.plan(graph),
            compiler,
            known=known.outcomes,
            begun=known.begun,
            retried=known.retried,
            indeterminate=known.doubts,
            max_turns=options.get("max_turns"),
            services=worker.services({}),
            config=options.get("config") or {},
            recorder=LogRecorder(log.record, lambda: journal.barrier(full=True)),
            remote=away,
            run_id=run,
        )
        away.runtime = runtime
        inject = {name: value for name, (state, value) in submit.inputs.items() if state == State.INJECTED}
        state = await runtime.run(inject)
        if state == State.SUSPENDED:
            return "suspended", str(next(iter(runtime.engine.suspended.values()), "suspended"))
        return ("completed", "completed") if state == State.COMPLETED else ("failed", str(runtime.engine.first_error()))

    async def _value(self, named: Reference) -> Value:
        for _, row in self._journal.bodies_named(named.ref):
            data = await asyncio.to_thread(self._journal.body_files.load, row.scope, named.ref)
            if data is not None:
                return decode(data)
        raise LinkCondition("BLOB_GONE", "A value of this run is not at the worker.")


class _Away:
    """The devices that could run the rest: none of them is asked."""

    runtime: Runtime

    def opened(self, frame: Frame, turn: int) -> None:
        """Nobody is told."""

    def over(self, frame: Frame, turn: int, *, cancelled: bool) -> None:
        """Nobody is told."""

    def expect(self, start: Start) -> bool:
        text = "it needs what only a device has; the run goes on there once it is handed over"
        condition = LinkCondition("AGENT_UNKNOWN", text, retryable=False)
        asyncio.get_running_loop().call_soon(self._suspend, start, condition)
        return False

    def _suspend(self, start: Start, condition: LinkCondition) -> None:
        if not self.runtime.ended:
            self.runtime.feed(Suspend(start, condition, self.runtime.clock()))

    def settled(self, event: Any) -> None:
        """Nobody is told."""

    def stop(self, start: Start) -> None:
        """Nothing was begun."""


def only_elsewhere(document: Mapping[str, Any], worker: Worker, pinned: Mapping[str, str] = {}, prefix: str = "") -> set[str]:
    """The nodes of a graph that this worker cannot or must not run: by their places in the document. Nodes that are computed again for nothing
    run anywhere.
    """
    found: set[str] = set()
    has = set(worker.models.names())
    default = _said(document.get("place"))
    for name, spec in document["nodes"].items():
        if not is_computed(spec):
            continue
        path = f"{prefix}{escape(name)}"
        agent = worker.agents.get(spec["agent"]) if isinstance(spec["agent"], str) else None
        graph = spec.get("graph")
        if agent is None or (agent.nests and not isinstance(graph, Mapping)):
            found.add(path)
        elif agent.nests:
            found |= only_elsewhere(graph, worker, {}, f"{path}/")
        elif not agent.cheap:
            place = pinned.get(name) or _said(spec.get("place")) or default
            model = (spec.get("params") or {}).get("model") or spec.get("model")
            lacks = "model" in agent.needs and (model not in has if isinstance(model, str) else place != "cloud")
            if place == "edge" or lacks or _lacks_grant(worker, agent.needs):
                found.add(path)
    return found


def _lacks_grant(worker: Worker, needs: Collection[str]) -> bool:
    """Whether something is needed that is not granted here."""
    return "people" in needs or ("files" in needs and worker.files is None) or ("network" in needs and not worker.network)


def _said(place: Any) -> str | None:
    said = place.get("at") if isinstance(place, Mapping) else place
    return said if said in ("edge", "cloud") else None


def _agents(document: Mapping[str, Any]) -> set[str]:
    """The names of agents in a graph, at whatever depth."""
    found: set[str] = set()
    for spec in document["nodes"].values():
        if isinstance(spec, Mapping) and isinstance(spec.get("agent"), str) and not spec["agent"].startswith(":"):
            found.add(spec["agent"])
        if (
            isinstance(spec, Mapping)
            and isinstance(spec.get("graph"), Mapping)
            and isinstance(spec["graph"].get("nodes"), Mapping)
        ):
            found |= _agents(spec["graph"])
    return found


def _now() -> int:
    return int(time.time() * 1000)
