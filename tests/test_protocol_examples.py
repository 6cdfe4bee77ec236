"""The three conversations of docs/protocol.md §9, packet by packet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphs.records import Close, End, Event, Input, Result, State, Submit
from protocol.events import DeltaSeen, Got, Ready
from protocol.messages import Ack, Delta, Entry, GraphState, GraphStatus, Hello, Log, Message, PutGraph, StateShown, Welcome
from wire.pair import DEVICE, GRAPH, GRAPH_HASH, STORES, WORKER, Pair, run_id

RUN = run_id(1)
PARENT = {"parent": [bytes(16), 1]}


def lines(pair: Pair, start: int = 0) -> list[str]:
    """What was delivered since, one line a packet, as the document writes it."""
    return [f"{'D>C' if sender == DEVICE else 'C>D'} " + " | ".join(map(word, packet)) for sender, packet in pair.trace[start:]]


def word(message: Message) -> str:
    match message:
        case Entry(al, seq, _, record):
            return f"{type(record).__name__.upper()} {al},{seq}"
        case Ack(positions):
            return "ACK " + " ".join(f"{al},{seq}" for al, seq in positions)
        case Log(al, _, writer, next_):
            return f"LOG {al} {'D' if writer == STORES[DEVICE] else 'W'} {next_}"
        case Delta(_, start, off, data, n):
            return f"DELTA {start} {off} {data}" + (f" n {n}" if n else "")
        case GraphState(_, status):
            return f"GRAPH_STATE {GraphStatus(status).name}"
        case StateShown(_, path):
            return f"STATE {path}"
        case Hello() | Welcome() | PutGraph():
            return {Hello: "HELLO", Welcome: "WELCOME", PutGraph: "PUT_GRAPH"}[type(message)]
    return repr(message)


def result(path: str, value: Any) -> Result:
    return Result(path, 1, 0, value, 5, {"model": "large"})


def step(pair: Pair, *worker_does: Callable[[], object]) -> None:
    """The device sends, the worker acts on it and sends; what arrives is durable at once. Time for the next tokens passes."""
    pair.now += 10
    pair.device.commit()
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    pair.worker.commit()
    for act in worker_does:
        act()
    pair.worker.commit()
    pair.flush(WORKER)
    pair.deliver(WORKER)
    pair.device.commit()


def test_one_online() -> None:
    pair = Pair()
    worker = pair.worker
    pair.device.conn.put_graph(GRAPH_HASH, GRAPH)
    pair.device.append(RUN, Submit("", GRAPH_HASH, {}, PARENT))
    pair.connect()
    step(pair, lambda: worker.conn.graph_state(GRAPH_HASH, GraphStatus.OK))
    pair.device.append(RUN, Input("outline", State.COMPLETED, {"text": "x"}))
    pair.device.append(RUN, Close(None))
    step(pair, lambda: worker.conn.state(RUN, "draft", 1, State.EXECUTING, 5))
    step(
        pair,
        lambda: worker.append(RUN, result("draft", {"text": "d"})),
        lambda: worker.conn.state(RUN, "critique", 1, State.EXECUTING, 5),
    )
    step(
        pair,
        lambda: worker.append(RUN, result("critique", {"text": "c"})),
        lambda: worker.append(RUN, Event("final", 1, State.EXECUTING, 5, {"retry": 0})),
    )
    step(pair, lambda: worker.conn.delta(RUN, 3, ["The", " tide"]))
    step(pair, lambda: worker.conn.delta(RUN, 3, [" rises."]))
    step(
        pair,
        lambda: worker.append(RUN, result("final", {"text": "The tide rises."})),
        lambda: worker.append(RUN, End(0, 5, {"tokens": 3})),
    )
    step(pair)
    assert lines(pair) == [
        "D>C HELLO | PUT_GRAPH | LOG 1 D 1 | SUBMIT 1,1",
        "C>D WELCOME | GRAPH_STATE OK | ACK 1,1",
        "D>C INPUT 1,2 | CLOSE 1,3",
        "C>D ACK 1,3 | LOG 1 W 1 | STATE draft",
        "C>D RESULT 1,1 | STATE critique",
        "D>C ACK 1,1",
        "C>D RESULT 1,2 | EVENT 1,3",
        "D>C ACK 1,3",
        "C>D DELTA 3 0 ['The', ' tide']",
        "C>D DELTA 3 2 [' rises.']",
        "C>D RESULT 1,4 | END 1,5",
        "D>C ACK 1,5",
    ]
    assert [type(event.record) for event in pair.device.seen(Got)] == [Result, Result, Event, Result, End]


def streaming() -> tuple[Pair, int]:
    """As in the first conversation, up to the first two tokens of `final`."""
    pair = Pair()
    pair.device.append(RUN, Submit("", GRAPH_HASH, {}, PARENT))
    pair.device.append(RUN, Input("outline", State.COMPLETED, {"text": "x"}))
    pair.device.append(RUN, Close(None))
    pair.connect()
    for _ in range(3):
        step(pair)
    pair.worker.append(RUN, result("draft", {"text": "d"}))
    pair.worker.append(RUN, result("critique", {"text": "c"}))
    start = pair.worker.append(RUN, Event("final", 1, State.EXECUTING, 5, {"retry": 0}))
    step(pair)
    pair.worker.conn.delta(RUN, start, ["The", " tide"])
    step(pair)
    return pair, start


def cut(pair: Pair, start: int) -> int:
    """The socket dies with two tokens in flight; then one more is made."""
    pair.worker.conn.delta(RUN, start, [" rises", " and"])
    pair.now += 10
    pair.flush(WORKER)
    pair.drop(lose=True)
    pair.worker.conn.delta(RUN, start, [" falls"])
    return len(pair.trace)


def test_two_the_socket_dies_while_final_streams() -> None:
    pair, start = streaming()
    before = cut(pair, start)
    pair.connect()
    step(pair)
    step(pair)
    pair.worker.conn.delta(RUN, start, ["."])
    step(pair)
    pair.worker.append(RUN, result("final", {"text": "The tide rises and falls."}))
    pair.worker.append(RUN, End(0, 5, {}))
    step(pair)
    step(pair)
    assert lines(pair, before) == [
        "D>C HELLO",
        "C>D WELCOME | LOG 1 W 4 | DELTA 3 2 [' rises and falls'] n 3",
        "C>D DELTA 3 5 ['.']",
        "C>D RESULT 1,4 | END 1,5",
        "D>C ACK 1,5",
    ]
    hello = pair.trace[before][1][0]
    assert isinstance(hello, Hello)
    assert [(log[1], log[2], *log[4:]) for log in hello.body["logs"]] == [(STORES[DEVICE], 3), (STORES[WORKER], 3, [[3, 2]])]
    assert "".join(token for event in pair.device.seen(DeltaSeen) for token in event.tokens) == "The tide rises and falls."


def test_two_with_the_result_written_meanwhile() -> None:
    pair, start = streaming()
    before = cut(pair, start)
    pair.worker.append(RUN, result("final", {"text": "The tide rises and falls."}))
    pair.connect()
    step(pair)
    step(pair)
    assert lines(pair, before)[:2] == ["D>C HELLO", "C>D WELCOME | LOG 1 W 4 | RESULT 1,4"]


def test_two_with_the_input_lost() -> None:
    pair = Pair()
    pair.device.append(RUN, Submit("", GRAPH_HASH, {}, PARENT))
    pair.connect()
    for _ in range(2):
        step(pair)
    pair.device.append(RUN, Input("outline", State.COMPLETED, {"text": "x"}))
    pair.device.append(RUN, Close(None))
    pair.flush()
    pair.drop(lose=True)
    before = len(pair.trace)
    pair.connect()
    step(pair)
    step(pair)
    assert lines(pair, before)[:3] == ["D>C HELLO", "C>D WELCOME", "D>C LOG 1 D 2 | INPUT 1,2 | CLOSE 1,3"]


def test_three_a_branch_across_the_cut() -> None:
    pair = Pair()
    pair.connect()
    step(pair)
    assert pair.device.seen(Ready)
    before = len(pair.trace)
    worker = pair.worker
    pair.device.conn.put_graph(GRAPH_HASH, GRAPH)
    pair.device.append(RUN, Submit("", GRAPH_HASH, {}, PARENT))
    step(
        pair,
        lambda: worker.conn.graph_state(GRAPH_HASH, GraphStatus.OK),
        lambda: worker.conn.state(RUN, "judge", 1, State.EXECUTING, 5),
    )
    step(pair, lambda: worker.append(RUN, result("judge", {"bad": False})))
    pair.device.append(RUN, Close(None))  # polish is skipped here, publish waits for ever: nothing is left to be expected
    step(pair, lambda: worker.append(RUN, End(0, 5, {})))
    step(pair)
    assert lines(pair, before) == [
        "D>C PUT_GRAPH | LOG 1 D 1 | SUBMIT 1,1",
        "C>D GRAPH_STATE OK | ACK 1,1 | LOG 1 W 1 | STATE judge",
        "C>D RESULT 1,1",
        "D>C ACK 1,1 | CLOSE 1,2",
        "C>D ACK 1,2 | END 1,2",
        "D>C ACK 1,2",
    ]
