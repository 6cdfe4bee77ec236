"""The codec's vectors: every type, long forms, limits on both sides (docs/protocol.md §21)."""

from __future__ import annotations

import math
from typing import Any

import msgpack

from protocol.replay import split
from protocol.tagged import tag

__all__ = ["join", "vectors"]


def join(envelopes: list[Any]) -> bytes:
    """A packet of these envelopes."""
    return b"".join(msgpack.packb(envelope) for envelope in envelopes)


RUN, WRITER, HASH = bytes(range(16)), b"worker-1", bytes(range(32))
OPTS = {"parent": [RUN, 1], "begun": {"a": 1}, "demand": ["a"], "gone": ["cancel", 30_000], "budget_ms": 5_000}

GOOD: dict[str, list[Any]] = {
    "HELLO": [
        1,
        {"v": [1, 1], "caps": [], "agent": "x/1", "device": RUN, "store": b"device-1", "conn": 7, "limits": {}, "logs": []},
    ],
    "HELLO, resuming": [
        1,
        {"v": [1, 1], "device": RUN, "store": b"device-1", "conn": 8, "logs": [[RUN, WRITER, 3, 123, [[3, 2]]]]},
    ],
    "WELCOME": [2, {"v": 1, "caps": [], "store": WRITER, "hb_ms": 15_000, "limits": {}, "logs": [], "offer": {"queue": 4}}],
    "WELCOME, a later session has the run": [
        2,
        {"v": 1, "caps": [], "store": WRITER, "hb_ms": 15_000, "limits": {}, "logs": [[RUN, WRITER, 0, 0, 4]], "offer": {}},
    ],
    "PING": [3, 1, 123_456],
    "PONG": [4, 1, 123_456, 99],
    "ACK": [5, 1, 3],
    "ACK of several logs": [5, 1, 3, 200, 70_000],
    "LOG": [6, 1, RUN, WRITER, 4],
    "LOG of a run that is copied": [6, 2, RUN, WRITER, 1, {"name": "trip.yaml"}],
    "DIGEST": [68, 1, False, [[RUN, WRITER, 3, 123], [RUN, b"worker-2", 1, 7]], True],
    "DIGEST, the answer": [68, 1, True, [[RUN, WRITER, 0, 0], [RUN, b"worker-2", 1, 8, 3]], False],
    "GOAWAY": [7, "restart", 5_000, 30_000],
    "FAULT": [8, "GAP", "record 5 came after record 3", True],
    "FAULT about a log": [8, "BUSY", "no free places", False, 1, 1_000],
    "FAULT about a run that another session took": [8, "RUN_TAKEN", "another process goes on with it", False, [RUN, WRITER]],
    "OFFER": [10, {"agents": {"echo": "1"}, "models": {"large": {"context": 4096, "usd_in": 0.5}}, "queue": 3, "slots": 4}],
    "PUT_GRAPH": [16, HASH, 0, b"\x81\xa5nodes\x80", 8],
    "GRAPH_STATE": [17, HASH, 0],
    "GRAPH_STATE with problems": [17, HASH, 2, [["nodes.a", "AGENT_UNKNOWN", "no such agent"]]],
    "PUT_GRAPH by reference": [16, HASH, 1, msgpack.ExtType(1, msgpack.packb([HASH, 400_000])), 900_000],
    "BLOB_NEED": [19, [[HASH, 262_144, 262_144], [RUN, 0, 70_000]]],
    "BLOB_CHUNK": [20, HASH, 65_536, 65_541, b"bytes"],
    "BLOB_CHUNK, the last one of a handle": [20, RUN, 65_536, 65_541, b"bytes", 0xCAFEBABE],
    "BLOB_STATE": [21, HASH, 3, 0],
    "SUBMIT": [32, 1, 1, "", HASH, {"topic": [9, "sea"]}, OPTS],
    "INPUT": [33, 1, 2, "outline", 4, {"text": "x", "score": 0.5}],
    "INPUT without a value": [33, 1, 2, "outline", 4, msgpack.ExtType(5, b"")],
    "INPUT by reference": [33, 1, 2, "outline", 4, msgpack.ExtType(1, msgpack.packb([HASH, 70_000]))],
    "INPUT by handle": [33, 1, 2, "outline", 4, msgpack.ExtType(7, msgpack.packb([RUN, ["pii"], 70_000]))],
    "INPUT of null": [33, 1, 2, "outline", 9],
    "CANCEL of the run": [34, 1, 3, None, "user"],
    "CANCEL of paths": [34, 1, 3, ["a", "b#2"], "deadline"],
    "START": [35, 1, 4, "rows[3]/llm", 1],
    "CLOSE of all": [36, 1, 5],
    "CLOSE of a frame": [36, 1, 5, "#2"],
    "FRAME": [37, 1, 6, "#2", HASH, {}, {"demand": True}],
    "ANSWER": [38, 1, 7, "ask", 1, "yes"],
    "HANDOVER": [39, 1, 8, b"device-2", 2],
    "EVENT executing": [48, 1, 1, "final", 1, 2, 1_700_000_000_000, {"retry": 0}],
    "EVENT suspended": [48, 1, 2, None, 0, 10, 1_700_000_000_000, {"why": "QUOTA"}],
    "RESULT": [
        49,
        1,
        3,
        "final",
        1,
        0,
        {"text": "hi", "$odd": [1, -1, True, None, b"\x00"]},
        1_700_000_000_000,
        {"model": "large"},
        {"out": 3},
    ],
    "RESULT, numbers": [49, 1, 3, "n", 1, 0, [2**53 - 1, 2**63, 2**64 - 1, -(2**63), 1.5, 1e300, math.inf], 5, {}],
    "RESULT, unknown extension": [49, 1, 3, "n", 1, 0, msgpack.ExtType(42, b"later"), 5, {}],
    "ERROR": [51, 1, 4, "final", 1, 0, "NODE_FAILED", "it broke", True, False],
    "ERROR of the run": [51, 1, 4, None, 0, 0, "GRAPH_MISSING", "no graph", False, True, 500, {"h": HASH}],
    "END": [52, 1, 5, 0, 1_700_000_000_000, {"tokens": 33}],
    "a record of an unknown type": [54, 1, 5, "later", 7],
    "DELTA": [56, 1, 3, 0, ["The", " tide"]],
    "DELTA, merged": [56, 1, 3, 2, [" rises and falls"], 3],
    "STATE": [57, 1, "chat#2", 1, 2, 1_700_000_000_000],
    "seq in two bytes": [36, 1, 300],
}

LOOSE: dict[str, str] = {
    "an integer of 64 bits as a field": "9303cf0000000000000001cf0000000000000002",
    "a long string header": "9608d90347415 0".replace(" ", "") + "a0c3c0c0",
    "numbers in long form": "dc000523cd0001cc07a16101",
    "further fields": "94030102a178",
    "nil at the end": "94240105c0",
    "two envelopes": "930301029404020304",
}

ANSWER = "96260101a16101"
"""The beginning of an ANSWER, up to its value."""

BAD: dict[str, tuple[str, str]] = {
    "empty packet": ("", "PROTOCOL_DECODE"),
    "no array": ("01", "PROTOCOL_DECODE"),
    "empty array": ("90", "PROTOCOL_DECODE"),
    "never used byte": ("c1", "PROTOCOL_DECODE"),
    "cut off": ("930301", "PROTOCOL_DECODE"),
    "type in two bytes": ("93cc030102", "PROTOCOL_DECODE"),
    "negative type": ("91ff", "PROTOCOL_DECODE"),
    "bad UTF-8": ("9208a2ffff", "PROTOCOL_DECODE"),
    "key that is a number": ("92018101c0", "PROTOCOL_DECODE"),
    "key that is bytes": ("920a81c4016bc0", "PROTOCOL_DECODE"),
    "PING without its time": ("920301", "PROTOCOL_DECODE"),
    "ACK of half a pair": ("920501", "PROTOCOL_DECODE"),
    "LOG with a short run id": (join([[6, 1, RUN[:15], WRITER, 1]]).hex(), "PROTOCOL_DECODE"),
    "SUBMIT with a short hash": (join([[32, 1, 1, "", HASH[:31], {}, {}]]).hex(), "PROTOCOL_DECODE"),
    "INPUT without a path": (join([[33, 1, 2, "", 4, 1]]).hex(), "PROTOCOL_DECODE"),
    "INPUT with a long path": (join([[33, 1, 2, "x" * 513, 4, 1]]).hex(), "PROTOCOL_DECODE"),
    "number beyond 2^53-1": (join([[35, 1, 4, "a", 2**53]]).hex(), "PROTOCOL_DECODE"),
    "extension as a field": (join([[3, 1, msgpack.ExtType(42, b"")]]).hex(), "PROTOCOL_DECODE"),
    "value too deep": (ANSWER + "91" * 35 + "c0", "LIMIT_DEPTH"),
    "control too deep": ("920a" + "81a161" * 9 + "c0", "LIMIT_DEPTH"),
    "list too long": (ANSWER + msgpack.packb([0] * 4097).hex(), "LIMIT_ITEMS"),
}

JUST_GOOD: dict[str, str] = {
    "value just not too deep": ANSWER + "91" * 34 + "c0",
    "control just not too deep": "920a" + "81a161" * 8 + "c0",
    "list just not too long": ANSWER + msgpack.packb([0] * 4096).hex(),
    "INPUT with the longest path": join([[33, 1, 2, "x" * 512, 4, 1]]).hex(),
}


def line(name: str, packet: bytes, *, canonical: bool, error: str | None = None) -> dict[str, Any]:
    """One vector."""
    value = tag(split(packet)) if error is None else None
    return {"name": name, "kind": "codec", "hex": packet.hex(), "value": value, "canonical": canonical, "error": error}


def vectors() -> list[dict[str, Any]]:
    """All of them, in the order of the file."""
    return [
        *(line(name, join([envelope]), canonical=True) for name, envelope in GOOD.items()),
        *(line(name, bytes.fromhex(text), canonical=True) for name, text in JUST_GOOD.items()),
        *(line(name, bytes.fromhex(text), canonical=False) for name, text in LOOSE.items()),
        *(line(name, bytes.fromhex(text), canonical=False, error=code) for name, (text, code) in BAD.items()),
    ]
