from __future__ import annotations

from conftest import Terminal
from edge.showing.live import LiveView, RunState
from edge.showing.progress import ProgressEvent


def frame(*events: ProgressEvent, at: float = 0.0, height: int = 30, width: int = 100) -> list[str]:
    state = RunState()
    for event in events:
        state.apply(event, 0.0)
    return state.frame(at, width=width, height=height).splitlines()


STARTED: ProgressEvent = {"event": "started", "path": "draft", "place": "edge", "why": "small is here", "model": "small"}


def test_reading_the_prompt_and_generating_are_different_phases() -> None:
    assert frame(STARTED, at=2.7)[1] == "draft  edge   small is here  small  2.0 s  reads the prompt"
    token: ProgressEvent = {"event": "token", "path": "draft", "text": "x"}
    assert frame(STARTED, token, token, at=3.0)[1] == "draft  edge   small is here  small  3.0 s       2  generating"


def test_a_node_without_a_model_executes() -> None:
    assert frame({"event": "started", "path": "fetch", "place": "edge"}, at=1.0)[1] == "fetch  edge   1.0 s  executing"


def test_the_end_of_a_node_replaces_what_was_guessed_by_what_is_known() -> None:
    finished: ProgressEvent = {"event": "finished", "path": "draft", "by": "small Q4_0", "ms": 2310, "tokens": 68}
    assert frame(STARTED, finished, at=9.0)[1] == "draft  edge   small is here  small Q4_0  2.3 s      68  completed"


def test_failures_and_waits_say_why() -> None:
    failed: ProgressEvent = {"event": "failed", "path": "draft", "code": "NODE_FAILED", "message": "bad JSON", "ms": 100}
    assert "bad JSON" in frame(STARTED, failed)[1]
    waiting: ProgressEvent = {"event": "waiting", "path": "draft", "why": "no worker was reached"}
    assert frame(STARTED, waiting)[1] == "draft  edge   no worker was reached  small  waiting"


def test_a_retry_keeps_the_node_running() -> None:
    retry: ProgressEvent = {"event": "retry", "path": "draft", "retry": 1, "message": "bad JSON"}
    assert frame(STARTED, retry, at=4.0)[1] == "draft  edge   bad JSON  small  4.0 s  reads the prompt"


def test_the_rows_of_a_map_fold() -> None:
    events: list[ProgressEvent] = [{"event": "started", "path": "map", "place": "edge"}]
    events += [{"event": "started", "path": f"map[{index}]/a", "place": "cloud"} for index in range(20)]
    events += [{"event": "finished", "path": f"map[{index}]/a", "place": "cloud", "ms": 1} for index in range(7)]
    assert [line.split("  ")[0] for line in frame(*events)] == ["node", "map 7/20"]


def test_what_is_done_gives_way_to_what_is_not() -> None:
    events: list[ProgressEvent] = [{"event": "run-started", "graph": "big.yaml"}]
    events += [{"event": "finished", "path": f"done{index}"} for index in range(50)]
    events += [{"event": "started", "path": "now", "place": "edge"}]
    lines = frame(*events, height=8)
    assert len(lines) == 8
    assert [line.split(" ")[0] for line in lines] == ["big.yaml", "node", "done46", "done47", "done48", "done49", "now", "and"]
    assert lines[-1] == "and 46 more"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def drawn(stream: Terminal) -> int:
    written = len(stream.getvalue())
    stream.truncate(0)
    stream.seek(0)
    return written


def test_it_draws_at_most_four_times_a_second_and_only_when_something_changed() -> None:
    clock, stream = Clock(), Terminal()
    view = LiveView(stream, colour=False, clock=clock)
    view.show(STARTED)
    assert drawn(stream)
    clock.now += 0.1
    view.show({"event": "token", "path": "draft", "text": "x"})
    assert not drawn(stream)
    clock.now += 0.2
    view.idle()
    assert "generating" in stream.getvalue()
    assert drawn(stream)
    clock.now += 0.3
    view.idle()
    assert not drawn(stream)
    clock.now += 1.0
    view.idle()
    assert drawn(stream)
    view.show({"event": "finished", "path": "draft", "ms": 5})
    clock.now += 1.0
    view.idle()
    assert drawn(stream)
    clock.now += 5.0
    view.idle()
    assert not drawn(stream)
    view.close()


def test_nothing_is_drawn_while_a_person_is_asked_and_nothing_stays_of_what_was() -> None:
    clock, stream = Clock(), Terminal()
    view = LiveView(stream, colour=False, clock=clock)
    view.show(STARTED)
    clock.now += 1.0
    assert drawn(stream)
    view.hush(True)
    assert drawn(stream)  # what takes the table away
    clock.now += 1.0
    view.show({"event": "finished", "path": "draft", "ms": 5})
    view.idle()
    assert not drawn(stream)
    view.hush(False)
    assert "completed" in stream.getvalue()
    view.close()


def test_the_time_of_a_node_that_waits_for_a_worker_goes_on_when_it_is_heard_of() -> None:
    waiting: ProgressEvent = {"event": "waiting", "path": "far", "place": "cloud", "why": "placed in the graph"}
    state = RunState()
    state.apply(waiting, 0.0)
    assert "waiting" in state.frame(2.0, width=100, height=20)
    assert "2.0 s" in state.frame(2.0, width=100, height=20)
    state.apply({"event": "started", "path": "far", "place": "cloud"}, 3.0)
    state.apply({"event": "token", "path": "far", "text": "a"}, 3.0)
    told = state.frame(5.0, width=100, height=20)
    assert "5.0 s" in told
    assert "generating" in told
