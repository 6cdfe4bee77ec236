"""What a way of placing the nodes gives: when each is done, and what it costs. Pure.

The run is played once, as the engine plays it: a node starts when its inputs are there, in the order in which nodes become so, as far as the
limit of what runs at once and the model it asks leave room; a model computes its requests in order, so many at once. The worker runs ahead: a
node there needs its inputs there, not this device's word. A value goes over the link once, each way one after the other at its speed, and takes
half a round trip more; the cut graph goes first. The play takes time in proportion to the graph's nodes and edges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from math import ceil
from typing import Final, NamedTuple

from edge.placing.tasks import CLOUD, EDGE, Option, Problem, Task

__all__ = ["Player", "Schedule", "Takes", "crossing", "play"]

_MEETING: Final = 3
_LEAVING: Final = 1
"""Round trips that a run waits for its link to be opened, before anything begins, and to be closed in the end."""
_HEAD: Final = 200
"""Bytes of a record on the wire besides its value, and of a cut graph besides its nodes."""
_BODY: Final = 64 * 1024
"""Bytes from which on a value is no part of its record: the other side asks for it once it hears of it (docs/protocol.md §13, §14)."""
_WINDOW: Final = 1024 * 1024
"""Bytes of bodies that are asked for and have not come, at most."""


def crossing(half: float, speed: float, size: float, turns: float) -> tuple[float, float]:
    """A value on the link, `size` bytes in all its `turns`: seconds in which nothing else goes that way, and seconds until it is there besides.
    `half` is half a round trip, `speed` in bytes a second.
    """
    if size <= _BODY * turns:
        return size / speed, half * turns
    return size / (min(speed, _WINDOW / (2 * half)) if half else speed), 3 * half * turns


@dataclass(slots=True)
class Schedule:
    """What comes of one choice for each unit. `seconds` until the run is over; bytes, money and energy in all.

    By task: `started` and `ended` where it runs, `last` the input that it waited for longest, -1 if for none; `moved` are the seconds that its
    inputs were on the link.
    """

    seconds: float
    usd: float
    joules: float
    up: float
    down: float
    started: list[float]
    ended: list[float]
    last: list[int]
    moved: list[float]
    away: int
    """Tasks that are not on the device."""

    def critical(self) -> list[int]:
        """The tasks that the run's end waits for, in order, each waiting for the one before it."""
        task = max(range(len(self.ended)), key=self.ended.__getitem__, default=-1)
        path: list[int] = []
        while task >= 0:
            path.append(task)
            task = self.last[task]
        return path[::-1]


class Takes(NamedTuple):
    """What a task takes in one of its options: where, of which model (-1 for none), how many seconds, and how many of what that does at once; and
    its value on the link, `sending` and `travelling` as `crossing` has them, with its bytes.
    """

    place: int
    server: int
    seconds: float
    room: int
    sending: float
    travelling: float
    bytes: float


def play(problem: Problem, chosen: Sequence[int]) -> Schedule:
    """The schedule of these choices, one a unit."""
    return Player(problem).play(chosen)


class Player:
    """Plays one problem as often as is asked for. What all plays have in common is worked out once: `takes` of each task's options."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        tasks, link = problem.tasks, problem.link
        self.half = link.rtt.value / 2
        self.speed = (max(1.0, link.up.value), max(1.0, link.down.value))
        self.takes = [[self._takes(task, option) for option in task.options] for task in tasks]
        self.units = [task.unit for task in tasks]
        self.waits = [len(task.inputs) for task in tasks]
        self.readers = [tuple(task.readers) for task in tasks]
        self.results = [task.result for task in tasks]
        self._valued = [(number, task.values) for number, task in enumerate(tasks) if task.values]
        self._texts = [(unit.tasks[0], unit.text) for unit in problem.units if unit.tasks and unit.text]
        self._usd = [[option.usd for option in task.options] for task in tasks]
        self._joules = [[option.joules for option in task.options] for task in tasks]

    @cached_property
    def free(self) -> list[int]:
        """The units that have a choice."""
        return [number for number, unit in enumerate(self.problem.units) if len(unit.choices) > 1]

    @cached_property
    def outside(self) -> list[list[int]]:
        """The readers of each task that are not in its unit."""
        return [[each for each in task.readers if self.units[each] != task.unit] for task in self.problem.tasks]

    @cached_property
    def sources(self) -> dict[int, dict[int, int]]:
        """Of each unit that was asked about, the tasks outside of it whose values it takes, and by how many of its tasks."""
        return {}

    def play(self, chosen: Sequence[int]) -> Schedule:
        """The schedule of these choices, one a unit."""
        ways = [chosen[unit] for unit in self.units]
        schedule = _Play(self, [takes[way] for takes, way in zip(self.takes, ways, strict=True)]).schedule()
        schedule.usd = sum([each[way] for each, way in zip(self._usd, ways, strict=True)])
        schedule.joules = sum([each[way] for each, way in zip(self._joules, ways, strict=True)])
        return schedule

    def least(self, chosen: Sequence[int]) -> float:
        """Seconds below which no play of these choices can be: what the places and the models have to do, each for itself."""
        problem = self.problem
        places, models = [0.0, 0.0], [0.0] * len(problem.servers)
        for unit, takes in zip(self.units, self.takes, strict=True):
            place, server, seconds, room, _, _, _ = takes[chosen[unit]]
            places[place] += seconds
            if server >= 0 and room == 1:  # a model may begin more than it has room for, of what takes more
                models[server] += seconds
        at_once = [each for _, _, each in problem.servers]
        shares = zip([*places, *models], [*problem.slots, *at_once], strict=True)
        return max([seconds / most for seconds, most in shares])

    def opening(self, takes: Sequence[Takes]) -> float:
        """The bytes of the cut graph, with what static nodes hold."""
        size = float(_HEAD) + sum([text for first, text in self._texts if takes[first].place])
        values = {value for number, each in self._valued if takes[number].place for value in each}
        return size + sum([self.problem.values[each] for each in values])

    def _takes(self, task: Task, option: Option) -> Takes:
        place, server, seconds, _, _, size, _ = option
        room = 1
        if task.width > 1 or task.turns > 1:
            at_once = self.problem.servers[server][2] if server >= 0 else self.problem.slots[place]
            room = min(task.width, max(1, at_once))
            seconds *= task.turns * ceil(task.width / room)
        sending, travelling = crossing(self.half, self.speed[place], size + _HEAD, task.turns)
        return Takes(place, server, seconds, room, sending, travelling, size + _HEAD)


class _Play:
    """One play. Of the link, each way: `free_at` when it has sent what it has, `carried` the bytes."""

    __slots__ = ("carried", "free_at", "half", "places", "player", "takes")

    def __init__(self, player: Player, takes: list[Takes]) -> None:
        self.player = player
        self.takes = takes
        self.half = player.half
        self.places = [each[0] for each in takes]
        self.free_at, self.carried = [0.0, 0.0], [0.0, 0.0]

    def schedule(self) -> Schedule:  # noqa: C901 - the innermost loop of every search: a call for each node would cost a third of its time
        """Play it. Who waits for a place that is given back has it before those that are ready by the same end."""
        player, problem, half, free_at, carried = self.player, self.player.problem, self.half, self.free_at, self.carried
        _, models, seconds, rooms, sending, travelling, sizes = zip(*self.takes, strict=True) if self.takes else [()] * 7
        places, count, over, readers, results = self.places, len(self.takes), 0.0, player.readers, player.results
        started, ended, moved = [0.0] * count, [0.0] * count, [0.0] * count
        left, last, sequence = player.waits.copy(), [-1] * count, count
        there = self._there() if CLOUD in places else [0.0] * count  # when the inputs are that have come
        if extra := self._exchanges():
            seconds = tuple([each + extra.get(number, 0.0) for number, each in enumerate(seconds)])
        slots, servers = list(problem.slots), [at_once for _, _, at_once in problem.servers]
        waiting: tuple[deque[int], deque[int]] = (deque(), deque())
        asking: list[deque[int]] = [deque() for _ in servers]
        ready: list[int] = []
        heap = [(there[number], number, ~number) for number, waits in enumerate(left) if not waits]
        heapify(heap)
        while heap:
            now, _, number = heappop(heap)
            if number < 0:
                ready.append(~number)
            else:  # it ends, and its value is there for its readers, on the other side once it has crossed the link
                ended[number] = now
                place, server = places[number], models[number]
                slots[place] += 1
                if waiting[place]:
                    ready.append(waiting[place].popleft())
                end = now + half if place and not readers[number] else now
                arrives = 0.0
                if place and results[number]:
                    free_at[place] = sent = max(now, free_at[place]) + sending[number]
                    carried[place] += sizes[number]
                    end = arrives = sent + travelling[number]
                if end > over:
                    over = end
                for reader in readers[number]:
                    when = now
                    if places[reader] != place:
                        if not arrives:
                            free_at[place] = sent = max(now, free_at[place]) + sending[number]
                            carried[place] += sizes[number]
                            arrives = sent + travelling[number]
                        when = arrives
                        if when - now > moved[reader]:
                            moved[reader] = when - now
                    if when >= there[reader] or last[reader] < 0:
                        last[reader] = number
                        if when > there[reader]:
                            there[reader] = when
                    left[reader] = waits = left[reader] - 1
                    if not waits:
                        if there[reader] <= now:
                            ready.append(reader)
                        else:
                            sequence += 1
                            heappush(heap, (there[reader], sequence, ~reader))
                if server >= 0:
                    servers[server] += rooms[number]
                    line = asking[server]
                    while line and servers[server] > 0:
                        number = line.popleft()
                        servers[server] -= rooms[number]
                        started[number] = now
                        sequence += 1
                        heappush(heap, (now + seconds[number], sequence, number))
            for number in ready:
                place, server = places[number], models[number]
                if slots[place] <= 0:
                    waiting[place].append(number)
                    continue
                slots[place] -= 1
                if server >= 0:
                    if servers[server] <= 0:
                        asking[server].append(number)
                        continue
                    servers[server] -= rooms[number]
                started[number] = now
                sequence += 1
                heappush(heap, (now + seconds[number], sequence, number))
            ready.clear()
        away = sum(places)
        over += _LEAVING * 2 * half if away else 0.0
        return Schedule(over, 0.0, 0.0, carried[EDGE], carried[CLOUD], started, ended, last, moved, away)

    def _there(self) -> list[float]:
        """Ship the cut graph with what static nodes hold; when anything can begin, by task."""
        met = _MEETING * 2 * self.half
        size = self.player.opening(self.takes)
        took, travel = crossing(self.half, self.player.speed[EDGE], size, 1.0)
        self.free_at[EDGE] = met + took
        self.carried[EDGE] = size
        opened = met + took + travel + self.player.problem.link.queue.value
        return [opened if place else met for place in self.places]

    def _exchanges(self) -> dict[int, float]:
        """The seconds that nodes wait for a loop's values in its later turns."""
        extra: dict[int, float] = {}
        problem, speed = self.player.problem, self.player.speed
        for update in problem.updates if CLOUD in self.places else ():
            sides = {self.places[each] for each in update.frame}
            writer, reader = self.places[update.writer], self.places[update.reader]
            if writer == reader == EDGE or len(sides) == 1:
                continue  # here, or the whole loop at the worker
            size = (self.takes[update.writer].bytes - _HEAD) / update.turns
            ways = [writer] if writer != reader else [CLOUD, EDGE]  # this device opens each turn
            each = sum(sum(crossing(self.half, speed[side], size, 1)) for side in ways)
            extra[update.reader] = max(extra.get(update.reader, 0.0), each * (update.turns - 1))
        return extra
