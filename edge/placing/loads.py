"""How much each thing that nodes share has to do: a quick stand-in for a play, where nodes are too many to play each way of placing them. Pure.

A run takes at least as long as the busiest of what its nodes share: the places among what runs at once, the models, and the link, each way; and as
the longest of its paths. So nodes are moved, one at a time, while the sum of the cubes of these loads falls: that takes work from the busiest, and a
little from the others. A move costs what the unit and its neighbours cost, not the whole graph. Which path is the longest only a play tells: each one
that a play's end has waited for becomes a load of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Final

from edge.placing.schedule import Player

__all__ = ["Loads"]

_LINK: Final = 2
_MODELS: Final = 4
"""Where among the loads those of the link and of the models begin; first come those of the places."""
_COUNTS: Final = 0.001
"""A unit that takes less than this part of the busiest thing's time everywhere does not count."""
_LESS: Final = 1e-9
"""By how much the sum has to fall for a move, where the busiest is 1."""


class Loads:
    """The `loads`, in seconds, of one way to place a problem's units, which `balance` improves. `chosen` is that way."""

    def __init__(self, player: Player, chosen: Sequence[int]) -> None:
        problem = player.problem
        self.chosen = list(chosen)
        self._tasks = problem.tasks
        self._takes = player.takes
        self._results = player.results
        self._units = [unit.tasks for unit in problem.units]
        self._unit_of = player.units
        self._rooms = [*map(float, problem.slots), 1.0, 1.0, *(float(at_once) for _, _, at_once in problem.servers)]
        self._side = [takes[self.chosen[unit]].place for takes, unit in zip(player.takes, player.units, strict=True)]
        units = player.units
        self._out = player.outside
        self._crossed = [sum([self._side[each] != side for each in out]) for out, side in zip(self._out, self._side, strict=True)]
        """How many of them are on the other side."""
        self._ins = player.sources
        self._on: dict[int, list[tuple[int, int, int]]] = {}
        """By task, the loads of the paths that it is on, with the tasks before and after it there, -1 for none."""
        self.loads = [0.0] * len(self._rooms)
        for takes, unit, crossed, result in zip(player.takes, units, self._crossed, player.results, strict=True):
            place, server, seconds, room, sending, _, _ = takes[self.chosen[unit]]
            self.loads[place] += seconds / self._rooms[place]
            if server >= 0:
                self.loads[_MODELS + server] += seconds * room / self._rooms[_MODELS + server]
            if crossed or (place and result):
                self.loads[_LINK + place] += sending
        self._heavy: list[int] | None = None
        self._power, self._peak, self._grows = 3, 1.0, list[float]()
        self._free = player.free

    def balance(self, passes: int, power: int = 3) -> tuple[int, ...]:
        """Go through all units at most so often, and move each that leaves less to do; what comes of it. The higher the `power` of the loads
        whose sum falls, the more the busiest counts.
        """
        self._power, self._peak = power, max(self.loads) or 1.0
        self._steep()
        if self._heavy is None:
            least = _COUNTS * max(self.loads)
            self._heavy = [unit for unit in self._free if self._weight(unit) >= least]
        for _ in range(passes):
            moved = False
            for unit in self._heavy:
                for way in range(len(self._takes[self._units[unit][0]])):
                    if way != self.chosen[unit] and self._move(unit, way):
                        moved = True
            if not moved:
                break
        return tuple(self.chosen)

    def wait_for(self, path: Sequence[int]) -> None:
        """A run waited for these tasks, one after the other."""
        number = len(self.loads)
        self.loads.append(0.0)
        for before, task, after in zip([-1, *path], path, [*path[1:], -1], strict=False):
            self._on.setdefault(task, []).append((number, before, after))
            takes = self._takes[task][self.chosen[self._unit_of[task]]]
            crosses = after >= 0 and self._side[after] != takes.place
            self.loads[number] += takes.seconds + (takes.sending + takes.travelling if crosses else 0.0)

    def _weight(self, unit: int) -> float:
        return sum([max([way[2] + way[4] for way in self._takes[task]]) for task in self._units[unit]])

    def _move(self, unit: int, way: int) -> bool:
        """Do a unit this way, if that leaves less to do."""
        was, loads, peak, power = self.chosen[unit], self.loads, self._peak, self._power
        delta = [0.0] * len(loads)
        place = there = 0
        for task in self._units[unit]:
            place, there = self._shift(task, unit, was, way, delta)
        inputs = self._inputs(unit) if place != there else {}
        for source, count in inputs.items():
            side, crossed = self._side[source], self._crossed[source]
            after = crossed + count if side == place else crossed - count
            if (crossed == 0) != (after == 0) and not (side and self._results[source]):
                sending = self._takes[source][self.chosen[self._unit_of[source]]].sending
                delta[_LINK + side] += sending if after else -sending
        if sum(map(mul, self._grows, delta)) >= 0.0:
            return False  # a sum of powers falls by no more than it is steep
        change = _LESS
        for load, more in zip(loads, delta, strict=True):
            if more:
                change += ((load + more) / peak) ** power - (load / peak) ** power
        if change >= 0.0:
            return False
        self.loads = [load + more for load, more in zip(loads, delta, strict=True)]
        self._steep()
        self.chosen[unit] = way
        if place != there:
            for task in self._units[unit]:
                self._side[task] = there
                self._crossed[task] = len(self._out[task]) - self._crossed[task]
            for source, count in inputs.items():
                self._crossed[source] += count if self._side[source] == place else -count
        return True

    def _shift(self, task: int, unit: int, was: int, way: int, delta: list[float]) -> tuple[int, int]:
        """What changes where a task is done the one way and no more the other, but for its inputs; its places."""
        place, server, seconds, room, sending, travelling, _ = self._takes[task][was]
        there, other, needs, space, hands, travels, _ = self._takes[task][way]
        rooms, crossed = self._rooms, self._crossed[task]
        delta[place] -= seconds / rooms[place]
        delta[there] += needs / rooms[there]
        if server >= 0:
            delta[_MODELS + server] -= seconds * room / rooms[_MODELS + server]
        if other >= 0:
            delta[_MODELS + other] += needs * space / rooms[_MODELS + other]
        if crossed or (place and self._results[task]):
            delta[_LINK + place] -= sending
        if place != there:
            crossed = len(self._out[task]) - crossed
        if crossed or (there and self._results[task]):
            delta[_LINK + there] += hands
        for path, before, after in self._on.get(task, ()):
            delta[path] += needs - seconds
            if after >= 0 and self._unit_of[after] != unit:
                delta[path] += (hands + travels) * (self._side[after] != there) - (sending + travelling) * (
                    self._side[after] != place
                )
            if before >= 0 and self._unit_of[before] != unit and place != there:
                takes = self._takes[before][self.chosen[self._unit_of[before]]]
                delta[path] += (takes.sending + takes.travelling) * (1 if takes.place == place else -1)
        return place, there

    def _steep(self) -> None:
        """By how much the sum grows with each load."""
        peak, less = self._peak, self._power - 1
        self._grows = [(load / peak) ** less for load in self.loads]

    def _inputs(self, unit: int) -> dict[int, int]:
        """The tasks outside of a unit whose values it takes, and by how many of its tasks."""
        found = self._ins.get(unit)
        if found is None:
            found = self._ins[unit] = {}
            for task in self._units[unit]:
                for source in self._tasks[task].inputs:
                    if self._unit_of[source] != unit:
                        found[source] = found.get(source, 0) + 1
        return found
