"""The gate: what carries a label and what is too large is refused before it is in a log."""

from __future__ import annotations

import pytest

from graphs.errors import LinkCondition
from graphs.records import Close, Input
from protocol.events import (
    Faulted,
    GraphReceived,
)
from protocol.messages import Delta, PutGraph
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
    assert pair.worker.records(run, DEVICE)[1:] == [Input("a", 4, "cleared")]


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


# -- values that cannot travel are refused before they are in the log


@pytest.mark.parametrize(
    ("value", "says"),
    [("x" * 70_000, "bytes"), ([0] * 4097, "entries"), ({str(n): 0 for n in range(4097)}, "entries"), (b"x" * 66_000, "bytes")],
    ids=["text", "list", "map", "bytes"],
)
def test_a_value_over_the_limits_is_refused_with_a_reason(value: object, says: str) -> None:
    pair, run = running()
    with pytest.raises(LinkCondition, match=says) as caught:
        pair.device.conn.append(run, Input("node", 4, value))
    assert caught.value.condition == "VALUE_TOO_LARGE"
    assert "node" in caught.value.message
    pair.device.append(run, Close(None))
    pair.settle()
    assert pair.worker.records(run, DEVICE)[1:] == [Close(None)]


def nested(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [34, 35])
def test_depth_is_limited(levels: int) -> None:
    pair, run = running()
    if levels > 34:
        with pytest.raises(LinkCondition, match="nested"):
            pair.device.conn.append(run, Input("a", 4, nested(levels)))
        return
    pair.device.append(run, Input("a", 4, nested(levels)))
    pair.settle()
    assert pair.worker.records(run, DEVICE)[1:] == [Input("a", 4, nested(levels))]


def test_the_largest_record_travels() -> None:
    pair, run = running()
    pair.device.append(run, Input("a", 4, "x" * (64 * 1024 - 6)))
    with pytest.raises(LinkCondition):
        pair.device.conn.append(run, Input("a", 4, "x" * (64 * 1024 - 5)))
    pair.settle()
    assert len(pair.worker.records(run, DEVICE)) == 2
    assert not pair.worker.seen(Faulted)
