"""Graphs on the link: by hash, at most once, and nothing that is not what it says."""

from __future__ import annotations

import pytest

from graphs.errors import LinkCondition
from graphs.records import Submit
from graphs.values import canonical, digest
from protocol import codec
from protocol.events import (
    GraphJudged,
    GraphReceived,
    NeedGraph,
)
from protocol.messages import BlobChunk, Entry, GraphState, GraphStatus, Hello, Log, PutGraph
from wire.pair import DEVICE, GRAPH, GRAPH_HASH, Pair, connected, run_id, running


def test_a_small_graph_goes_ahead_of_the_run_that_needs_it_and_only_once() -> None:
    pair = Pair()
    h = GRAPH_HASH
    assert pair.device.conn.put_graph(h, GRAPH)
    pair.device.append(run_id(1), Submit("", h, {}, {}))
    pair.connect()
    pair.settle()
    assert [type(message) for message in pair.trace[0][1]] == [Hello, PutGraph, Log, Entry]
    assert pair.worker.seen(GraphReceived) == [GraphReceived(h, GRAPH)]
    pair.worker.conn.graph_state(h, GraphStatus.OK)
    pair.settle()
    assert pair.device.seen(GraphJudged) == [GraphJudged(h, 0, ())]
    for _ in range(2):
        assert pair.device.conn.put_graph(h, GRAPH)
        pair.settle()
        pair.drop()
        pair.connect()
        pair.settle()
    assert len([message for message in pair.said(DEVICE) if isinstance(message, PutGraph)]) == 1


def test_a_graph_the_worker_lacks_is_asked_for() -> None:
    pair, _ = running()
    h = GRAPH_HASH
    pair.worker.conn.graph_state(h, GraphStatus.UNKNOWN)
    pair.settle()
    assert pair.device.seen(NeedGraph) == [NeedGraph(h)]
    pair.drop()
    pair.connect()
    pair.settle()
    assert pair.device.seen(NeedGraph) == [NeedGraph(h)] * 2, "the request is not replayed, so it is made again"
    assert pair.device.conn.put_graph(h, GRAPH)
    pair.settle()
    assert pair.worker.seen(GraphReceived) == [GraphReceived(h, GRAPH)]
    pair.drop()
    pair.connect()
    pair.settle()
    assert len(pair.device.seen(NeedGraph)) == 2


def test_an_evicted_graph_is_sent_again() -> None:
    pair = connected()
    h = GRAPH_HASH
    pair.device.conn.put_graph(h, GRAPH)
    pair.settle()
    pair.worker.conn.graph_state(h, GraphStatus.UNKNOWN)
    pair.settle()
    assert pair.worker.seen(GraphReceived) == [GraphReceived(h, GRAPH)] * 2


@pytest.mark.parametrize(
    "message",
    [
        PutGraph(bytes(32), 0, GRAPH, len(GRAPH)),
        PutGraph(bytes(32), 0, GRAPH, len(GRAPH) + 1),
        PutGraph(bytes(32), 1, b"no zlib", 5),
        PutGraph(bytes(32), 2, GRAPH, len(GRAPH)),
        PutGraph(bytes(32), 0, GRAPH, 5 * 1024 * 1024),
    ],
    ids=repr,
)
def test_a_graph_that_is_not_what_it_says_is_invalid(message: PutGraph) -> None:
    pair = connected()
    assert pair.worker.conn.receive(0, codec.encode(message), 1) == []
    answer = codec.decode(pair.worker.conn.poll(0, 0) or b"")[0]
    assert isinstance(answer, GraphState)
    assert answer.status == GraphStatus.INVALID
    assert pair.worker.conn.closing is None


def test_a_zlib_bomb_is_not_inflated() -> None:
    import zlib

    pair = connected()
    pair.worker.conn.receive(0, codec.encode(PutGraph(bytes(32), 1, zlib.compress(bytes(100_000_000)), 1000)), 1)
    answer = codec.decode(pair.worker.conn.poll(0, 0) or b"")[0]
    assert isinstance(answer, GraphState)
    assert answer.status == GraphStatus.INVALID


def big_graph(size: int) -> tuple[bytes, bytes]:
    """Canonical bytes of a graph that hardly shrink, and their name."""
    import random

    body = canonical({"nodes": {"n": {"value": random.Random(1).randbytes(size // 2).hex()}}})
    return digest(b"graphferry.graph.1\n" + body), body


def test_a_large_graph_is_pulled_when_it_is_asked_for() -> None:
    pair = connected()
    h, body = big_graph(1_000_000)
    assert pair.device.conn.put_graph(h, body)
    pair.settle()
    assert not [message for message in pair.said(DEVICE) if isinstance(message, PutGraph)]
    pair.worker.conn.graph_state(h, GraphStatus.UNKNOWN)
    pair.settle()
    assert [event.body for event in pair.worker.seen(GraphReceived)] == [body]
    chunks = [message for message in pair.said(DEVICE) if isinstance(message, BlobChunk)]
    assert sum(len(chunk.data) for chunk in chunks) < 600_000
    pair.worker.conn.graph_state(h, GraphStatus.OK)
    pair.settle()


def test_a_large_graph_whose_bytes_are_others_is_refused() -> None:
    pair = connected()
    h, body = big_graph(600_000)
    assert pair.device.conn.put_graph(bytes(32), body)
    pair.worker.conn.graph_state(bytes(32), GraphStatus.UNKNOWN)
    pair.settle()
    assert not pair.worker.seen(GraphReceived)
    assert [event.status for event in pair.device.seen(GraphJudged)] == [GraphStatus.INVALID]
    assert h != bytes(32)


def test_a_withdrawn_policy_stops_a_large_graph_too() -> None:
    allowed = {"now": True}
    pair = connected(device={"clear": lambda labels, peer: allowed["now"]})
    h, body = big_graph(600_000)
    assert pair.device.conn.put_graph(h, body, ["pii"])
    pair.worker.conn.graph_state(h, GraphStatus.UNKNOWN)
    pair.flush()
    allowed["now"] = False
    pair.settle()
    assert not [message for message in pair.said(DEVICE) if isinstance(message, BlobChunk)]


def test_a_graph_too_large_for_the_link_is_refused_here() -> None:
    pair = connected()
    with pytest.raises(LinkCondition, match="4,194,304") as caught:
        pair.device.conn.put_graph(bytes(32), bytes(4 * 1024 * 1024 + 1))
    assert caught.value.condition == "VALUE_TOO_LARGE"


def test_thousands_of_problems_are_told_in_part() -> None:
    pair = connected()
    pair.worker.conn.graph_state(bytes(32), GraphStatus.INVALID, [("n" * 600, "GF105", "x" * 1000)] * 6000)
    answer = codec.decode(pair.worker.conn.poll(0, 0) or b"")[0]
    assert isinstance(answer, GraphState)
    assert (answer.status, len(answer.problems or ())) == (GraphStatus.INVALID, 50)
