"""The recorded vectors: other implementations, and the next versions of this one, are held to them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.commands.vectors import KINDS, problem, recorded
from graphs.records import RECORDS
from protocol.errors import FAULTS
from protocol.messages import CATALOGUE
from protocol.session import Conn
from wire.vectors import FOLDER, text

ALL: list[dict[str, Any]] = [each for kind in KINDS for each in recorded(kind)]
CODEC = [each for each in ALL if each["kind"] == "codec"]
AT_LEAST = {"codec": 60, "graph": 30, "session": 40}


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_is_what_the_maker_writes(kind: str) -> None:
    assert (FOLDER / f"{kind}.jsonl").read_text(encoding="utf-8") == text(kind), (
        "run `make vectors`, and ask whether old peers still understand"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_enough_and_each_has_a_name_of_its_own(kind: str) -> None:
    names = [each["name"] for each in ALL if each["kind"] == kind]
    assert len(set(names)) == len(names) >= AT_LEAST[kind]


@pytest.mark.parametrize("vector", ALL, ids=lambda vector: f"{vector['kind']}: {vector['name']}")
def test_a_vector_holds(vector: dict[str, Any]) -> None:
    assert problem(vector) is None


def test_every_error_is_one_of_the_table() -> None:
    assert {each["error"] for each in CODEC} - {None} <= set(FAULTS)


def test_every_type_that_is_spoken_has_a_vector() -> None:
    seen = {envelope[0] for vector in CODEC if vector["error"] is None for envelope in vector["value"]}
    assert {kind.type for kind in CATALOGUE.values() if kind.message is not None} | set(RECORDS) <= seen


def test_every_event_and_every_fault_of_a_connection_is_in_a_session() -> None:
    steps = [step for each in ALL if each["kind"] == "session" for step in each["steps"]]
    events = {name for step in steps for name, _ in step.get("expect", ())}
    told = {"Ready", "Offered", "Got", "Acked", "DeltaSeen", "StateSeen", "Refused", "Diverged", "NeedGraph", "GraphReceived"}
    assert {"DigestCame", "NeedCopies", "Copied", "CopyRefused", "Synced"} <= events
    assert told | {"GraphJudged", "NeedRecords", "GoingAway", "Faulted"} <= events
    faults = {fields["code"] for step in steps for name, fields in step.get("expect", ()) if name == "Faulted"}
    assert {"GAP", "LIMIT_WINDOW", "TIMEOUT", "PROTOCOL_DECODE", "PROTOCOL_ALIAS", "PROTOCOL_WRITER", "PROTOCOL_ORDER"} <= faults
    assert {"PROTOCOL_ACK", "PROTOCOL_HANDSHAKE", "PROTOCOL_VERSION", "AUTH_FORBIDDEN"} <= faults


@pytest.mark.parametrize("change", ["hex", "sha256", "means"])
def test_a_wrong_vector_is_noticed(change: str) -> None:
    if change == "hex":
        assert problem({**CODEC[3], "hex": "930301ce0001e241"}) == "read as another value"
    elif change == "sha256":
        assert problem({**next(each for each in ALL if each["kind"] == "graph"), "sha256": "00"}) == "another hash"
    else:
        (vector,) = [each for each in ALL if each["name"] == "device: an ACK is told"]
        changed = json.loads(json.dumps(vector).replace('"Acked", {"run"', '"Acked", {"ran"'))
        assert (problem(changed) or "").startswith("step ")


def test_a_session_that_acknowledges_too_early_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Conn.receive

    def hasty(self: Conn, now: int, packet: bytes, number: int) -> Any:
        events = take(self, now, packet, number)
        return events + self.committed(len(self.effects()))

    monkeypatch.setattr(Conn, "receive", hasty)
    assert any(problem(each) for each in ALL if each["kind"] == "session")
