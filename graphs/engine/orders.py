"""Who starts a shipped node: the worker, as soon as it is ready there, or the holder's queue, by an order for each. Pure.

Limits and priorities are the holder's, over all places together (graph-spec §7). A worker runs ahead where that cannot matter: nodes
that may run at the same time are in one component; a component that is wholly in one place keeps the limit by that place's own queue,
and one that is no wider than the limit needs none. In any other, shipped nodes start on order, and those that open graphs are opened by
the holder, whose queue then counts what is inside (docs/protocol.md §8).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graphs.engine.plan import DEFAULT_LIMIT
from graphs.language.spec import Graph, is_computed, reads, written_inside
from graphs.paths import escape
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.engine.plan import Places

__all__ = ["Orders", "chains", "orders"]

_UNKNOWN: Final = float("inf")


@dataclass(frozen=True)
class Orders:
    """Places with what starts on order: `path in orders`, by the place in the document.

    `opening` are those nodes that the places know and that start on order; what is inside them is where they are, and on order, too.
    """

    places: Places
    opening: Collection[str] = frozenset()
    why: str | None = None
    """Why there is anything on order: the limit that could bind."""

    def get(self, path: str, /) -> str | None:
        """Where the node at this place of the document runs."""
        outer = self._outer(path)
        return self.places.get(path if outer is None else outer)

    def __contains__(self, path: object) -> bool:
        return path in self.opening or (isinstance(path, str) and self._outer(path) is not None)

    def _outer(self, path: str) -> str | None:
        """The outermost node on order that this one is inside of."""
        end = path.find("/") if self.opening else -1
        while end >= 0:
            if path[:end] in self.opening:
                return path[:end]
            end = path.find("/", end + 1)
        return None


def orders(graph: Graph, places: Places, nests: Mapping[str, str]) -> Orders:
    """What starts on order of this graph with its nodes at these places; `nests` are the agents that open graphs, and how."""
    limit: Any = graph.document.get("concurrency") or DEFAULT_LIMIT
    labels: Mapping[str, int] = {}
    if isinstance(limit, Mapping):
        labels = limit.get("labels") or {}
        limit = limit["global"]
    look = _Look(places, nests, limit, labels)
    look.frame(graph, "")
    return Orders(places, frozenset(look.found), look.why)


@dataclass(slots=True)
class _Size:
    """How many nodes a node may keep running at once, itself or inside it, in all and by label; and on which sides they are."""

    width: float = 1
    labels: dict[str, float] = field(default_factory=dict)
    here: bool = False
    there: bool = False

    @property
    def mixed(self) -> bool:
        return self.here and self.there


class _Look:
    """One look at a graph and what is written inside it."""

    def __init__(self, places: Places, nests: Mapping[str, str], limit: float, labels: Mapping[str, int]) -> None:
        self.found: set[str] = set()
        self.why: str | None = None
        self._places = places
        self._nests = nests
        self._limit = limit
        self._labels = labels

    def frame(self, graph: Graph, prefix: str) -> None:
        """Nothing outside this graph runs while it does."""
        sizes = self._sizes(graph, prefix)
        here, there = (any(getattr(size, side) for size in sizes.values()) for side in ("here", "there"))
        if not (here and there):
            return
        order = _Order(graph)
        for part in order.components():
            if not any(sizes[name].here for name in part) or not any(sizes[name].there for name in part):
                continue
            why = self._binds(order, part, sizes)
            if why is None:
                continue
            inner = written_inside(graph.nodes[part[0]]) if len(part) == 1 else None
            if inner is not None and self._nests.get(graph.nodes[part[0]]["agent"]) == "nested":
                self.frame(inner, f"{prefix}{escape(part[0])}/")
                continue
            self.why = self.why or why
            for name in part:
                self._on_order(graph.nodes[name], f"{prefix}{escape(name)}")

    def _on_order(self, spec: Mapping[str, Value], path: str) -> None:
        if self._places.get(path) is not None:
            self.found.add(path)
            return
        inner = written_inside(spec)
        for name, each in _computed(inner) if inner is not None else ():
            self._on_order(each, f"{path}/{escape(name)}")

    def _binds(self, order: _Order, part: list[str], sizes: Mapping[str, _Size]) -> str | None:
        width = order.width(part, lambda name: sizes[name].width)
        if width > self._limit:
            many = "more nodes than are known beforehand" if width == _UNKNOWN else f"up to {width:.0f} nodes"
            return f"{many} could run at once, more than the concurrency limit of {self._limit}"
        for label, most in self._labels.items():
            bound = [name for name in part if sizes[name].labels.get(label)]
            one_side = not any(sizes[name].mixed for name in bound) and len({sizes[name].here for name in bound}) < 2
            if not one_side and (width := order.width(bound, lambda name: sizes[name].labels[label])) > most:  # noqa: B023 - called at once
                return f"up to {width:.0f} nodes with the label {label!r} could run at once, more than its limit of {most}"
        return None

    def _sizes(self, graph: Graph, prefix: str) -> dict[str, _Size]:
        return {name: self._size(spec, f"{prefix}{escape(name)}") for name, spec in _computed(graph)}

    def _size(self, spec: Mapping[str, Value], path: str) -> _Size:
        there = self._places.get(path) is not None
        label = spec.get("label")
        size = _Size(labels={label: 1} if isinstance(label, str) else {}, here=not there, there=there)
        agent = spec["agent"]
        dynamic = not isinstance(agent, str) or agent.startswith(":")
        if "graph" not in spec or not (dynamic or agent in self._nests):
            return size
        inner = written_inside(spec)
        if inner is None:  # what it opens is known only when it does
            size.width = _UNKNOWN
            size.labels = dict.fromkeys(self._labels, _UNKNOWN)
            return size
        sizes = self._sizes(inner, f"{path}/") if not there else self._sizes_within(inner)
        order = _Order(inner)
        rows = _rows(spec) if dynamic or self._nests[str(agent)] == "map" else 1
        size.width = max(1, rows * order.width(sizes, lambda name: sizes[name].width))
        for each in {label for within in sizes.values() for label in within.labels}:
            some = [name for name in sizes if sizes[name].labels.get(each)]
            size.labels[each] = size.labels.get(each, 0) + rows * order.width(some, lambda name: sizes[name].labels[each])  # noqa: B023
        if not there and any(within.there for within in sizes.values()):
            size.here = size.there = True  # each of its frames has a queue of its own at the worker
        return size

    def _sizes_within(self, graph: Graph) -> dict[str, _Size]:
        """The sizes inside a node that is elsewhere as a whole."""
        look = _Look({}, self._nests, self._limit, self._labels)
        return look._sizes(graph, "")


def _computed(graph: Graph) -> Iterable[tuple[str, Mapping[str, Value]]]:
    return [(name, spec) for name, spec in graph.nodes.items() if is_computed(spec)]


def _rows(spec: Mapping[str, Value]) -> float:
    """How many rows a map has at most."""
    limit = (spec.get("params") or {}).get("limit")
    rows = (spec.get("inputs") or {}).get("rows")
    counts = [limit] if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else []
    if isinstance(rows, list):
        counts.append(len(rows))
    return min(counts, default=_UNKNOWN)


def chains(graph: Graph, nodes: Iterable[str]) -> int:
    """How many chains cover these nodes, found greedily: an upper bound of how many can run at once."""
    return int(_Order(graph).width(nodes, lambda _name: 1))


class _Order:
    """Which computed nodes of a graph have surely ended when another starts: sets of them are the bits of a number."""

    def __init__(self, graph: Graph) -> None:
        before = {name: _surely_before(graph, name) for name, _ in _computed(graph)}
        depth = _depths(before)
        self._names = sorted(before, key=lambda name: depth[name])
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._direct = [
            [number for each in before[name] if (number := self._numbers[each]) < place]  # no less in a cycle, which no graph has
            for place, name in enumerate(self._names)
        ]
        self._before: list[int] = []
        for direct in self._direct:
            earlier = 0
            for number in direct:
                earlier |= self._before[number] | 1 << number
            self._before.append(earlier)

    def width(self, nodes: Iterable[str], size: Any) -> float:
        """How wide these nodes are together: the sum over a greedy cover by chains of the widest in each."""
        ends = 0
        widest: dict[int, float] = {}
        for number in sorted(self._numbers[name] for name in nodes):
            # Any earlier end that this node depends on, directly or through others, carries the chain on.
            end = (self._before[number] & ends).bit_length() - 1
            so_far = 0.0
            if end >= 0:
                ends ^= 1 << end
                so_far = widest.pop(end)
            ends |= 1 << number
            widest[number] = max(so_far, size(self._names[number]))
        return sum(widest.values())

    def components(self) -> list[list[str]]:
        """The nodes in parts: nodes of different parts never run at the same time."""
        after = [0] * len(self._names)
        for number in reversed(range(len(after))):
            for each in self._direct[number]:
                after[each] |= after[number] | 1 << number
        left = (1 << len(self._names)) - 1
        parts = []
        while left:
            todo = left & -left
            part = 0
            left ^= todo
            while todo:
                number = todo.bit_length() - 1
                todo ^= 1 << number
                part |= 1 << number
                beside = left & ~self._before[number] & ~after[number]
                left ^= beside
                todo |= beside
            parts.append([self._names[number] for number in _bits(part)])
        return parts


def _bits(number: int) -> Iterable[int]:
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _surely_before(graph: Graph, name: str) -> tuple[str, ...]:
    """The computed nodes that have ended when this one starts."""
    spec = graph.nodes[name]
    named = dict.fromkeys(reads(spec))
    if spec.get("anyInput") and len(named) > 1:
        return ()  # may start while some of its sources still run: no order to rely on
    return tuple(each for each in named if each in graph.nodes and is_computed(graph.nodes[each]))


def _depths(before: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """How long the longest way to each node is."""
    depth: dict[str, int] = {}
    entered: set[str] = set()
    for name in before:
        stack = [name]
        while stack:
            top = stack[-1]
            if top not in entered:
                entered.add(top)
                stack.extend(each for each in before[top] if each not in entered)
            else:
                stack.pop()
                depth[top] = 1 + max((depth.get(each, 0) for each in before[top]), default=0)
    return depth
