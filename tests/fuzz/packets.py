"""What a hostile peer sends: bytes of all kinds, valid packets with something wrong in them, envelopes that are nearly right, and bombs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import msgpack
from hypothesis import strategies as st

from edge.commands.vectors import recorded
from graphs.values import digest
from wire.pair import DEVICE_ID, GRAPH, GRAPH_HASH, STORES, run_id

__all__ = ["BOMBS", "VALID", "envelopes", "hostile_packets", "pack"]

VALID = [bytes.fromhex(each["hex"]) for each in recorded("codec") if each["error"] is None and len(each["hex"]) < 4_000]
REFUSED = [bytes.fromhex(each["hex"]) for each in recorded("codec") if each["error"] is not None and len(each["hex"]) < 4_000]

FIELDS: Mapping[int, str] = {
    0x01: "H", 0x02: "W", 0x03: "uu", 0x04: "uuu", 0x05: "auauau", 0x06: "uiwu", 0x07: "suu", 0x08: "csbvu", 0x0A: "m",
    0x10: "huBu", 0x11: "hul", 0x13: "l", 0x14: "huuBu", 0x15: "huu", 0x44: "ubll",
    0x20: "auphmm", 0x21: "aupuv", 0x22: "aulp", 0x23: "aupu", 0x24: "aup", 0x25: "auphmm", 0x26: "aupuv", 0x27: "auwu",
    0x30: "aupuuum", 0x31: "aupuuvumm", 0x33: "aupuucvbbuv", 0x34: "auuum", 0x36: "auv", 0x38: "auulu", 0x39: "apuuu", 0x60: "v",
}  # fmt: skip
"""The fields of each type: a alias, u number, i run, w store, h hash, p path, s text, c code, b flag, B bytes, l list, m map, v anything."""

NUMBERS = st.sampled_from([0, 1, 1, 2, 2, 3, 4, 5, 10, 127, 128, 65_536, 2**32, 2**53 - 1, 2**53, 2**64 - 1])
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.builds(msgpack.ExtType, st.sampled_from([0, 1, 5, 7, 42]), st.binary(max_size=8)),
    st.just(msgpack.Timestamp(5, 7)),
)
RUNS = st.sampled_from([run_id(1), run_id(2), run_id(77), bytes(16)])
WRITERS = st.sampled_from([*STORES.values(), b"third-st", bytes(8)])
KEYS = st.sampled_from(
    [
        "v",
        "caps",
        "device",
        "store",
        "conn",
        "limits",
        "logs",
        "offer",
        "hb_ms",
        "packet",
        "window",
        "window_bytes",
        "parent",
        "gone",
        "demand",
        "begun",
        "labels",
        "retry",
        "queue",
        "models",
        "a",
    ]
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
LIMITS = st.fixed_dictionaries({}, optional=dict.fromkeys(("packet", "window", "window_bytes"), NUMBERS))
STATEMENTS = st.lists(
    st.tuples(
        RUNS, WRITERS, NUMBERS, st.sampled_from([0, 1, 12_345]), st.sampled_from([0, 1, 2, 3, 4, None, [[1, 2]], [[1]]])
    ).map(list)
    | VALUES,
    max_size=5,
)
HELLOS: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"v": st.just([1, 1]) | VALUES, "device": st.just(DEVICE_ID) | VALUES, "store": WRITERS, "conn": NUMBERS, "logs": STATEMENTS},
    optional={"caps": VALUES, "limits": LIMITS | VALUES, "agent": VALUES},
)
WELCOMES: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"v": st.just(1) | VALUES, "store": WRITERS, "hb_ms": st.sampled_from([100, 15_000]) | NUMBERS, "logs": STATEMENTS},
    optional={"caps": VALUES, "limits": LIMITS | VALUES, "offer": VALUES},
)
BODIES = [(GRAPH_HASH, 0, GRAPH, len(GRAPH)), (GRAPH_HASH, 1, zlib.compress(GRAPH), len(GRAPH))]
LETTERS: Mapping[str, st.SearchStrategy[Any]] = {
    "a": st.sampled_from([1, 1, 1, 2, 3, 9]),
    "u": NUMBERS,
    "i": RUNS,
    "w": WRITERS,
    "h": st.sampled_from([GRAPH_HASH, bytes(32), digest(b"x")]),
    "p": st.sampled_from(["a", "final", "chat#2", "x" * 512, "x" * 513, "", None]),
    "s": st.text(max_size=20),
    "c": st.sampled_from(["BUSY", "DRAINING", "GAP", "RUN_DIVERGED", "STALE_CONN", "NODE_FAILED", "NO_SUCH_CODE", ""]),
    "b": st.booleans(),
    "B": st.binary(max_size=40) | st.just(GRAPH),
    "l": st.lists(VALUES, max_size=4),
    "m": st.dictionaries(KEYS, VALUES, max_size=4),
    "v": VALUES,
    "H": HELLOS,
    "W": WELCOMES,
}


def pack(*envelopes: list[Any]) -> bytes:
    """A packet of these envelopes."""
    return b"".join(msgpack.packb(each) for each in envelopes)


@st.composite
def envelopes(draw: st.DrawFn) -> list[Any]:
    """One that is nearly right: fields of a type, sometimes one of another kind, one too few or one too many."""
    type_ = draw(st.sampled_from(sorted(FIELDS)))
    if type_ == 0x10 and draw(st.booleans()):
        return [type_, *draw(st.sampled_from(BODIES))]
    fields = [draw(LETTERS[letter]) for letter in FIELDS[type_]]
    match draw(st.integers(0, 9)):
        case 0 if fields:
            fields[draw(st.integers(0, len(fields) - 1))] = draw(VALUES)
        case 1:
            fields = fields[:-1]
        case 2:
            fields.append(draw(VALUES))
    return [type_, *fields]


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A valid packet with bytes changed, cut out, put in twice, or a length that lies."""
    packet = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(packet) - 1)))
        match draw(st.integers(0, 4)):
            case 0:
                packet[at : at + 1] = bytes((draw(st.integers(0, 255)),))
            case 1:
                del packet[at : at + draw(st.integers(1, 8))]
            case 2:
                packet[at:at] = packet[at : at + draw(st.integers(1, 30))]
            case 3:
                head = draw(st.sampled_from([0xC6, 0xDB, 0xDD, 0xDF, 0xC9, 0xC5, 0xDA, 0xDC, 0xDE]))
                packet[at : at + 1] = bytes((head,)) + draw(
                    st.sampled_from([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00"])
                )
            case 4:
                del packet[at:]
    return bytes(packet)


hostile_packets: st.SearchStrategy[bytes] = st.one_of(
    st.lists(envelopes(), min_size=1, max_size=4).map(lambda each: pack(*each)),
    st.lists(envelopes(), min_size=1, max_size=4).map(lambda each: pack(*each)),
    _damaged(),
    st.binary(max_size=100),
    st.sampled_from(VALID + REFUSED),
)

_ROOM = 256 * 1024 - 64

BOMBS: Mapping[str, bytes] = {
    "empty maps": b"\xdd" + (4096).to_bytes(4, "big") + (b"\xdc\x00\x3e" + b"\x80" * 62) * 4032,
    "empty lists in records": b"\x96\x26\x01\x01\xa1a\xa1b\xdc\x0f\xff" + b"\x90" * 4095,
    "as many tiny lists as fit": b"\x92\x60" + b"\xdc\x10\x00" + b"\x9f" * 4096 + b"\x90" * (_ROOM - 4110),
    "nested lists": b"\x91" * _ROOM,
    "nested maps": b"\x81\xa0" * (_ROOM // 2),
    "a string of 4 GiB": b"\x92\x08\xdb\xff\xff\xff\xff" + b"a" * 100,
    "bytes of 4 GiB": b"\x92\x08\xc6\xff\xff\xff\xff",
    "a list of 4 G": b"\xdd\xff\xff\xff\xff",
    "a map of 4 G": b"\x92\x0a\xdf\xff\xff\xff\xff",
    "an extension of 4 GiB": b"\x92\x08\xc9\xff\xff\xff\xff\x01",
    "tiny envelopes": b"\x93\x03\x01\x01" * (_ROOM // 4),
    "tiny records": b"\x93\x24\x01\x01" * (_ROOM // 4),
    "a graph that inflates to a gigabyte": pack(
        [16, GRAPH_HASH, 1, zlib.compress(bytes(190_000_000), 9)[:190_000], 4 * 1024 * 1024]
    ),
    "floats": b"\x92\x60" + b"\xdc\x10\x00" + b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00" * 4096,
    "large integers": b"\x92\x60" + b"\xdc\x10\x00" + b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff" * 4096,
}
"""Packets within the size limit that try to become something large."""
