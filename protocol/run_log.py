"""What the holder of a run writes into its own log. One that is marked for sync is written as it can travel: a large value lies beside the journal,
under its hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphs.records import Encoded, End, EndStatus, Event, Known, State, Submit, Unknown, decode, encode
from protocol.gate import travels_whole
from protocol.payload import Body, handle_id, lighten
from protocol.shared import is_marked, mark

__all__ = ["RunLog", "open_run"]

OWN = "own"
"""In whose name a device keeps bodies."""


def open_run(journal: Any, run: bytes, submit: Submit, about: Mapping[str, Any], *, shared: bool) -> None:
    """Create a root run, marked for sync if it is `shared`; `about` is what `Journal.create_run` is told besides."""
    encoded, bodies = _light(journal, run, submit, 1) if shared else (encode(submit), ())
    _keep(journal, run, bodies, OWN)
    journal.create_run(run, role="root", first=encoded, **about)
    if shared:
        mark(journal, run)
        _pin(journal, run, bodies, OWN)


class RunLog:
    """This store's log of one root run. `each_durable`: a record is durable when it is written; `shared` as in `open_run`; `scope`: in whose
    name bodies are kept.
    """

    def __init__(self, journal: Any, run: bytes, *, each_durable: bool = False, shared: bool = True, scope: str = OWN) -> None:
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
        if self.shared and not travels_whole(encoded):
            record = decode(encoded.type, encoded.tail)
            assert not isinstance(record, Unknown), "this side wrote it"
            encoded, bodies = _light(journal, run, record, journal.have(run) + 1)
            _keep(journal, run, bodies, self._scope)
            _pin(journal, run, bodies, self._scope)
        number: int = self._write(run, encoded)
        return number

    def end(self, status: str, why: str, *, waits: bool, now: int, more: Mapping[str, Any] = {}) -> None:
        """The run has stopped or ended. `waits`: for a worker, and for nothing else; `more` goes with the reason into the journal's table."""
        if status == "suspended":
            self.record(Event(None, 0, State.SUSPENDED, now, {"why": why}))
        elif status == "completed":
            self.record(End(EndStatus.COMPLETED, now, {}))
        elif status == "failed" and self.shared:  # it may be resumed, so its log stays open; other stores see how it stands
            self.record(Event(None, 0, State.FAILED, now, {"why": why}))
        self._journal.finish_run(self._run, status, ended=now, exit_info={"why": why, "waits": waits, **more})


def _light(journal: Any, run: bytes, record: Known, seq: int) -> tuple[Encoded, Sequence[Body]]:
    encoded = encode(record)
    if travels_whole(encoded):
        return encoded, ()
    _, encoded, bodies = lighten(record, encoded, (), lambda n: handle_id(run, journal.store_id, seq, n))
    return encoded, bodies


def _keep(journal: Any, run: bytes, bodies: Sequence[Body], scope: str) -> None:
    for body in bodies:
        journal.body_files.keep(scope, body.ref, body.data, run)


def _pin(journal: Any, run: bytes, bodies: Sequence[Body], scope: str) -> None:
    for body in bodies:
        journal.pin_body(run, scope, body.ref, len(body.data), own=True, crc=body.crc)
