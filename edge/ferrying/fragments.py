"""Fragments: which part of a frame goes to the worker, as what cut graph, with which values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from edge.ferrying.salting import salted
from graphs.engine.doubts import Doubts
from graphs.engine.events import Outcome
from graphs.engine.frames import Frame
from graphs.engine.plan import Plan
from graphs.language.cut import CutGraph, cut
from graphs.language.labels import UNSEEN
from graphs.language.run_labels import RunLabels
from graphs.language.spec import is_computed, reads
from graphs.paths import escape, node_path, opener, split_frame, split_path
from graphs.records import Input, State
from graphs.values import MISSING, Value, canonical

__all__ = ["Fragment", "Fragments", "depending", "follows", "shipped_node"]

_ROOM: Final = 48 * 1024
"""Bytes of inputs that go along with the order of a frame; a record holds 64 KiB."""
_ROOM_BEGUN: Final = 4 * 1024
"""Bytes of what was begun before."""
_OVER: Final = frozenset({State.COMPLETED, State.FAILED, State.TIMED_OUT, State.SKIPPED, State.ABORTED})
_REFERRED: Final = 128
"""Bytes that a value takes in a record which has but a reference to it."""


class Fragment:
    """A frame's part at the worker.

    `name` is the frame's name there: a loop that is whole at the worker is one frame for all its turns. `unsettled` are the
    boundary nodes whose outcomes are still to come; `inputs` go along with the order that opens the frame, `late` are known
    outcomes that did not fit. `demand` are its nodes that start on order, True is all, None none.
    """

    def __init__(self, name: str, graph: CutGraph, *, whole_loop: bool, on_order: Sequence[str] = ()) -> None:
        self.name = name
        self.graph = graph
        self.whole_loop = whole_loop
        every = len(on_order) == sum(map(is_computed, graph.nodes.values()))
        self.demand: Value = (every or list(on_order)) if on_order else None
        self.inputs: dict[str, Value] = {}
        self.late: dict[str, Outcome] = {}
        self.begun: dict[str, Value] = {}
        """How often its nodes with effects were begun before, by path."""
        self.unsettled = set(graph.boundary)
        self.alone = False
        """Whether it is all of its child run: a node that left this device by itself."""
        self.asks = False
        """Whether a node that failed there is tried again on order only."""
        self.closed = False
        self.shipped = False
        """Whether the worker was told of it, so that it may be at work."""
        self._after: dict[str, set[str]] = {}

    def after(self, name: str) -> set[str]:
        """The computed nodes that read this one, directly or through others."""
        if name not in self._after:
            self._after[name] = depending(self.graph, name)
        return self._after[name]

    def opts(self) -> dict[str, Value]:
        """What its order says besides."""
        opts: dict[str, Value] = {"demand": self.demand} if self.demand else {}
        if self.alone:
            opts["alone"] = True
        if self.asks and self.demand:
            opts["retries"] = True
        return {**opts, "begun": self.begun} if self.begun else opts

    def count(self, begun: Mapping[str, int]) -> None:
        """Take from all that was begun before what is in this frame, or in one inside it: the worker counts on from there."""
        inside, room = self.name[: self.name.rfind("/") + 1], _ROOM_BEGUN
        for path, count in begun.items():
            room -= (len(path) + 8) * path.startswith(inside)
            if path.startswith(inside) and room >= 0:
                self.begun[path] = count

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be said of it: no value, no order, no turn."""
        return not self.unsettled and not self.demand and not self.whole_loop

    def fill(self, frame: Frame, turn: int, known: Mapping[str, Outcome]) -> set[str]:
        """Collect what the worker is told with the order: values of static nodes, and outcomes it must not find again by
        itself. A loop that it turns from a later turn on begins with what static nodes have there.

        Gives the paths of the outcomes.
        """
        plan = frame.plan
        for name in self.graph.nodes:
            number = plan.numbers[name]
            if plan.nodes[number] is not None:
                continue
            value = frame.results[number]
            turned = turn > 0 and self.whole_loop and "update" in plan.graph.nodes[name]
            if value is not MISSING and (turned or name in self.unsettled or name in plan.given or number in frame.given):
                self.inputs[name] = [int(State.INJECTED), value]
        self.unsettled -= set(self.inputs)
        entries = {path: [int(State.COMPLETED), each.value] for path, each in known.items() if each.state == State.COMPLETED}
        sizes = {path: len(path) + len(canonical(entry)) for path, entry in entries.items()}
        room = _ROOM - len(canonical(self.inputs))
        deep = [path for path in entries if not self._has(path)]
        for path in [*sorted(deep, key=sizes.__getitem__, reverse=True), *(path for path in entries if self._has(path))]:
            # What is inside a node that goes along, the worker might begin before it is told otherwise: it must be in the order, if need be by
            # reference, which the worker waits for. A node of the frame itself that does not fit does not go along.
            size = sizes[path] if self._has(path) else min(sizes[path], len(path) + _REFERRED)
            if size > room:  # a large one leaves the room to the others
                self.late[path] = known[path]
            else:
                room -= size
                self.inputs[path] = entries[path]
        return set(entries)

    def _has(self, path: str) -> bool:
        """Whether that is a node of this frame, in its first turn if it has more."""
        frame, name = split_path(path)
        return frame == self.name and name in self.graph.nodes

    def untold(self, told: Container[str]) -> Iterator[Input]:
        """What of its inputs a worker that has the frame from before does not know yet."""
        for name, (state, value) in self.inputs.items():
            spec = self.graph.nodes.get(name)
            if spec is not None and not is_computed(spec) and name not in self.graph.boundary:
                continue  # a value that was there from the start
            path = node_path(self.name, escape(name)) if spec is not None else name
            if path not in told:
                yield Input(path, state, value)


class Fragments:
    """The fragments of one run; a graph is cut once, whatever the number of its frames.

    `doubtful` are paths of nodes that may have happened or not, or that have: they are in no fragment, so that nobody runs them again. A loop with
    such nodes in a later turn is turned here, and each of its turns goes by itself. Nor is a node in a fragment whose outcome is known and does not
    fit into the order: it would come after it, and the worker might have begun. `before` are the addresses of the cuts by frame in a child run that
    is gone on with, whose worker has begun nothing of the kind; `ran` gives the nodes that run in a cut by its address. What a cut lacked as it might
    have happened, and has happened since, it goes on lacking: the worker is told of it, and goes on. `labels` are those of the run, `secret` is this
    store's. `begun` says how often nodes with effects were begun before, by path.
    """

    def __init__(
        self,
        known: Mapping[str, Outcome],
        doubtful: Collection[str] | Doubts,
        before: Mapping[str, bytes] | None = None,
        *,
        ran: Callable[[bytes], Collection[str] | None] = lambda _address: None,
        labels: RunLabels | None = None,
        secret: bytes = b"",
        begun: Mapping[str, int] = MappingProxyType({}),
        asks: bool = False,
    ) -> None:
        self._secret = secret
        self._begun, self.asks = begun, asks
        self._known = known
        self._doubtful = doubtful if isinstance(doubtful, Doubts) else Doubts(doubtful)
        self._before = before
        self._ran = ran
        self._labels = labels
        self._cuts: dict[tuple[int, frozenset[str], float | None, bool, Any], CutGraph] = {}
        self._plans: list[Plan] = []

    def of(self, frame: Frame, turn: int) -> tuple[Fragment, set[str]]:
        """The fragment of a turn of a frame, and the paths whose outcomes it carries."""
        found = self._of(frame, turn)
        name = frame.name_of(turn)
        late = {
            path
            for path in found[0].late
            if (inner := split_path(path))[0] == name and is_computed(found[0].graph.nodes[inner[1]])
        }
        if not late or (self._before is not None and self._before.get(name) == found[0].graph.hash):
            return found
        return self._of(frame, turn, late)

    def rest_of(self, frame: Frame, turn: int) -> tuple[Fragment, set[str]]:
        """As `of`, for a turn that began some time ago without a worker: what is done by now, or is being done here, does not go along."""
        name = frame.name_of(turn)
        states = {node.id: frame.states[node.index] for node in frame.plan.nodes if node is not None}
        here = {start.node.id for start in frame.starts.values() if start.node.place is None}
        over = {node for node, state in states.items() if state in _OVER}
        values = {node: frame.results[frame.plan.numbers[node]] for node in over if states[node] == State.COMPLETED}
        known = {node_path(name, escape(node)): Outcome(State.COMPLETED, value) for node, value in values.items()}
        fragment, told = self._of(frame, turn, {node_path(name, escape(node)) for node in over | here}, known)
        fragment.unsettled -= over
        return fragment, told

    def _of(
        self, frame: Frame, turn: int, late: Collection[str] = (), made: Mapping[str, Outcome] = MappingProxyType({})
    ) -> tuple[Fragment, set[str]]:
        plan = frame.plan
        name = frame.name_of(turn)
        shipped = [node for node in plan.nodes if node is not None and node.place is not None]
        paths = {node.id: node_path(name, node.escaped) for node in shipped}
        clear = frozenset(node for node, path in paths.items() if path not in self._doubtful and path not in late)
        ran = self._ran(self._before[name]) if self._before is not None and name in self._before else None
        if ran is not None and all(paths[node] in self._known for node in clear.difference(ran)):
            clear = clear.intersection(ran)
        loops = plan.loops or frame.loop_count is not None
        turns = not (loops and (self._doubtful.after(frame.base, turn) or (turn and not _has_all_updated(frame, turn))))
        if not turns and ran is None and all(path in self._known for path in paths.values()):
            clear = frozenset()  # a turn that is behind the run
        count = frame.loop_count if frame.loop_count != plan.loop_count else None
        labels = self._labels_in(plan)
        key = (id(plan), clear, count, turns, frozenset(labels.items()))
        graph = self._cuts.get(key)
        if graph is None:
            outermost = frame.engine.root.plan.graph if frame.nesting is not None else None
            graph = cut(plan.graph, clear, loop_count=count, outermost=outermost, turns=turns, labels=labels)
            graph = self._cuts[key] = salted(graph, labels, self._secret) if self._labels else graph
            self._plans.append(plan)  # keeps its id its own
        on_order = [node.id for node in shipped if node.on_order and node.id in clear]
        fragment = Fragment(name, graph, whole_loop=loops and graph.whole, on_order=on_order)
        fragment.asks = self.asks
        fragment.count(self._begun)
        ids = {node_path(name, escape(each)) for each in graph.nodes}
        inside = {
            path: outcome
            for path, outcome in ({**self._known, **made} if made else self._known).items()
            if (own := _own(path, frame.base)) in ids or (own and fragment.whole_loop and _turn_of(own) > turn)
        }
        return fragment, fragment.fill(frame, turn, inside)

    def _labels_in(self, plan: Plan) -> dict[str, frozenset[str]]:
        """The labels of the values of a graph's nodes, as far as they are known by now."""
        if not self._labels:
            return {}
        found = ((name, self._labels.value(plan.prefix + escape(name)) - {UNSEEN}) for name in plan.graph.nodes)
        return {name: labels for name, labels in found if labels}


def _own(path: str, base: str) -> str:
    """The frame's own node that `path` lies in or is; "" if it lies elsewhere."""
    while path.startswith(base):
        if "/" not in path[len(base) :]:
            return path
        path = opener(path)
    return ""


def _has_all_updated(frame: Frame, turn: int) -> bool:
    """Whether the worker can be told what all static nodes with updates have in that turn: it is not over, and none of them is without a value, which
    there is no word for. Else the worker would begin with what they had in the first turn.
    """
    plan = frame.plan
    return frame.turn == turn and all(frame.results[number] is not MISSING for number, _ in plan.updates)


def _turn_of(path: str) -> int:
    return split_frame(split_path(path)[0])[1]


def depending(graph: CutGraph, name: str) -> set[str]:
    """The computed nodes that read this one, directly or through others."""
    found = {name}
    grown = True
    while grown:
        more = {each for each, spec in graph.nodes.items() if each not in found and not found.isdisjoint(reads(spec))}
        found |= more
        grown = bool(more)
    return {each for each in found - {name} if is_computed(graph.nodes[each])}


def follows(path: str, earlier: str, frames: Mapping[str, Fragment]) -> bool:
    """Whether a worker that has these frames may have made one node's outcome from the other's value, directly or through others."""
    frame, name = split_path(earlier)
    fragment = frames.get(frame)
    if fragment is None:
        return False
    base, turn = split_frame(frame)
    own = _own(path, base)
    if own and fragment.whole_loop and _turn_of(own) > turn:
        return True
    found, reader = split_path(own)
    return bool(own) and found == frame and reader in fragment.after(name)


def shipped_node(path: str, frames: Container[str]) -> str:
    """The node that was shipped: of a graph that is nested and whole at the worker, the one it is nested in."""
    found = path
    while found and split_path(found)[0] not in frames:
        found = opener(found)
    return found or path
