"""Payloads: which values of a record travel inside it, and which as bodies of their own, by reference. Pure.

`lighten` is the one place where a value is replaced by its reference, `resolve` the one where a reference becomes the value again
(docs/protocol.md §12). A reference names a body by its hash, or by a handle where the value carries labels: a hash of a short private text is a
dictionary away from the text.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgpack

from graphs.errors import LinkCondition, ValueUnsupported
from graphs.records import Encoded, Known, Record, Unknown, depth, encode, is_flat, to_fields
from graphs.values import EXT_BLOBREF, EXT_HANDLE, MISSING, Value, canonical, decode, digest
from protocol.codec import MAX_RECORD, Excess, excess, longest
from protocol.messages import Hash, Ref, is_uint

__all__ = [
    "MAX_BODY",
    "Body",
    "Labelled",
    "Reference",
    "blobref",
    "every_label",
    "handle",
    "handle_id",
    "lighten",
    "reference",
    "references",
    "references_in",
    "resolve",
]

MAX_BODY: Final = 1 << 30
"""Bytes of one body."""

_Place: TypeAlias = tuple[Any, ...]
"""Where a value stands in a record's fields: the field, and keys inside it."""

_MOST_LEVELS: Final = 1 << 16
_NEVER: Final = frozenset({"labels"})
"""Entries of an EVENT's `info` that the link itself reads."""
_OPEN: Final = frozenset(
    {"retry", "effect", "agent", "version", "model", "digest", "backend", "degraded", "answer", "alt", "from", "ms"}
)
"""Entries of a record's maps that say nothing of its values, and are told of labelled ones too."""

Labelled: TypeAlias = Collection[str] | Mapping[str, Collection[str]]
"""The labels of the values in a record; of SUBMIT and FRAME, they may be given by the names of their inputs."""


class Reference(NamedTuple):
    """What stands in a record for a body. `labels` are a handle's; a blob has none."""

    ref: Ref
    size: int
    labels: tuple[str, ...] = ()

    @property
    def is_handle(self) -> bool:
        """Whether the name says nothing of what is in it."""
        return len(self.ref) == 16


class Body(NamedTuple):
    """A value's canonical bytes under their name; `crc` is CRC-32 of the whole."""

    ref: Ref
    data: bytes
    labels: tuple[str, ...]
    crc: int


def blobref(h: Hash, size: int) -> msgpack.ExtType:
    """The reference to a body by its hash."""
    return msgpack.ExtType(EXT_BLOBREF, canonical([h, size]))


def handle(ref: Ref, labels: Collection[str], size: int) -> msgpack.ExtType:
    """The reference to a body with labels."""
    return msgpack.ExtType(EXT_HANDLE, canonical([ref, sorted(labels), size]))


def handle_id(run: bytes, writer: bytes, seq: int, number: int) -> Ref:
    """The id of the `number`-th handle in a record: the same however often it is made, and nothing to do with what is in it."""
    return digest(b"graphferry.handle.1\n" + run + writer + seq.to_bytes(8, "big") + number.to_bytes(4, "big"))[:16]


def reference(item: Value) -> Reference | None:
    """What an extension refers to; None if it is no reference, or none that can be read."""
    if type(item) is not msgpack.ExtType or item.code not in (EXT_BLOBREF, EXT_HANDLE):
        return None
    try:
        fields = decode(item.data)
        if item.code == EXT_BLOBREF:
            ref, size, labels = fields[0], fields[1], tuple[str, ...]()
        else:
            ref, labels, size = fields[0], tuple(fields[1]), fields[2]
    except (ValueUnsupported, TypeError, IndexError, KeyError):
        return None
    fits = type(ref) is bytes and len(ref) == (32 if item.code == EXT_BLOBREF else 16)
    if not fits or not is_uint(size) or not all(type(label) is str for label in labels):
        return None
    return Reference(ref, size, labels)


# -- sending


def every_label(labels: Labelled) -> Collection[str]:
    """All labels of the values in a record."""
    return frozenset[str]().union(*labels.values()) if isinstance(labels, Mapping) else labels


def lighten(
    record: Known, encoded: Encoded, labels: Labelled, name_handle: Callable[[int], Ref], *, inline: bool = False
) -> tuple[Known, Encoded, tuple[Body, ...]]:
    """The record as it travels: its values inside as far as the limits allow, the others by reference, with their bodies.

    `labels` are those of the values in it: what has any is named by a handle, `name_handle(n)`, and never inside the record, unless it may be
    `inline`. Raises LinkCondition VALUE_TOO_LARGE if it still cannot travel, or a body is larger than any may be.
    """
    fields = to_fields(record)
    size = len(encoded.tail)
    problem = excess(fields, size)
    if problem is None and (inline or not labels):
        return record, encoded, ()
    places = list(_places(record.TYPE, fields))
    bodies: list[Body] = []
    if labels and not inline:
        secret = [place for place in places if _is_secret(record.TYPE, place, _labels_at(labels, place), _at(fields, place))]
        for place in secret:
            places.remove(place)
            bodies.append(_replaced(record, fields, place, _labels_at(labels, place), name_handle(len(bodies))))
        record = type(record)(*fields)
        encoded = encode(record)
        size = len(encoded.tail)
        problem = excess(fields, size)
    while problem is not None:
        weights = [_WEIGH[problem](_at(fields, place)) for place in places]
        heaviest = max(range(len(places)), key=weights.__getitem__, default=None)
        if heaviest is None or (problem is Excess.SIZE and weights[heaviest] <= _REFERENCE):
            raise _too_large(record, problem, size)
        place = places.pop(heaviest)
        bodies.append(_replaced(record, fields, place, _labels_at(labels, place), name_handle(len(bodies))))
        record = type(record)(*fields)
        encoded = encode(record)
        size = len(encoded.tail)
        problem = excess(fields, size)
    return record, encoded, tuple(bodies)


def _labels_at(labels: Labelled, place: _Place) -> Collection[str]:
    """The labels of the value at a place; of an order's other parts than its inputs, all."""
    if not isinstance(labels, Mapping):
        return labels
    return labels.get(place[1], ()) if place[0] == _INPUTS else every_label(labels)


def _is_secret(type_: int, place: _Place, labels: Collection[str], value: Value) -> bool:
    """Whether a value may not stand in a record: one with labels that says anything."""
    if not labels or value is None or value is MISSING or type(value) is msgpack.ExtType:
        return False
    if type_ in _ORDERS:
        return bool(place[0] == _INPUTS)
    return len(place) == 1 or place[-1] not in _OPEN


def _replaced(record: Known, fields: list[Value], place: _Place, labels: Collection[str], ref: Ref) -> Body:
    """Put a reference in the place of a value; its body."""
    body, stand_in = _body(_at(fields, place), labels, ref)
    if len(body.data) > MAX_BODY:
        raise _too_large(record, Excess.SIZE, len(body.data))
    _put(fields, place, stand_in)
    return body


_INPUTS: Final = 2
_ORDERS: Final = (0x20, 0x25)
"""SUBMIT and FRAME, and which of their fields has the inputs."""

_REFERENCE: Final = 256
"""Bytes below which a reference is no gain."""

_WEIGH: Mapping[Excess, Callable[[Value], int]] = {
    Excess.SIZE: lambda value: len(canonical(value)),
    Excess.DEPTH: lambda value: depth([value], _MOST_LEVELS),
    Excess.ITEMS: lambda value: longest([value], MAX_RECORD + 1),
}


def _body(value: Value, labels: Collection[str], ref: Ref) -> tuple[Body, msgpack.ExtType]:
    data = canonical(value)
    crc = zlib.crc32(data)
    if labels:
        return Body(ref, data, tuple(sorted(labels)), crc), handle(ref, labels, len(data))
    h = digest(data)
    return Body(h, data, (), crc), blobref(h, len(data))


def _too_large(record: Known, problem: Excess, size: int) -> LinkCondition:
    name = f"The {type(record).__name__.upper()} of {getattr(record, 'path', None) or 'the run'!r}"
    return LinkCondition(
        "VALUE_TOO_LARGE",
        f"{name} has {size:,} bytes and too many {problem.value}, spread over too many values: it cannot be sent to the worker.",
        retryable=False,
        hint="Run this node on the device (`place: edge`), or pass on less: `output`, a filter, a summary.",
    )


def _places(type_: int, fields: Sequence[Value]) -> Iterator[_Place]:
    """Where the record has values that may travel by reference."""
    for index in _VALUES.get(type_, ()):
        yield (index,)
    for index in _MAPS.get(type_, ()):
        for key in fields[index] or ():
            if key not in _NEVER:
                yield index, key
    if type_ in _ORDERS:
        for node in fields[_INPUTS]:
            yield _INPUTS, node, 1
        for key in fields[3].get("options") or ():
            yield 3, "options", key


_VALUES: Mapping[int, Sequence[int]] = {0x21: (2,), 0x26: (2,), 0x31: (3,), 0x33: (4, 8)}
_MAPS: Mapping[int, Sequence[int]] = {0x30: (4,), 0x31: (5, 6), 0x34: (2,)}


def _at(item: Any, place: _Place) -> Value:
    for key in place:
        item = item[key]
    return item


def _put(fields: list[Value], place: _Place, value: Value) -> None:
    """Put a value in its place, copying what is around it: a record's maps may be anybody's."""
    item: Any = fields
    for key in place[:-1]:
        inner = item[key]
        item[key] = inner = dict(inner) if isinstance(inner, Mapping) else list(inner)
        item = inner
    item[place[-1]] = value


# -- receiving

_HOLDERS: Final = frozenset({dict, list, msgpack.ExtType})


def references(record: Record) -> list[Reference]:
    """The bodies that a record refers to, each once, at whatever depth."""
    if isinstance(record, Unknown):
        return []
    # Nearly all records have none, and a run that goes on asks of every one: plain fields are passed over at once.
    fields = [each for each in to_fields(record) if each.__class__ in _HOLDERS and not is_flat(each)]
    return references_in(fields) if fields else []


def references_in(value: Value) -> list[Reference]:
    """The bodies that a value refers to, each once, at whatever depth."""
    found: dict[Reference, None] = {}
    stack: list[Value] = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is dict:
            stack.extend(item.values())
        elif kind is list:
            stack.extend(item)
        elif kind is msgpack.ExtType and (named := reference(item)) is not None:
            found[named] = None
    return list(found)


def resolve(record: Record, values: Mapping[Ref, Value]) -> Record:
    """The record with these values where their references stood."""
    if isinstance(record, Unknown) or not values:
        return record
    return type(record)(*(_resolved(field, values) for field in to_fields(record)))


def _resolved(item: Value, values: Mapping[Ref, Value]) -> Value:
    kind = type(item)
    if kind is dict:
        return {key: _resolved(each, values) for key, each in item.items()}
    if kind is list:
        return [_resolved(each, values) for each in item]
    if kind is msgpack.ExtType and (named := reference(item)) is not None and named.ref in values:
        return values[named.ref]
    return item
