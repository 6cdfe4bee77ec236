"""Schedules in which a process of a device loses its run while it lives: the lock on the run is lost (its file was deleted, or lies on a file system
that forgot it), another process goes on with the run, and the first does not know.

Of the two the one counts that records the next thing that happens in the run: from then on whatever the other one records goes where something
is already, so that it stops. The check of every schedule says so: nobody records anything in a run that another process has recorded something in
since.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from functools import partial
from typing import Any, Final

from graphs.errors import JournalError, UsageError
from sim.faults import Fault
from sim.play import HANGS, Outcome, Play, Scenario, play, scenario_of
from sim.world import Process, World

__all__ = ["play_run_taken", "run_taken_of"]

_DEVICE: Final = "device0"
_MOMENTS: Final = (("commit", 25), ("committed", 25), ("packet", 40), ("execute", 8), ("executed", 8), ("time", 4_000))
_BUSY: Final = ("busy",)
"""What a command comes to that another process of the device keeps out."""


def run_taken_of(seed: int) -> Scenario:
    """What a seed stands for: one device, whose process loses its run now and then."""
    scenario, chance = scenario_of(seed), random.Random(f"run taken {seed}")
    lost = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        event, most = chance.choice(_MOMENTS)
        lost.append(Fault("unlock", _DEVICE, event, 1 + int(most * chance.random()), 0.0, chance.randrange(1 << 16)))
    faults = [each for each in scenario.faults if each.where not in scenario.devices[1:]]
    return replace(
        scenario,
        graphs=scenario.graphs[:1],
        durable=scenario.durable[:1],
        all=scenario.all[:1],
        faults=(*faults[:3], *lost),
    )


def play_run_taken(scenario: Scenario, outcome: Outcome | None = None) -> Outcome:
    """Play this schedule."""
    return play(scenario, outcome, _RunTaken)


class _RunTaken(Play):
    """`_others` are the users who go on with a run whose lock was lost, each with one command."""

    def __init__(self, world: World, scenario: Scenario, outcome: Outcome) -> None:
        super().__init__(world, scenario, outcome)
        self._others: list[asyncio.Task[None]] = []

    async def _use(self, number: int, name: str, expected: Any) -> None:
        self.faults.unlock = partial(self._unlock, number, name, expected)
        await super()._use(number, name, expected)
        for other in self._others:
            await other

    def _unlock(self, number: int, name: str, expected: Any) -> None:
        folder = self.machines[name].disk.journal.parent
        self.world.forget_locks(folder)
        self._others.append(self.world.operator.create_task(self._other(number, name, expected)))

    async def _other(self, number: int, name: str, expected: Any) -> None:
        machine = self.machines[name]
        await machine.powered()
        process = Process(
            self.world, machine, f"another{len(self._others)} at {name}", partial(self._command, number=number, cancels=False)
        )
        await asyncio.wait([process.ended], timeout=HANGS)
        assert process.ended.done(), f"{name}: a command beside another one hangs"
        if process.error is not None and not process.killed:
            if not isinstance(process.error, (JournalError, asyncio.CancelledError)):
                raise AssertionError(f"{name}: another command ended with {process.error!r}") from process.error
        elif not process.killed and process.result is not None and not isinstance(process.result, tuple):
            self.world.tell("another", name, process.result.status)
            if process.result.status in ("completed", "failed"):
                self._judge(number, name, process.result, expected)

    async def _command(self, process: Process, *, number: int, cancels: bool) -> Any:
        if process.name.startswith("another") and not process.machine.disk.journal.exists():
            return None
        try:
            return await super()._command(process, number=number, cancels=cancels)
        except UsageError as error:
            if "another process works on run" in str(error) or ": look at it" in str(error).lower():
                return _BUSY
            raise

    def _begins(self, process: Process) -> bool:
        return not process.name.startswith("another")

    def _judge(self, number: int, name: str, result: Any, expected: Any) -> str | None:
        return None if result == _BUSY else super()._judge(number, name, result, expected)
