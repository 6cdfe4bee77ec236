"""Placement as runs and plans use it: the rules first, then, where they leave a choice and figures are known, the search. Pure.

Without figures that are more than assumptions, everything is as the rules say. So is everything where the search finds nothing better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from edge.placement import SPLIT, place_nodes
from edge.placing.choices import Choices, choices_of
from edge.placing.facts import Facts, Implementation, Place, Placement, Way
from edge.placing.figures import Estimator, known
from edge.placing.node_needs import model_named
from edge.placing.placed import NAMES, Placed, decided
from edge.placing.reasons import briefly, follows, reason
from edge.placing.schedule import Player, Schedule, crossing
from edge.placing.search import Found, search
from edge.placing.tasks import CLOUD, EDGE, Choice, Unit, problem_of
from edge.placing.wishes import Wishes
from graphs.language.spec import Graph, reads
from graphs.language.uncollected import uncollected
from graphs.paths import escape

__all__ = ["place"]

_OBJECTS: Final = 10
"""A node that is placed makes so many times as many objects as one that is read."""
_SHOWN: Final = 60
"""Nodes that have their other ways beside them: those that take longest."""

_EXPLAINING: Final = 900
"""Tasks played to say what the run would be with single nodes done otherwise; those that take longest come first."""


def place(
    graph: Graph,
    facts: Facts,
    estimator: Estimator | None = None,
    wishes: Wishes = Wishes(),  # noqa: B008 - frozen
    fixed: Mapping[str, str] = {},
) -> Placed:
    """A place and a reason for each computed node. `fixed` says of nodes that were placed before what was `decided`, and stays. Raises NoPlace."""
    with uncollected(_OBJECTS * len(graph.nodes)):
        ruled = place_nodes(graph, facts)
        return _Placing(graph, facts, estimator, wishes, ruled, fixed).placed() if estimator is not None else Placed(ruled)


def _is(way: Choice, ruled: Placement) -> bool:
    return NAMES[way.place] == ruled.place and way.implementation == ruled.implementation


class _Placing:
    def __init__(
        self,
        graph: Graph,
        facts: Facts,
        estimator: Estimator,
        wishes: Wishes,
        ruled: dict[str, Placement],
        fixed: Mapping[str, str],
    ) -> None:
        self.graph = graph
        self.facts = facts
        self.wishes = wishes
        self.ruled = ruled
        self.fixed = fixed
        self._cheap: dict[str, bool] = {}
        self.choices: Choices = choices_of(graph, ruled, facts)
        self.problem = problem_of(graph, self.choices.units, self.choices.opened, estimator, partial(model_named, facts=facts))

    def placed(self) -> Placed:
        """The rules' places, but for nodes that figures say are better elsewhere."""
        problem = self.problem
        self._keep_what_nobody_knows()
        self.player = Player(problem)
        found = search(problem, self.wishes, player=self.player)
        nodes, moved = dict(self.ruled), set[str]()
        if self.choices.opened:
            moved = {unit.path for unit, way in zip(problem.units, found.chosen, strict=True) if self._moves(unit, way)}
        for path in self.choices.opened:
            if any(each.startswith(f"{path}/") for each in moved):
                nodes[path] = SPLIT
        inside = {path for path in self.choices.opened if nodes.get(path) is SPLIT}
        for number, unit in enumerate(problem.units):
            if len(unit.choices) == 1 and unit.path in nodes and not self.fixed:
                continue  # as the rules have it
            outer = unit.path.rpartition("/")[0]
            if unit.path not in self.choices.units or (outer and outer not in inside):
                continue
            nodes[unit.path] = self._placement(number, found)
        ordered = {path: nodes[path] for path in self._in_order(nodes)}
        return Placed(self._explained(ordered, found), problem, found)

    def _moves(self, unit: Unit, way: int) -> bool:
        ruled = self.choices.placed.get(unit.path)
        return ruled is not None and ruled is not SPLIT and not _is(unit.choices[way], ruled)

    def _in_order(self, nodes: Mapping[str, Placement]) -> list[str]:
        """As the rules give them: the root graph's nodes, then those inside."""
        return [*(path for path in nodes if "/" not in path), *(path for path in nodes if "/" in path)]

    # -- what may move

    def _keep_what_nobody_knows(self) -> None:
        """A choice that rests on assumptions is none."""
        problem, link = self.problem, self.problem.link
        reached = known(link.rtt, link.up, link.down)
        several = [number for number, unit in enumerate(problem.units) if len(unit.choices) > 1]
        certain = {number: self._known_ways(number) for number in several if reached and not self._is_cheap(number)}
        anything = any(len(ways) > 1 for ways in certain.values())
        for number in several:
            unit = problem.units[number]
            wanted = self.fixed.get(unit.path)
            at = next((way for way, each in enumerate(unit.choices) if wanted == decided(each)), None) if wanted else None
            if at is not None:
                self._keep(number, [at])
            elif not (anything and self._is_cheap(number)):
                self._keep(number, certain.get(number, [0]))

    def _keep(self, number: int, ways: Sequence[int]) -> None:
        unit = self.problem.units[number]
        if len(ways) == len(unit.choices):
            return
        self.problem.units[number] = unit._replace(choices=tuple([unit.choices[way] for way in ways]))
        for each in unit.tasks:
            task = self.problem.tasks[each]
            task.options = tuple(task.options[way] for way in ways)

    def _is_cheap(self, number: int) -> bool:
        name = self.choices.specs[self.problem.units[number].path]["agent"]
        found = self._cheap.get(name) if isinstance(name, str) else False
        if found is None:
            agent = self.facts.agents.get(name)
            found = self._cheap[name] = agent is not None and agent.cheap
        return found

    def _known_ways(self, number: int) -> list[int]:
        """The way by the rules, and those of which figures are known; these are none if that one's are not."""
        tasks, unit = self.problem.tasks, self.problem.units[number]
        ways = [
            way
            for way in range(len(unit.choices))
            if all((each := tasks[task].options[way].estimate) is not None and known(each.seconds) for task in unit.tasks)
        ]
        return ways if ways and not ways[0] else [0]

    # -- what is said of it

    def _placement(self, number: int, found: Found) -> Placement:
        unit = self.problem.units[number]
        ruled = self.choices.placed[unit.path]
        if len(unit.choices) == 1 and not self.fixed:
            return ruled
        choice = unit.choices[found.chosen[number]]
        estimate = self.problem.tasks[unit.tasks[0]].options[found.chosen[number]].estimate
        place = NAMES[choice.place]
        if _is(choice, ruled):  # `replace` would take as long as all the rest for this node
            return Placement(
                ruled.place, ruled.reason, ruled.model, ruled.free, estimate, ruled.ways, ruled.implementation, ruled.others
            )
        text = self._why_cheap(unit.path, place)
        return Placement(place, text, choice.model, free=True, estimate=estimate, implementation=choice.implementation)

    def _why_cheap(self, path: str, place: Place) -> str:
        sources = [each for each in reads(self.choices.specs[path]) if escape(each) in self.choices.units]
        return follows(sources[0]) if place == "cloud" and sources else "needs no worker"

    def _explained(self, nodes: dict[str, Placement], found: Found) -> dict[str, Placement]:
        """The same, with the ways of each node that had a choice, and its reason from them."""
        problem = self.problem
        open_units = [number for number, unit in enumerate(problem.units) if len(unit.choices) > 1 and unit.path in nodes]
        weight = {number: -self._seconds(number, found.chosen[number]) for number in open_units}
        plays = _EXPLAINING // max(1, len(problem.tasks))
        for rank, number in enumerate(sorted(open_units, key=weight.__getitem__)):
            unit = problem.units[number]
            cheap = self._is_cheap(number)
            if rank >= _SHOWN and unit.choices[0].implementation is None:
                own = nodes[unit.path]
                if not cheap and own.place != self.choices.placed[unit.path].place:
                    text = briefly(own.place, *[self._seconds(number, way) for way in self._own_first(number, found)])
                    nodes[unit.path] = Placement(own.place, text, own.model, own.free, own.estimate)
                continue
            ways = tuple(self._way(number, way, found, played=rank < plays) for way in self._own_first(number, found))
            text = nodes[unit.path].reason if cheap else reason(ways, self.wishes.minimise or "latency")
            nodes[unit.path] = replace(nodes[unit.path], reason=text, ways=ways)
            if ways[0].implementation is not None:
                nodes[unit.path] = replace(nodes[unit.path], others=self._others(unit.path, ways))
        return nodes

    def _others(self, path: str, ways: tuple[Way, ...]) -> tuple[Implementation, ...]:
        """The implementations that could be had besides, the quickest first; then those of which nobody knows."""
        rank = {(way.place, way.implementation): way.run_seconds for way in ways}
        found = [
            Implementation(each.implementation or 0, NAMES[each.place], each.model, each.spec or {})
            for each in self.choices.units[path]
            if (NAMES[each.place], each.implementation) != (ways[0].place, ways[0].implementation)
        ]
        return tuple(sorted(found, key=lambda each: rank.get((each.place, each.number), float("inf"))))

    def _own_first(self, number: int, found: Found) -> list[int]:
        own = found.chosen[number]
        return [own, *(way for way in range(len(self.problem.units[number].choices)) if way != own)]

    def _seconds(self, number: int, way: int) -> float:
        seconds = 0.0
        for each in self.problem.units[number].tasks:
            task = self.problem.tasks[each]
            seconds += task.options[way].seconds * task.turns * task.width
        return seconds

    def _way(self, number: int, way: int, found: Found, *, played: bool) -> Way:
        problem = self.problem
        unit = problem.units[number]
        schedule = found.schedule
        if played and way != found.chosen[number]:
            chosen = list(found.chosen)
            chosen[number] = way
            schedule = self.player.play(chosen)
        options = [problem.tasks[each].options[way] for each in unit.tasks]
        choice = unit.choices[way]
        assert options[0].estimate is not None
        return Way(
            NAMES[choice.place],
            choice.model,
            self._seconds(number, way),
            self._moving(number, way, schedule, found),
            sum(each.usd for each in options),
            sum(each.joules for each in options),
            schedule.seconds,
            options[0].estimate,
            choice.implementation,
        )

    def _moving(self, number: int, way: int, schedule: Schedule, found: Found) -> float:
        """The seconds that a unit's values are on the link, were it done this way: those it waits for, and those that are waited for."""
        problem, link = self.problem, self.problem.link
        speed = (max(1.0, link.up.value), max(1.0, link.down.value))
        waits = 0.0
        for each in problem.units[number].tasks:
            task = problem.tasks[each]
            place = task.options[way].place
            waits += schedule.moved[each]
            away = [
                other for other in task.readers if self._place_of(other, found) != place and problem.tasks[other].unit != number
            ]
            if away or (task.result and place == CLOUD):
                waits += sum(crossing(link.rtt.value / 2, speed[place], task.options[way].out_bytes, task.turns))
            if place == CLOUD and not task.inputs:
                waits += link.rtt.value / 2 + sum(problem.values[value] for value in task.values) / speed[EDGE] + link.queue.value
        return waits

    def _place_of(self, task: int, found: Found) -> int:
        each = self.problem.tasks[task]
        return each.options[found.chosen[each.unit]].place
