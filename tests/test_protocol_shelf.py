"""Graphs on the link: by hash, at most once, and nothing that is not what it says."""

from __future__ import annotations

import pytest

from graphs.errors import LinkCondition
from graphs.records import Submit
from protocol import codec
from protocol.events import (
    GraphJudged,
    GraphReceived,
    NeedGraph,
)
from protocol.messages import Entry, GraphState, GraphStatus, Hello, Log, PutGraph
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


def test_a_graph_too_large_for_the_link_is_refused_here() -> None:
    import random

    pair = connected()
    with pytest.raises(LinkCondition, match="compression") as caught:
        pair.device.conn.put_graph(bytes(32), random.Random(1).randbytes(200_000))
    assert caught.value.condition == "VALUE_TOO_LARGE"


def test_thousands_of_problems_are_told_in_part() -> None:
    pair = connected()
    pair.worker.conn.graph_state(bytes(32), GraphStatus.INVALID, [("n" * 600, "GF105", "x" * 1000)] * 6000)
    answer = codec.decode(pair.worker.conn.poll(0, 0) or b"")[0]
    assert isinstance(answer, GraphState)
    assert (answer.status, len(answer.problems or ())) == (GraphStatus.INVALID, 50)
