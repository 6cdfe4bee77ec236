"""A graph as a scheduling problem: what has to be done, where it may be done, and what that takes. Pure.

Tasks are the computed nodes of the document, those of nested graphs included, with all their rows and turns as one task each. A nested graph
is opened and closed by tasks of its own that take no time. What moves as one is a *unit*: a node of the root graph with all that is in it, or
a node within a graph that is opened on this device. Each unit has *options*, the places and models it can have; a problem is solved by one
option for each unit (`edge.placing.search`), and what that gives is worked out by `edge.placing.schedule`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from edge.placing.figures import Capacity, Estimate, Estimator, Link
from graphs.engine.plan import DEFAULT_LIMIT
from graphs.language.spec import Graph, is_computed, written_inside
from graphs.paths import escape
from graphs.values import Value

__all__ = ["CLOUD", "EDGE", "Choice", "Option", "Problem", "Task", "Unit", "Update", "problem_of"]

EDGE, CLOUD = 0, 1

_WATTS: Final = (10.0, 0.0)
"""What this device draws while it computes, and while a worker does, where nobody measured."""
_PLACES: Final = ("edge", "cloud")
_INLINE: Final = 64 * 1024
"""Bytes of a static value that travel in the text of a cut (graphs.language.cut)."""


class Choice(NamedTuple):
    """One way for a unit to be done: at a place, by a model, as the n-th of its implementations where it has several (`any`)."""

    place: int
    model: str | None = None
    implementation: int | None = None
    spec: Mapping[str, Value] | None = None
    """The node's attributes in that implementation; None are its own."""
    size: float = 0.0
    """Of the model, in parameters or what goes for them; 0 for none."""


class Option(NamedTuple):
    """What a task takes in one of its unit's choices: seconds of one execution, times how likely that is; money, energy and bytes in all."""

    place: int
    server: int
    """The number of the model that computes it (`Problem.servers`), -1 for none."""
    seconds: float
    usd: float
    joules: float
    out_bytes: float
    estimate: Estimate | None = None


@dataclass(slots=True)
class Task:
    """One computed node. It is executed in `turns` one after the other, in each `width` times at once. `inputs` are the tasks it waits for,
    `values` the static nodes it reads, by number.
    """

    path: str
    unit: int
    options: tuple[Option, ...]
    inputs: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    width: int = 1
    turns: float = 1
    result: bool = False
    readers: list[int] = field(default_factory=list)


class Unit(NamedTuple):
    """What moves as one. `text` are the bytes of its part of a cut graph."""

    path: str
    choices: tuple[Choice, ...]
    tasks: tuple[int, ...]
    text: int = 0


@dataclass(frozen=True, slots=True)
class Update:
    """A static node that a loop updates: `reader` takes in each later turn what `writer` made in the one before. `frame` are the loop's tasks."""

    writer: int
    reader: int
    turns: float
    frame: tuple[int, ...]


@dataclass(slots=True)
class Problem:
    """Tasks in an order in which each comes after its inputs. `servers` are the models by place and name, with how much each does at once."""

    tasks: list[Task]
    units: list[Unit]
    values: list[float]
    updates: list[Update]
    servers: list[tuple[int, str, int]]
    slots: tuple[int, int]
    link: Link


def problem_of(
    graph: Graph,
    choices: Mapping[str, Sequence[Choice]],
    opened: Collection[str],
    estimator: Estimator,
    model_of: Callable[[Mapping[str, Value]], str | None],
) -> Problem:
    """The problem of placing this graph's nodes.

    `choices` are those of each unit, by its place in the document; `opened` are the nodes whose graphs are opened on this device, so that the
    nodes inside are units of their own. `model_of` names the model that a node asks, from its attributes.
    """
    return _Building(estimator, choices, opened, graph, model_of).problem()


@dataclass(slots=True)
class _Frame:
    """Where nodes are being read: a graph, with what is around it. `turns` and `width` are those of each task in it."""

    graph: Graph
    prefix: str
    turns: float
    width: int
    unit: int | None
    before: tuple[int, ...]
    """The task that opens it."""


class _Building:
    def __init__(
        self,
        estimator: Estimator,
        choices: Mapping[str, Sequence[Choice]],
        opened: Collection[str],
        graph: Graph,
        model_of: Callable[[Mapping[str, Value]], str | None],
    ) -> None:
        self.estimator = estimator
        self.choices = choices
        self.opened = opened
        self.graph = graph
        self.model_of = model_of
        self.capacity = (estimator.capacity("edge"), estimator.capacity("cloud"))
        self.tasks: list[Task] = []
        self.units: list[Unit] = []
        self.values: list[float] = []
        self.updates: list[Update] = []
        self.servers: dict[tuple[int, str], int] = {}
        self.inside: list[list[int]] = []
        """The tasks of each unit."""

    def problem(self) -> Problem:
        first = next(((escape(name), spec) for name, spec in self.graph.nodes.items() if is_computed(spec)), None)
        seen = self.estimator.node(*first, "edge", None).runs.value if first and "loop" in self.graph.document else None
        self.frame(_Frame(self.graph, "", _turns(self.graph, seen), 1, None, ()))
        for number, task in enumerate(self.tasks):
            for source in task.inputs:
                self.tasks[source].readers.append(number)
        limit: Any = self.graph.document.get("concurrency") or DEFAULT_LIMIT
        limit = limit["global"] if isinstance(limit, Mapping) else limit
        units = [
            Unit(path, ways, tuple(tasks), text) for (path, ways, _, text), tasks in zip(self.units, self.inside, strict=True)
        ]
        servers = [(place, name, self._at_once(self.capacity[place], name)) for place, name in self.servers]
        slots = (min(int(limit), self.capacity[EDGE].slots), min(int(limit), self.capacity[CLOUD].slots))
        return Problem(self.tasks, units, self.values, self.updates, servers, slots, self.estimator.link("cloud"))

    @staticmethod
    def _at_once(capacity: Capacity, name: str) -> int:
        return max(1, int(capacity.models.get(name, 1)))

    # -- one graph

    def frame(self, frame: _Frame) -> tuple[int, ...]:
        """Add the tasks of a graph; those that nobody in it reads."""
        nodes = frame.graph.nodes
        sources = frame.graph.sources
        named = {name: sources[name] for name, spec in nodes.items() if is_computed(spec)}
        made: dict[str, int] = {}
        static = self._statics(frame)
        first = len(self.tasks)
        for name in _in_order(named):
            inputs = tuple([made[each] for each in named[name] if each in made]) or frame.before
            values = tuple([static[each] for each in named[name] if each in static])
            made[name] = self.node(frame, name, nodes[name], inputs, values)
        if frame.turns > 1:
            self._loops(frame, made, named, first)
        read = set[str]().union(*named.values())
        return tuple(number for name, number in made.items() if name not in read)

    def _statics(self, frame: _Frame) -> dict[str, int]:
        found = {}
        for name, spec in frame.graph.nodes.items():
            if not is_computed(spec):
                found[name] = len(self.values)
                self.values.append(self.estimator.value_bytes(frame.prefix + escape(name)).value)
        return found

    def _loops(self, frame: _Frame, made: Mapping[str, int], named: Mapping[str, Collection[str]], first: int) -> None:
        nodes = frame.graph.nodes
        everything = tuple(range(first, len(self.tasks)))
        for name, spec in nodes.items():
            writers = (
                [made[each] for each in frame.graph.sources[name] if each in made]
                if "update" in spec and not is_computed(spec)
                else ()
            )
            for writer in writers:
                readers = [number for each, number in made.items() if name in named[each]]
                self.updates += [Update(writer, reader, frame.turns, everything) for reader in readers]

    def node(self, frame: _Frame, name: str, spec: Mapping[str, Value], inputs: tuple[int, ...], values: tuple[int, ...]) -> int:
        """Add the tasks of a computed node; the last of them."""
        path = frame.prefix + escape(name)
        unit = self.unit(path, spec) if frame.unit is None and path not in self.opened else frame.unit
        inner = written_inside(spec) if "graph" in spec else None
        if inner is None:
            return self.task(frame, path, spec, unit, inputs, values)
        opening = self.task(frame, path, spec, unit, inputs, values, opens=True)
        runs = frame.turns * frame.width
        turns, width = self._inner_runs(path, inner, spec, runs)
        within = _Frame(inner, f"{path}/", frame.turns * turns, frame.width * width, unit, (opening,))
        return self.task(frame, path, spec, unit, self.frame(within) or (opening,), (), opens=True)

    def _inner_runs(self, path: str, inner: Graph, spec: Mapping[str, Value], runs: float) -> tuple[float, int]:
        """The turns of a nested graph, and how many of it run at once, each time it is opened."""
        name = next((each for each, node in inner.nodes.items() if is_computed(node)), None)
        if name is None:
            return 1, 1
        node = inner.nodes[name]
        each = self.estimator.node(f"{path}/{escape(name)}", node, "edge", None).runs.value / max(1.0, runs)
        if spec.get("agent") == "mapAgent":
            turns = _turns(inner, None)
            return turns, max(1, round(each / turns))
        return _turns(inner, each), 1

    def unit(self, path: str, spec: Mapping[str, Value]) -> int:
        found = self.choices[path]
        choices = found if isinstance(found, tuple) else tuple(found)
        leaves = len(choices) > 1 or choices[0].place == CLOUD
        text = len(repr(spec)) if leaves else 0  # near enough, and ten times as quick as its canonical bytes
        self.units.append(Unit(path, choices, (), text))
        self.inside.append([])
        return len(self.units) - 1

    def task(
        self,
        frame: _Frame,
        path: str,
        spec: Mapping[str, Value],
        unit: int | None,
        inputs: tuple[int, ...],
        values: tuple[int, ...],
        *,
        opens: bool = False,
    ) -> int:
        number = len(self.tasks)
        if unit is None:  # a graph that is opened here
            options: tuple[Option, ...] = (Option(EDGE, -1, 0.0, 0.0, 0.0, self._bytes_of(inputs, values)),)
            self.units.append(Unit(path, (Choice(EDGE),), ()))
            self.inside.append([])
            unit = len(self.units) - 1
        elif opens:
            size = self._bytes_of(inputs, values)
            options = tuple(Option(each.place, -1, 0.0, 0.0, 0.0, size) for each in self.units[unit].choices)
        else:
            moved = self.units[unit]
            own = moved.path == path
            options = tuple([self.option(frame, path, spec, each, own=own) for each in moved.choices])
        self.inside[unit].append(number)
        result = spec.get("isResult") is True and not frame.prefix
        self.tasks.append(Task(path, unit, options, inputs, values, frame.width, frame.turns, result))
        return number

    def option(self, frame: _Frame, path: str, spec: Mapping[str, Value], choice: Choice, *, own: bool) -> Option:
        written = choice.spec if own and choice.spec is not None else spec
        model = choice.model if own else self.model_of(spec)
        estimate = self.estimator.node(path, written, _PLACES[choice.place], model)
        server = self.servers.setdefault((choice.place, model), len(self.servers)) if model is not None else -1
        seconds, usd, joules = estimate.seconds.value, estimate.usd, estimate.joules
        return Option(
            choice.place,
            server,
            seconds / (frame.turns * frame.width),
            usd.value if usd is not None else 0.0,
            joules.value if joules is not None else _WATTS[choice.place] * seconds,
            estimate.out_bytes.value,
            estimate,
        )

    def _bytes_of(self, inputs: tuple[int, ...], values: tuple[int, ...]) -> float:
        return sum(self.tasks[each].options[0].out_bytes for each in inputs) + sum(self.values[each] for each in values)


def _turns(graph: Graph, expected: float | None) -> float:
    """How often a graph's nodes run one after the other: what its loop says, or what is expected of one that does not."""
    loop = graph.document.get("loop")
    if not isinstance(loop, Mapping):
        return max(1.0, expected) if expected is not None else 1.0
    count = loop.get("count")
    if isinstance(count, (int, float)) and not isinstance(count, bool):
        return max(1.0, float(count))
    return max(1.0, expected or 1.0)


def _in_order(named: Mapping[str, Collection[str]]) -> list[str]:
    """Computed nodes with what they read, each after those; in written order where that leaves a choice, and in a circle (which waits for ever)."""
    left: dict[str, int] = {}
    readers: dict[str, list[str]] = {}
    ordered: list[str] = []
    for name, sources in named.items():
        left[name] = 0
        for each in sources:
            if each in named and each != name:
                left[name] += 1
                readers.setdefault(each, []).append(name)
        if not left[name]:
            ordered.append(name)
    for name in ordered:
        for reader in readers.get(name, ()):
            left[reader] -= 1
            if not left[reader]:
                ordered.append(reader)
    if len(ordered) < len(named):
        placed = set(ordered)
        ordered += [name for name in named if name not in placed]
    return ordered
