"""The catalogue: every type is listed once, spoken or not, and only well-formed fields become a message."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.records import RECORDS
from protocol.messages import (
    CATALOGUE,
    NUMBERS,
    Ack,
    Class,
    Delta,
    Direction,
    Entry,
    Fault,
    GraphState,
    Log,
    Ping,
    PutGraph,
    check,
    is_control_to_ignore,
    is_record,
)


def test_the_catalogue_is_the_documents() -> None:
    names = {kind.type: kind.name for kind in CATALOGUE.values()}
    assert names == {
        0x01: "HELLO", 0x02: "WELCOME", 0x03: "PING", 0x04: "PONG", 0x05: "ACK", 0x06: "LOG", 0x07: "GOAWAY", 0x08: "FAULT",
        0x0A: "OFFER", 0x10: "PUT_GRAPH", 0x11: "GRAPH_STATE", 0x13: "BLOB_NEED", 0x14: "BLOB_CHUNK", 0x15: "BLOB_STATE",
        0x20: "SUBMIT", 0x21: "INPUT", 0x22: "CANCEL", 0x23: "START", 0x24: "CLOSE", 0x25: "FRAME", 0x26: "ANSWER", 0x27: "HANDOVER",
        0x30: "EVENT", 0x31: "RESULT", 0x33: "ERROR", 0x34: "END", 0x38: "DELTA", 0x39: "STATE", 0x44: "DIGEST",
    }  # fmt: skip


def test_records_are_records_and_nothing_else_is() -> None:
    for kind in CATALOGUE.values():
        assert (kind.cls is Class.RECORD) == is_record(kind.type) == (kind.type in RECORDS) == (kind.message is Entry)


def test_each_side_sends_its_own() -> None:
    assert CATALOGUE[0x20].direction is Direction.UP
    assert CATALOGUE[0x31].direction is Direction.DOWN
    assert CATALOGUE[0x22].direction is Direction.BOTH


def test_every_spoken_message_has_one_number() -> None:
    assert sorted(NUMBERS.values()) == sorted(kind.type for kind in CATALOGUE.values() if kind.message not in (None, Entry))


@pytest.mark.parametrize("type_", range(0x80))
def test_what_may_be_skipped_is_never_something_known_or_a_record(type_: int) -> None:
    if is_control_to_ignore(type_):
        assert not is_record(type_)
        assert type_ not in CATALOGUE or type_ in (0x38, 0x39)


@pytest.mark.parametrize(
    ("type_", "fields", "message"),
    [
        (0x03, [1, 2], Ping(1, 2)),
        (0x03, [1, 2, "added later"], Ping(1, 2)),
        (0x05, [1, 2, 3, 4], Ack(((1, 2), (3, 4)))),
        (0x06, [1, bytes(16), bytes(8), 1], Log(1, bytes(16), bytes(8), 1)),
        (0x08, ["BUSY", "no", False], Fault("BUSY", "no", False, None, None)),
        (0x10, [bytes(32), 0, b"x", 1], PutGraph(bytes(32), 0, b"x", 1)),
        (0x11, [bytes(32), 0], GraphState(bytes(32), 0, None)),
        (0x38, [1, 2, 3, ["a"]], Delta(1, 2, 3, ["a"], None)),
    ],
)
def test_fields_become_a_message(type_: int, fields: list[Any], message: Any) -> None:
    assert check(type_, fields) == message


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        (0x01, [[]]),
        (0x03, [1]),
        (0x03, [True, 2]),
        (0x03, [-1, 2]),
        (0x03, [2**53, 2]),
        (0x03, [1.0, 2]),
        (0x05, []),
        (0x05, [1]),
        (0x05, [1, 2, 3]),
        (0x05, [1, "2"]),
        (0x06, [1, bytes(15), bytes(8), 1]),
        (0x06, [1, bytes(16), bytes(9), 1]),
        (0x08, ["BUSY", "no", 1]),
        (0x10, [bytes(31), 0, b"x", 1]),
        (0x10, [bytes(32), 0, "x", 1]),
        (0x38, [1, 2, 3, "a"]),
    ],
)
def test_anything_else_is_said_to_be_wrong(type_: int, fields: list[Any]) -> None:
    assert isinstance(check(type_, fields), str)
