"""Layout: where the boxes of a picture stand and which way its lines go. Pure, and the same for the same graph.

The layered method of Sugiyama: every box in a layer below all it is drawn after, long lines led through the layers between, few
crossings by sweeping, and places that keep lines straight. All lengths are in whatever unit the boxes' sizes are in.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

__all__ = ["Layout", "Line", "Point", "Rect", "lay_out"]

Point: TypeAlias = tuple[float, float]

_SWEEPS: Final = 12
_PULLS: Final = 40
_LANE: Final = 8.0
"""Width of a line that passes through a layer."""
_STRAIGHT: Final = {0: 1.0, 1: 3.0, 2: 9.0}
"""How hard a line pulls at its two ends, by how many of them are bends: long lines had better be straight."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line to draw from one box down to another. Lines of one `bundle` from the same box share their way as long as they can."""

    source: Hashable
    target: Hashable
    bundle: Hashable = ""


@dataclass(frozen=True, slots=True)
class Rect:
    """A box: its left upper corner and size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes by key, and for each line its corners from source to target: vertical inside a layer, slanting between two.

    `turned` are the positions of lines that had to be drawn upwards.
    """

    boxes: Mapping[Hashable, Rect]
    routes: Sequence[Sequence[Point]]
    turned: frozenset[int]
    width: float
    height: float


def lay_out(
    sizes: Mapping[Hashable, tuple[float, float]], lines: Sequence[Line], *, across: float = 28.0, down: float = 46.0
) -> Layout:
    """Places for boxes of these (width, height), `across` apart in a layer and the layers `down` apart.

    Lines name boxes of `sizes`; circles are broken by turning lines, lines from a box to itself get no route.
    """
    work = _Work(sizes, lines, across, down)
    work.break_circles()
    work.assign_layers()
    work.lead_long_lines()
    work.order_layers()
    work.place_across()
    return work.result()


@dataclass(slots=True)
class _Spot:
    """A box or a bend in its layer."""

    key: Hashable
    width: float
    height: float
    layer: int = 0
    is_bend: bool = False
    x: float = 0.0
    """Its middle."""
    above: list[_Spot] = field(default_factory=list)
    below: list[_Spot] = field(default_factory=list)


class _Work:
    """The steps of one layout, in the order in which `lay_out` takes them."""

    def __init__(self, sizes: Mapping[Hashable, tuple[float, float]], lines: Sequence[Line], across: float, down: float) -> None:
        self.spots = {key: _Spot(key, width, height) for key, (width, height) in sizes.items()}
        self.lines = lines
        self.across = across
        self.down = down
        self.turned: set[int] = set()
        self.links: list[tuple[Hashable, Hashable]] = [(line.source, line.target) for line in lines]
        """Each line's upper and lower box."""
        self.chains: list[list[_Spot]] = []
        self.layers: list[list[_Spot]] = []

    def break_circles(self) -> None:
        """Turns lines around until none leads back, a depth-first search deciding which."""
        leaving: dict[Hashable, list[int]] = {key: [] for key in self.spots}
        for place, (source, target) in enumerate(self.links):
            if source != target:
                leaving[source].append(place)
        state: dict[Hashable, int] = {}
        for root in self.spots:
            todo = [(root, iter(leaving[root]))] if root not in state else []
            state.setdefault(root, 1)
            while todo:
                key, rest = todo[-1]
                place = next(rest, -1)
                if place < 0:
                    state[key] = 2
                    todo.pop()
                    continue
                target = self.links[place][1]
                if state.get(target) == 1:
                    self.turned.add(place)
                elif target not in state:
                    state[target] = 1
                    todo.append((target, iter(leaving[target])))
        for place in self.turned:
            source, target = self.links[place]
            self.links[place] = (target, source)

    def assign_layers(self) -> None:
        """Each box below all that lead to it; one that nothing leads to just above the first that it leads to."""
        into: dict[Hashable, int] = dict.fromkeys(self.spots, 0)
        leaving: dict[Hashable, list[Hashable]] = {key: [] for key in self.spots}
        for upper, lower in self.links:
            if upper != lower:
                into[lower] += 1
                leaving[upper].append(lower)
        roots = [key for key, count in into.items() if not count]
        todo = list(roots)
        for upper in todo:
            for lower in leaving[upper]:
                self.spots[lower].layer = max(self.spots[lower].layer, self.spots[upper].layer + 1)
                into[lower] -= 1
                if not into[lower]:
                    todo.append(lower)
        for key in roots:
            if leaving[key]:
                self.spots[key].layer = min(self.spots[lower].layer for lower in leaving[key]) - 1

    def lead_long_lines(self) -> None:
        """A bend in every layer that a line passes through; lines of a bundle share theirs."""
        bends: dict[Hashable, _Spot] = {}
        for place, (upper, lower) in enumerate(self.links):
            first, last = self.spots[upper], self.spots[lower]
            chain = [first]
            for layer in range(first.layer + 1, last.layer):
                end = lower if place in self.turned else upper
                key = (end, self.lines[place].bundle, place in self.turned, layer)
                if key not in bends:
                    bends[key] = _Spot(key, _LANE, 0.0, layer, is_bend=True)
                chain.append(bends[key])
            chain.append(last)
            if upper != lower:
                for one, other in pairwise(chain):
                    if other not in one.below:
                        one.below.append(other)
                        other.above.append(one)
            self.chains.append(chain)
        count = 1 + max((spot.layer for spot in self.spots.values()), default=-1)
        self.layers = [[] for _ in range(count)]
        for spot in [*self.spots.values(), *bends.values()]:
            self.layers[spot.layer].append(spot)

    def order_layers(self) -> None:
        """Sweeps down and up, each layer by the middle of its neighbours, and keeps the order with the fewest crossings."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            downwards = sweep % 2 == 0
            for layer in self.layers[1:] if downwards else reversed(self.layers[:-1]):
                self._sort(layer, downwards=downwards)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def _sort(self, layer: list[_Spot], *, downwards: bool) -> None:
        position = self._positions()

        def middle(spot: _Spot) -> float:
            near = sorted(position[id(each)] for each in (spot.above if downwards else spot.below))
            if not near:
                return float(position[id(spot)])
            half = len(near) // 2
            return near[half] if len(near) % 2 else (near[half - 1] + near[half]) / 2

        layer.sort(key=middle)

    def _positions(self) -> dict[int, int]:
        return {id(spot): place for layer in self.layers for place, spot in enumerate(layer)}

    def _crossings(self) -> int:
        position = self._positions()
        count = 0
        for layer in self.layers:
            seen: list[int] = []
            for spot in layer:
                ends = sorted(position[id(each)] for each in spot.below)
                count += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
                for end in ends:
                    insort(seen, end)
        return count

    def place_across(self) -> None:
        """Boxes near the middle of what they are joined to, in their order and apart."""
        for layer in self.layers:
            x = 0.0
            for spot in layer:
                spot.x = x + spot.width / 2
                x += spot.width + self.across
        for pull in range(_PULLS):
            last = pull >= _PULLS - 2
            for layer in self.layers if pull % 2 == 0 else reversed(self.layers):
                self._pull(layer, above=last or pull % 2 == 0, below=last or pull % 2 == 1)

    def _pull(self, layer: list[_Spot], *, above: bool, below: bool) -> None:
        wanted, weights = [], []
        for spot in layer:
            near = [*(spot.above if above else ()), *(spot.below if below else ())]
            pulls = [_STRAIGHT[spot.is_bend + each.is_bend] for each in near]
            weight = sum(pulls)
            at = sum(pull * each.x for pull, each in zip(pulls, near, strict=True)) / weight if weight else spot.x
            wanted.append(at)
            weights.append(weight or 0.1)
        offsets = [0.0]
        for one, other in pairwise(layer):
            apart = self.across if not (one.is_bend and other.is_bend) else self.across / 2
            offsets.append(offsets[-1] + (one.width + other.width) / 2 + apart)
        rising = _rising([at - offset for at, offset in zip(wanted, offsets, strict=True)], weights)
        for spot, at, offset in zip(layer, rising, offsets, strict=True):
            spot.x = at + offset

    def result(self) -> Layout:
        left = min((spot.x - spot.width / 2 for layer in self.layers for spot in layer), default=0.0)
        right = max((spot.x + spot.width / 2 for layer in self.layers for spot in layer), default=0.0)
        tops, bottoms, y = [], [], 0.0
        for layer in self.layers:
            height = max((spot.height for spot in layer), default=0.0)
            tops.append(y)
            bottoms.append(y + height)
            y += height + self.down
        boxes: dict[Hashable, Rect] = {}
        for spot in self.spots.values():
            middle = (tops[spot.layer] + bottoms[spot.layer]) / 2
            boxes[spot.key] = Rect(spot.x - spot.width / 2 - left, middle - spot.height / 2, spot.width, spot.height)
        entries = self._doors(lambda chain: (chain[-1], chain[-2]))
        exits = self._doors(lambda chain: (chain[0], chain[1]), by_bundle=True)
        routes: list[list[Point]] = []
        for place, chain in enumerate(self.chains):
            if chain[0] is chain[-1]:
                routes.append([])
                continue
            start, end = boxes[chain[0].key], boxes[chain[-1].key]
            out, in_ = exits[place] - left, entries[place] - left
            points = [(out, start.y + start.height), (out, bottoms[chain[0].layer])]
            for spot in chain[1:-1]:
                points += [(spot.x - left, tops[spot.layer]), (spot.x - left, bottoms[spot.layer])]
            points += [(in_, tops[chain[-1].layer]), (in_, end.y)]
            routes.append(points[::-1] if place in self.turned else points)
        return Layout(boxes, routes, frozenset(self.turned), right - left, bottoms[-1] if bottoms else 0.0)

    def _doors(self, ends: Callable[[list[_Spot]], tuple[_Spot, _Spot]], *, by_bundle: bool = False) -> dict[int, float]:
        """Where each line meets its box: side by side, those that come from elsewhere or are of another bundle, in the order in
        which they come. Those that leave have one door for each bundle.
        """
        found: dict[int, dict[Hashable, list[tuple[float, int]]]] = {}
        for place, chain in enumerate(self.chains):
            if chain[0] is chain[-1]:
                continue
            box, next_ = ends(chain)
            bundle = self.lines[place].bundle
            door = bundle if by_bundle else (id(next_), bundle)
            found.setdefault(id(box), {}).setdefault(door, []).append((next_.x, place))
        doors: dict[int, float] = {}
        for chain in self.chains:
            box, _ = ends(chain) if chain[0] is not chain[-1] else (chain[0], chain[0])
            groups = sorted(found.pop(id(box), {}).values(), key=lambda group: sum(x for x, _ in group) / len(group))
            apart = min(18.0, box.width / (len(groups) + 1))
            for number, group in enumerate(groups):
                for _, place in group:
                    doors[place] = box.x + (number - (len(groups) - 1) / 2) * apart
        return doors


def _rising(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The never falling numbers nearest to the wanted ones, by weighted squares (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for at, weight in zip(wanted, weights, strict=True):
        value, mass, count = at, weight, 1
        while pools and pools[-1][0] > value:
            other, other_mass, other_count = pools.pop()
            value = (value * mass + other * other_mass) / (mass + other_mass)
            mass += other_mass
            count += other_count
        pools.append((value, mass, count))
    return [value for value, _, count in pools for _ in range(count)]
