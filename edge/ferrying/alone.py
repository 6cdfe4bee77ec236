"""The part of a run that one node is which leaves this device by itself, when it is about to start."""

from __future__ import annotations

from edge.ferrying.fragments import Fragment, Fragments
from edge.ferrying.salting import salted
from graphs.engine.events import Outcome, Start
from graphs.engine.frames import Frame
from graphs.language.cut import cut
from graphs.language.run_labels import RunLabels
from graphs.language.spec import Graph, is_computed
from graphs.paths import escape, node_path
from graphs.records import State
from graphs.values import MISSING

__all__ = ["Alone"]


class Alone(Fragments):
    """The fragment of one node whose inputs are all known."""

    def __init__(self, start: Start, labels: RunLabels, secret: bytes) -> None:
        super().__init__({}, (), labels=labels, secret=secret)
        self._start = start

    def of(self, frame: Frame, turn: int) -> tuple[Fragment, set[str]]:
        plan, node, name = frame.plan, self._start.node, frame.name_of(turn)
        outermost = frame.engine.root.plan.graph if frame.nesting is not None else None
        labels = self._labels_in(plan)
        document = {**plan.graph.document, "nodes": {**plan.graph.nodes, node.id: node.spec}}
        graph = cut(Graph(document), {node.id}, outermost=outermost, labels=labels)
        fragment = Fragment(name, salted(graph, labels, self._secret) if self._labels else graph, whole_loop=False)
        fragment.alone = True
        values = {each: frame.results[plan.numbers[each]] for each in graph.boundary if is_computed(plan.graph.nodes[each])}
        known = {
            node_path(name, escape(each)): Outcome(State.COMPLETED, value)
            for each, value in values.items()
            if value is not MISSING
        }
        told = fragment.fill(frame, turn, known)
        fragment.unsettled.clear()  # what has no value now never will have one
        return fragment, told
