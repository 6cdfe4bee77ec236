"""Records of the peer: which are taken into its log, and what becomes of the others. Raises RemoteProtocolError where one breaks a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias
from zlib import crc32

from graphs.records import TYPE_BYTES, Encoded, End, Record, Submit
from protocol.errors import RemoteProtocolError
from protocol.events import Got
from protocol.log import NO_TYPES, InLog
from protocol.messages import Entry, Fault
from protocol.state import Connection, State
from protocol.store import Write

__all__ = ["Entries"]

Fields: TypeAlias = tuple[int, int, int, int, bytes, Record]
"""An `Entry` as `codec.read` gives it."""
_NO_LOG: Final[Any] = -1, 0, 0, b"", b"", None, None
_new: Callable[..., Any] = tuple.__new__
"""Makes a named tuple in half the time."""


class Entries:
    """Reads the records of one peer into the shared state."""

    __slots__ = ("_accepts", "_limits", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._limits = state.config.limits
        self._accepts = state.config.accepts

    def take(self, connection: Connection, messages: Sequence[Fields]) -> None:
        """Take in records that came one after the other. Raises RemoteProtocolError."""
        state, limits, accepts = self._state, self._limits, self._accepts
        asks, marks, came = state.asks, state.marks, state.came
        alias, last, most, id_, writer, into, chks = _NO_LOG
        for message in messages:
            al, seq, type_, count, tail, record = message
            if al != alias:
                taking = connection.aliases.get(al)
                if taking is None:
                    self._of_no_run(connection, message)
                    continue
                run, into = taking
                if run.diverged:
                    continue
                alias, id_, writer, chks = al, into.run, into.writer, into.chks
                last, most = into.acked + limits.window, into.told + limits.window_bytes
            special = type_ not in into.plain or seq != len(chks)
            if special and not self._may_come(connection, into, message):
                continue
            size = len(tail)
            if accepts is not None and (full := accepts(id_, type_, size)) is not None:
                _refuse(connection, al, full)
                alias = -1
                continue
            into.accepted = accepted = into.accepted + size
            if accepted > most or seq > last:
                into.look_at_window(seq, size, limits)
            chk = crc32(tail, crc32(TYPE_BYTES[type_], chks[-1]))  # records.chain, inlined
            chks.append(chk)
            if special:
                self._note(into, type_, seq, record)
            state.unwritten += size
            asks.append(_new(Write, (id_, writer, seq, type_, count, tail, chk)))
            marks.append(into)
            came.append(_new(Got, (id_, writer, seq, record)))

    def take_one(self, connection: Connection, message: Fields) -> None:
        """The same of one record alone, as it is where each waits for the one before it. Raises RemoteProtocolError."""
        al, seq, type_, count, tail, record = message
        taking = connection.aliases.get(al)
        if taking is None:
            self._of_no_run(connection, message)
            return
        run, into = taking
        chks = into.chks
        if run.diverged or type_ not in into.plain or seq != len(chks):
            self.take(connection, (message,))
            return
        size, limits = len(tail), self._limits
        if self._accepts is not None and (full := self._accepts(into.run, type_, size)) is not None:
            _refuse(connection, al, full)
            return
        into.accepted = accepted = into.accepted + size
        if accepted > into.told + limits.window_bytes or seq > into.acked + limits.window:
            into.look_at_window(seq, size, limits)
        chk = crc32(tail, crc32(TYPE_BYTES[type_], chks[-1]))  # records.chain, inlined
        chks.append(chk)
        state, id_, writer = self._state, into.run, into.writer
        state.unwritten += size
        state.asks.append(_new(Write, (id_, writer, seq, type_, count, tail, chk)))
        state.marks.append(into)
        state.came.append(_new(Got, (id_, writer, seq, record)))

    def _of_no_run(self, connection: Connection, message: Fields) -> None:
        """A record of no log of a run."""
        al, seq, type_, count, tail, record = message
        entry = Entry(al, seq, Encoded(type_, count, tail), record)
        if not self._state.copies.entry(connection, entry) and not 0 < al <= connection.announced:
            raise RemoteProtocolError("PROTOCOL_ALIAS", f"a record of alias {al}, which no LOG announced")

    def _may_come(self, connection: Connection, into: InLog, message: Fields) -> bool:
        """Whether a record is the next one of its log. Raises RemoteProtocolError if it may not be."""
        al, seq, type_, _, _, _ = message
        if not into.is_next(seq):
            if seq <= into.durable:
                connection.outbox.acknowledge(into)
            return False
        orders = type_ < 0x30
        if orders is self._state.is_device:
            text = f"a record of type {type_:#x} is not the peer's to write"
            raise RemoteProtocolError("PROTOCOL_WRITER", text, about=al)
        if orders and (seq == 1) is not (type_ == Submit.TYPE):
            text = "SUBMIT is the first record of a run, and only the first"
            raise RemoteProtocolError("PROTOCOL_ORDER", text, about=al)
        if into.ended:
            raise RemoteProtocolError("PROTOCOL_ORDER", "a record after END", about=al)
        return True

    def _note(self, into: InLog, type_: int, seq: int, record: Record) -> None:
        """A record was taken that may begin or end something."""
        if type_ >= 0x30:
            into.texts.accepted(seq, record)
            into.ended = type_ == End.TYPE
        into.plain = NO_TYPES if into.ended or into.texts.by_start else self._state.reads


def _refuse(connection: Connection, alias: int, why: str) -> None:
    """There is no room for a record: what is on its way is dropped, the log goes on with its next LOG."""
    del connection.aliases[alias]
    connection.outbox.answer(Fault("QUOTA", why, False, alias))
