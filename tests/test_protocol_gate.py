"""The gate: what carries a label and what is too large is refused before it is in a log."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from graphs.errors import LinkCondition
from graphs.records import Frame, Input, Known, Submit
from protocol.events import (
    GraphReceived,
)
from protocol.gate import joined, why_withheld
from protocol.messages import Delta, PutGraph
from protocol.noted import UNTOLD
from protocol.payload import Labelled, reference
from wire.pair import DEVICE, GRAPH, GRAPH_HASH, WORKER, Pair, executing, running

# -- the gate


def test_without_a_policy_nothing_labelled_leaves() -> None:
    import msgpack

    pair, run = running()
    with pytest.raises(LinkCondition, match="private") as caught:
        pair.device.conn.append(run, Input("a", 4, "secret"), labels=["private"])
    assert caught.value.condition == "LABEL_WITHHELD"
    handle = msgpack.ExtType(7, msgpack.packb([b"id", ["pii"], 10]))
    with pytest.raises(LinkCondition, match="pii"):
        pair.device.conn.append(run, Input("a", 4, {"deep": [handle]}))
    with pytest.raises(LinkCondition, match="unreadable"):
        pair.device.conn.append(run, Input("a", 4, msgpack.ExtType(7, b"\xc1")))
    assert not pair.device.conn.put_graph(GRAPH_HASH, GRAPH, ["private"])
    pair.settle()
    assert not any(b"secret" in repr(message).encode() for message in pair.said(DEVICE))
    assert not [message for message in pair.said(DEVICE) if isinstance(message, PutGraph)]
    assert pair.device.log(run, DEVICE)[1:] == []


class _Judge:
    """Finds something in whatever it is shown."""

    def of_record(self, record: Known) -> Labelled:
        if isinstance(record, (Frame, Submit)):
            return {name: {"found"} for name in record.inputs}
        return {"found"}

    def of_graph(self, body: bytes) -> Collection[str]:
        return {"found"}


def test_what_the_gate_finds_itself_counts_whatever_it_is_told() -> None:
    pair, run = running(device={"judge": _Judge(), "clear": lambda labels, _peer: "found" not in labels})
    for record in (Input("a", 4, "secret"), Frame("a/", GRAPH_HASH, {"x": [4, "secret"]}, {})):
        with pytest.raises(LinkCondition, match="found"):
            pair.device.conn.append(run, record)
    assert not pair.device.conn.put_graph(GRAPH_HASH, GRAPH)
    assert pair.device.log(run, DEVICE)[1:] == []


def test_labels_that_are_told_and_found_are_put_together() -> None:
    told, found = {"a": ["told"], "b": []}, {"a": {"found"}, "b": set[str]()}
    assert joined(["told"], ()) == ["told"]
    assert joined(["told"], {"found"}) == {"told", "found"}
    assert joined(told, found) == {"a": {"told", "found"}, "b": set()}
    assert joined(["told"], found) == {"a": {"told", "found"}, "b": {"told"}}


def test_a_policy_decides_for_each_peer() -> None:
    asked = []

    def clear(labels: object, peer: str) -> bool:
        asked.append((sorted(labels), peer))  # type: ignore[call-overload]
        return True

    pair, run = running(device={"clear": clear, "peer": "wss://w"})
    pair.device.append(run, Input("a", 4, "cleared"), labels=["pii"])
    assert pair.device.conn.put_graph(GRAPH_HASH, GRAPH, ["pii"])
    pair.settle()
    assert set(map(repr, asked)) == {"(['pii'], 'wss://w')"}
    (taken,) = pair.worker.records(run, DEVICE)[1:]
    assert isinstance(taken, Input)
    named = reference(taken.value)
    assert named is not None
    assert (named.is_handle, named.labels, named.size) == (True, ("pii",), 8)


def test_tokens_of_a_labelled_attempt_stay() -> None:
    pair, run = running()
    start = pair.worker.append(run, executing("a", labels=["pii"]))
    pair.worker.conn.delta(run, start, ["secret"])
    pair.settle()
    assert not [message for message in pair.said(WORKER) if isinstance(message, Delta)]


def test_a_policy_that_was_withdrawn_stops_a_graph_on_its_way() -> None:
    allowed = {"now": True}
    pair = Pair(device={"clear": lambda labels, peer: allowed["now"]})
    assert pair.device.conn.put_graph(GRAPH_HASH, GRAPH, ["pii"])
    allowed["now"] = False
    pair.connect()
    pair.settle()
    assert not pair.worker.seen(GraphReceived)


def test_labels_that_are_not_known_are_not_told_as_labels() -> None:
    assert why_withheld(["private"]) == "its values carry private, which this worker is not cleared for"
    for labels in ([UNTOLD], [UNTOLD, "private"]):
        assert "is not known here" in why_withheld(labels)
        assert "cleared" not in why_withheld(labels)
