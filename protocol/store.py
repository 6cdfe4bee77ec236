"""The port to the journal and to the bodies beside it: what the session asks to be made durable, and what it needs to know when it starts.

The session writes nothing itself. It hands out effects, the owner of the session commits them in one transaction and says so; only then may
a record be sent or acknowledged (docs/protocol.md §10, §20).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from graphs.records import Encoded
from graphs.values import Value
from protocol.digest import Held, Line
from protocol.events import DigestCame
from protocol.messages import Bytes, Hash, Ref, RunId, StoreId
from protocol.payload import Reference

__all__ = [
    "BodyPart",
    "Copy",
    "Effect",
    "Keep",
    "Left",
    "LinkStore",
    "LogHead",
    "OpenAttempt",
    "SharesNothing",
    "Snapshot",
    "Trim",
    "Write",
]


_new: Callable[..., Encoded] = tuple.__new__
"""Makes a named tuple in half the time."""


class Write(NamedTuple):
    """Record `seq` of log (run, writer) with the log's checksum after it: an own record or one from the peer, the writer says which.

    What an `Encoded` holds stands in it flat: one object for each record at each end, not two, takes a tenth off what a record costs.
    """

    run: RunId
    writer: StoreId
    seq: int
    type: int
    fields: int
    tail: bytes
    chk: int

    @property
    def record(self) -> Encoded:
        """The record by itself."""
        return _new(Encoded, self[3:6])


class Trim(NamedTuple):
    """The peer holds the whole log durably, END included: its retention may begin. Losing this costs only disk space."""

    run: RunId
    writer: StoreId
    seq: int


class Keep(NamedTuple):
    """A body that a record of this run refers to, to be durable with it: the run pins it, and the peer may ask for it."""

    run: RunId
    ref: Ref
    data: bytes
    labels: tuple[str, ...]
    crc: int


class Copy(NamedTuple):
    """Record `seq` of a log that this side neither writes nor takes orders from: it only keeps a copy, and may have it already. `about` is what the
    peer said of the run.
    """

    run: RunId
    writer: StoreId
    seq: int
    record: Encoded
    chk: int
    about: Mapping[str, Value] | None = None


class Left(NamedTuple):
    """A line of a run's audit: this leaves the device for the peer, or is about to. It is durable before it can be sent.

    `kind`: `record`, a record with labels, `seq` of this side's log of the run; `graph`, a graph's text, `size` bytes, that the peer was known to
    `have` or not; `body`, a body of that `size`, named `ref`; `copy`, records after `seq` up to `upto` of the log of `writer`,
    `size` bytes.
    """

    run: RunId
    kind: str
    labels: tuple[str, ...] = ()
    seq: int = 0
    size: int = 0
    ref: Ref = b""
    have: bool = False
    upto: int = 0
    writer: StoreId = b""


Effect: TypeAlias = Write | Trim | Keep | Copy | Left


class BodyPart(NamedTuple):
    """Some bytes of a body of `total` bytes that this side supplies; `labels` as it was kept, with the last of a handle's bytes its `crc`."""

    data: bytes
    total: int
    labels: tuple[str, ...] = ()
    crc: int | None = None


class OpenAttempt(NamedTuple):
    """An attempt that was executing when the log ended here: `start` is the seq of its EVENT executing."""

    start: int
    path: str
    at: int


@dataclass(frozen=True, slots=True)
class LogHead:
    """What is durable of one log: the checksum after each of its records, whether END is among them, the attempts still open, and which record
    is the CANCEL of the run, 0 if none is.
    """

    run: RunId
    writer: StoreId
    chks: Sequence[int]
    ended: bool = False
    attempts: Sequence[OpenAttempt] = ()
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Durable state that a session starts from.

    store: this side's store id. peer: the store last seen at the other end, if any. logs: of the runs this session is for. expired: runs of
    which only a tombstone is left. taken: runs that a later session of the same device goes on with. diverged: runs of which two copies were found to
    contradict each other. held: graphs that a device knows to be in a worker's store, so that they do not travel twice.
    """

    store: StoreId
    peer: StoreId | None = None
    logs: Sequence[LogHead] = ()
    expired: Collection[RunId] = ()
    taken: Collection[RunId] = ()
    diverged: Collection[RunId] = ()
    held: Collection[tuple[StoreId, Hash]] = ()


class LinkStore(Protocol):
    """A journal as the link sees it. Each call is about one peer: a store looks up runs by (account, run)."""

    def commit(self, effects: Sequence[Effect]) -> Awaitable[None] | None:
        """Make all of these durable in one transaction, so that they survive power loss: when what it gives was awaited, or at once if it
        gives None. Raises JournalError, now or then, if it cannot. It is not called again before.
        """

    async def read(self, run: RunId, writer: StoreId, after: int, upto: int) -> Sequence[Encoded]:
        """Records `after` + 1 to `upto` of a log, as they were written."""

    async def find(self, runs: Collection[RunId]) -> Snapshot:
        """What is durable of these runs, finished ones included. Runs the store does not know are left out."""

    async def begin_body(self, run: RunId | None, named: Reference) -> tuple[int, bool]:
        """A body is wanted, and pinned by the run: how many bytes of it are here, and whether it is whole and was looked at.

        Raises JournalError, here and in what follows.
        """

    async def write_body(self, ref: Ref, off: int, *data: Bytes) -> None:
        """Add bytes at the end of what is here."""

    async def check_body(self, ref: Ref, size: int, crc: int | None) -> bool:
        """Whether a body whose bytes are all here is what its name says, or a handle's has that checksum; then it is durable, and the checksum
        is remembered, else it is deleted.
        """

    async def read_body(self, ref: Ref, off: int, length: int) -> BodyPart | None:
        """A range of a body that a record of this side refers to; None if there is none of that name for this peer."""

    async def load_body(self, ref: Ref) -> bytes | None:
        """A whole body; None if it is not here. Raises JournalError if it is damaged."""

    async def leaves(self, left: Left) -> None:
        """Write down that a body or copied records are about to leave; returns when that is durable. Only a device does. Raises JournalError."""

    def lines(self) -> list[Line]:
        """What a digest of this store says to this peer."""

    def held_logs(self, came: DigestCame) -> list[Held]:
        """What is here of the logs of a digest, and of its range."""

    def has_graph(self, h: Hash) -> bool:
        """Whether the graph of a copied run is here."""

    def keep_graph(self, h: Hash, body: bytes) -> None:
        """Keep the graph of a copied run. Raises JournalError if the bytes are another's."""

    async def next_connection(self, above: int = 0) -> int:
        """A number for the next connection, durably higher than any given before and than `above`. Only devices need it."""


class SharesNothing:
    """The part of a `LinkStore` that is about copies and about the audit, for a store of which no peer has any and that keeps none."""

    async def leaves(self, _left: Left) -> None:
        """There is no audit."""

    def lines(self) -> list[Line]:
        return []

    def held_logs(self, _came: DigestCame) -> list[Held]:
        return []

    def has_graph(self, _h: Hash) -> bool:
        return False

    def keep_graph(self, h: Hash, body: bytes) -> None:
        """Nobody sends any."""
