"""Plays a schedule: users who want their runs done, workers that are started again whenever they end, and the faults in between."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from cloud.lease import lease
from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.ferrying.connecting import connect_worker
from edge.runs.cancel import cancel_run
from edge.runs.resuming import resume_run
from edge.runs.runner import Device, RunOptions, run_graph
from graphs.engine.plan import Compiler
from graphs.errors import JournalError, UsageError
from graphs.journal import Journal
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModels
from graphs.running.ports import Services
from graphs.running.runtime import Runtime
from graphs.values import clean
from sim import checks
from sim.faults import CLOUD, Fault, Faults, draw_faults
from sim.graphs import MAX_TURNS, draw_graph, has_policies, registry
from sim.world import Machine, Process, World

__all__ = ["Outcome", "Play", "Scenario", "play", "scenario_of"]

PORT: Final = 8765
URL: Final = f"ws://127.0.0.1:{PORT}/v1/link"
ROUNDS: Final = 40
"""Commands in a row after which a run has to be over."""
HEALING: Final = 7
"""Commands after which nothing goes wrong any more."""
HANGS: Final = 12 * 3600.0
"""Seconds after which a command hangs: more than twice what the longest fault takes."""
DAYS: Final = 8 * 24 * 3600.0
"""Seconds after which a worker has given up what nobody asked for."""

_AGENTS = registry()


@dataclass(frozen=True)
class Scenario:
    """What a seed decides before the world begins. By device: `durable` node by node, whether `all` values are asked for."""

    seed: int
    graphs: tuple[dict[str, Any], ...]
    workers: int
    durable: tuple[bool, ...]
    all: tuple[bool, ...]
    faults: tuple[Fault, ...]

    @property
    def devices(self) -> list[str]:
        return [f"device{number}" for number in range(len(self.graphs))]

    def without(self, fault: Fault) -> Scenario:
        """The same, but for a fault."""
        return replace(self, faults=tuple(each for each in self.faults if each is not fault))


def scenario_of(seed: int) -> Scenario:
    """What a seed stands for."""
    chance = random.Random(seed)
    devices = 1 if chance.random() < 0.9 else chance.choice((2, 3))
    names = [f"device{number}" for number in range(devices)]
    return Scenario(
        seed,
        tuple(draw_graph(chance) for _ in range(devices)),
        workers=chance.choice((1, 1, 2)),
        durable=tuple(chance.random() < 0.2 for _ in names),
        all=tuple(chance.random() < 0.3 for _ in names),
        faults=tuple(draw_faults(chance, names)),
    )


@dataclass
class Outcome:
    """What a schedule came to: by device the status of its run; the faults that struck; the trace."""

    statuses: dict[str, str] = field(default_factory=dict)
    asked: dict[str, list[str]] = field(default_factory=dict)
    struck: list[Fault] = field(default_factory=list)
    trace: str = ""
    told: list[tuple[Any, ...]] = field(default_factory=list)
    seconds: float = 0.0


def play(scenario: Scenario, outcome: Outcome | None = None, kind: type[Play] | None = None) -> Outcome:
    """Play it to its end; what happened is in the outcome even if it raises AssertionError, which it does where something does not hold.

    `kind` is another kind of play.
    """
    root = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="sim-", dir=root))
    outcome = outcome if outcome is not None else Outcome()
    try:
        world = World(scenario.seed, folder)
        with _errors_logged(world) as logged:
            played = (kind or Play)(world, scenario, outcome)
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


class Play:
    """One schedule. `clouds` are the machines with workers, each with a store of its own; `ends` is what their processes may end with."""

    clouds: ClassVar[Sequence[str]] = (CLOUD,)
    ends: ClassVar[tuple[type[Any], ...]] = (UsageError, type(None))

    def __init__(self, world: World, scenario: Scenario, outcome: Outcome) -> None:
        self.world = world
        self.scenario = scenario
        self.outcome = outcome
        self.machines = {name: Machine(world, name) for name in (*self.clouds, *scenario.devices)}
        self.faults = Faults(world, (), self.machines)
        self.closing = False
        self._worker_ended = asyncio.Event()

    async def main(self) -> None:
        operator = self.world.operator
        expected = [await self._alone(number) for number in range(len(self.scenario.graphs))]
        self.faults = Faults(self.world, self.scenario.faults, self.machines)
        supervisors = [operator.create_task(self._supervise(f"worker{number}")) for number in range(self.scenario.workers)]
        supervisors += [operator.create_task(self._supervise(f"worker at {name}", name)) for name in self.clouds[1:]]
        users = [
            operator.create_task(self._use(number, name, expected[number])) for number, name in enumerate(self.scenario.devices)
        ]
        try:
            for user in users:
                await user
            self.faults.heal()
            await self._settle()
        finally:
            self.closing = True
        for process in [each for name in self.clouds for each in self.faults.running(name)]:
            process.stop()
            await process.ended
            if not process.killed and not isinstance(process.error, self.ends):
                raise AssertionError(f"{process.name} ended with {process.error!r}") from process.error
        for supervisor in supervisors:
            supervisor.cancel()
        checks.deeds(self.world.told)
        checks.one_after_another(self.world.recorded)
        for name in self.scenario.devices:
            for cloud in self.clouds:
                made = {body for machine, body in self.world.made if machine == cloud}
                checks.journals(self.machines[name].disk.journal, self.machines[cloud].disk.journal, made)

    # -- what is expected

    async def _alone(self, number: int) -> Any:
        """What the run comes to on one machine that nothing happens to."""
        process = Process(
            self.world, Machine(self.world, f"alone{self.world.count()}"), "alone", lambda _: self._undisturbed(number)
        )
        await process.ended
        assert process.error is None, repr(process.error)
        self.world.told.clear()
        return process.result

    async def _undisturbed(self, number: int) -> Any:
        graph = self.scenario.graphs[number]
        compiler = Compiler(_AGENTS)
        plan = compiler.plan(Graph.of(graph, _AGENTS.keys()))
        runtime = Runtime(plan, compiler, max_turns=MAX_TURNS, services=Services(people=self._people()))
        await runtime.run()
        return runtime.engine.ended, clean(runtime.engine.results(all=self.scenario.all[number]))

    def _people(self) -> Any:
        """Whom nodes ask in a run that nothing happens to."""
        return None

    def _person(self) -> Any:
        """Who sits at the device when a command begins."""
        return None

    # -- workers

    async def _supervise(self, name: str, cloud: str = CLOUD) -> None:
        """Start a worker whenever there is none."""
        machine = self.machines[cloud]
        while not self.closing:
            await machine.powered()
            process = Process(self.world, machine, name, self._work)
            await process.ended
            if not process.killed and isinstance(process.error, UsageError):  # another one has the store
                self._worker_ended.clear()
                await self._worker_ended.wait()
            else:
                self._worker_ended.set()
                if not process.killed and not isinstance(process.error, (JournalError, type(None))):
                    raise AssertionError(f"{name} ended with {process.error!r}") from process.error
                if not process.killed and isinstance(process.error, JournalError):
                    await asyncio.sleep(5.0)
            await asyncio.sleep(0.05 + 3 * self.world.chance.random())

    async def _work(self, process: Process) -> None:
        disk = process.machine.disk
        process.kernel.enter_context(lease(disk.root / "lease"))
        if disk.full:
            raise JournalError(
                "the store cannot be taken over: the disk is full"
            )  # that is a commit, which here goes another way
        port = PORT + self.clouds.index(process.machine.name)
        with Journal.open(disk.journal, synchronous="full", alone=True) as journal:
            self._opened(journal)
            server = WorkerServer(Worker(journal, _AGENTS, ScriptedModels()), port=port, access=self._access(process))
            await server.start()
            try:
                await self._serve(process, server)
            finally:
                await server.stop()

    def _opened(self, journal: Journal) -> None:
        """A worker has taken over its store."""

    async def _serve(self, process: Process, server: WorkerServer) -> None:
        """Returns when a worker is to end, as `graphferry serve` does. Raises JournalError when it can keep nothing any more."""
        loop = asyncio.get_running_loop()
        stopping, broken = loop.create_task(process.stopping.wait()), loop.create_task(server.broken())
        try:
            await asyncio.wait((stopping, broken), return_when=asyncio.FIRST_COMPLETED)
            if broken.done():
                raise broken.result()
        finally:
            stopping.cancel()
            broken.cancel()

    def _name(self, number: int) -> str:
        """What a user calls his run."""
        return f"sim {number}"

    def _url(self, name: str) -> str:
        """The worker that this command of a device is for."""
        return URL

    def _begins(self, process: Process) -> bool:
        """Whether this command begins a run if there is none."""
        return True

    def _access(self, process: Process) -> Any:
        """Who may come to a worker; None is everybody."""
        return None

    async def _token(self, name: str, journal: Journal) -> str | None:
        """What a device shows."""
        return None

    async def _settle(self) -> None:
        """Returns when no worker has an open child run; what nobody asked for is given up in the end.

        A process that takes a store over waits for its devices anew, and one whose lock was lost may notice only when it gives up.
        """
        left: list[str] = []
        for seconds in (0.5, 5.0, 60.0, DAYS, DAYS):
            await asyncio.sleep(seconds)
            left = [run for name in self.clouds for run in checks.open_runs(self.machines[name].disk.journal)]
            if not left:
                return
        raise AssertionError(f"child runs are open that nobody has asked for: {left}")

    # -- users

    async def _use(self, number: int, name: str, expected: Any) -> None:
        """A user who wants a run done, and tries until it is."""
        machine = self.machines[name]
        for count in range(ROUNDS):
            if count == HEALING:
                self.faults.heal()
            await machine.powered()
            cancels = name in self.faults.cancels
            process = Process(self.world, machine, name, partial(self._command, number=number, cancels=cancels))
            await asyncio.wait([process.ended], timeout=HANGS)
            assert process.ended.done(), f"{name}: a command hangs"
            if process.error is not None and not process.killed:
                known = isinstance(process.error, (JournalError, asyncio.CancelledError))
                if not known:
                    raise AssertionError(f"{name}: a command ended with {process.error!r}") from process.error
            elif not process.killed and (status := self._judge(number, name, process.result, expected)) is not None:
                self.outcome.statuses[name] = status
                return
            await asyncio.sleep(0.05 + self.world.chance.choice((0.1, 3, 90, 3_000)) * self.world.chance.random())
        raise AssertionError(f"{name}: not over after {ROUNDS} commands")

    async def _command(self, process: Process, *, number: int, cancels: bool) -> Any:
        """`graphferry run`, `resume` or `runs cancel`, as is needed."""
        disk = process.machine.disk
        with Journal.open(disk.journal, synchronous="full" if self.scenario.durable[number] else "normal") as journal:
            rows = [row for row in journal.runs(role="root") if row.name == self._name(number)]
            if rows and rows[0].status in ("completed", "cancelled"):
                return checks.from_journal(journal, rows[0])
            token, url = await self._token(process.machine.name, journal), self._url(process.machine.name)
            if cancels:
                if not rows:
                    return None
                untold = await cancel_run(journal, rows[0].run, url=url, token=token, connect=_connect)
                return "cancelled", untold
            device = Device(journal=journal, agents=_AGENTS, models=ScriptedModels(), connect=_connect, person=self._person())
            options = RunOptions(
                url=url,
                token=token,
                max_turns=MAX_TURNS,
                each_durable=self.scenario.durable[number],
                all=self.scenario.all[number],
            )
            graph = Graph.of(self.scenario.graphs[number], _AGENTS.keys())
            if not rows and not self._begins(process):
                return None
            if not rows:
                return await run_graph(device, graph, options, name=self._name(number))
            return await resume_run(device, graph, options, rows[0].run, name=self._name(number))

    def _may_ask(self, number: int, name: str) -> bool:
        """Whether there is a reason for not knowing what became of a node: a process ended, or a worker that was away began it from a value
        that is not the result, as another ran on the device.
        """
        return any(fault.deadly for fault in self.faults.struck) or has_policies(self.scenario.graphs[number])

    def _judge(self, number: int, name: str, result: Any, expected: Any) -> str | None:
        """The status of a run that is over; None if there is to be another command."""
        if result is None:
            return "cancelled" if name in self.faults.cancels else None
        if isinstance(result, tuple):
            return str(result[0])
        self.world.tell("report", name, result.status, {path: str(error) for path, error in sorted(result.errors.items())})
        asked = sorted(path for path, error in result.errors.items() if getattr(error, "condition", "") == "NODE_INDETERMINATE")
        if result.status == "suspended" and asked:
            assert self._may_ask(number, name), (
                f"{name}: asked about {asked} though no process ended and nothing ran here instead"
            )
            self.outcome.asked[name] = asked
            if name in self.faults.cancels:
                return "asked"
            self.faults.cancels.add(name)
            return None
        if result.status == "suspended":
            return None
        checks.same(name, result, expected)
        return str(result.status)


async def _connect(url: str, token: str | None, journal: Journal, runs: Sequence[bytes]) -> Any:
    return await connect_worker(url, token=token, journal=journal, runs=runs)


class _Errors(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self.world = world
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        process = self.world.process
        if self.world.over or (process is not None and not process.alive):
            return
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            if isinstance(record.exc_info[1], JournalError):
                return  # the disk is full, or its process is dead: whoever waits for it was told
            text += f": {record.exc_info[1]!r}"
        self.texts.append(f"{record.name}: {text}")


@contextmanager
def _errors_logged(world: World) -> Iterator[list[str]]:
    """What the product logs as an error."""
    handler = _Errors(world)
    loggers = [logging.getLogger("graphferry"), logging.getLogger("graphs"), logging.getLogger("asyncio")]
    kept = [(each, each.propagate, each.level) for each in loggers]
    for each in loggers:
        each.addHandler(handler)
        each.propagate = False
        each.setLevel(logging.ERROR)
    try:
        yield handler.texts
    finally:
        for each, propagate, level in kept:
            each.removeHandler(handler)
            each.propagate = propagate
            each.setLevel(level)
