"""What the holder of a run writes into its own log. One that is marked for sync is written as it can travel: a large value lies beside the journal,
under its hash, or under a handle if it has labels. What is small stays in its record, labelled or not: a log only goes where all labels of its run
are cleared.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from graphs.errors import LinkCondition
from graphs.records import Encoded, End, EndStatus, Event, Known, State, Submit, Unknown, decode, encode
from protocol.gate import travels_whole
from protocol.marks import is_marked, mark
from protocol.payload import Body, Labelled, handle_id, lighten

__all__ = ["OWN", "RunLog", "lighten_log", "lighten_run", "open_run"]

OWN = "own"
"""In whose name a device keeps bodies."""


def open_run(
    journal: Any,
    run: bytes,
    submit: Submit,
    about: Mapping[str, Any],
    *,
    shared: bool,
    labels: Mapping[str, Collection[str]] = {},
) -> None:
    """Create a root run, marked for sync if it is `shared`; `about` is what `Journal.create_run` is told besides, `labels` are its inputs' labels."""
    encoded, bodies = _light(journal, run, submit, 1, labels) if shared else (encode(submit), ())
    _keep(journal, run, bodies, OWN)
    journal.create_run(run, role="root", first=encoded, **about)
    if shared:
        mark(journal, run)
        _pin(journal, run, bodies, OWN)


class RunLog:
    """This store's log of one root run. `each_durable`: a record is durable when it is written; `shared` as in `open_run`; `scope`: in whose
    name bodies are kept; `labels(path)` are those of what the node there reads and gives. `kept` is told how many bytes a record has, and its bodies.
    """

    def __init__(
        self,
        journal: Any,
        run: bytes,
        *,
        each_durable: bool = False,
        shared: bool = True,
        scope: str = OWN,
        labels: Callable[[str], Collection[str]] = lambda _path: (),
        kept: Callable[[int, Sequence[Body]], None] | None = None,
    ) -> None:
        self._labels = labels
        self._kept = kept
        self._journal = journal
        self._scope = scope
        self._run = run
        self._write = journal.write if each_durable else journal.append
        self.shared = shared or is_marked(journal, run)

    def record(self, record: Known) -> int:
        """Write a record; its number."""
        return self.encoded(encode(record))

    def encoded(self, encoded: Encoded) -> int:
        """The same of one that is encoded already."""
        journal, run = self._journal, self._run
        bodies: Sequence[Body] = ()
        if self.shared and not travels_whole(encoded):
            record = decode(encoded.type, encoded.tail)
            assert not isinstance(record, Unknown), "this side wrote it"
            path = getattr(record, "path", None)
            encoded, bodies = _light(journal, run, record, journal.have(run) + 1, self._labels(path) if path else ())
            _keep(journal, run, bodies, self._scope)
            _pin(journal, run, bodies, self._scope)
        if self._kept is not None:
            self._kept(len(encoded.tail), bodies)
        number: int = self._write(run, encoded)
        return number

    def end(self, status: str, why: str, *, waits: bool, now: int, more: Mapping[str, Any] = {}) -> None:
        """The run has stopped or ended. `waits`: for a worker, and for nothing else; `more` goes with the reason into the journal's table."""
        if status == "suspended":
            self.record(Event(None, 0, State.SUSPENDED, now, {"why": why}))
        elif status == "completed":
            self.record(End(EndStatus.COMPLETED, now, {}))
        elif status == "cancelled":
            self.record(End(EndStatus.CANCELLED, now, {}))
        elif status == "failed" and self.shared:  # it may be resumed, so its log stays open; other stores see how it stands
            self.record(Event(None, 0, State.FAILED, now, {"why": why}))
        self._journal.finish_run(self._run, status, ended=now, exit_info={"why": why, "waits": waits, **more})


def lighten_run(journal: Any, run: bytes, labels: Collection[str]) -> bool:
    """`lighten_log` of all logs of a root run: whether any was written anew."""
    return any([lighten_log(journal, run, writer, labels) for writer in journal.writers(run)])  # noqa: C419 - each of them


def lighten_log(journal: Any, run: bytes, writer: bytes, labels: Collection[str]) -> bool:
    """Write the rest of a log anew as it can travel, from the first record on that cannot: with its large values beside the journal. Whether it can
    now. Nobody may append to it meanwhile. `labels` are those of all values in the run: one of them is not told from another here. Blocks.

    No other store has any of these records, since a log is given in its order and no peer takes that one. Raises JournalError.
    """
    journal.flush()  # what is queued is a part of it
    first, made, kept = None, list[Encoded](), list[Body]()
    for logged in journal.records(run, writer):
        record = logged.record
        encoded, bodies = encode(record), list[Body]()
        if not isinstance(record, Unknown):
            try:
                encoded, more = _light(journal, run, record, logged.seq, labels, writer)
            except LinkCondition:
                return False  # its parts are too many
            bodies += more
        if bodies and first is None:
            first = logged.seq
        if first is not None:
            made.append(encoded)
            kept += bodies
    if first is None:
        return False
    _keep(journal, run, kept, OWN)
    _pin(journal, run, kept, OWN)
    journal.rewrite(run, writer, first - 1, made)
    return True


def _light(
    journal: Any, run: bytes, record: Known, seq: int, labels: Labelled = (), writer: bytes | None = None
) -> tuple[Encoded, Sequence[Body]]:
    encoded = encode(record)
    if travels_whole(encoded):
        return encoded, ()
    _, encoded, bodies = lighten(
        record, encoded, labels, lambda n: handle_id(run, writer or journal.store_id, seq, n), inline=True
    )
    return encoded, bodies


def _keep(journal: Any, run: bytes, bodies: Sequence[Body], scope: str) -> None:
    for body in bodies:
        journal.body_files.keep(scope, body.ref, body.data, run)


def _pin(journal: Any, run: bytes, bodies: Sequence[Body], scope: str) -> None:
    for body in bodies:
        journal.pin_body(run, scope, body.ref, len(body.data), own=True, labels=body.labels)
