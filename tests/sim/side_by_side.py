"""Schedules of two users at one device: two processes with one journal and one identity, each with a run of its own, at one worker.

Commands are killed, interrupted, cut off and begun anew as everywhere, so runs come to new sessions at the worker while the other process goes on.
"""

from __future__ import annotations

import random
from dataclasses import replace

from sim.faults import Fault, draw_faults
from sim.graphs import draw_graph
from sim.play import Outcome, Play, Scenario, play, scenario_of
from sim.world import World

__all__ = ["play_side_by_side", "side_by_side_of"]

_BOTH = ("device0", "device1")


def side_by_side_of(seed: int) -> Scenario:
    """What a seed stands for."""
    chance = random.Random(f"side by side {seed}")
    more = [
        Fault(
            chance.choice(("kill", "stray", "cut")), "device0", "packet", 1 + chance.randrange(60), 0.0, chance.randrange(1 << 16)
        )
        for _ in range(2)
    ]
    return replace(
        scenario_of(seed),
        graphs=(draw_graph(chance), draw_graph(chance)),
        workers=1,
        durable=(False, chance.random() < 0.2),
        all=(chance.random() < 0.3, chance.random() < 0.3),
        faults=(*(each for each in draw_faults(chance, ["device0"]) if each.kind not in ("cancel", "lose")), *more),
    )


def play_side_by_side(scenario: Scenario, outcome: Outcome | None = None) -> Outcome:
    """Play this schedule."""
    return play(scenario, outcome, _SideBySide)


class _SideBySide(Play):
    def __init__(self, world: World, scenario: Scenario, outcome: Outcome) -> None:
        super().__init__(world, scenario, outcome)
        for each in scenario.devices[1:]:
            self.machines[each] = self.machines[_BOTH[0]]
