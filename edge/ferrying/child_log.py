"""What the device says in a child run: the cut graphs, the frames, the values that cross the cut, orders, and that no more of them come.

Who decides what is said is `edge.ferrying.delegate`; when it is written down and sent, `edge.ferrying.outgoing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final

from edge.ferrying.attached import Attached
from edge.ferrying.fragments import Fragment
from edge.ferrying.labelling import labels_of, labels_of_cut
from edge.ferrying.outgoing import Outgoing
from edge.ferrying.shipped import GONE, note_child
from graphs.errors import LinkCondition
from graphs.journal.ids import new_run_id
from graphs.language.run_labels import RunLabels
from graphs.records import Cancel, Close, Frame, Input, Known, Start, State, Submit
from graphs.values import Value
from protocol.payload import Labelled

if TYPE_CHECKING:
    from edge.ferrying.delegate import Delegate
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["RUN_CHANGED", "ChildLog"]

RUN_CHANGED: Final = "RUN_CHANGED"
"""The condition of nodes whose child run this side has ended: another process goes on with the run."""


class ChildLog:
    """The device's log of the child run of `run`, which is opened with its first frame, unless it is `attached`: an open one to go on with.

    `link` is None while there is none, and once nothing more is said in this process; `ended` is set when the worker has ended the child run.
    `opened` says whether it was begun, `told` what the worker knows of the nodes that are not its own, `ordered` which nodes it may begin; `sent` are
    the bytes sent for each path, "" being the graphs. `refused` hears of a record that the link does not take, with the path whose value it is;
    nothing is said any more once `over` says so.
    """

    def __init__(
        self,
        run: bytes,
        *,
        labels: RunLabels,
        options: Mapping[str, Value],
        one_frame: bool,
        journal: Journal,
        attached: Attached | None,
        refused: Callable[[Known, str | None, LinkCondition], None],
        over: Callable[[], bool],
    ) -> None:
        self.child = attached.run if attached is not None else new_run_id()
        if attached is not None:
            journal.claims.parts[self.child] = run
        self.link: WorkerLink | None = None
        self.opened = attached is not None
        self.ended = asyncio.Event()
        self.attached = attached
        self.told: set[str] = set(attached.told) if attached is not None else set()
        self.ordered: set[str] = set(attached.ordered) if attached is not None else set()
        self.graphs: dict[bytes, tuple[bytes, Collection[str]]] = {}
        """The cut graphs that were shipped, with their labels: a worker that died may have lost one it said it had."""
        self.complete = attached is not None and None in attached.closed
        """Whether all frames there will be are closed."""
        self._run, self._labels, self._options = run, labels, options
        self._one_frame, self._journal = one_frame, journal
        self._outgoing = Outgoing(self._write, refused, lambda: not (over() or self.ended.is_set() or self.link is None))
        self.sent = self._outgoing.sent

    def ship(self, fragment: Fragment, delegate: Delegate, *, alone: bool) -> None:
        """Open a frame at the worker, or go on with the one that it has from an earlier process; `alone` if no other one is in use.

        Raises LinkCondition where the gate or the limits refuse it; RUN_CHANGED where the open child run is of no use for it, and is ended.
        """
        assert self.link is not None
        graph = fragment.graph
        labels, carried = labels_of_cut(self._labels, fragment)
        if not self.link.put_graph(graph.hash, graph.canonical, labels, self._run):
            raise LinkCondition("LABEL_WITHHELD", "the worker is not cleared for labels in its part", retryable=False)
        self.graphs[graph.hash] = graph.canonical, labels
        if self.attached is not None and self._goes_on(fragment, self.attached, alone=alone):
            return
        opts = fragment.opts()
        if self.opened:
            self._journal.put_graph(graph.hash, graph.canonical)
            self._append(Frame(fragment.name, graph.hash, fragment.inputs, opts), carried)
        else:
            opts.update(parent=[self._run, 1], options=dict(self._options), gone=list(GONE))
            note_child(self._journal, self.child, self._run, graph)
            self.link.open_run(self.child, delegate, Submit(fragment.name, graph.hash, fragment.inputs, opts), carried)
            self.opened = True
        fragment.shipped = True
        self.sent[""] = self.sent.get("", 0) + len(graph.canonical)

    def send(self, path: str, value: Value) -> None:
        """A value crosses the cut."""
        self._append(Input(path, State.COMPLETED, value), labels_of(self._labels, path, value), path)

    def order(self, path: str, at: int) -> None:
        """The node may begin there, or, in a run with a budget, be tried once more."""
        self.ordered.add(path)
        self._append(Start(path, at))

    def cancel(self, paths: list[str] | None, why: str) -> None:
        """Give nodes or frames up; None is all of it."""
        self._append(Cancel(paths, why))

    def close(self, fragment: Fragment) -> None:
        """No further boundary value and no order will come for the frame (docs/protocol.md §8)."""
        if not fragment.closed:
            fragment.closed = True
            self.complete = self._one_frame
            self._append(Close(None if self._one_frame else fragment.name))

    def close_all(self) -> None:
        """Nor will further frames."""
        if not self.complete:
            self._append(Close(None))

    def flush(self) -> None:
        """Hand what was said to the link now."""
        self._outgoing.flush()

    def abandon(self, why: str) -> None:
        """End the child run, whatever of it is under way, and hear no more of it."""
        self.cancel(None, why)
        self.flush()
        assert self.link is not None
        self.link.forget(self.child)

    def _goes_on(self, fragment: Fragment, attached: Attached, *, alone: bool) -> bool:
        """Whether the worker has this frame from an earlier process; then it is told what it does not know yet."""
        address = attached.frames.get(fragment.name)
        if address is None and not self.complete:
            return False
        other = address != fragment.graph.hash or attached.demand.get(fragment.name) != fragment.demand
        if other or fragment.name in attached.given_up:
            self._begin_anew(attached, alone=alone)
            return False
        fragment.shipped = True
        fragment.closed = fragment.name in attached.closed or None in attached.closed
        for record in fragment.untold(attached.told):
            self._append(record, labels_of(self._labels, record.path, record.value), record.path)
        return True

    def _begin_anew(self, attached: Attached, *, alone: bool) -> None:
        """The open child run fits no more, as its nodes are placed otherwise: end it, and open another.

        Raises LinkCondition where that is not safe now; it is in the next process, which will not find the child run open.
        """
        self.abandon("the run goes on in another child run")
        if attached.acts or attached.in_flight or not alone:
            raise LinkCondition(
                RUN_CHANGED,
                "the part of the run at the worker was ended, as its nodes are placed otherwise now",
                hint="Resume the run: it goes on there in a part of its own.",
            )
        self.child = new_run_id()
        self.attached = None
        self.opened = self.complete = False
        self.told -= attached.told

    def _append(self, record: Known, labels: Labelled = (), path: str | None = None) -> None:
        if self.opened and self.link is not None and not self.ended.is_set():
            self._outgoing.append(record, labels, path)

    def _write(self, record: Known, labels: Labelled) -> None:
        assert self.link is not None
        self.link.append(self.child, record, labels)
