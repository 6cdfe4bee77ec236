"""Schedules at a worker that takes little: so few bytes a second that reading pauses again and again while large values come, and so few
connections a minute that devices are told when to come again. Nothing may be lost by it, and nobody stay outside.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Final

from cloud.access import Access
from cloud.accounts import DEFAULT, Account
from sim.large import large_of
from sim.play import Outcome, Play, Scenario, play
from sim.world import Process

__all__ = ["limited_of", "play_limited"]

_ACCOUNTS: Final = {DEFAULT: Account(rate=96 << 10, device_rate=64 << 10, connects=1)}


def limited_of(seed: int) -> Scenario:
    """What a seed stands for: large values, and some more cuts, so that devices come again and again."""
    scenario = large_of(seed)
    if seed % 3 == 0:  # then nothing but the worker's limits is in the way
        return replace(scenario, faults=())
    more = [replace(each, kind="cut", dice=each.dice ^ 1, count=each.count + 1) for each in scenario.faults if each.kind == "cut"]
    return replace(scenario, faults=(*scenario.faults, *more))


def play_limited(scenario: Scenario, outcome: Outcome | None = None) -> Outcome:
    """Play this schedule."""
    return play(scenario, outcome, _Limited)


class _Limited(Play):
    async def main(self) -> None:
        """Where nothing went wrong, nobody was cut off: who sends too much is only slow."""
        await super().main()
        if not self.scenario.faults:
            counts = Counter(str(words[1]) for words in self.world.told)
            begun = sum(words[1] == "begins" and words[2] in self.scenario.devices for words in self.world.told)
            assert counts["connect"] <= begun, f"{counts['connect']} connections of {begun} commands, and nothing was in the way"

    def _access(self, process: Process) -> Any:
        return Access(_ACCOUNTS, anybody=True)
