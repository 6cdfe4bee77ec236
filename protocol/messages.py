"""Messages: every envelope type of the link, what it may hold, and which side sends it.

A message is a named tuple whose fields stand in wire order. `CATALOGUE` lists all types of the protocol, also those this version cannot
read yet; `check` decides whether decoded fields are a message (docs/protocol.md §4, §5). Records have one message, `Entry`: their own fields are
in graphs.records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

import msgpack

from graphs.records import MAX_UINT, RECORDS, Encoded, Record
from graphs.values import EXT_BLOBREF, Value

__all__ = [
    "CATALOGUE",
    "Ack",
    "BlobChunk",
    "BlobNeed",
    "BlobState",
    "BodyStatus",
    "Bytes",
    "Class",
    "Delta",
    "Digest",
    "Direction",
    "Entry",
    "Fault",
    "GoAway",
    "GraphState",
    "GraphStatus",
    "Hello",
    "Kind",
    "Log",
    "Message",
    "Offer",
    "Ping",
    "Pong",
    "PutGraph",
    "Ref",
    "StateShown",
    "Unhandled",
    "Welcome",
    "check",
    "is_control_to_ignore",
    "is_record",
    "is_uint",
]


class Class(Enum):
    """How a type is delivered: control is never replayed, records are logged, volatile may be lost, data is restartable."""

    CONTROL = "C"
    RECORD = "R"
    VOLATILE = "V"
    DATA = "D"


class Direction(Enum):
    """Which side sends a type. The device is the owner of a child run, the worker its executor."""

    UP = "device to worker"
    DOWN = "worker to device"
    BOTH = "both"


class GraphStatus(IntEnum):
    """What a worker says about a graph."""

    OK = 0
    UNKNOWN = 1
    INVALID = 2


class BodyStatus(IntEnum):
    """What one side says of a body: STORED, MISMATCH and ABORT its reader, the others its supplier."""

    STORED = 0
    MISMATCH = 1
    REFUSED = 2
    GONE = 3
    ABORT = 4
    WITHHELD = 5


class Hello(NamedTuple):
    """The device's first message; `body` is read by protocol.handshake."""

    body: Mapping[str, Value]


class Welcome(NamedTuple):
    """The worker's answer to HELLO."""

    body: Mapping[str, Value]


class Ping(NamedTuple):
    """`t`: ms of the sender's monotonic clock."""

    n: int
    t: int


class Pong(NamedTuple):
    """Answers PING `n`; `t_echo` is its `t`."""

    n: int
    t_echo: int
    t: int


class Ack(NamedTuple):
    """Cumulative: the sender holds each of these logs durably up to `seq`. Flat on the wire: al, seq, al, seq, ..."""

    positions: tuple[tuple[int, int], ...]


class Log(NamedTuple):
    """From now on alias `al` is that log, and its records follow from seq `next`. `about`: what a store that copies the log is to know of its run."""

    al: int
    run: RunId
    writer: StoreId
    next: int
    about: Mapping[str, Value] | None = None


class GoAway(NamedTuple):
    """The worker will close after `drain_ms`; come back after `retry_ms`."""

    reason: str
    drain_ms: int
    retry_ms: int


class Fault(NamedTuple):
    """Something was refused. `about`: an alias of the receiver's own logs, [run, writer], or a hash."""

    code: str
    text: str
    fatal: bool
    about: Value = None
    retry_ms: int | None = None


class Offer(NamedTuple):
    """What the worker offers now, whole."""

    body: Mapping[str, Value]


class PutGraph(NamedTuple):
    """A graph's canonical bytes. `enc` 0 raw, 1 zlib; `size` of the raw bytes. `body`: those bytes, or a BLOBREF of them if they are many."""

    h: Hash
    enc: int
    body: GraphBody
    size: int


class GraphState(NamedTuple):
    """What the worker thinks of graph `h`. `problems`: [path, code, text] each."""

    h: Hash
    status: int
    problems: Sequence[Value] | None = None


class BlobNeed(NamedTuple):
    """Send these ranges: [ref, from, length] each. It is the only credit that bulk has."""

    ranges: Sequence[Value]


class BlobChunk(NamedTuple):
    """Bytes of a body from `off` on, of `total`; `crc`: CRC-32 of the whole, with the last chunk of a handle's body."""

    ref: Ref
    off: int
    total: int
    data: Bytes
    crc: int | None = None


class BlobState(NamedTuple):
    """What became of a body: a BodyStatus, and how many bytes of it the sender holds."""

    ref: Ref
    status: int
    have: int


class Delta(NamedTuple):
    """Tokens `off` and following of the attempt whose EVENT executing is record `start` of log `al`; merged tokens count as `n`."""

    al: int
    start: int
    off: int
    data: Sequence[Value]
    n: int | None = None


class StateShown(NamedTuple):
    """A node's state, for showing only. `t`: ms since 1970."""

    al: int
    path: str
    at: int
    state: int
    t: int


class Digest(NamedTuple):
    """What the sender holds of some logs: [run, writer, last, chk, status] each; protocol.digest reads them. `answer`: to the digest `req`; `more`:
    others follow; `look`: nothing is to be sent, only said.
    """

    req: int
    answer: bool
    logs: Sequence[Value]
    more: bool
    look: bool | None = None


class Entry(NamedTuple):
    """Record `seq` of log `al`, as bytes and as what they mean."""

    al: int
    seq: int
    encoded: Encoded
    record: Record


class Unhandled(NamedTuple):
    """A type this version does not speak and may not ignore."""

    type: int


RunId: TypeAlias = bytes
StoreId: TypeAlias = bytes
Hash: TypeAlias = bytes
Ref: TypeAlias = bytes
"""The name of a body: its hash (32 bytes), or a handle's id (16 bytes), which says nothing of what is in it."""
Bytes: TypeAlias = bytes | memoryview
"""Bytes of a body. In a long packet they are not copied out of it."""
GraphBody: TypeAlias = "bytes | msgpack.ExtType"
Message: TypeAlias = (
    Hello
    | Welcome
    | Ping
    | Pong
    | Ack
    | Log
    | GoAway
    | Fault
    | Offer
    | PutGraph
    | GraphState
    | BlobNeed
    | BlobChunk
    | BlobState
    | Delta
    | StateShown
    | Digest
    | Entry
    | Unhandled
)


class Kind(NamedTuple):
    """One row of the catalogue. `message` is None for types this version does not speak."""

    type: int
    name: str
    direction: Direction
    cls: Class
    message: Any


_UP, _DOWN, _BOTH = Direction.UP, Direction.DOWN, Direction.BOTH
_C, _R, _V, _D = Class.CONTROL, Class.RECORD, Class.VOLATILE, Class.DATA
_RECORD_NAMES = {each.TYPE: each.__name__.upper() for each in RECORDS.values()}
_ANYONE = {"CANCEL", "ANSWER"}

CATALOGUE: Final[Mapping[int, Kind]] = {
    kind.type: kind
    for kind in (
        Kind(0x01, "HELLO", _UP, _C, Hello),
        Kind(0x02, "WELCOME", _DOWN, _C, Welcome),
        Kind(0x03, "PING", _BOTH, _C, Ping),
        Kind(0x04, "PONG", _BOTH, _C, Pong),
        Kind(0x05, "ACK", _BOTH, _C, Ack),
        Kind(0x06, "LOG", _BOTH, _C, Log),
        Kind(0x07, "GOAWAY", _BOTH, _C, GoAway),
        Kind(0x08, "FAULT", _BOTH, _C, Fault),
        Kind(0x0A, "OFFER", _DOWN, _C, Offer),
        Kind(0x10, "PUT_GRAPH", _UP, _D, PutGraph),
        Kind(0x11, "GRAPH_STATE", _DOWN, _C, GraphState),
        Kind(0x13, "BLOB_NEED", _BOTH, _C, BlobNeed),
        Kind(0x14, "BLOB_CHUNK", _BOTH, _D, BlobChunk),
        Kind(0x15, "BLOB_STATE", _BOTH, _C, BlobState),
        *(
            Kind(type_, name, _BOTH if name in _ANYONE else _UP if type_ < 0x30 else _DOWN, _R, Entry)
            for type_, name in _RECORD_NAMES.items()
        ),
        Kind(0x38, "DELTA", _DOWN, _V, Delta),
        Kind(0x39, "STATE", _DOWN, _V, StateShown),
        Kind(0x44, "DIGEST", _BOTH, _C, Digest),
    )
}

NUMBERS: Final[Mapping[type[Any], int]] = {
    kind.message: kind.type for kind in CATALOGUE.values() if kind.message is not None and kind.message is not Entry
}
"""The type number of each message that is not a record."""


def is_record(type_: int) -> bool:
    """Whether a type, known or not, is a record: stored and acknowledged byte-identical."""
    return 0x20 <= type_ <= 0x37


def is_control_to_ignore(type_: int) -> bool:
    """Whether an unknown type is in a range kept for additions that old versions may skip (docs/protocol.md §19)."""
    return 0x38 <= type_ <= 0x3F or 0x60 <= type_ <= 0x7F


def is_uint(value: Value) -> bool:
    """Whether `value` is an unsigned number of the link: 0 to 2^53-1."""
    return type(value) is int and 0 <= value <= MAX_UINT


_CHECKS: Mapping[str, Callable[[Value], bool]] = {
    "int": is_uint,
    "int | None": lambda value: value is None or is_uint(value),
    "str": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    "bool | None": lambda value: value is None or type(value) is bool,
    "bytes": lambda value: type(value) is bytes,
    "Bytes": lambda value: type(value) is bytes,
    "RunId": lambda value: type(value) is bytes and len(value) == 16,
    "StoreId": lambda value: type(value) is bytes and len(value) == 8,
    "Hash": lambda value: type(value) is bytes and len(value) == 32,
    "Ref": lambda value: type(value) is bytes and len(value) in (16, 32),
    "GraphBody": lambda value: type(value) is bytes or (type(value) is msgpack.ExtType and value.code == EXT_BLOBREF),
    "Mapping[str, Value]": lambda value: type(value) is dict,
    "Mapping[str, Value] | None": lambda value: value is None or type(value) is dict,
    "Sequence[Value]": lambda value: type(value) is list,
    "Sequence[Value] | None": lambda value: value is None or type(value) is list,
    "Value": lambda _: True,
}


class _Shape(NamedTuple):
    message: type[Any]
    names: tuple[str, ...]
    checks: tuple[Callable[[Value], bool], ...]


def _shape(message: type[Any]) -> _Shape:
    annotations: Mapping[str, Any] = message.__annotations__
    checks = tuple(_CHECKS[each.__forward_arg__] for each in annotations.values())  # NamedTuple keeps each as a ForwardRef
    return _Shape(message, tuple(annotations), checks)


_SHAPES: Mapping[int, _Shape] = {type_: _shape(message) for message, type_ in NUMBERS.items() if message is not Ack}


def check(type_: int, fields: list[Value]) -> Message | str:
    """The message that these fields are, or what is wrong with them. Missing fields are nil, further ones are ignored."""
    if type_ == 0x05:
        return _ack(fields)
    message, names, checks = _SHAPES[type_]
    count = len(names)
    if len(fields) != count:
        fields = fields[:count] + [None] * (count - len(fields))
    for fits, field, name in zip(checks, fields, names, strict=True):
        if not fits(field):
            return f"{CATALOGUE[type_].name}: the field {name!r} cannot be a {type(field).__name__} like this"
    return message(*fields)  # type: ignore[no-any-return]


def _ack(fields: list[Value]) -> Ack | str:
    for number in fields:
        if type(number) is not int or not 0 <= number <= MAX_UINT:
            fields = []
            break
    if not fields or len(fields) % 2:
        return "ACK: expected pairs of alias and sequence number"
    return Ack(tuple(zip(fields[::2], fields[1::2], strict=True)))
