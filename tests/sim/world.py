"""The world: virtual time, whose turn it is, machines, their processes, and what is told of them. One seed decides all of it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import heapq
import os
import random
import secrets
import sys
import time
import weakref
from asyncio import TimerHandle, events
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from websockets.asyncio.connection import Connection

from edge.runs import at_work as locks
from graphs.journal import Journal, bodies, ids
from graphs.journal.bodies import BodyFiles
from graphs.running.runtime import Runtime
from protocol import carrier
from protocol.errors import RemoteProtocolError
from protocol.state import State
from sim.bodies import watched
from sim.disk import Disk, SimWriter
from sim.loop import SimLoop, new_loop
from sim.net import Network

__all__ = ["EPOCH", "Machine", "Process", "Stuck", "World"]

EPOCH: Final = 1_800_000_000.0
"""Seconds since 1970 at which every world begins."""
_PASS: Final = 0.000_010
"""Seconds that a turn of a loop takes."""


class Stuck(AssertionError):
    """A schedule that does not end: something goes round, or everybody waits for nobody."""


class World:
    """Turns the loops of all processes until nobody has anything to do. `chance` is where all that is random comes from.

    `hit` is called with (what happens, where) at each point at which a fault may strike.
    """

    def __init__(self, seed: int, folder: Path, *, passes: int = 400_000, hours: float = 600.0) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.folder = folder
        self.now = 1_000.0
        self.over = False
        self.busy: list[SimLoop] = []
        self.hit: Callable[[str, str], None] = lambda _event, _where: None
        self.told: list[tuple[Any, ...]] = []
        self.complaints: list[str] = []
        self.arrived_late = -inf
        """When something came last that had been held up on its way."""
        self.network = Network(self)
        self.operator = new_loop(self, "operator")
        self.processes: list[Process] = []
        self._locks: dict[Path, tuple[Process, int]] = {}
        self.journals: list[SimWriter] = []
        """Of all processes that ever were."""
        self.recorded: dict[tuple[str, bytes, bytes], list[SimLoop]] = {}
        """By machine, run and writer, who has recorded something in a log of the machine's own: one after another."""
        self.made: set[tuple[str, bytes]] = set()
        """Bodies that were written down where they were made, by machine and name."""
        self._current: SimLoop = self.operator
        self._timers: list[tuple[float, int, SimLoop, TimerHandle]] = []
        self._number = 0
        self._passes = passes
        self._ends = self.now + hours * 3600

    def count(self) -> int:
        """A number that was not given before."""
        self._number += 1
        return self._number

    def later(self, at: float, loop: SimLoop, timer: TimerHandle) -> None:
        """A timer of a loop, due at the world's time `at`."""
        heapq.heappush(self._timers, (at, self.count(), loop, timer))

    def tell(self, *words: Any) -> None:
        """Note what happened: the trace of the schedule."""
        self.told.append((round(self.now, 6), *words))

    @property
    def trace(self) -> str:
        """A hash of all that was told."""
        return sha256(repr(self.told).encode()).hexdigest()[:16]

    @property
    def process(self) -> Process | None:
        """The process whose turn it is."""
        owner: Process | None = self._current.owner
        return owner

    @property
    def machine(self) -> Machine | None:
        """The machine whose process has its turn."""
        process = self.process
        return process.machine if process is not None else None

    # -- turning

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Let the operator carry out `main`, and everybody live until he is done. Raises what he raises, and Stuck."""
        gc.disable()
        gc.freeze()  # what is swept up afterwards is what this world made
        with self._patched():
            task = self.operator.create_task(main)
            try:
                while not task.done():
                    self._turn()
                task.result()
                gc.collect()  # errors that nobody looked at are told when what had them is swept up
            finally:
                self.over = True
                self._sweep()
                gc.unfreeze()
                gc.enable()

    def _turn(self) -> None:
        if not self.busy:
            self._wait()
            return
        self._passes -= 1
        if not self._passes:
            raise Stuck(f"still busy after {self.now - 1_000:.0f} virtual seconds")
        busy = self.busy
        place = int(self.chance.random() * len(busy)) if len(busy) > 1 else 0
        loop = busy[place]
        busy[place] = busy[-1]
        busy.pop()
        ready = loop.ready
        if not loop.dead and not loop.frozen:
            self.now += _PASS
            self._current = loop
            events._set_running_loop(loop)
            try:
                for _ in range(len(ready)):
                    handle = ready.popleft()
                    if not handle._cancelled:
                        handle._run()
                        if loop.dead or loop.frozen:
                            break
            finally:
                events._set_running_loop(None)
                self._current = self.operator
        loop.queued = bool(ready) and not loop.dead and not loop.frozen
        if loop.queued:
            busy.append(loop)

    def _wait(self) -> None:
        timers = self._timers
        if not timers:
            raise Stuck("everybody waits for nobody")
        at, number, loop, timer = heapq.heappop(timers)
        if timer._cancelled or loop.dead:
            return
        due = timer.when() + loop.missed
        if loop.frozen:
            loop.late.append(timer)
        elif due > at + 1e-9:  # its loop's clock stood still meanwhile
            heapq.heappush(timers, (due, number, loop, timer))
        else:
            self.now = max(self.now, at)
            if self.now > self._ends:
                raise Stuck("not over after all this time")
            loop.add(timer)

    def freeze(self, loop: SimLoop) -> None:
        """Nothing of this loop runs any more, for now."""
        loop.frozen = True

    def thaw(self, loop: SimLoop, missed: float) -> None:
        """It goes on; `missed` seconds its clock did not see."""
        loop.frozen = False
        loop.missed += missed
        late, loop.late = loop.late, []
        for timer in late:
            self.later(timer.when() + loop.missed, loop, timer)
        if loop.ready and not loop.queued:
            loop.queued = True
            self.busy.append(loop)

    # -- clocks and dice

    def clock(self) -> float:
        """The monotonic clock of whoever has his turn."""
        return self._current.time()

    def wall(self) -> float:
        """Seconds since 1970, as the machine whose turn it is believes."""
        machine = self.machine
        return EPOCH + self.now + (machine.skew if machine is not None else 0.0)

    @contextmanager
    def _patched(self) -> Iterator[None]:
        chance = self.chance
        replaced: dict[Any, dict[str, Any]] = {
            time: {
                "time": self.wall,
                "time_ns": lambda: int(self.wall() * 1e9),
                "monotonic": self.clock,
                "monotonic_ns": lambda: int(self.clock() * 1e9),
                "perf_counter": self.clock,
            },
            secrets: {"token_bytes": lambda count=32: chance.randbytes(count), "randbits": chance.getrandbits},
            random: {"random": chance.random},
            os: {"urandom": chance.randbytes},
            carrier: {"_keys": []},  # what another schedule left of them would be another chance
            ids: {"_generate": ids._Generator(lambda: int(self.wall() * 1000))},
            Journal: {"committer": SimWriter},
            bodies: {"_write": self._with_room(bodies._write)},
            BodyFiles: {
                "read_cached": lambda *_: None,  # what the system has in memory of a file nobody decides here
                **{each: watched(self, getattr(BodyFiles, each)) for each in ("keep", "write", "check")},
            },
            locks: {"_lock": self._lock, "_unlock": self._unlock},
            State: {"fail": self._faulted(State.fail)},
            Connection: {"__hash__": _numbered(self.count)},
            sys: {"unraisablehook": lambda _: None},  # of coroutines that died with their process
        }
        defaults: Any = Runtime.__init__.__kwdefaults__
        with ExitStack() as stack:
            for owner, names in replaced.items():
                stack.enter_context(patch.multiple(owner, **names))
            stack.enter_context(patch.dict(defaults, clock=self.clock))
            hooks = sys.get_asyncgen_hooks()
            stack.callback(sys.set_asyncgen_hooks, *hooks)
            sys.set_asyncgen_hooks(firstiter=lambda each: self._current.generators.append(weakref.ref(each)))
            yield

    def _lock(self, path: Path) -> int | None:
        """The kernel's lock on a file, which ends with its process."""
        owner, _ = self._locks.get(path, (None, 0))
        if owner is not None and owner.alive:
            return None
        path.touch()
        number = self.count()
        if (process := self.process) is not None:
            self._locks[path] = process, number
        return number

    def forget_locks(self, folder: Path) -> None:
        """The locks on files in this folder are lost, and who has them does not know."""
        for path in [path for path in self._locks if path.is_relative_to(folder)]:
            del self._locks[path]

    def _unlock(self, number: int) -> None:
        for path in [path for path, (_, held) in self._locks.items() if held == number]:
            del self._locks[path]

    def _faulted(self, whole: Callable[[State, RemoteProtocolError], None]) -> Callable[[State, RemoteProtocolError], None]:
        """Both ends are ours: none may ever break a rule of the link. That one is silent is no such thing."""

        def fail(state: State, error: RemoteProtocolError) -> None:
            if error.fault != "TIMEOUT":
                self.complaints.append(f"{self._current.name} was sent what breaks a rule: {error.fault}: {error.text}")
            whole(state, error)

        return fail

    def _with_room(self, whole: Callable[..., int]) -> Callable[..., int]:
        """What writes the bytes of a body, until the disk is full: then a part of them is there."""

        def write(descriptor: int, pieces: Sequence[bytes | memoryview], off: int) -> int:
            if self.machine is None or not self.machine.disk.full:
                return whole(descriptor, pieces, off)
            data = b"".join(pieces)
            whole(descriptor, (data[: int(len(data) * self.chance.random())],), off)
            raise OSError(errno.ENOSPC, "No space left on device")

        return write

    def _sweep(self) -> None:
        """End what is left of all processes: nobody hears of it any more."""
        for process in self.processes:
            process.loop.dead = True
            process.sweep()
        for journal in self.journals:
            with contextlib.suppress(Exception):
                journal.shut()
        self._timers.clear()
        self.processes.clear()
        gc.collect()


def _numbered(count: Callable[[], int]) -> Callable[[Connection], int]:
    """The hash of a connection, in place of its address: a server that stops closes a set of them."""

    def number(connection: Connection) -> int:
        known = vars(connection)
        if "sim_number" not in known:
            known["sim_number"] = count()
        return int(known["sim_number"])

    return number


class Machine:
    """A computer: its disk, its clock, and who runs on it. `place` is the line that leads to it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.skew = 0.0
        self.disk = Disk(world, name, world.folder / name)
        self.up = True
        self._power: list[asyncio.Future[None]] = []

    async def powered(self) -> None:
        """Returns when it has power; for the operator."""
        if not self.up:
            power = self.world.operator.create_future()
            self._power.append(power)
            await power

    def power_on(self) -> None:
        """It may begin again."""
        self.up = True
        for each in self._power:
            each.set_result(None)
        self._power.clear()


class Process:
    """A process of a machine. `kernel` is what the system takes back when it ends, however it does."""

    def __init__(self, world: World, machine: Machine, name: str, main: Callable[[Process], Coroutine[Any, Any, Any]]) -> None:
        self.world = world
        self.machine = machine
        self.name = name
        self.kernel = ExitStack()
        self.loop = new_loop(world, name)
        self.loop.owner = self
        self.result: Any = None
        self.error: BaseException | None = None
        self.killed = False
        self.ended: asyncio.Future[None] = world.operator.create_future()
        world.processes.append(self)
        self.stopping = asyncio.Event()
        """Set when it is asked to end."""
        self._main = main
        self.task: asyncio.Task[Any] | None = None
        self.loop.call_soon(self._begin)
        world.tell("begins", name)

    def _begin(self) -> None:
        self.task = self.loop.create_task(self._main(self))
        self.task.add_done_callback(self._done)

    @property
    def alive(self) -> bool:
        return not self.loop.dead

    def kill(self, *, silent: bool = False) -> None:
        """End it now, in the middle of whatever it does. `silent`: its peers are not told, as when the power fails."""
        if self.loop.dead:
            return
        self.killed = True
        self.world.tell("killed", self.name)
        self._over(silent=silent)

    def stop(self) -> None:
        """Ask it to end."""
        if self.alive:
            self.loop.call_soon(self.stopping.set)

    def interrupt(self) -> None:
        """Ctrl-C."""
        if self.alive and self.task is not None:
            self.loop.call_soon(self.task.cancel)

    def _done(self, task: asyncio.Task[Any]) -> None:
        if self.loop.dead:
            return
        if task.cancelled():
            self.error = asyncio.CancelledError()
        else:
            self.error = task.exception()
            self.result = task.result() if self.error is None else None
        self.world.tell("ends", self.name, type(self.error).__name__)
        self._over(silent=False)

    def _over(self, *, silent: bool) -> None:
        self.loop.dead = True
        self.kernel.close()
        self.world.network.died(self.loop, silent=silent)
        self.machine.disk.died(self.loop)
        if not self.ended.done():
            self.ended.set_result(None)

    def sweep(self) -> None:
        """What is left of its coroutines ends, unheard."""
        self.kernel.close()
        events._set_running_loop(self.loop)
        try:
            for task in [task for each in self.loop.tasks if (task := each()) is not None and not task.done()]:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coro: Any = task.get_coro()
                for _ in range(20):
                    try:
                        coro.close()
                        break
                    except BaseException:  # noqa: BLE001 - it awaits something on its way out, or raises
                        continue
            for generator in [each() for each in self.loop.generators]:
                if generator is not None:
                    _end(generator)
        finally:
            events._set_running_loop(None)


def _end(generator: Any) -> None:
    """Close an asynchronous generator; whatever it awaits on its way out is cancelled."""
    closing = generator.aclose()
    try:
        closing.send(None)
        for _ in range(20):
            closing.throw(asyncio.CancelledError())
    except BaseException:  # noqa: BLE001 - it is over
        return
