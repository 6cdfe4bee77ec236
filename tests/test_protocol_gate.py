"""The gate: what carries a label and what is too large is refused before it is in a log."""

from __future__ import annotations

import pytest

from graphs.errors import LinkCondition
from graphs.records import Input
from protocol.events import (
    GraphReceived,
)
from protocol.messages import Delta, PutGraph
from protocol.payload import reference
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
