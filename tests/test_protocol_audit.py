"""What leaves is written down before it can: by the session, and by the store that a device gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgpack
import pytest

from graphs.errors import JournalError
from graphs.records import Input
from protocol.audit import MARK_MS, Departures
from protocol.messages import Entry, PutGraph
from protocol.store import Keep, Left, Write
from wire.pair import DEVICE, GRAPH, GRAPH_HASH, result, run_id, running

RUN = run_id(7)


class Notes:
    """A journal of which only the audit is wanted. What is durable is what was noted before `barrier`."""

    def __init__(self) -> None:
        self.noted: list[tuple[bytes, int, Mapping[str, Any]]] = []
        self.barriers = 0
        self.broken = False

    def note_departure(self, run: bytes, t: int, entry: Mapping[str, Any]) -> None:
        if self.broken:
            raise JournalError("the disk is full")
        self.noted.append((run, t, entry))

    async def barrier(self, *, full: bool = False) -> None:
        assert full
        self.barriers += 1

    def kinds(self) -> list[Any]:
        return [entry["kind"] for _, _, entry in self.noted]


# -- the session


def test_a_labelled_record_is_noted_in_the_transaction_that_makes_it_durable() -> None:
    pair, run = running(device={"clear": lambda labels, peer: True})
    pair.device.conn.append(run, Input("a", 4, 1))
    seq = pair.device.conn.append(run, Input("b", 4, 2), labels=["pii", "internal"])
    handle = msgpack.ExtType(7, msgpack.packb([b"i" * 16, ["pii"], 10]))
    last = pair.device.conn.append(run, Input("c", 4, handle))
    effects = pair.device.conn.effects()
    assert [type(each) for each in effects] == [Write, Keep, Left, Write, Left, Write]
    assert [each for each in effects if isinstance(each, Left)] == [
        Left(run, "record", ("internal", "pii"), seq),
        Left(run, "record", ("pii",), last),
    ]
    assert not [each for each in pair.said(DEVICE) if isinstance(each, Entry) and each.seq > 1], (
        "it was sent before it was durable"
    )
    pair.device.conn.committed(len(effects))
    pair.settle()
    assert [each.seq for each in pair.said(DEVICE) if isinstance(each, Entry)] == [1, 2, seq, last]


def test_a_worker_keeps_no_audit() -> None:
    pair, run = running(worker={"clear": lambda labels, peer: True})
    pair.worker.conn.append(run, result("a"), labels=["pii"])
    pair.settle()
    assert pair.worker.store.left == []


def test_a_graph_leaves_when_it_is_noted_and_not_before() -> None:
    pair, _ = running()
    assert pair.device.conn.put_graph(GRAPH_HASH, GRAPH, (), RUN)
    while pair.device.conn.poll(0, 0) is not None:
        pass
    assert not [each for each in pair.said(DEVICE) if isinstance(each, PutGraph)]
    (left,) = effects = pair.device.conn.effects()
    assert left == Left(RUN, "graph", (), size=len(GRAPH), ref=GRAPH_HASH)
    pair.device.conn.committed(len(effects))
    pair.settle()
    assert [each.h for each in pair.said(DEVICE) if isinstance(each, PutGraph)] == [GRAPH_HASH]


def test_a_graph_that_is_not_noted_yet_is_not_sent_with_the_next_connection_either() -> None:
    pair, _ = running()
    pair.drop()
    assert pair.device.conn.put_graph(GRAPH_HASH, GRAPH, (), RUN)
    pair.device.conn.connected(0, 9)
    packets = []
    while (packet := pair.device.conn.poll(0, 0)) is not None:
        packets.append(packet)
    assert GRAPH not in b"".join(packets)


def test_what_the_gate_refuses_is_not_noted() -> None:
    pair, _ = running()
    assert not pair.device.conn.put_graph(GRAPH_HASH, GRAPH, ["private"], RUN)
    assert pair.device.conn.effects() == []


# -- the store


def departures(notes: Notes, times: list[float] | None = None) -> Departures:
    ticks = iter(times or [])
    return Departures(notes, "wss://w/v1/link", "sha256:ab", clock=lambda: next(ticks, 50.0))


def test_a_run_says_once_to_whom_it_goes_and_once_a_second_when() -> None:
    notes = Notes()
    told = departures(notes, [10.0, 10.0, 10.5, 11.0, 11.2])
    told.store = b"worker-1"
    for seq in (1, 2, 5, 6):
        told.wrote({RUN: seq})
    assert notes.kinds() == ["worker", "mark", "mark"]
    assert notes.noted[0][2]["to"] == {"worker": "wss://w/v1/link", "store": b"worker-1".hex(), "certificate": "sha256:ab"}
    assert [(t, entry["seq"]) for _, t, entry in notes.noted[1:]] == [(10_000, 1), (11_000, 5)]
    assert MARK_MS == 1000


def test_how_far_the_worker_has_a_log_is_noted_when_nothing_more_is_heard() -> None:
    notes = Notes()
    told = departures(notes)
    told.taken(RUN, 3)
    told.taken(RUN, 9)
    told.over(RUN)
    told.over(RUN)
    told.close()
    assert [(entry["kind"], entry["seq"]) for _, _, entry in notes.noted] == [("taken", 9)]


def test_a_journal_that_cannot_be_written_any_more_does_not_keep_a_link_from_closing() -> None:
    notes = Notes()
    told = departures(notes)
    told.taken(RUN, 3)
    notes.broken = True
    told.close()


def test_a_body_is_noted_once_for_each_run_that_needs_it_and_durably() -> None:
    notes = Notes()
    told = departures(notes)
    left = Left(b"", "body", ("pii",), size=12, ref=b"i" * 16)

    async def ask() -> None:
        for _ in range(2):
            await told.leaves(left, lambda: [RUN, run_id(8)])

    asyncio.run(ask())
    assert [(run, entry["kind"], entry["bytes"], entry["labels"]) for run, _, entry in notes.noted] == [
        (RUN, "body", 12, ["pii"]),
        (run_id(8), "body", 12, ["pii"]),
    ]
    assert notes.barriers == 1


def test_a_body_that_could_not_be_noted_is_noted_when_it_is_asked_for_again() -> None:
    notes = Notes()
    told = departures(notes)
    left = Left(b"", "body", (), size=12, ref=b"i" * 16)
    notes.broken = True
    with pytest.raises(JournalError):
        asyncio.run(told.leaves(left, lambda: [RUN]))
    notes.broken = False
    asyncio.run(told.leaves(left, lambda: [RUN]))
    assert notes.kinds() == ["body"]


def test_why_is_what_the_policy_says() -> None:
    notes = Notes()
    told = Departures(notes, "wss://w", why=lambda labels: f"{labels}: line 3" if labels else "no label", clock=lambda: 1.0)
    told.left(Left(RUN, "record", ("pii",), 2))
    assert notes.noted[0][2]["why"] == "('pii',): line 3"
