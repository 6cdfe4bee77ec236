"""Records: the durable entries of a run's logs, and their bytes.

The journal stores these bytes and the link sends them unchanged: a record is encoded once. A log belongs to one run and one writer; its
sequence numbers are gap-free from 1. The *tail* of a record is the concatenated msgpack of its fields, the bytes that follow `seq` on the
wire; `chk` chains a CRC-32 over (type byte, tail) of all records of the log (docs/protocol.md §5, §10).

Each record type is a class whose fields stand in wire order. `encode` gives an `Encoded`, `decode` a record again; a type that this version does
not know decodes to `Unknown` with its bytes kept. Fields that a newer peer appended are ignored when read and kept in the bytes; fields
left out at the end are nil. Both directions check the type of every field, so that neither a bug here nor a hostile peer makes a record that
fails later, somewhere else.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import msgpack

from graphs.errors import ValueUnsupported
from graphs.packing import PLAIN, is_flat, pack, pack_small, packs_as_it_is
from graphs.paths import MAX_PATH
from graphs.record_fields import MAX_UINT, RULES, check, depth, types_of
from graphs.record_shortcuts import flat_reader, reader, writer
from graphs.states import EndStatus, State
from graphs.values import EXT_UNDEFINED, MAX_DEPTH, MISSING, Value, canonical

__all__ = [
    "MAX_UINT",
    "RECORDS",
    "TYPE_BYTES",
    "Answer",
    "Cancel",
    "Close",
    "Encoded",
    "End",
    "EndStatus",
    "Error",
    "Event",
    "Frame",
    "Handover",
    "Input",
    "Known",
    "Plain",
    "Record",
    "Result",
    "Start",
    "State",
    "Submit",
    "Unknown",
    "Writers",
    "chain",
    "decode",
    "depth",
    "encode",
    "encode_plain",
    "encode_result",
    "ext",
    "flat_readers",
    "from_fields",
    "is_flat",
    "is_untold",
    "plain_writers",
    "to_fields",
    "used_up",
]


if TYPE_CHECKING:
    from dataclasses import dataclass as _record
else:

    def _record(**_options: bool) -> Callable[[type], type]:
        """Frozen to the type checker only: at run time a frozen class takes five times as long to make, and there is one for each record."""
        return dataclass(slots=True, unsafe_hash=True)


@_record(frozen=True, slots=True)
class Submit:
    """Opens the run and its first frame; seq is always 1. `graph` is the 32-byte hash of the graph or cut graph."""

    TYPE: ClassVar[int] = 0x20
    frame: str
    graph: bytes
    inputs: Mapping[str, Value]
    opts: Mapping[str, Value]


@_record(frozen=True, slots=True)
class Input:
    """The outcome of a node that the cut names: state COMPLETED or INJECTED; `value` MISSING means completed without a value."""

    TYPE: ClassVar[int] = 0x21
    path: str
    state: int
    value: Value = MISSING


@_record(frozen=True, slots=True)
class Cancel:
    """Cancels these paths, or the run (None)."""

    TYPE: ClassVar[int] = 0x22
    paths: Sequence[str] | None
    why: str


@_record(frozen=True, slots=True)
class Start:
    """Starts an on-demand node."""

    TYPE: ClassVar[int] = 0x23
    path: str
    at: int


@_record(frozen=True, slots=True)
class Close:
    """No further INPUT or START for that frame and those inside it; None: for all, and no further FRAME either."""

    TYPE: ClassVar[int] = 0x24
    frame: str | None = None


@_record(frozen=True, slots=True)
class Frame:
    """Opens a further frame."""

    TYPE: ClassVar[int] = 0x25
    frame: str
    graph: bytes
    inputs: Mapping[str, Value]
    opts: Mapping[str, Value]


@_record(frozen=True, slots=True)
class Answer:
    """A person's answer, as a request to the holder. `labels` are those of what the person was asked about."""

    TYPE: ClassVar[int] = 0x26
    path: str
    at: int
    value: Value
    labels: Sequence[str] | None = None


@_record(frozen=True, slots=True)
class Handover:
    """The holder's last executing record: store `to` (8 bytes) holds the run from `epoch` on."""

    TYPE: ClassVar[int] = 0x27
    to: bytes
    epoch: int


@_record(frozen=True, slots=True)
class Event:
    """Executing (of nodes with effects and streaming ones), suspended (the run, path None), skipped (anyInput nodes only), aborted (an attempt that
    was stopped and had used tokens: `info.usage`). `t`: ms since 1970.
    """

    TYPE: ClassVar[int] = 0x30
    path: str | None
    at: int
    state: int
    t: int
    info: Mapping[str, Value] | None = None


@_record(frozen=True, slots=True)
class Result:
    """A node completed. `by`: model, digest, backend, agent, version, ...; `usage`: tokens and milliseconds. `t`: ms since 1970."""

    TYPE: ClassVar[int] = 0x31
    path: str
    at: int
    retry: int
    value: Value
    t: int
    by: Mapping[str, Value]
    usage: Mapping[str, Value] | None = None


@_record(frozen=True, slots=True)
class Error:
    """An attempt failed; `final` when the node will not be tried again here. `path` None is the run itself."""

    TYPE: ClassVar[int] = 0x33
    path: str | None
    at: int
    retry: int
    code: str
    text: Value
    final: bool
    retryable: bool
    retry_ms: int | None = None
    detail: Value = None


@_record(frozen=True, slots=True)
class End:
    """The executor's last record. `summary`: tokens, cost, ms."""

    TYPE: ClassVar[int] = 0x34
    status: int
    t: int
    summary: Mapping[str, Value]


@_record(frozen=True, slots=True)
class Unknown:
    """A record of a type this version does not know: kept byte-identical, shown as unknown."""

    type: int
    tail: bytes


def used_up(record: Record) -> Mapping[str, Value] | None:
    """What the attempt used up that a record tells the end of without a result: tokens, `ms`, and the `model`. None if nobody knows, or it is another
    record.
    """
    used = _told_used(record)
    return used if isinstance(used, Mapping) else None


def is_untold(record: Record) -> bool:
    """Whether a record names what the attempt used that it tells the end of, and the counts themselves are not here."""
    used = record.usage if isinstance(record, Result) else _told_used(record)
    counts = [used.get("prompt_tokens"), used.get("completion_tokens")] if isinstance(used, Mapping) else [used]
    return any(isinstance(each, msgpack.ExtType) for each in counts)


def _told_used(record: Record) -> Value:
    told: Value = None
    if isinstance(record, Error):
        told = record.detail
    elif isinstance(record, Event) and record.state == State.ABORTED:
        told = record.info
    return told.get("usage") if isinstance(told, Mapping) else None


Known: TypeAlias = Submit | Input | Cancel | Start | Close | Frame | Answer | Handover | Event | Result | Error | End
Record: TypeAlias = Known | Unknown

_CLASSES: tuple[Any, ...] = (Submit, Input, Cancel, Start, Close, Frame, Answer, Handover, Event, Result, Error, End)
RECORDS: Mapping[int, Any] = {each.TYPE: each for each in _CLASSES}
_FIELD_TYPES = {each.TYPE: types_of([str(field.type) for field in fields(each)]) for each in _CLASSES}
_COUNT = {each.TYPE: len(fields(each)) for each in _CLASSES}
_READ: Mapping[int, Callable[[Any], Any]] = {each.TYPE: attrgetter(*(field.name for field in fields(each))) for each in _CLASSES}


class Encoded(NamedTuple):
    """A record as it is stored and sent."""

    type: int
    fields: int
    """How many msgpack objects the tail holds."""
    tail: bytes


Plain: TypeAlias = tuple[int, int, bytes]
"""The same without its names, where many are made: an `Encoded` takes ten times as long to make as a tuple."""
Writers: TypeAlias = Mapping[type, Callable[[Any], "Plain | None"]]
"""By class of record: what gives the bytes of one, or None for one that `encode_plain` would not write."""


def encode(record: Record) -> Encoded:
    """The bytes of a record; nil fields at the end are left out.

    Raises ValueUnsupported if a value in it is not data, or a field is not of the field's type.
    """
    if (plain := encode_plain(record)) is not None:
        return plain
    if isinstance(record, Unknown):
        return Encoded(record.type, len(_split(record.tail)), record.tail)
    items = to_fields(record)
    _check(record.TYPE, items)
    while items and items[-1] is None:
        items.pop()
    count = len(items)
    try:
        packed = pack(items) if packs_as_it_is(items, 0) else canonical(items)
    except (OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise ValueUnsupported(str(error)) from error
    return Encoded(record.TYPE, count, packed[1:])  # the header of an array of at most 15 entries is one byte


_new_tuple = tuple.__new__  # a named tuple's own __new__ is a function in Python


def encode_plain(record: Record) -> Encoded | None:
    """As `encode`, for a record whose values are text, numbers, or flat maps of them: None if it is another, or something is wrong with it."""
    write = _WRITERS.get(record.__class__)
    plain = write(record) if write is not None else None
    return _new_tuple(Encoded, plain) if plain is not None else None


def encode_result(
    path: str, at: int, retry: int, packed: bytes, t: int, by: Mapping[str, Value], usage: Mapping[str, Value] | None
) -> Encoded | None:
    """The bytes of a Result whose value is `packed` and whose other fields are as they must be, `by` and `usage` flat (graphs.packing).

    None if its path must be looked at closer. Raises OverflowError or UnicodeEncodeError for what msgpack cannot say.
    """
    if not (path.isascii() and 0 < len(path) <= MAX_PATH):
        return None
    # Both headers, of arrays of three, are one byte: what is left are the fields.
    tail = pack_small((path, at, retry))[1:] + packed + pack_small((t, by, usage))[1:]
    return _new_tuple(Encoded, (Result.TYPE, 7, tail))


def to_fields(record: Known) -> list[Value]:
    """The fields of a record in wire order."""
    type_ = record.TYPE
    items = _READ[type_](record)
    return list(items) if _COUNT[type_] > 1 else [items]


def _check(type_: int, items: Sequence[Value]) -> None:
    if problem := check(_FIELD_TYPES[type_], RULES.get(type_), items):
        raise ValueUnsupported(f"not a {RECORDS[type_].__name__.upper()} record: {problem}")


def decode(type_: int, tail: bytes, count: int | None = None) -> Record:
    """The record whose bytes are `tail`; who knows that it has `count` fields gets it sooner. Raises ValueUnsupported if they are not a record of
    that type.
    """
    if type_ not in RECORDS:
        return Unknown(type_, tail)
    if count is not None and (record := _usual(type_, tail, count)) is not None:
        return record
    items = _split(tail)
    if depth(items, MAX_DEPTH) > MAX_DEPTH:
        raise ValueUnsupported(f"a record nested deeper than {MAX_DEPTH} levels")
    return from_fields(type_, items, tail)


def from_fields(type_: int, items: list[Value], tail: bytes) -> Record:
    """The record whose decoded fields are `items` (and whose bytes are `tail`).

    Raises ValueUnsupported if a field is missing or is not of its type. Fields beyond the known ones are ignored.
    """
    known = RECORDS.get(type_)
    if known is None:
        return Unknown(type_, tail)
    count, read = _COUNT[type_], _READERS.get(type_)
    if read is not None and len(items) <= count and (record := read(*items)) is not None:
        return record  # type: ignore[no-any-return]
    if len(items) != count:
        items = items[:count] + [None] * (count - len(items))
    _check(type_, items)
    return known(*items)  # type: ignore[no-any-return]


def chain(chk: int, type_: int, tail: bytes) -> int:
    """The log's checksum after this record, given the one before it (0 for an empty log)."""
    return zlib.crc32(tail, zlib.crc32(TYPE_BYTES[type_], chk))


TYPE_BYTES = tuple(bytes((each,)) for each in range(256))
"""For who has no time to call `chain`."""


def ext(code: int, data: bytes) -> Value:
    """What an extension of msgpack means inside a value: `MISSING`, or itself."""
    return MISSING if code == EXT_UNDEFINED and not data else msgpack.ExtType(code, data)


def _usual(type_: int, tail: bytes, count: int) -> Record | None:
    """The record, if it is one of those of which there are many, with nothing deep in it."""
    read = _flat_readers().get(type_)
    if read is None or not 0 < count < len(_ARRAYS):
        return None
    try:
        items = msgpack.unpackb(_ARRAYS[count] + tail, strict_map_key=True, ext_hook=ext)
    except Exception:  # noqa: BLE001 - msgpack raises many kinds; the long way says what is wrong
        return None
    return read(items)  # type: ignore[no-any-return]


_ARRAYS = tuple(bytes((0x90 + each,)) for each in range(16))
"""The headers of msgpack's short arrays."""


@cache
def _flat_readers() -> Mapping[int, Callable[[Sequence[Any]], Any]]:
    return flat_readers(0)


def _split(tail: bytes) -> list[Value]:
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(tail), 1), strict_map_key=True, ext_hook=ext)
    unpacker.feed(tail)
    items = []
    try:
        while unpacker.tell() < len(tail):
            items.append(unpacker.unpack())
    except Exception as error:  # msgpack raises many kinds; all mean the same here
        raise ValueUnsupported(f"not the fields of a record: {error}") from error
    return items


# -- shortcuts, for the types whose fields need no further rule than a path's

_INTS = frozenset({int, State, EndStatus})
_USUAL = {each: {field.name: str(field.type) for field in fields(each)} for each in (Input, Start, Event, Result, Error, End)}
_WRITERS: Writers = {each: writer(each.TYPE, names, PLAIN, _INTS, pack) for each, names in _USUAL.items()}
_READERS: Mapping[int, Callable[..., Any]] = {each.TYPE: reader(each, names) for each, names in _USUAL.items()}


def plain_writers(types: Collection[int]) -> Writers:
    """Those of the records of these types; classes of which few are plain have none."""
    return {each: write for each, write in _WRITERS.items() if each.TYPE in types}  # type: ignore[attr-defined]


def flat_readers(before: int) -> Mapping[int, Callable[[Sequence[Any]], Any]]:
    """By type of record: a function that makes the record whose fields follow `before` other items, or None if it is not a usual one with nothing
    deep in it. Then look closer: `from_fields`.
    """
    return {each.TYPE: flat_reader(each, names, before) for each, names in _USUAL.items()}
