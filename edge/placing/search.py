"""The search for the choices that suit the run best: exact where there are few of them, near the best where there are many. Pure.

What is sought is the least of one thing (time, money or energy) under constraints (a deadline, a budget); what breaks a constraint less counts
more than anything else. The search begins with everything on the device, everything at the worker, what the rules say, what is cheapest node
by node, and a greedy pass that looks ahead (as PEFT does: the time a node adds with what must follow it at least); so the result is never worse
than these. From two of them it balances what nodes share (`edge.placing.loads`), which is what counts in large graphs. It goes on from the best of
all by moving whole fragments, what the end of the run waits for, and single nodes. Its effort is bounded by count and not by the clock: the same
problem has the same answer everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, product
from math import prod
from typing import Final, NamedTuple

from edge.placing.loads import Loads
from edge.placing.schedule import Player, Schedule
from edge.placing.tasks import CLOUD, EDGE, Problem
from edge.placing.wishes import Wishes

__all__ = ["EFFORT", "Found", "Score", "score", "search"]

EFFORT: Final = 9_000
"""Tasks played in one search: some 20 ms of a laptop's core."""

_SETTING_UP: Final = 8
"""What a play costs besides its tasks, in tasks."""

_PASSES: Final = 2
"""How often each unit is looked at when loads are balanced."""
_POWERS: Final = (3, 6, 12)
"""Of loads, whose sum is to fall: what is found depends on it."""
_BEGINS: Final = 2
"""How many of the best beginnings are worked on in that way."""
_PLAYS_A_ROUND: Final = 5
"""For so many plays loads are balanced once more, from each beginning; twice at least."""
_PROMISING: Final = 1.5
"""What takes so many times as long as the best beginning is not worked on."""
_MANY: Final = 12
"""Plays that are so many that what costs one or two, and helps seldom, is worth it."""

_NEVER: Final = float("inf")

_EVEN: Final = 0.01
"""Two ways that differ by less than this part are alike: then nodes stay on the device."""


class Score(NamedTuple):
    """How good a schedule is, the less the better: by how much of them it breaks constraints, what is to be least, and what counts then."""

    broken: float
    first: float
    second: float
    third: float
    away: int
    """Tasks that are not on the device."""


@dataclass(frozen=True, slots=True)
class Found:
    """The choices, one a unit, with what they give. `exact` says that all there are were looked at."""

    chosen: tuple[int, ...]
    schedule: Schedule
    score: Score
    exact: bool


def score(problem: Problem, schedule: Schedule, wishes: Wishes) -> Score:
    """How well a schedule does by these wishes."""
    broken = 0.0
    for value, bound in ((schedule.seconds, wishes.deadline), (schedule.usd, wishes.budget)):
        if bound is not None and value > bound:
            broken += (value - bound) / max(bound, 1e-9)
    metered = schedule.up + schedule.down if problem.link.metered else 0.0
    if wishes.minimise == "cost":
        order = (schedule.usd, metered, schedule.seconds)
    elif wishes.minimise == "energy":
        order = (schedule.joules, schedule.seconds, schedule.usd)
    else:
        order = (schedule.seconds, schedule.usd, metered)
    return Score(broken, *order, schedule.away)


def search(problem: Problem, wishes: Wishes = Wishes(), effort: int = EFFORT, player: Player | None = None) -> Found:  # noqa: B008 - frozen
    """The best choices that can be found by playing `effort` tasks; `player` is whoever has this problem ready for that."""
    return _Search(player or Player(problem), wishes, effort).found()


class _Search:
    def __init__(self, player: Player, wishes: Wishes, effort: int) -> None:
        problem = self.problem = player.problem
        self.player = player
        self.wishes = wishes
        self.plays = max(5, effort // (len(problem.tasks) + _SETTING_UP))
        self.many = self.plays >= _MANY
        self.free = [number for number, unit in enumerate(problem.units) if len(unit.choices) > 1]
        self.known: dict[tuple[int, ...], tuple[Score, Schedule]] = {}
        self.neighbours: dict[int, list[int]] = {}
        self.cap = Score(0.0, 0.0, 0.0, 0.0, 0)

    def found(self) -> Found:
        count = prod(len(self.problem.units[each].choices) for each in self.free)
        exact = count <= self.plays
        uniform = [self._uniform(EDGE), self._uniform(CLOUD)]
        best = self._everything() if exact else self._climb([*self._seeds(), *self._worth_it(uniform)])
        limit, others = self._look(best), [self.known[each][0] for each in uniform if each in self.known]
        even = limit.first * (1 + _EVEN)
        least = min([each.first for each in others if not each.broken], default=even)
        self.cap = limit._replace(first=min(even, max(limit.first, least)))
        best = self._larger(self._at_home(best))
        return Found(best, self.known[best][1], self.known[best][0], exact)

    def _look(self, chosen: tuple[int, ...]) -> Score:
        entry = self.known.get(chosen)
        if entry is None:
            schedule = self.player.play(chosen)
            entry = self.known[chosen] = (score(self.problem, schedule, self.wishes), schedule)
        return entry[0]

    @property
    def _spent(self) -> bool:
        return len(self.known) >= self.plays

    # -- where it begins

    def _uniform(self, place: int) -> tuple[int, ...]:
        chosen = [0] * len(self.problem.units)
        for unit in self.free:
            choices = self.problem.units[unit].choices
            chosen[unit] = next((number for number, each in enumerate(choices) if each.place == place), 0)
        return tuple(chosen)

    def _worth_it(self, ways: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
        """Those of which not even their loads say that they are worse than the best so far."""
        plain = self.wishes == Wishes(self.wishes.minimise) and self.wishes.minimise in (None, "latency")
        for way in ways:
            if (
                way in self.known
                or not plain
                or not self.known
                or self.player.least(way) < min(score.first for score, _ in self.known.values())
            ):
                yield way

    def _seeds(self) -> Iterator[tuple[int, ...]]:
        if self.wishes.minimise not in (None, "latency"):
            yield self._cheapest()
        begins = [self._uniform(EDGE), _look_ahead(self.player), self._uniform(CLOUD)]
        if self.many:
            for begin, power in product(begins, _POWERS if self.plays >= 2 * _MANY else _POWERS[:2]):
                yield self._balanced(Loads(self.player, begin), power)
            yield from begins
        else:  # there is time for two
            yield self._balanced(Loads(self.player, begins[0]), _POWERS[1])
            yield self._balanced(Loads(self.player, begins[1]), _POWERS[0])
        yield from self._worth_it([tuple([0] * len(self.problem.units))])

    def _balanced(self, loads: Loads, power: int) -> tuple[int, ...]:
        """What is shared has less to do."""
        chosen = loads.balance(_PASSES if self.many else 1, power)
        self._look(chosen)
        return chosen

    def _cheapest(self) -> tuple[int, ...]:
        def costs(unit: int, choice: int) -> float:
            options = [self.problem.tasks[each].options[choice] for each in self.problem.units[unit].tasks]
            return sum(each.usd if self.wishes.minimise == "cost" else each.joules for each in options)

        units = self.problem.units
        return tuple(min(range(len(units[each].choices)), key=lambda way: costs(each, way)) for each in range(len(units)))

    def _everything(self) -> tuple[int, ...]:
        fixed = [0] * len(self.problem.units)
        best: tuple[int, ...] | None = None
        for way in product(*(range(len(self.problem.units[each].choices)) for each in self.free)):
            for unit, choice in zip(self.free, way, strict=True):
                fixed[unit] = choice
            chosen = tuple(fixed)
            if best is None or self._look(chosen) < self._look(best):
                best = chosen
        assert best is not None
        return best

    # -- from there on

    def _climb(self, seeds: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        ranked = sorted(dict.fromkeys(seeds), key=self._look)
        worked = len(self.known)
        ranked += [self._evened(each) for each in self._promising(ranked)]
        self.plays = self.plays + (len(self.known) - worked) // 3 if self.many else 0
        ranked = sorted(dict.fromkeys(ranked), key=self._look)
        best = self._descend(ranked[0])
        for seed in ranked[1:]:
            if self._spent:
                break
            best = min(best, self._descend(seed), key=self._look)
        dice = _Dice()
        while not self._spent:
            before = len(self.known)
            best = min(best, self._descend(self._kicked(best, dice)), key=self._look)
            dice.idle = dice.idle + 1 if len(self.known) == before else 0
            if dice.idle > 20:
                break
        return best

    def _evened(self, best: tuple[int, ...]) -> tuple[int, ...]:
        """What is shared is balanced again, with what the run's end waits for; from one power to the next, for what comes of it depends on them."""
        if self.wishes.minimise not in (None, "latency"):
            return best
        powers, idle = cycle(_POWERS), 0
        for _ in range(max(2, self.plays // _PLAYS_A_ROUND)):
            loads = Loads(self.player, best)
            loads.wait_for(self.known[best][1].critical())
            moved = loads.balance(_PASSES if self.many else 1, next(powers))
            idle = 0 if self._look(moved) < self._look(best) else idle + 1
            if not idle:
                best = moved
            elif idle >= len(_POWERS):
                break
        return best

    def _promising(self, ranked: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Those of the ways that are worth working on."""
        bar = self._look(ranked[0]).first * _PROMISING
        found = [each for each in ranked if self._look(each).first <= bar and not self._look(each).broken]
        return found[:_BEGINS]

    def _descend(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        self._look(chosen)
        better = True
        while better and not self._spent:
            better = False
            for move in self._moves(chosen):
                if self._look(move) < self._look(chosen):
                    chosen, better = move, True
                    break
                if self._spent:
                    break
        return chosen

    def _kicked(self, chosen: tuple[int, ...], dice: _Dice) -> tuple[int, ...]:
        """The same with a few nodes elsewhere, to leave a hollow that no single move leads out of."""
        kicked = list(chosen)
        for _ in range(2 + dice.roll(3)):
            unit = self.free[dice.roll(len(self.free))]
            kicked[unit] = (kicked[unit] + 1) % len(self.problem.units[unit].choices)
        return tuple(kicked)

    def _moves(self, chosen: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Neighbours, the most promising first: whole fragments, what the run's end waits for, with what lies around it, and each unit alone."""
        problem = self.problem
        for fragment in self._fragments(chosen):
            yield from self._moved(chosen, fragment)
        share = self.known[chosen][1]
        path = [problem.tasks[each].unit for each in share.critical()]
        waited = [unit for unit in dict.fromkeys(path) if len(problem.units[unit].choices) > 1]
        if len(waited) > 1:
            yield from self._moved(chosen, waited)
            for size in (len(waited) // 2, len(waited) // 4):
                for begin in range(0, len(waited) - 1, max(1, size)) if size > 1 else ():
                    yield from self._moved(chosen, waited[begin : begin + size])
        waited.sort(key=lambda unit: sum(share.started[each] - share.ended[each] for each in problem.units[unit].tasks))
        alone = [*waited, *(unit for unit in self.free if unit not in set(waited))]
        for unit in alone:
            yield from self._moved(chosen, [unit])
        for unit in alone:
            around = self._around(unit)
            yield from self._moved(chosen, [unit, *around])
            for other in around:
                yield from self._moved(chosen, [unit, other])

    def _moved(self, chosen: tuple[int, ...], units: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """These units in each other choice that the first of them has; those that cannot go along stay."""
        for choice, wanted in enumerate(self.problem.units[units[0]].choices):
            if choice == chosen[units[0]]:
                continue
            moved = list(chosen)
            moved[units[0]] = choice
            for unit in units[1:]:
                choices = self.problem.units[unit].choices
                if choices[chosen[unit]].place != wanted.place:
                    moved[unit] = next(
                        (number for number, each in enumerate(choices) if each.place == wanted.place), chosen[unit]
                    )
            yield tuple(moved)

    def _around(self, unit: int) -> list[int]:
        """The free units that hand values to a unit or take them from it."""
        if unit in self.neighbours:
            return self.neighbours[unit]
        tasks, found = self.problem.tasks, dict[int, None]()
        for number in self.problem.units[unit].tasks:
            for each in (*tasks[number].inputs, *tasks[number].readers):
                other = tasks[each].unit
                if other != unit and len(self.problem.units[other].choices) > 1:
                    found[other] = None
        self.neighbours[unit] = around = list(found)
        return around

    def _fragments(self, chosen: tuple[int, ...]) -> list[list[int]]:
        """The free units that hang together and are in one place; the largest first. One that is alone is none."""
        place = [unit.choices[each].place for unit, each in zip(self.problem.units, chosen, strict=True)]
        seen, found = set[int](), []
        for first in self.free:
            if first in seen:
                continue
            seen.add(first)
            part = [first]
            for unit in part:
                for other in self._around(unit):
                    if other not in seen and place[other] == place[unit]:
                        seen.add(other)
                        part.append(other)
            if len(part) > 1:
                found.append(part)
        return sorted(found, key=len, reverse=True)

    # -- ties

    def _allow_more(self) -> None:
        self.plays = len(self.known) + max(2, self.plays // 4)

    def _is_even(self, chosen: tuple[int, ...]) -> bool:
        """Whether this makes no difference to the best that was found; never worse than everything in one place."""
        found, cap = self._look(chosen), self.cap
        return found.broken <= cap.broken and found.first <= cap.first and found.second <= cap.second * (1 + _EVEN) + 1e-9

    def _at_home(self, best: tuple[int, ...]) -> tuple[int, ...]:
        """What makes no difference elsewhere stays on the device."""
        self._allow_more()
        away = lambda unit: self.problem.units[unit].choices[best[unit]].place != EDGE  # noqa: E731
        for group in chain(self._fragments(best), ([unit] for unit in self.free)) if self.many else ():
            if self._spent:
                break
            if not any(map(away, group)):
                continue
            moved = list(best)
            for unit in group:
                choices = self.problem.units[unit].choices
                if choices[best[unit]].place != EDGE:
                    moved[unit] = next((number for number, each in enumerate(choices) if each.place == EDGE), best[unit])
            if self._is_even(tuple(moved)):
                best = tuple(moved)
        return best

    def _larger(self, best: tuple[int, ...]) -> tuple[int, ...]:
        """Nodes that come late, or bring much together, have the largest of their models with which it makes no difference."""
        several = [unit for unit in self.free if len({each.size for each in self.problem.units[unit].choices}) > 1]
        late = _late(self.problem) if several else set[int]()
        self._allow_more()
        for unit in several:
            choices = self.problem.units[unit].choices
            if self._spent:
                break
            if late.isdisjoint(self.problem.units[unit].tasks):
                continue
            for way in sorted(range(len(choices)), key=lambda each: (-choices[each].size, each != best[unit], each)):
                if choices[way].size <= choices[best[unit]].size:
                    break
                moved = (*best[:unit], way, *best[unit + 1 :])
                if self._is_even(moved):
                    best = moved
                    break
        return best


def _late(problem: Problem) -> set[int]:
    """The tasks in the last third of their graph, and those that read three or more: what goes wrong there nothing puts right."""
    depth: list[int] = []
    for task in problem.tasks:
        depth.append(1 + max((depth[each] for each in task.inputs if each < len(depth)), default=0))
    bar = max(depth, default=0) * 2 / 3
    return {number for number, task in enumerate(problem.tasks) if depth[number] > bar or len(task.inputs) > 2}


class _Dice:
    """Numbers that look like chance and are the same everywhere."""

    def __init__(self) -> None:
        self.state = 0x9E3779B9
        self.idle = 0

    def roll(self, sides: int) -> int:
        self.state = (self.state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        return (self.state >> 8) % sides


def _look_ahead(player: Player) -> tuple[int, ...]:
    """Each task in turn where it is done first, with what must follow it at least, as far as the load so far tells."""
    problem, table = player.problem, player.takes
    tasks = problem.tasks
    follow: list[list[float]] = [[]] * len(tasks)
    least = [(0.0, 0.0)] * len(tasks)
    # `follow` is what comes after each way to do a task at least, `least` the task with that, done here and done there.
    for number in range(len(tasks) - 1, -1, -1):
        after = [least[each] for each in tasks[number].readers if each > number]
        sides = [_NEVER, _NEVER]
        ways = follow[number] = []
        for place, _, seconds, _, sending, travelling, _ in table[number]:
            away = sending + travelling
            more = player.half if place == CLOUD else 0.0
            for each in after:
                here, there = each[place], each[1 - place] + away
                more = max(more, min(here, there))
            ways.append(more)
            sides[place] = min(sides[place], more + seconds)
        least[number] = (sides[EDGE], sides[CLOUD])
    chosen: list[int | None] = [0 if len(unit.choices) == 1 else None for unit in problem.units]
    ended, took = [0.0] * len(tasks), [takes[0] for takes in table]
    opened = player.half + problem.link.queue.value
    load: dict[tuple[int, int], float] = {}
    for number, task in enumerate(tasks):
        best: tuple[float, int, float] | None = None
        fixed = chosen[task.unit]
        for way in range(len(table[number])) if fixed is None else (fixed,):
            place, server, seconds, _, _, _, _ = table[number][way]
            end = max(opened if place == CLOUD else 0.0, load.get((place, server), 0.0))
            for source in task.inputs:
                there = ended[source]
                if took[source][0] != place:
                    there += took[source][4] + took[source][5]
                if there > end:
                    end = there
            end += seconds
            if best is None or end + follow[number][way] < best[0] - 1e-12:
                best = (end + follow[number][way], way, end)
        assert best is not None
        _, way, ended[number] = best
        chosen[task.unit], took[number] = way, table[number][way]
        place, server, seconds, _, _, _, _ = took[number]
        at_once = problem.servers[server][2] if server >= 0 else problem.slots[place]
        load[place, server] = load.get((place, server), 0.0) + seconds / at_once
    return tuple(each or 0 for each in chosen)
