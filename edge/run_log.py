"""What a run on this device writes into its own log. One that is marked for sync is written as it can travel: a large value lies beside the journal,
under its hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphs.records import Encoded, End, EndStatus, Event, Known, State, Submit, Unknown, decode, encode
from protocol.gate import travels_whole
from protocol.payload import Body, handle_id, lighten
from protocol.shared import is_marked, mark

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["RunLog", "open_run"]

_SCOPE = "own"


def open_run(journal: Journal, run: bytes, submit: Submit, about: Mapping[str, Any], *, shared: bool) -> None:
    """Create a root run, marked for sync if it is `shared`; `about` is what `Journal.create_run` is told besides."""
    encoded, bodies = _light(journal, run, submit, 1) if shared else (encode(submit), ())
    for body in bodies:
        journal.body_files.keep(_SCOPE, body.ref, body.data)
    journal.create_run(run, role="root", first=encoded, **about)
    if shared:
        mark(journal, run)
        _pin(journal, run, bodies)


class RunLog:
    """This device's log of one root run. `each_durable`: a record is durable when it is written; `shared` as in `open_run`."""

    def __init__(self, journal: Journal, run: bytes, *, each_durable: bool, shared: bool) -> None:
        self._journal = journal
        self._run = run
        self._write = journal.write if each_durable else journal.append
        self.shared = shared or is_marked(journal, run)

    def record(self, record: Known) -> int:
        """Write a record; its number."""
        return self.encoded(encode(record))

    def encoded(self, encoded: Encoded) -> int:
        """The same of one that is encoded already."""
        journal, run = self._journal, self._run
        if self.shared and not travels_whole(encoded):
            record = decode(encoded.type, encoded.tail)
            assert not isinstance(record, Unknown), "this side wrote it"
            encoded, bodies = _light(journal, run, record, journal.have(run) + 1)
            for body in bodies:
                journal.body_files.keep(_SCOPE, body.ref, body.data)
            _pin(journal, run, bodies)
        return self._write(run, encoded)

    def end(self, status: str, why: str, *, waits: bool, now: int) -> None:
        """The run has stopped or ended. `waits`: for a worker, and for nothing else."""
        if status == "suspended":
            self.record(Event(None, 0, State.SUSPENDED, now, {"why": why}))
        elif status == "completed":
            self.record(End(EndStatus.COMPLETED, now, {}))
        elif status == "failed" and self.shared:  # it may be resumed, so its log stays open; other stores see how it stands
            self.record(Event(None, 0, State.FAILED, now, {"why": why}))
        self._journal.finish_run(self._run, status, ended=now, exit_info={"why": why, "waits": waits})


def _light(journal: Journal, run: bytes, record: Known, seq: int) -> tuple[Encoded, Sequence[Body]]:
    encoded = encode(record)
    if travels_whole(encoded):
        return encoded, ()
    _, encoded, bodies = lighten(record, encoded, (), lambda n: handle_id(run, journal.store_id, seq, n))
    return encoded, bodies


def _pin(journal: Journal, run: bytes, bodies: Sequence[Body]) -> None:
    for body in bodies:
        journal.pin_body(run, _SCOPE, body.ref, len(body.data), own=True, crc=body.crc)
