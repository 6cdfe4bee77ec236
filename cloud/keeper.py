"""Runs that this worker holds: handed over by a device that is away, they go on here as far as they can (docs/protocol.md §11).

The worker is then what the device was: its engine decides the whole run, from the records of all its logs. What only a device can do waits, and
the run is suspended. Whoever of the account asks for it gets it, once nothing of it runs here any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from cloud.holdings import Holdings
from cloud.labelling import held_labels
from cloud.share import Share
from cloud.upkeep import Upkeep, guard_of_held
from cloud.worker import Worker
from graphs.agents.people import ASKING
from graphs.budget import Budget
from graphs.engine.events import Start, Suspend
from graphs.engine.frames import Frame
from graphs.engine.holding import HOLDING_TYPES, Holding, holding
from graphs.engine.made import Made, require_fit
from graphs.engine.outcomes import FORK, UPGRADE, known_outcomes
from graphs.engine.plan import Compiler
from graphs.engine.recall import Recall, keyed_results
from graphs.errors import GraphferryError, JournalError, LinkCondition
from graphs.journal.ids import run_id_text
from graphs.language.labels import UNSEEN
from graphs.language.spec import Graph, is_computed
from graphs.paths import escape
from graphs.questions import asked
from graphs.records import Answer, Cancel, End, EndStatus, Event, Handover, Record, State, Submit, encode
from graphs.running.desk import Desk
from graphs.running.recorder import LogRecorder
from graphs.running.runtime import Runtime
from graphs.values import Value, decode
from protocol.marks import is_marked
from protocol.payload import Reference
from protocol.refill import refill, resolved_here
from protocol.run_log import RunLog

__all__ = ["Keeper", "only_elsewhere"]

_SCOPE: Final = "held"
_LACKED_ROOM: Final = "lacked_room"
_UNREADABLE: Final = "the worker cannot read a part of this run on its disk; its log says why"
_log = logging.getLogger("graphferry.held")


class Keeper:
    """The held runs of one worker. `share_of` gives what the account of a run is given, by the run's id; None for an account that is no more."""

    def __init__(self, worker: Worker, share_of: Callable[[bytes], Share | None], holdings: Holdings) -> None:
        self._journal = worker.journal
        self._share_of = share_of
        self._holdings = holdings
        self._places: dict[str, asyncio.Semaphore] = {}
        self._going: dict[bytes, asyncio.Task[None]] = {}
        self._again: set[bytes] = set()
        self._desks: dict[bytes, Desk] = {}
        self._closed = False

    def revive(self) -> None:
        """What an earlier process held goes on."""
        for row in self._journal.runs(role="root"):
            if row.status in ("running", "suspended", "failed"):
                self.consider(row.run)

    def room_again(self) -> None:
        """What an account keeps may have become less: its runs that were left off for want of room go on, if there is some."""
        for row in self._journal.runs(role="root", status="suspended"):
            if self._has_room(row.run):
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
        elif kind == Answer.TYPE:
            if run in self._desks:
                with suppress(JournalError):  # who goes on with the run finds out
                    self._desks[run].look()
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
        try:
            await self._follow(run)
        except asyncio.CancelledError:
            with suppress(JournalError):  # nothing can be written any more: the next process goes on
                await self._journal.barrier(full=True)
        except JournalError as error:
            _log.warning("run %s: %s", run_id_text(run), error.message)

    async def _follow(self, run: bytes) -> None:
        journal = self._journal
        await journal.barrier()
        standing = self._standing(run)
        if standing.holder != journal.store_id or standing.over or not is_marked(journal, run):
            return
        if any(row.status == "running" for row in journal.children(run)):
            return  # a part of it goes on here; its end is told
        if standing.stopping:
            await self._cancel(run)
            return
        if not standing.asking and (not self._has_paused(run) or self._has_answer(run) or self._has_room(run)):
            await self._go_on(run)
            standing = self._standing(run)
        if standing.asking and not standing.over:
            await self._give(run, standing)

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

    def _has_room(self, run: bytes) -> bool:
        """Whether the run was left off here for want of room, and its account has some now."""
        row, share = self._journal.run(run), self._share_of(run)
        lacked = row.status == "suspended" and bool((row.exit_info or {}).get(_LACKED_ROOM))
        return lacked and share is not None and self._holdings.full(share.account) is None

    def _has_answer(self, run: bytes) -> bool:
        """Whether a node here waits for an answer that has come."""
        return any(each.answer is not None and not each.over for each in asked(self._journal.records(run)).values())

    async def _give(self, run: bytes, standing: Holding) -> None:
        journal = self._journal
        journal.append(run, encode(Handover(standing.asking[0], standing.epoch + 1)))
        journal.finish_run(run, "suspended", ended=_now(), exit_info={"why": "handed over"})
        await journal.barrier(full=True)

    # -- going on

    async def _go_on(self, run: bytes) -> None:
        share = self._share_of(run)
        if share is None:
            return
        account = share.account
        places = self._places.setdefault(account.name, asyncio.Semaphore(account.runs or share.slots))
        async with places:  # no more of an account's runs go on here at once than it may have open
            share.running += 1
            try:
                await self._go_on_now(run, share)
            finally:
                share.running -= 1

    async def _go_on_now(self, run: bytes, share: Share) -> None:
        journal = self._journal
        row = journal.run(run)
        stored = journal.graph(row.graph)
        if stored is None:
            return
        document = decode(stored.body)
        labels, opened = held_labels(journal, run, document, share.agents)
        upkeep = Upkeep(self._holdings, share.account, _SCOPE)
        log = RunLog(journal, run, scope=_SCOPE, labels=lambda path: labels.touched(path) - {UNSEEN}, kept=upkeep.kept)
        desk = self._desks[run] = Desk(journal, run, log.record, labels=labels.by_node)
        journal.reopen_run(run)
        status, why = "suspended", "interrupted"
        try:
            status, why = await self._execute(run, share, document, log, desk, opened, upkeep)
        except JournalError as error:  # whose words name paths of this machine, which devices would read
            _log.warning("run %s: %s", run_id_text(run), error.message)
            why = _UNREADABLE
        except GraphferryError as error:
            why = error.message
        finally:
            self._desks.pop(run, None)
            log.end(status, why, waits=False, now=_now(), more={_LACKED_ROOM: True} if upkeep.lacked_room else {})
        await journal.barrier(full=True)

    async def _execute(
        self,
        run: bytes,
        worker: Share,
        document: Any,
        log: RunLog,
        desk: Desk,
        opened: Callable[[str, Value], None],
        upkeep: Upkeep,
    ) -> tuple[str, str]:
        journal = self._journal
        logged = list(journal.records(run))
        submit = next(each.record for each in logged if isinstance(each.record, Submit))
        submit = await asyncio.to_thread(resolved_here, journal, submit)
        parts = [[each.record for each in journal.records(child.run)] for child in journal.children(run)]
        known = known_outcomes([each.record for each in logged], *parts)
        await refill(known, self._value)
        kept = keyed_results((each.record for each in logged), known.outcomes)
        await refill(kept, self._value)
        held = {path: made for path, made in kept.made.items() if _is_upgrade(submit) or worker.makes_alike(made)}
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
        compiler.opened = opened
        away = _Away()
        desk.know(logged)
        guard = upkeep.guard = guard_of_held(journal, run, graph, options, known, logged, desk, worker.prices)
        runtime = Runtime(
            compiler.plan(graph),
            compiler,
            known=known.outcomes,
            begun=known.begun,
            retried=known.retried,
            indeterminate=known.doubts,
            recall=Recall(log.record, held, known.doubts, ahead=False) if held else None,
            max_turns=options.get("max_turns"),
            services=replace(worker.services({}), people=desk),
            config=options.get("config") or {},
            before=upkeep.before,
            recorder=LogRecorder(log.record, lambda: journal.barrier(full=True)),
            remote=away,
            observers=[guard] if guard is not None else (),
            run_id=run,
        )
        away.runtime = runtime
        desk.feed, desk.clock = runtime.feed, runtime.clock
        if guard is not None:
            guard.feed, guard.clock = runtime.feed, runtime.clock
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
        elif not agent.cheap and agent not in ASKING:
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


def _is_upgrade(submit: Submit) -> bool:
    """Whether the run is a fork that makes again what was degraded, and nothing for its maker's sake."""
    fork: Any = submit.opts.get(FORK)
    return isinstance(fork, Mapping) and bool(fork.get(UPGRADE))


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
