"""The recorded vectors: other implementations, and the next versions of this one, are held to them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphs.records import RECORDS
from protocol import codec
from protocol.errors import FAULTS, RemoteProtocolError
from protocol.messages import CATALOGUE, Entry
from wire.vectors import FILE, join, split, tag, text, untag

VECTORS: list[dict[str, Any]] = [json.loads(each) for each in FILE.read_text(encoding="utf-8").splitlines()]
GOOD = [each for each in VECTORS if each["error"] is None]
BAD = [each for each in VECTORS if each["error"] is not None]


def name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def test_the_file_is_what_the_script_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), (
        "run `python tests/wire/vectors.py`, and ask whether old peers still understand"
    )


@pytest.mark.parametrize("vector", GOOD, ids=name)
def test_a_good_packet_is_read_as_the_value_says(vector: dict[str, Any]) -> None:
    packet = bytes.fromhex(vector["hex"])
    assert tag(split(packet)) == vector["value"]
    messages = codec.decode(packet)
    assert len(messages) == len(vector["value"])
    for message, envelope in zip(messages, vector["value"], strict=True):
        if isinstance(message, Entry):
            assert [message.encoded.type, message.al, message.seq] == envelope[:3]


@pytest.mark.parametrize("vector", [each for each in GOOD if each["canonical"]], ids=name)
def test_a_canonical_packet_is_written_exactly_so(vector: dict[str, Any]) -> None:
    packet = bytes.fromhex(vector["hex"])
    assert join(untag(vector["value"])) == packet
    assert b"".join(map(codec.encode, codec.decode(packet))) == packet


@pytest.mark.parametrize("vector", BAD, ids=name)
def test_a_bad_packet_is_refused_with_the_fault(vector: dict[str, Any]) -> None:
    assert vector["error"] in FAULTS
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode(bytes.fromhex(vector["hex"]))
    assert caught.value.fault == vector["error"]


def test_every_type_that_is_spoken_has_a_vector() -> None:
    seen = {envelope[0] for vector in GOOD for envelope in vector["value"]}
    assert {kind.type for kind in CATALOGUE.values() if kind.message is not None} | set(RECORDS) <= seen
