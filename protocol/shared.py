"""What of a journal is shared with a peer: root runs that are marked for sync, and the child runs of these (docs/protocol.md §11).

It answers digests, takes copied records in, and gives the bodies and documents that they need.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from zlib import crc32

from graphs.errors import JournalError, UsageError
from graphs.records import End, EndStatus, Event, State, decode
from graphs.values import Value, digest
from protocol.digest import Held, Line
from protocol.events import DigestCame
from protocol.marks import is_marked, mark
from protocol.messages import Hash, Ref, RunId, StoreId
from protocol.noted import Noted, joined, note, note_of, noted, untold
from protocol.payload import Reference, blobref, handle, handle_id, references
from protocol.store import BodyPart, Copy

__all__ = ["Shared"]

_LEAST, _GREATEST = bytes(16), b"\xff" * 16
_PART_NAME: Final = "a part of a run of another device"
_MOST_NAME: Final = 200


class Shared:
    """The shared part of a journal, for one peer.

    `labels` gives the sensitivity labels of the values of a graph, by its hash; `mine` says of a root run whether this peer may see it;
    `executes` of a child run whether this store does what its logs say: such a log is never taken as a copy; `admits` of one that is not here
    whether it is taken; `clears` whether what has these labels may go to the peer: of runs that may not, it is told nothing, not even how far
    they are, as the checksum of a log is one of values. `labelled`: this store is a device, which answers for the labels of what it gives, and takes
    what comes without a word of them for labelled.
    """

    def __init__(
        self,
        journal: Any,
        *,
        labels: Callable[[Hash], Collection[str]] = lambda _h: (),
        mine: Callable[[RunId], bool] = lambda _run: True,
        executes: Callable[[Any], bool] = lambda _row: False,
        admits: Callable[[RunId], bool] = lambda _run: True,
        clears: Callable[[Collection[str]], bool] | None = None,
        labelled: bool = False,
    ) -> None:
        self._journal = journal
        self._labelled = labelled
        self._labels = labels
        self._mine = mine
        self._executes = executes
        self._admits = admits
        self._clears = clears
        self.withheld: dict[RunId, tuple[str, ...]] = {}
        """Root runs that the last digest kept from the peer, with their labels."""
        self._documents: dict[Ref, tuple[Hash, tuple[str, ...]]] = {}
        """Graphs that were offered as bodies, with their labels."""
        self._known: dict[Hash, frozenset[str]] = {}
        self._statuses: dict[RunId, str] = {}
        """What was said of runs, as it may not be committed yet."""

    # -- answering

    def lines(self) -> list[Line]:
        """What a digest says of this store."""
        rows: dict[RunId, Any] = {}
        told: dict[RunId, bool] = {}
        self.withheld = {}
        found = [(head, row) for head in self._journal.heads() if self._sees(row := self._row(head.run, rows))]
        return [Line(*head) for head, row in found if self._may_tell(row, told)]

    def _may_tell(self, row: Any, told: dict[RunId, bool]) -> bool:
        root = row.run if row.parent is None else row.parent
        if root not in told:
            labels = self._labels_of(row) if self._clears is not None else ()
            told[root] = not labels or self._clears is None or self._clears(labels)
            if not told[root]:
                self.withheld[root] = labels
        return told[root]

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
        labels = self._labels_of(row)
        return Held(
            *key, last, chk, at,
            gives=last > 0 and (not labels or self._clears is None or self._clears(labels)),
            takes=not self._executes(row),
            labels=labels,
            about=self._about(row, whole=position == 0) if last else None,
        )  # fmt: skip

    def _about(self, row: Any, *, whole: bool) -> Mapping[str, Any] | None:
        """What goes along with a log of a run: which labels it has, as there may be more by now, and with its beginning what it is."""
        labels = self._told(row)
        if not whole:
            return {"labels": labels} if labels is not None else None
        about: dict[str, Any] = {"name": row.name, "graph": row.graph}
        if row.parent is not None:
            return {**about, "name": _PART_NAME, "parent": row.parent}
        if labels is not None:
            about["labels"] = labels
        stored = self._journal.graph(row.graph)
        if stored is not None:
            about["document"] = self._offered(row, stored.body)
        return about

    def _offered(self, row: Any, document: bytes) -> Value:
        """The reference to a run's document: as any value with labels it is named by a handle if there are any in it."""
        labels = self._labels_of(row)
        ref = handle_id(row.run, self._journal.store_id, 0, 0) if labels else digest(document)
        self._documents[ref] = row.graph, labels
        return handle(ref, labels, len(document)) if labels else blobref(ref, len(document))

    def _told(self, row: Any) -> Value:
        """What the peer is told of the labels of a root run; None where nothing is known here."""
        if row.parent is not None:
            return None
        found = noted(self._journal, row.run)
        return found.told() if found is not None else Noted().told() if self._labelled else None

    def _labels_of(self, row: Any) -> tuple[str, ...]:
        """Those of the whole run also for a part of it: what is in its logs has passed the gate, but perhaps that of another worker."""
        root = row if row.parent is None else self._row(row.parent)
        if root is None:
            return ()
        known = self._known.get(root.graph)
        if known is None:
            known = frozenset(self._labels(root.graph))
            # a graph comes with the run's beginning, which may be later than other logs
            if self._journal.graph(root.graph) is not None:
                self._known[root.graph] = known
        return tuple(sorted(joined(known, noted(self._journal, root.run))))

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
        address, labels = self._documents.get(ref, (None, ()))
        if address is not None:
            stored = self._journal.graph(address)
            if stored is None:
                return None
            crc = crc32(stored.body) if labels else None
            return BodyPart(stored.body[off : off + length], len(stored.body), labels, crc)
        for run, row in self._journal.bodies_named(ref):
            if self._sees(self._row(run)):
                data = self._journal.body_files.read(row.scope, ref, off, length)
                if data is not None:
                    last = off + length >= row.size
                    return BodyPart(data, row.size, row.labels, self._journal.body_files.crc(row.scope, ref) if last else None)
        return None

    def runs_of(self, ref: Ref) -> list[RunId]:
        """The runs here for which the peer may want the body or the document of this name. Blocks."""
        address, _ = self._documents.get(ref, (None, ()))
        if address is not None:
            return [row.run for row in self._journal.runs(role="root") if row.graph == address and self._sees(row)]
        return list(dict.fromkeys(run for run, _ in self._journal.bodies_named(ref)))

    # -- taking

    def take(self, copy: Copy, scope: str) -> bool:
        """Queue a copied record; `scope` is whose its bodies are. False if it is here already."""
        journal = self._journal
        if not journal.knows(copy.run):
            self._create(copy)
        elif copy.about is not None and "labels" in copy.about:
            self._note(copy)
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
            self._note(copy)

    def _note(self, copy: Copy) -> None:
        """Keep what was told of the run's labels, with what was told before."""
        told, before = note_of((copy.about or {}).get("labels")), noted(self._journal, copy.run)
        if told is None and self._labelled:
            told = untold()
        if told is None or (found := told | before if before is not None else told) == before:
            return
        note(self._journal, copy.run, found)

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
