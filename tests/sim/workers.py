"""Schedules of more than one worker.

Two processes with one store, of which the second takes over while the first still lives and believes to have it: the lock on the store is lost
(its file was deleted, or lies on a file system that forgot it). Nothing of what the first does from then on may count, whichever of the two
a device reaches.

Two workers with a store each, and a user whose commands go now to the one, now to the other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from cloud.owner import Owner
from graphs.errors import JournalError, UsageError
from graphs.journal import Journal
from graphs.journal.writer import Writer
from sim.faults import CLOUD, Fault
from sim.play import PORT, Outcome, Play, Scenario, play, scenario_of
from sim.world import World

__all__ = ["OTHER", "play_taken_over", "play_two_stores", "taken_over_of", "two_stores_of"]

OTHER: Final = "cloud2"
"""The machine of the second worker with a store of its own."""

_MOMENTS: Final = (("commit", 25), ("committed", 25), ("packet", 40), ("execute", 8), ("executed", 8), ("time", 4_000))


def taken_over_of(seed: int) -> Scenario:
    """What a seed stands for: two processes at one store, whose lock is lost now and then."""
    scenario, chance = scenario_of(seed), random.Random(f"taken over {seed}")
    lost = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        event, most = chance.choice(_MOMENTS)
        lost.append(Fault("unlock", CLOUD, event, 1 + chance.randrange(most), 0.0, 0))
    return replace(scenario, workers=2, faults=(*scenario.faults, *lost))


def two_stores_of(seed: int) -> Scenario:
    """What a seed stands for: some of what happens to the worker happens to the other one."""
    scenario, chance = scenario_of(seed), random.Random(f"two stores {seed}")
    faults = (replace(each, where=OTHER) if each.where == CLOUD and chance.random() < 0.5 else each for each in scenario.faults)
    more = []
    for _ in range(chance.choice((1, 3, 5))):  # so that there is another command
        kind, where = chance.choice(("interrupt", "interrupt", "kill")), chance.choice(scenario.devices)
        more.append(Fault(kind, where, "packet", 1 + chance.randrange(60), 0.0, 0))
    return replace(scenario, faults=(*faults, *more))


def play_taken_over(scenario: Scenario, outcome: Outcome | None = None) -> Outcome:
    """Play this schedule."""
    return play(scenario, outcome, _TakenOver)


def play_two_stores(scenario: Scenario, outcome: Outcome | None = None) -> Outcome:
    """Play this schedule."""
    return play(scenario, outcome, _TwoStores)


class _TakenOver(Play):
    """`_before` are the writers whose time is over, with what they had committed by then."""

    ends = (UsageError, JournalError, type(None))

    _before: list[tuple[Writer, int]]
    _answered = 0

    async def main(self) -> None:
        self._before = []
        with patch.object(Owner, "greet", self._greeting(Owner.greet)):
            await super().main()
        for writer, commits in self._before:
            assert writer.commits == commits, f"a process whose store was taken over has made {writer.commits - commits} commits"
        assert not self._answered, f"a process whose store was taken over has answered {self._answered} devices"

    def _greeting(self, greet: Any) -> Any:
        def greets(owner: Owner, hello: Any) -> Any:
            writer = owner.share.journal._writer
            self._answered += any(writer is each for each, _ in self._before)
            return greet(owner, hello)

        return greets

    async def _use(self, number: int, name: str, expected: object) -> None:
        self.faults.unlock = self._unlock
        await super()._use(number, name, expected)

    def _unlock(self) -> None:
        (self.machines[CLOUD].disk.root / "lease" / "worker.lock").unlink(missing_ok=True)
        self._worker_ended.set()

    def _opened(self, journal: Journal) -> None:
        chance = self.world.chance
        for name in self.scenario.devices:
            for seconds in (0.3, 1.5, 5.0):  # it has to find a worker again and again, and may find either
                cut = Fault("cut", name, "time", 0, 0.0, chance.randrange(1 << 16))
                self.world.operator.call_later(seconds * chance.random(), self.faults.strike, cut)
        for writer in self._living():
            if writer is not journal._writer and all(writer is not each for each, _ in self._before):
                self._before.append((writer, writer.commits))
                self.world.tell("taken over", writer.epoch.number if writer.epoch is not None else 0)

    def _living(self) -> Iterator[Writer]:
        disk = self.machines[CLOUD].disk
        return (each for each in self.world.journals if each._disk is disk and not each.dead and not each._closing)


class _TwoStores(Play):
    """`_last` is which worker the last command of each device went to; `_moved` are the devices that went to both."""

    clouds = (CLOUD, OTHER)

    def __init__(self, world: World, scenario: Scenario, outcome: Outcome) -> None:
        super().__init__(world, scenario, outcome)
        self._last: dict[str, int] = {}
        self._moved: set[str] = set()

    def _url(self, name: str) -> str:
        """Mostly the worker of the last command."""
        other = self.world.chance.random() < 0.4
        if other and name in self._last:
            self._moved.add(name)
        self._last[name] = self._last.get(name, 0) ^ other
        return f"ws://127.0.0.1:{PORT + self._last[name]}/v1/link"

    def _may_ask(self, number: int, name: str) -> bool:
        """Or the worker that knows is not the one of the last command."""
        return name in self._moved or super()._may_ask(number, name)
