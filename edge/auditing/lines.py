"""The lines of an audit: what left this device in a run, put together from the run's logs and from what was written down where it left.

Records without labels have no line of their own (protocol.audit): they are read from this device's log of each child run, and the marks beside it
say when.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graphs.paths import escape, node_path
from graphs.records import Answer, Frame, Input, Record, State, Submit
from graphs.values import Value, canonical
from protocol.audit import MARK_MS
from protocol.payload import reference, references

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["Audit", "Line", "audit_of"]

_NO_LABEL: Final = "no label"


@dataclass(frozen=True, slots=True)
class Line:
    """Something that left, or a label that was taken off.

    `t` is when (ms since 1970), exact to `within` ms. `to` says whom: {worker, store, certificate} or {server} or {agent}. `size` is in bytes.
    `confirmed` says that the worker told that it has it; None where nobody tells.
    """

    t: int
    kind: str
    path: str
    to: Mapping[str, Value]
    size: int
    labels: tuple[str, ...]
    why: str
    within: int = 0
    confirmed: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """The line as `graphferry audit --json` has it; what does not apply is left out."""
        said = {
            "t": self.t, "within": self.within, "kind": self.kind, "path": self.path, "to": dict(self.to), "bytes": self.size,
            "labels": list(self.labels), "why": self.why, "confirmed": self.confirmed,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value is not None and not (name == "to" and not value)}


@dataclass(slots=True)
class Audit:
    """What left in one run, in order of time. `orders` are records that carried no value: which node starts, what is cancelled."""

    lines: list[Line] = field(default_factory=list)
    orders: int = 0


def audit_of(journal: Journal, run: bytes) -> Audit:
    """The audit of a root run and its child runs. Raises JournalError where the journal is damaged."""
    audit = Audit()
    rows = [run, *(child.run for child in journal.children(run))]
    paths = _bodies_of(journal, run)
    for each in rows[1:]:
        audit.lines += _of_child(journal, each, audit, paths)
    for each in rows:
        audit.lines += _noted(journal, each, paths)
    audit.lines.sort(key=lambda line: line.t)
    return audit


def _bodies_of(journal: Journal, run: bytes) -> dict[str, str]:
    """Whose values the bodies are that records of a root run refer to."""
    found: dict[str, str] = {}
    if any(entry["kind"] == "body" for _, entry in journal.departures(run)):
        for logged in journal.records(run):
            for named in references(logged.record):
                found[named.ref.hex()] = getattr(logged.record, "path", None) or ""
    return found


class _Marks:
    """What is noted of one child run besides its log: when which record was written, to whom, how far the worker has it."""

    def __init__(self, journal: Journal, run: bytes) -> None:
        self.seqs: list[int] = []
        self.times: list[int] = []
        self.workers: list[tuple[int, dict[str, Value]]] = []
        self.taken = 0
        self.labelled: dict[int, Mapping[str, Any]] = {}
        self.began = journal.run(run).started
        stores = [each for each in journal.writers(run) if each != journal.store_id]
        if stores:
            self.taken = 1  # it answered, so it has the order
        for t, entry in journal.departures(run):
            said: Any = entry
            if said["kind"] == "mark":
                self.seqs.append(said["seq"])
                self.times.append(t)
            elif said["kind"] == "worker":
                self.workers.append((t, {**said["to"], **({"store": stores[0].hex()} if stores else {})}))
            elif said["kind"] == "taken":
                self.taken = max(self.taken, said["seq"])
            elif said["kind"] == "record":
                self.labelled[said["seq"]] = said

    def when(self, seq: int) -> int:
        found = bisect_right(self.seqs, seq)
        return self.times[found - 1] if found else self.began

    def whom(self, t: int) -> Mapping[str, Value]:
        found: Mapping[str, Value] = self.workers[0][1] if self.workers else {}
        for since, worker in self.workers:
            if since <= t:
                found = worker
        return found


def _of_child(journal: Journal, run: bytes, audit: Audit, paths: dict[str, str]) -> Iterator[Line]:
    """A line for each value in this device's log of a child run. What goes as a body is noted when the worker fetches it."""
    marks = _Marks(journal, run)
    for logged in journal.records(run, journal.store_id):
        t, labelled = marks.when(logged.seq), marks.labelled.get(logged.seq, {})
        values = list(_values(logged.record))
        audit.orders += not values
        for kind, path, value in values:
            for named in references(Input(path, State.COMPLETED, value)):
                paths[named.ref.hex()] = path
            if reference(value) is None:
                yield Line(
                    t=t,
                    kind=kind,
                    path=path,
                    to=labelled.get("to") or marks.whom(t),
                    size=len(canonical(value)),
                    labels=tuple(labelled.get("labels", ())),
                    why=labelled.get("why", _NO_LABEL),
                    within=MARK_MS,
                    confirmed=logged.seq <= marks.taken,
                )


def _values(record: Record) -> Iterator[tuple[str, str, Value]]:
    """What values a record of this device carries: kind, path, value."""
    if isinstance(record, (Submit, Frame)):
        for name, (state, value) in record.inputs.items():
            if state == State.INJECTED:
                yield "input", node_path(record.frame, escape(name)), value
            else:
                yield "boundary", name, value
        if isinstance(record, Submit) and record.opts.get("options"):
            yield "options", "", record.opts["options"]
    elif isinstance(record, Input):
        yield ("boundary" if record.state == State.COMPLETED else "input"), record.path, record.value
    elif isinstance(record, Answer):
        yield "answer", record.path, record.value


def _noted(journal: Journal, run: bytes, paths: Mapping[str, str]) -> Iterator[Line]:
    """The lines that were written where something left."""
    sizes: dict[bytes, list[int]] = {}
    for t, entry in journal.departures(run):
        said: Any = entry
        kind = said["kind"]
        if kind in ("mark", "worker", "taken", "record"):
            continue
        size, path, why = said.get("bytes", 0), said.get("path", ""), said.get("why", "")
        if kind == "copy":
            writer = bytes.fromhex(said["writer"])
            if writer not in sizes:
                sizes[writer] = [len(each.tail) for each in journal.entries(run, writer)]
            size = sum(sizes[writer][said["after"] : said["upto"]])
            path = f"records {said['after'] + 1} to {said['upto']} of {said['writer']}"
        elif kind == "body":
            path = paths.get(said["ref"], "")
        elif kind == "graph" and said.get("had"):
            why = f"{why}; the worker had it already"
        elif kind == "declassified":
            why = said["reason"]
        labels = said.get("labels")
        yield Line(t, kind, path, said.get("to") or {}, size, tuple(labels) if labels is not None else ("all",), why)
