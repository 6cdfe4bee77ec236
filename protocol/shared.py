"""What of a journal is shared with a peer: root runs that are marked for sync, and the child runs of these (docs/protocol.md §11).

It answers digests, takes copied records in, and gives the bodies and documents that they need.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from graphs.errors import JournalError, UsageError
from graphs.records import End, EndStatus, Event, State, decode
from graphs.values import canonical, decode as decode_value, digest
from protocol.digest import Held, Line
from protocol.events import DigestCame
from protocol.messages import Hash, Ref, RunId, StoreId
from protocol.payload import Reference, blobref, references
from protocol.store import BodyPart, Copy

__all__ = ["Shared", "is_marked", "mark", "note_labels", "noted_labels", "remove_mark", "was_removed"]

_MARK, _REMOVED, _LABELS = "sync ", "removed ", "labels "
_LEAST, _GREATEST = bytes(16), b"\xff" * 16
_PART_NAME: Final = "a part of a run of another device"
_MOST_NAME: Final = 200


def mark(journal: Any, run: RunId, *, on: bool = True) -> None:
    """Mark a root run for sync: from then on its logs go to workers, and to the account's other devices; or no longer."""
    if on:
        journal.set_meta(_MARK + run.hex(), b"")
    else:
        journal.drop_meta(_MARK + run.hex())


def remove_mark(journal: Any, run: RunId) -> None:
    """A root run is being removed here: no sync brings it back."""
    if is_marked(journal, run):
        mark(journal, run, on=False)
        for each in (run, *(child.run for child in journal.children(run))):
            journal.set_meta(_REMOVED + each.hex(), b"")


def was_removed(journal: Any, run: RunId) -> bool:
    """Whether a run was here and is not wanted any more."""
    return journal.meta(_REMOVED + run.hex()) is not None


def is_marked(journal: Any, run: RunId) -> bool:
    """Whether a root run is marked for sync."""
    return journal.meta(_MARK + run.hex()) is not None


def note_labels(journal: Any, run: RunId, labels: Collection[str]) -> None:
    """Note the sensitivity labels of the values of a root run, where its document alone does not tell them all."""
    if labels:
        journal.set_meta(_LABELS + run.hex(), canonical(sorted(labels)))


def noted_labels(journal: Any, run: RunId) -> frozenset[str]:
    """What was noted."""
    noted = journal.meta(_LABELS + run.hex())
    return frozenset(decode_value(noted)) if noted is not None else frozenset()


class Shared:
    """The shared part of a journal, for one peer.

    `labels` gives the sensitivity labels of the values of a graph, by its hash; `mine` says of a root run whether this peer may see it;
    `executes` of a child run whether this store does what its logs say: such a log is never taken as a copy; `admits` of one that is not here
    whether it is taken.
    """

    def __init__(
        self,
        journal: Any,
        *,
        labels: Callable[[Hash], Collection[str]] = lambda _h: (),
        mine: Callable[[RunId], bool] = lambda _run: True,
        executes: Callable[[Any], bool] = lambda _row: False,
        admits: Callable[[RunId], bool] = lambda _run: True,
    ) -> None:
        self._journal = journal
        self._labels = labels
        self._mine = mine
        self._executes = executes
        self._admits = admits
        self._documents: dict[Ref, Hash] = {}
        """Graphs that were offered as bodies."""
        self._known: dict[Hash, tuple[str, ...]] = {}
        self._statuses: dict[RunId, str] = {}
        """What was said of runs, as it may not be committed yet."""

    # -- answering

    def lines(self) -> list[Line]:
        """What a digest says of this store."""
        rows: dict[RunId, Any] = {}
        return [Line(*head) for head in self._journal.heads() if self._sees(self._row(head.run, rows))]

    def held(self, came: DigestCame) -> list[Held]:
        """What is here of the logs that a digest names, and of the others in its range."""
        journal = self._journal
        said = {line.key: line for line in came.lines}
        found: dict[tuple[RunId, StoreId], Any] = {}
        if came.answer:
            for run in {line.run for line in came.lines}:
                found.update(((run, head.writer), head) for head in journal.heads(run))
        else:
            least = came.after[0] if came.after is not None else _LEAST
            greatest = came.upto[0] if came.upto is not None else _GREATEST
            for head in journal.heads_between(least, greatest):
                key = (head.run, head.writer)
                if (came.after is None or key > came.after) and (came.upto is None or key <= came.upto):
                    found[key] = head
        rows: dict[RunId, Any] = {}
        held: list[Held] = []
        for key in sorted({*said, *found}) if not came.answer else sorted(said):
            line, head = said.get(key), found.get(key)
            row = self._row(key[0], rows)
            if (row is not None and not self._sees(row)) or (row is None and not self._admits(key[0])):
                held.append(Held(*key, gives=False, takes=False))
            elif row is not None:
                held.append(self._held(row, key, line, head))
        return held

    def _held(self, row: Any, key: tuple[RunId, StoreId], line: Line | None, head: Any) -> Held:
        last, chk = (head.last, head.chk) if head is not None else (0, 0)
        position = line.last if line is not None else 0
        at = self._journal.chk(*key, position) if position <= last else None
        return Held(
            *key, last, chk, at,
            gives=last > 0,
            takes=not self._executes(row),
            labels=self._labels_of(row),
            about=self._about(row) if position == 0 and last else None,
        )  # fmt: skip

    def _about(self, row: Any) -> Mapping[str, Any]:
        about: dict[str, Any] = {"name": row.name, "graph": row.graph}
        if row.parent is not None:
            return {**about, "name": _PART_NAME, "parent": row.parent}
        stored = self._journal.graph(row.graph)
        if stored is not None:
            ref = digest(stored.body)
            self._documents[ref] = row.graph
            about["document"] = blobref(ref, len(stored.body))
        return about

    def _labels_of(self, row: Any) -> tuple[str, ...]:
        if row.parent is not None:
            return ()  # what is in its logs has passed the gate once, for the same account
        if row.graph not in self._known:
            self._known[row.graph] = tuple(sorted(self._labels(row.graph)))
        noted = noted_labels(self._journal, row.run)
        return tuple(sorted({*self._known[row.graph], *noted})) if noted else self._known[row.graph]

    def _row(self, run: RunId, rows: dict[RunId, Any] | None = None) -> Any:
        """What the journal shows of a run; None if there is none, or none that is durable."""
        rows = {} if rows is None else rows
        if run not in rows:
            try:
                rows[run] = self._journal.run(run)
            except UsageError:
                rows[run] = None
        return rows[run]

    def _sees(self, row: Any) -> bool:
        """Whether the peer may know of this run at all."""
        if row is None:
            return False
        if row.role != "root" and self._journal.writers(row.run) == [self._journal.store_id] and not self._executes(row):
            return False  # nobody has taken these orders yet: they go as orders, to the worker that is to carry them out, or not at all
        root = row.run if row.role == "root" else row.parent
        return root is not None and is_marked(self._journal, root) and self._mine(root)

    # -- giving bodies

    def part(self, ref: Ref, off: int, length: int) -> BodyPart | None:
        """A range of a body that a shared run needs, or of a document; None if there is none for this peer. Blocks."""
        address = self._documents.get(ref)
        if address is not None:
            stored = self._journal.graph(address)
            return None if stored is None else BodyPart(stored.body[off : off + length], len(stored.body))
        for run, row in self._journal.bodies_named(ref):
            if self._sees(self._row(run)):
                data = self._journal.body_files.read(row.scope, ref, off, length)
                if data is not None:
                    return BodyPart(data, row.size, row.labels, row.crc)
        return None

    def runs_of(self, ref: Ref) -> list[RunId]:
        """The runs here for which the peer may want the body or the document of this name. Blocks."""
        address = self._documents.get(ref)
        if address is not None:
            return [row.run for row in self._journal.runs(role="root") if row.graph == address and self._sees(row)]
        return list(dict.fromkeys(run for run, _ in self._journal.bodies_named(ref)))

    # -- taking

    def take(self, copy: Copy, scope: str) -> bool:
        """Queue a copied record; `scope` is whose its bodies are. False if it is here already."""
        journal = self._journal
        if not journal.knows(copy.run):
            self._create(copy)
        if copy.seq <= journal.have(copy.run, copy.writer):
            return False
        journal.accept(copy.run, copy.writer, copy.seq, copy.record)
        record = decode(copy.record.type, copy.record.tail)
        for named in references(record):
            journal.pin_body(copy.run, self.scope_of(named.ref) or scope, named.ref, named.size, own=False, labels=named.labels)
        ending = _ending(record)
        if ending is not None and self._counts(copy.run, ending):
            self._statuses[copy.run] = ending
            journal.finish_run(copy.run, ending, ended=int(time.time() * 1000), exit_info={"why": "another store said so"})
        return True

    def _counts(self, run: RunId, ending: str) -> bool:
        """An end counts, from whomever it comes; a pause only where this store has no say and knows of no end."""
        if ending not in ("suspended", "failed"):
            return True
        before = self._statuses.get(run)
        if before is None:
            row = self._row(run)
            before = row.status if row is not None else "running"
        return before in ("running", "suspended", "failed") and self._journal.have(run) == 0

    def _create(self, copy: Copy) -> None:
        about = copy.about or {}
        graph, parent, name = about.get("graph"), about.get("parent"), about.get("name")
        if type(graph) is not bytes or len(graph) != 32 or not (parent is None or (type(parent) is bytes and len(parent) == 16)):
            raise JournalError(f"a copy of run {copy.run.hex()} began, and nothing was said of what it is.")
        self._journal.create_run(
            copy.run,
            role="root" if parent is None else "child",
            graph_hash=graph,
            name=name[:_MOST_NAME] if isinstance(name, str) else "?",
            started=int.from_bytes(copy.run[:6], "big"),
            parent=parent,
        )
        if parent is None:
            mark(self._journal, copy.run)

    # -- what is still to be fetched

    def missing(self) -> list[tuple[RunId, Reference]]:
        """The bodies that shared runs need and that are not here, whole."""
        found, rows = [], dict[RunId, Any]()
        for run, row in self._journal.pinned():
            shown = self._row(run, rows)
            if self._sees(shown) and not self._journal.body_files.held(row.scope, row.name)[1]:
                found.append((run, Reference(row.name, row.size, row.labels)))
        return found

    def scope_of(self, ref: Ref) -> str | None:
        """In whose name a shared run keeps this body here."""
        for run, row in self._journal.bodies_named(ref):
            if self._sees(self._row(run)):
                return str(row.scope)
        return None


def _ending(record: Any) -> str | None:
    if isinstance(record, End):
        return EndStatus(record.status).name.lower() if record.status in list(EndStatus) else "completed"
    if isinstance(record, Event) and record.path is None:
        return {State.SUSPENDED: "suspended", State.FAILED: "failed"}.get(State(record.state))
    return None
