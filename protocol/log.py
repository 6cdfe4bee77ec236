"""One log at one end: positions, checksums, window. And the two logs of a child run.

A record moves appended -> durable -> sent -> acknowledged at its writer, accepted -> durable -> acknowledged at its reader, always in order
(docs/protocol.md §10). Positions are sequence numbers; 0 is "none yet".
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

from graphs.records import TYPE_BYTES, Plain, Writers
from graphs.values import Value
from protocol.codec import FIXINT, HEADS, UINT16, Limits, uint
from protocol.errors import RemoteProtocolError
from protocol.messages import RunId, StoreId
from protocol.store import LogHead, Write
from protocol.streams import Streams, Texts

__all__ = ["NO_TYPES", "NO_WRITERS", "InLog", "OutLog", "Run"]

NO_TYPES: Final[Collection[int]] = frozenset()
NO_WRITERS: Final[Writers] = {}

KEPT: Final = 2_048
KEPT_BYTES: Final = 8 << 20
"""Records of a log, and their bytes, that memory holds for a peer that does not take them: two windows. The rest waits in the store."""
_new: Callable[..., Any] = tuple.__new__
"""Makes a named tuple in half the time."""
_PAGE: Final = 256
"""Records read from the store at once."""


class _Log:
    """What both ends of a log have in common."""

    __slots__ = ("alias", "chks", "durable", "ended", "run", "writer")

    def __init__(self, run: RunId, writer: StoreId, head: LogHead | None) -> None:
        self.run = run
        self.writer = writer
        self.chks = array("I", (0, *(head.chks if head else ())))
        """The checksum after each record; the first entry is the empty log's."""
        self.durable = self.last
        self.ended = head is not None and head.ended
        self.alias = 0
        """Of this connection; 0 while LOG was not sent or received."""

    @property
    def last(self) -> int:
        """The last record, durable or not."""
        return len(self.chks) - 1

    def contradicts(self, have: int, chk: int) -> bool:
        """Whether a copy of this log with `have` records and that checksum cannot be a prefix of this one, as far as can be seen here."""
        return have <= self.last and self.chks[have] != chk


class OutLog(_Log):
    """A log this side writes."""

    __slots__ = ("_records", "_size", "acked", "cancelled", "flying", "held", "offered", "sent", "streams", "wanting", "writers")

    def __init__(self, run: RunId, writer: StoreId, head: LogHead | None = None) -> None:
        super().__init__(run, writer, head)
        self._records: list[Plain] = []
        """Those that follow `acked`, as many as may be kept; the others are read from the store when it is their turn."""
        self._size = 0
        self.held = 0
        """The last record up to which it is in memory."""
        self.writers: Writers = NO_WRITERS
        """What encodes the records that may be appended now without a second look, by their class."""
        self.acked = 0
        self.sent = 0
        self.flying = 0
        """Bytes sent and not acknowledged."""
        self.offered = head is not None
        """Whether the peer may know this log: it was sent once, or an earlier process may have."""
        self.wanting = False
        """Whether records are being read from the store."""
        self.streams = Streams()
        self.cancelled = head.cancelled if head is not None else 0
        """On a device: the record that gives the run up; 0 while none does."""

    @property
    def about(self) -> Mapping[str, Value] | None:
        """What LOG says besides: of a child run nothing."""
        return None

    def append(self, record: Plain) -> Write:
        """Add a record; what is to be made durable for it."""
        chks = self.chks
        type_, count, tail = record
        seq = len(chks)
        if self.held == seq - 1 and self._size < KEPT_BYTES and seq - self.acked <= KEPT:
            self._records.append(record)
            self._size += len(tail)
            self.held = seq
        chk = crc32(tail, crc32(TYPE_BYTES[type_], chks[-1]))  # records.chain, inlined
        chks.append(chk)
        return _new(Write, (self.run, self.writer, seq, type_, count, tail, chk))  # type: ignore[no-any-return]

    def resume(self, have: int) -> None:
        """The peer holds `have` records durably: sending goes on from there."""
        if self.acked <= have:
            self._drop(have - self.acked)
        else:
            self._drop(len(self._records))
        self.acked = self.sent = have
        self.held = have + len(self._records)
        self.flying = 0
        self.wanting = False
        self.streams.closing.clear()  # what ended while nobody listened is told by its record alone

    def lacks(self) -> tuple[int, int] | None:
        """The range (after, upto) that must be read from the store before sending goes on, if there is one; it is told once."""
        held = self.held
        if self.wanting or self.sent < held or held >= self.durable:
            return None
        self.wanting = True
        return held, min(self.durable, held + _PAGE)

    def supply(self, after: int, records: Sequence[Plain]) -> bool:
        """Put records back. Returns whether they were the ones awaited."""
        if not self.wanting or after != self.held:
            return False
        self._records += records
        self.held += len(records)
        self._size += sum(len(tail) for _, _, tail in records)
        self.wanting = False
        return True

    def acknowledge(self, seq: int) -> bool:
        """The peer holds `seq` records durably. Returns whether that is news. Raises RemoteProtocolError if it cannot be."""
        if seq > self.sent:
            raise RemoteProtocolError("PROTOCOL_ACK", f"record {seq} was acknowledged, {self.sent} were sent")
        if seq <= self.acked:
            return False
        if seq == self.held:
            self._records.clear()
            self._size = self.flying = 0
        else:
            self.flying -= self._drop(seq - self.acked)
        self.acked = seq
        return True

    def _drop(self, count: int) -> int:
        """Forget the first so many records; their bytes."""
        records = self._records
        if count == len(records):
            size, self._records = self._size, []
        else:
            size = 0
            for _, _, tail in records[:count]:
                size += len(tail)
            del records[:count]
        self._size -= size
        return size

    def sendable(self, limits: Limits) -> int:
        """How many records may go now as far as their number counts: durable, in memory, inside the window."""
        return min(self.held, self.durable, self.acked + limits.window) - self.sent

    def put_one(self, parts: list[bytes], limits: Limits) -> int:
        """As `put`, of the next record alone, to a packet that takes one more."""
        sent, flying, al = self.sent, self.flying, self.alias
        type_, fields, tail = self._records[sent - self.acked]
        length = len(tail)
        if flying and flying + length > limits.window_bytes:
            return 0
        self.sent = sent = sent + 1
        self.flying = flying + length
        self.offered = True
        # codec.encode_entry and codec.uint, inlined
        entry = (
            HEADS[fields, type_]
            + (FIXINT[al] if al < 128 else uint(al))
            + (UINT16(0xCD, sent) if 255 < sent < 65_536 else uint(sent))
            + tail
        )
        parts.append(entry)
        return len(entry)

    def put(self, parts: list[bytes], count: int, room: int, limits: Limits) -> int:
        """Add the envelopes of the next `count` records to a packet, which has `room` bytes but takes one more; their bytes. They count as sent.

        Ask `sendable` first. Fewer are added where the packet is full, or the window has no room for a record's bytes.
        """
        sent, flying, al = self.sent, self.flying, self.alias
        alias = FIXINT[al] if al < 128 else uint(al)
        size, first = 0, sent - self.acked
        for type_, fields, tail in self._records[first : first + count]:
            length = len(tail)
            if size >= room or (flying and flying + length > limits.window_bytes):
                break
            sent += 1
            flying += length
            # codec.encode_entry and codec.uint, inlined
            entry = HEADS[fields, type_] + alias + (UINT16(0xCD, sent) if 255 < sent < 65_536 else uint(sent)) + tail
            parts.append(entry)
            size += len(entry)
        if size:
            self.sent, self.flying, self.offered = sent, flying, True
        return size

    def disconnected(self) -> None:
        """Forget what belongs to a connection."""
        self.alias = 0
        self.wanting = False
        self.streams.disconnected()


class InLog(_Log):
    """A log the peer writes."""

    __slots__ = ("accepted", "acked", "held", "kept", "plain", "texts", "told")

    def __init__(self, run: RunId, writer: StoreId, head: LogHead | None = None) -> None:
        super().__init__(run, writer, head)
        self.acked = self.durable
        """What the peer was told on this connection."""
        self.accepted = self.kept = self.told = 0
        """Bytes accepted since this object was made; those of them that are durable, and that were acknowledged."""
        self.plain: Collection[int] = NO_TYPES
        """The types of records that may come next and are taken without a second look."""
        self.texts = Texts(head.attempts if head else ())
        self.held = False
        """Whether no attempt that may be about to begin is acknowledged."""

    def is_next(self, seq: int) -> bool:
        """Whether a record is the next one; False: it is here already. Raises RemoteProtocolError at a gap."""
        expected = len(self.chks)  # the empty log has a checksum, too
        if seq > expected:
            raise RemoteProtocolError("GAP", f"record {seq} came after record {expected - 1}")
        return seq == expected

    def look_at_window(self, seq: int, size: int, limits: Limits) -> None:
        """Record `seq`, of so many bytes, was accepted. Raises RemoteProtocolError if it is beyond the window; one record always fits."""
        unacked = self.accepted - self.told
        if seq - self.acked > limits.window or (unacked > limits.window_bytes and unacked > size):
            raise RemoteProtocolError(
                "LIMIT_WINDOW", f"more than {limits.window} records, or {limits.window_bytes:,} bytes, without an ACK"
            )

    def state(self) -> int:
        """What the peer is told to be durable here: all that is, unless that would let an attempt begin that must not."""
        position = self.durable
        if self.held and self.texts.by_start:
            position = min(position, min(self.texts.by_start) - 1)
        self.acked = position
        self.told = self.kept
        return position


class Run:
    """A child run on this link: the log this side writes and the one it reads."""

    __slots__ = ("announced", "diverged", "id", "into", "live", "out", "refused", "reserved", "settled", "trimmed")

    def __init__(self, id_: RunId) -> None:
        self.id = id_
        self.announced = 0
        """How many records of its own log the peer said it has."""
        self.out: OutLog | None = None
        self.into: InLog | None = None
        self.live = False
        """Whether either side named or opened it on this connection: only then do its records flow."""
        self.diverged = False
        self.refused: str | None = None
        """Why the peer will not take this run, for good."""
        self.reserved = False
        """On a device: whether nobody has said yet that the run goes on."""
        self.settled = False
        """On a device: the worker knows that its END is durable here."""
        self.trimmed = False
        """On a worker: END is durable at the device."""

    def logs(self) -> Iterator[OutLog | InLog]:
        """Its logs that exist."""
        if self.out is not None:
            yield self.out
        if self.into is not None:
            yield self.into

    @property
    def over(self) -> bool:
        """Whether nothing of it is left to be said on any connection."""
        return self.settled or self.trimmed

    @property
    def behind(self) -> bool:
        """Whether the peer has records, of those it named in its handshake, that are not durable here."""
        return self.announced > (self.into.durable if self.into is not None else 0)

    def fence(self) -> None:
        """On a device: while the run is given up and the worker does not hold that, or it is not known whether it goes on, nothing may begin there
        because of an acknowledgement.
        """
        if self.into is not None and self.out is not None:
            self.into.held = self.reserved or self.out.cancelled > self.out.acked

    def look_closer(self) -> None:
        """Something happened: no record of it is appended or taken any more as if it were nothing special."""
        if self.out is not None:
            self.out.writers = NO_WRITERS
        if self.into is not None:
            self.into.plain = NO_TYPES

    def disconnected(self) -> None:
        """Forget what belongs to a connection."""
        self.live = False
        if self.out is not None:
            self.out.disconnected()
        if self.into is not None:
            self.into.alias = 0
