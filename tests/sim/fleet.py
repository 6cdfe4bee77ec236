"""Several devices of one account and a worker, one run that moves between them, and whatever may go wrong meanwhile.

Each device in turn does one of what its user can do: sync, push the run to the worker, ask for it, go on with it; and with `forks`, make a fork of
it by force, and go on with that. Then everything works again, the run is brought to its end, and has to be the same everywhere. What has effects
happens once, in whichever of the run and its forks.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from edge.ferrying.connecting import connect_worker
from edge.people.answers import is_held_here
from edge.privacy.clearance import NOWHERE, Clearance
from edge.runs.fork import fork_run
from edge.runs.resuming import resume_run
from edge.runs.runner import Device, RunOptions, run_graph
from edge.syncing import handover
from edge.syncing.held import holding_of
from edge.syncing.sync import converge
from graphs.engine.holding import holding
from graphs.errors import JournalError, LinkCondition, UsageError
from graphs.journal import Journal
from graphs.journal.bodies import BodyFiles
from graphs.journal.reader import Reader
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModels
from graphs.records import Result
from protocol.payload import references
from sim import checks
from sim.faults import CLOUD, Faults
from sim.graphs import MAX_TURNS
from sim.play import _AGENTS, HANGS, URL, Outcome, Play, Scenario, _errors_logged, scenario_of
from sim.world import Process, World

__all__ = ["PlayFleet", "fleet_of", "play_fleet"]

STEPS: Final = 24
"""What users do while things go wrong."""
ROUNDS: Final = 60
"""What they may need to bring the run to its end afterwards."""
_MOVING: Final = ("sync", "sync", "go on", "push", "pull")
_FORKING: Final = ("sync", "go on", "go on", "push", "force", "force", "go on with a fork", "go on with a fork")
_KNOWN: Final = (JournalError, LinkCondition, UsageError)


def fleet_of(seed: int) -> Scenario:
    """What a seed stands for: two or three devices that have one graph."""
    scenario = scenario_of(seed)
    chance = random.Random(f"fleet {seed}")
    count = chance.choice((2, 2, 3))
    names = [f"device{number}" for number in range(count)]
    faults = tuple(
        replace(each, where=each.where if each.where in (*names, CLOUD) else names[-1])
        for each in scenario.faults
        if each.kind != "cancel"
    )
    return replace(
        scenario, graphs=scenario.graphs[:1] * count, durable=(False,) * count, all=(False,) * count, faults=faults, workers=1
    )


def play_fleet(
    scenario: Scenario, outcome: Outcome | None = None, *, forks: bool = False, kind: type[PlayFleet] | None = None
) -> Outcome:
    """Play it to its end. Raises AssertionError where something does not hold. `kind` is another kind of play."""
    root = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="fleet-", dir=root))
    outcome = outcome if outcome is not None else Outcome()
    try:
        world = World(scenario.seed, folder)
        with _errors_logged(world) as logged:
            played = (kind or PlayFleet)(world, scenario, outcome)
            played.forks = forks
            try:
                world.run(played.main())
            finally:
                outcome.told, outcome.trace, outcome.seconds = world.told, world.trace, world.now - 1_000.0
                outcome.struck = played.faults.struck
        assert not world.complaints, f"errors that nobody handled: {world.complaints}"
        assert not logged, f"errors in the log: {logged}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


class PlayFleet(Play):
    """One schedule. `clearance` is what may leave the devices."""

    forks = False
    clearance: Clearance = NOWHERE

    async def main(self) -> None:
        operator = self.world.operator
        expected = await self._alone(0)
        self.faults = Faults(self.world, self.scenario.faults, self.machines)
        supervisor = operator.create_task(self._supervise("worker0"))
        names = self.scenario.devices
        try:
            await self._step(names[0], "begin offline" if self.forks else "begin")
            for name in names if self.forks else ():  # else it is nearly always over before another device hears of it
                await self._step(name, "sync")
            for _ in range(STEPS):
                what = self.world.chance.choice(_FORKING if self.forks else _MOVING)
                await self._step(self.world.chance.choice(names), what)
            self.faults.heal()
            asked = await self._finish(expected)
            for name in names:
                await self._synced(name)
            await self._settle()
            for name in (*names, *names):
                await self._synced(name)
        finally:
            self.closing = True
        for process in self.faults.running(CLOUD):
            process.stop()
            await process.ended
            if not process.killed and not isinstance(process.error, (UsageError, type(None))):
                raise AssertionError(f"{process.name} ended with {process.error!r}") from process.error
        supervisor.cancel()
        checks.deeds(self.world.told)
        checks.deeds(self.world.told, forks=True)
        checks.one_after_another(self.world.recorded)
        self._same_everywhere(over=not asked)

    async def _finish(self, expected: Any) -> bool:
        """Bring the run to its end; whether a person was asked instead."""
        for _ in range(ROUNDS):
            for name in self.scenario.devices:
                await self._step(name, "sync")
                report = await self._step(name, "go on")
                if report is not None and any(
                    getattr(error, "condition", "") == "NODE_INDETERMINATE" for error in report.errors.values()
                ):
                    return True
                if report is not None and report.status != "suspended":
                    checks.same(name, report, expected)
                    self.outcome.statuses[name] = report.status
                    return False
                if self._over(name):
                    return False
                await self._step(name, "pull")
                await asyncio.sleep(1.0)
        raise AssertionError(f"not over after {ROUNDS} rounds")

    async def _synced(self, name: str) -> None:
        """A round that goes through."""
        for _ in range(ROUNDS):
            before = len(self.world.told)
            await self._step(name, "sync")
            if self.world.told[-1][4] == "NoneType" and len(self.world.told) > before:
                return
            await asyncio.sleep(1.0)
        raise AssertionError(f"{name} cannot sync")

    async def _step(self, name: str, what: str) -> Any:
        machine = self.machines[name]
        await machine.powered()
        process = Process(self.world, machine, f"{name} {what}", partial(self._do, what=what))
        await _within(process)
        self.world.tell(
            "did",
            name,
            what,
            type(process.error).__name__,
            str(process.error or "")[:160],
            getattr(process.result, "status", None),
        )
        if process.error is not None and not process.killed and not isinstance(process.error, (*_KNOWN, asyncio.CancelledError)):
            raise AssertionError(f"{name}: {what} ended with {process.error!r}") from process.error
        return process.result

    async def _do(self, process: Process, *, what: str) -> Any:
        with Journal.open(process.machine.disk.journal, synchronous="full") as journal:
            rows = journal.runs(role="root")[::-1]  # the first is what the others are forks of
            connect = partial(self._connect, URL, None, journal)
            device = Device(
                journal=journal, agents=_AGENTS, models=ScriptedModels(), connect=self._connect, clearance=self.clearance
            )
            options = RunOptions(url=URL, max_turns=MAX_TURNS, sync=True, offline=what == "begin offline")
            graph = Graph.of(self.scenario.graphs[0], _AGENTS.keys())
            if not rows and (what.startswith("begin") or (what == "go on" and process.machine.name == "device0")):
                return await run_graph(device, graph, options, name="sim")
            if what == "sync":
                await converge(journal, connect)
            elif what == "go on with a fork":
                mine = [row for row in rows[1:] if row.status == "suspended" and is_held_here(journal, row.run)]
                for row in mine:
                    await resume_run(device, graph, options, row.run, name="sim")
            elif not rows or rows[0].status == "completed":
                return None
            elif what == "go on":
                return await resume_run(device, graph, options, rows[0].run, name="sim")
            elif what == "push":
                await handover.push(journal, rows[0].run, connect, hand_over=True)
            elif what == "pull":
                await handover.ask_for(journal, rows[0].run.hex(), connect, seconds=3.0)
            elif what == "force":
                await self._force(device, graph, options, connect, rows[0].run)
        return None

    async def _connect(self, url: str, token: str | None, journal: Journal, runs: Sequence[bytes]) -> Any:
        return await connect_worker(url, token=token, journal=journal, runs=runs, clearance=self.clearance)

    async def _force(self, device: Device, graph: Graph, options: RunOptions, connect: Any, run: bytes) -> None:
        """As `runs pull --force` does it."""
        journal = device.journal
        try:
            await handover.ask_for(journal, run.hex(), connect, seconds=1.0)
        except (handover.HolderSilent, LinkCondition):
            standing = holding_of(journal, run)
            if standing.holder != journal.store_id and not standing.over:
                forked = await fork_run(device, graph, options, run, held_elsewhere=True)
                self.world.tell("forked", forked.run.hex()[-6:], forked.kept, len(forked.asked))

    # -- what must hold

    def _over(self, name: str) -> bool:
        with _reading(self.machines[name].disk.journal) as reader:
            rows = reader.runs(role="root") if reader is not None else []
            return bool(rows) and rows[-1].status == "completed"

    @property
    def _may_lack(self) -> bool:
        """Whether a body may have been lost by a disk, perhaps where it was made."""
        return any(each.kind == "lose" for each in self.scenario.faults)

    def _same_everywhere(self, *, over: bool) -> None:
        """Same records, the large values that they name, and one holder."""
        found: dict[str, Any] = {}
        holders: dict[bytes, list[str]] = {}
        for name in (CLOUD, *self.scenario.devices):
            with _reading(self.machines[name].disk.journal) as reader:
                files = BodyFiles(self.machines[name].disk.journal)
                for row in reader.runs(role="root") if reader is not None else ():
                    runs = [row.run, *(child.run for child in reader.children(row.run))]
                    lacking = [] if self._may_lack else _lacking(reader, files, runs)
                    assert not lacking, f"{name} lacks {lacking} of {row.run.hex()[-6:]}"
                    found.setdefault(name, {}).update(
                        {(head.run, head.writer): (head.last, head.chk) for run in runs for head in reader.heads(run)}
                    )
                    seen = holding((logged.writer, logged.record) for logged in reader.records(row.run))
                    if seen is not None and seen.holder == reader._query("SELECT id FROM store")[0][0]:
                        holders.setdefault(row.run, []).append(name)
        assert all(len(names) == 1 for names in holders.values()), f"{holders} hold a run"
        for name, heads in found.items():
            assert heads == (there := found.get(CLOUD, {})), f"{name} has {_short(heads)}, {CLOUD} has {_short(there)}"
        assert holders or not over or not found


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    if not path.exists():
        yield None
        return
    reader = Reader(path)
    try:
        yield reader
    finally:
        reader._reader.close()


def _lacking(reader: Reader, files: BodyFiles, runs: Iterable[bytes]) -> list[str]:
    """The names of large values that results of these runs have, and that are not here."""
    results = (logged.record for run in runs for logged in reader.records_of(run, Result.TYPE))
    named = {each.ref for result in results for each in references(result)}
    here = {each: {row.scope for _, row in reader.bodies_named(each)} for each in named}
    return sorted(each.hex() for each, scopes in here.items() if not any(files.load(scope, each) for scope in scopes))


def _short(heads: Any) -> str:
    return ", ".join(f"{run.hex()[-6:]} of {writer.hex()[:6]}: {last}" for (run, writer), (last, _) in sorted(heads.items()))


async def _within(process: Process) -> None:
    await asyncio.wait([process.ended], timeout=HANGS)
    assert process.ended.done(), f"{process.name} hangs"
