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
from heapq import heappop, heappush
from math import ceil
from typing import Final

from edge.placing.tasks import CLOUD, EDGE, Problem

__all__ = ["Schedule", "crossing", "play"]

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


def play(problem: Problem, chosen: Sequence[int]) -> Schedule:
    """The schedule of these choices, one a unit."""
    return _Play(problem, chosen).schedule()


class _Play:
    __slots__ = (
        "asking",
        "carried",
        "ended",
        "extra",
        "free_at",
        "half",
        "heap",
        "last",
        "left",
        "moved",
        "options",
        "over",
        "place",
        "problem",
        "room",
        "sequence",
        "servers",
        "slots",
        "speed",
        "started",
        "taken",
        "tasks",
        "there",
    )

    def __init__(self, problem: Problem, chosen: Sequence[int]) -> None:
        self.problem = problem
        self.tasks = tasks = problem.tasks
        count = len(tasks)
        self.options = [task.options[chosen[task.unit]] for task in tasks]
        self.place = [option.place for option in self.options]
        link = problem.link
        self.half = link.rtt.value / 2
        self.speed = (max(1.0, link.up.value), max(1.0, link.down.value))
        self.free_at = [0.0, 0.0]
        self.carried = [0.0, 0.0]
        self.slots = list(problem.slots)
        self.servers = [at_once for _, _, at_once in problem.servers]
        self.room: tuple[deque[int], deque[int]] = (deque(), deque())
        self.asking: list[deque[int]] = [deque() for _ in self.servers]
        self.taken: dict[int, int] = {}
        self.left = [len(task.inputs) for task in tasks]
        self.started, self.ended = [0.0] * count, [0.0] * count
        self.last, self.moved = [-1] * count, [0.0] * count
        self.heap: list[tuple[float, int, int]] = []
        self.sequence = 0
        self.over = 0.0
        away = CLOUD in self.place
        self.extra = self._exchanges() if problem.updates and away else None
        met = _MEETING * 2 * self.half if away else 0.0
        opened = self._open(met) if away else 0.0
        self.there = [opened if each else met for each in self.place]

    def schedule(self) -> Schedule:
        """Play it: the innermost loop of every search, and so in one piece."""
        heap, tasks, options, place, ended = self.heap, self.tasks, self.options, self.place, self.ended
        slots, servers, room, asking = self.slots, self.servers, self.room, self.asking
        ready, start, hand_on = self._ready, self._start, self._hand_on
        for number, waits in enumerate(self.left):
            if not waits:
                self._push(self.there[number], ~number)
        while heap:
            now, _, number = heappop(heap)
            if number < 0:
                ready(~number, now)
                continue
            task, side, server = tasks[number], place[number], options[number].server
            ended[number] = now
            if task.readers or task.result:
                hand_on(number, now)
            if server >= 0:
                servers[server] += self.taken.get(number, 1)
                line = asking[server]
                while line and servers[server] > 0:
                    start(line.popleft(), now)
            slots[side] += 1
            waiting = room[side]
            while waiting and slots[side] > 0:
                ready(waiting.popleft(), now)
            if not side:
                if now > self.over:
                    self.over = now
            elif not task.readers and now + self.half > self.over:
                self.over = now + self.half
        return self._result()

    def _result(self) -> Schedule:
        options = self.options
        if CLOUD in self.place:
            self.over += _LEAVING * 2 * self.half
        return Schedule(
            self.over,
            sum([option.usd for option in options]),
            sum([option.joules for option in options]),
            self.carried[EDGE],
            self.carried[CLOUD],
            self.started,
            self.ended,
            self.last,
            self.moved,
            sum(self.place),
        )

    def _open(self, met: float) -> float:
        """Ship the cut graph with what static nodes hold; when the worker can begin."""
        problem = self.problem
        size, values = float(_HEAD), set[int]()
        for unit in problem.units:
            if unit.tasks and self.place[unit.tasks[0]] == CLOUD:
                size += unit.text
        for task, place in zip(problem.tasks, self.place, strict=True):
            if place == CLOUD and task.values:
                values.update(task.values)
        size += sum([problem.values[each] for each in values])
        return self._carry(EDGE, size, met, 1.0) + problem.link.queue.value

    def _carry(self, side: int, size: float, now: float, turns: float) -> float:
        """Send something from a side to the other; when it is there."""
        took, travel = crossing(self.half, self.speed[side], size, turns)
        self.free_at[side] = sent = max(now, self.free_at[side]) + took
        self.carried[side] += size
        return sent + travel

    def _push(self, when: float, what: int) -> None:
        self.sequence += 1
        heappush(self.heap, (when, self.sequence, what))

    def _exchanges(self) -> dict[int, float]:
        """The seconds that nodes wait for a loop's values in its later turns."""
        extra: dict[int, float] = {}
        for update in self.problem.updates:
            sides = {self.place[each] for each in update.frame}
            writer, reader = self.place[update.writer], self.place[update.reader]
            if writer == reader == EDGE or len(sides) == 1:
                continue  # here, or the whole loop at the worker
            size = self.options[update.writer].out_bytes / update.turns
            ways = [writer] if writer != reader else [CLOUD, EDGE]  # this device opens each turn
            each = sum(sum(crossing(self.half, self.speed[side], size, 1)) for side in ways)
            extra[update.reader] = max(extra.get(update.reader, 0.0), each * (update.turns - 1))
        return extra

    # -- what happens

    def _ready(self, number: int, now: float) -> None:
        """The inputs are there: it takes its place among what runs at once, and then in line for its model."""
        place = self.place[number]
        if self.slots[place] <= 0:
            self.room[place].append(number)
            return
        self.slots[place] -= 1
        server = self.options[number].server
        if server < 0 or self.servers[server] > 0:
            self._start(number, now)
        else:
            self.asking[server].append(number)

    def _start(self, number: int, now: float) -> None:
        option, task = self.options[number], self.tasks[number]
        server, seconds, taken = option.server, option.seconds, 1
        if task.width > 1 or task.turns > 1:
            at_once = self.problem.servers[server][2] if server >= 0 else self.problem.slots[option.place]
            taken = min(task.width, max(1, at_once))
            seconds *= task.turns * ceil(task.width / taken)
            self.taken[number] = taken
        if server >= 0:
            self.servers[server] -= taken
        if self.extra is not None:
            seconds += self.extra.get(number, 0.0)
        self.started[number] = now
        self.sequence += 1
        heappush(self.heap, (now + seconds, self.sequence, number))

    def _hand_on(self, number: int, now: float) -> None:
        """Its value is there for its readers, on the other side once it has crossed the link."""
        task, where = self.tasks[number], self.place
        place, there, last, left = where[number], self.there, self.last, self.left
        arrives = 0.0
        if place == CLOUD and task.result:
            arrives = self._carry(CLOUD, self.options[number].out_bytes + _HEAD, now, task.turns)
            self.over = max(self.over, arrives)
        for reader in task.readers:
            when = now
            if where[reader] != place:
                if not arrives:
                    arrives = self._carry(place, self.options[number].out_bytes + _HEAD, now, task.turns)
                when = arrives
                self.moved[reader] = max(self.moved[reader], arrives - now)
            if when >= there[reader] or last[reader] < 0:
                last[reader] = number
                if when > there[reader]:
                    there[reader] = when
            left[reader] -= 1
            if not left[reader]:
                self._push(there[reader], ~reader)
