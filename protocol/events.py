"""What the session tells its owner.

`Got` and `Acked` speak of durable records only; everything else is about the connection or volatile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from graphs.records import Encoded, Record
from graphs.values import Value
from protocol.digest import Line
from protocol.messages import Bytes, Hash, PutGraph, Ref, RunId, StoreId
from protocol.payload import Reference

__all__ = [
    "Acked",
    "BodyArrived",
    "BodyBytes",
    "BodyFailed",
    "BodyWhole",
    "Closed",
    "Copied",
    "CopyRefused",
    "DeltaSeen",
    "Differs",
    "DigestCame",
    "Diverged",
    "Event",
    "Faulted",
    "GoingAway",
    "Got",
    "GraphJudged",
    "GraphReceived",
    "GraphReferred",
    "NeedBodies",
    "NeedBytes",
    "NeedCopies",
    "NeedGraph",
    "NeedRecords",
    "Offered",
    "Ready",
    "Refused",
    "StateSeen",
    "Synced",
]


class Ready(NamedTuple):
    """The handshake is done. `store`: the peer's; a device should keep it with its child runs. `offer` is empty on a worker."""

    store: StoreId
    offer: Mapping[str, Value]


class Offered(NamedTuple):
    """The worker's offer changed; this is the whole new one."""

    offer: Mapping[str, Value]


class Got(NamedTuple):
    """The peer's record is durable here. Each is told once while this session lives; after a crash the journal has it."""

    run: RunId
    writer: StoreId
    seq: int
    record: Record


class Acked(NamedTuple):
    """The peer holds this side's log of the run durably up to `seq`."""

    run: RunId
    seq: int


class DeltaSeen(NamedTuple):
    """Tokens `off` to `off` + `n` - 1 of an attempt, in order, none twice; merged tokens stand as one. A higher `at` begins a new text."""

    run: RunId
    path: str
    at: int
    start: int
    off: int
    tokens: Sequence[Value]
    n: int


class StateSeen(NamedTuple):
    """A node's state at the worker, for showing; nothing may depend on it."""

    run: RunId
    path: str
    at: int
    state: int
    t: int


class Refused(NamedTuple):
    """The worker does not take this run: BUSY and DRAINING are offered again by themselves after `retry_ms`, anything else is final here."""

    run: RunId
    code: str
    text: str
    retry_ms: int | None


class Diverged(NamedTuple):
    """The two copies of one of the run's logs contradict each other: a store went back in time. Both stay readable, the run stops."""

    run: RunId
    writer: StoreId


class NeedGraph(NamedTuple):
    """The worker asks for a graph this session has no body of: call `put_graph`."""

    h: Hash


class GraphReceived(NamedTuple):
    """A graph's canonical bytes arrived and hash to `h`. They are untrusted: check them, then call `graph_state`."""

    h: Hash
    body: bytes


class GraphReferred(NamedTuple):
    """A graph comes as a body, since it is large: pull that, and call `graph_here` with its bytes."""

    message: PutGraph


class GraphJudged(NamedTuple):
    """The worker's verdict about a graph."""

    h: Hash
    status: int
    problems: Sequence[Value]


class NeedRecords(NamedTuple):
    """The peer lacks old records: read `after` + 1 to `upto` of this side's log and call `supply_records`."""

    run: RunId
    writer: StoreId
    after: int
    upto: int


class DigestCame(NamedTuple):
    """The peer says what it holds of these logs: call `answer_digest` with what is here of them, and, unless it is an `answer`, of the further logs
    after `after` up to `upto` (each a log's run and writer, None for no bound).
    """

    req: int
    answer: bool
    lines: Sequence[Line]
    after: tuple[RunId, StoreId] | None
    upto: tuple[RunId, StoreId] | None
    more: bool
    look: bool


class Differs(NamedTuple):
    """Of a digest that only looks: this side holds a log up to `here`, the peer up to `there`; `diverged` if the copies contradict each other."""

    run: RunId
    writer: StoreId
    here: int
    there: int
    diverged: bool


class NeedCopies(NamedTuple):
    """The peer gets a copy of a log: read `after` + 1 to `upto` of it and call `supply_copies`."""

    run: RunId
    writer: StoreId
    after: int
    upto: int


class NeedBodies(NamedTuple):
    """A record that is copied refers to these bodies, and comes with its run's `document`: fetch what is not here, then call `here`."""

    run: RunId
    writer: StoreId
    seq: int
    named: Sequence[Reference]
    document: Reference | None
    about: Mapping[str, Value] | None


class Copied(NamedTuple):
    """A record of a log that this side copies is durable here. `about` is what the peer said of the run."""

    run: RunId
    writer: StoreId
    seq: int
    record: Encoded
    about: Mapping[str, Value] | None


class CopyRefused(NamedTuple):
    """A log is not copied; `local`: by this side, `unkept` if what came could not be written down here. The others go on."""

    run: RunId
    writer: StoreId
    code: str
    text: str
    local: bool
    unkept: bool = False


class Synced(NamedTuple):
    """The digest `req` is over: what was asked for is durable here, what was given is durable at the peer."""

    req: int


class NeedBytes(NamedTuple):
    """The peer asks for a range of a body: read up to `length` bytes from `off` on, and call `supply_body`."""

    ref: Ref
    off: int
    length: int


class BodyBytes(NamedTuple):
    """Bytes of a body that this side asked for, in order: keep them, and call `body_written`. `more`: others follow soon."""

    ref: Ref
    off: int
    data: Bytes
    more: bool = False


class BodyWhole(NamedTuple):
    """All bytes of a body are kept: look whether they are what their name says, and call `body_verified`. `crc` is for a handle's."""

    ref: Ref
    size: int
    crc: int | None


class BodyArrived(NamedTuple):
    """A body is here and is what its name says."""

    ref: Ref


class BodyFailed(NamedTuple):
    """A body will not come. `code`: BLOB_GONE, LABEL_WITHHELD, VALUE_TOO_LARGE."""

    ref: Ref
    code: str


class GoingAway(NamedTuple):
    """The worker drains: no new runs; it closes after `drain_ms`, come back after `retry_ms`."""

    reason: str
    drain_ms: int
    retry_ms: int


class Faulted(NamedTuple):
    """A fault, found here (`local`: the peer broke a rule) or told by the peer. `close` is the close code if it ends the connection."""

    code: str
    text: str
    local: bool
    close: int | None = None
    about: Value = None
    retry_ms: int | None = None


class Closed(NamedTuple):
    """The connection is over. `code` 0: lost without a word."""

    code: int
    text: str


Event: TypeAlias = (
    Ready
    | Offered
    | Got
    | Acked
    | DeltaSeen
    | StateSeen
    | Refused
    | Diverged
    | NeedGraph
    | GraphReceived
    | GraphReferred
    | GraphJudged
    | NeedRecords
    | DigestCame
    | Differs
    | NeedCopies
    | NeedBodies
    | Copied
    | CopyRefused
    | Synced
    | NeedBytes
    | BodyBytes
    | BodyWhole
    | BodyArrived
    | BodyFailed
    | GoingAway
    | Faulted
    | Closed
)
