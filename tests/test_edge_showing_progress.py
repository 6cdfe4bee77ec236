from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import pytest

from conftest import Terminal
from edge.showing.live import LiveView
from edge.showing.progress import MODES, JsonView, PlainView, Progress, ProgressEvent, open_progress, plain_line
from graphs.environment import Environment

RUN: list[ProgressEvent] = [
    {"event": "run-started", "run": "0193", "graph": "news.yaml", "nodes": 3},
    {"event": "started", "path": "triage", "place": "edge", "why": "smollm2-135m is here", "model": "smollm2-135m"},
    {"event": "token", "path": "triage", "text": "It"},
    {"event": "finished", "path": "triage", "place": "edge", "by": "smollm2-135m", "ms": 2310, "tokens": 68},
    {"event": "waiting", "path": "analyse", "why": "no worker was reached"},
    {"event": "suspended", "why": "no worker was reached"},
    {"event": "run-ended", "run": "0193", "status": "suspended", "ms": 2500},
]


def environment(stderr: io.StringIO) -> Environment:
    return Environment(io.StringIO(), io.StringIO(), stderr, {}, Path())


def test_plain_shows_a_line_for_each_start_and_end() -> None:
    stream = io.StringIO()
    with open_progress("plain", environment(stream)) as progress:
        for event in RUN:
            progress.emit(event)
    assert stream.getvalue().splitlines() == [
        "run 0193 of news.yaml: 3 computed nodes",
        "started   triage on edge: smollm2-135m is here",
        "finished  triage on edge in 2.3 s, 68 tokens",
        "waiting   analyse: no worker was reached",
        "suspended the run: no worker was reached",
        "suspended in 2.5 s",
    ]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            {"event": "failed", "path": "a", "place": "cloud", "ms": 40, "code": "NODE_TIMEOUT", "message": "too slow"},
            "failed    a on cloud in 40 ms: NODE_TIMEOUT too slow",
        ),
        ({"event": "retry", "path": "a", "retry": 2, "message": "bad JSON"}, "retry 2   a: bad JSON"),
        ({"event": "skipped", "path": "a"}, "skipped   a"),
        ({"event": "finished", "path": "a", "degraded": "offline"}, "finished  a, degraded: offline"),
        ({"event": "token", "path": "a", "text": "x"}, None),
        ({"event": "failed", "path": "a\x1b[2J", "message": "x\ny"}, "failed    a?[2J: x?y"),
    ],
)
def test_lines_of_single_events(event: ProgressEvent, line: str | None) -> None:
    assert plain_line(event) == line


def test_json_is_each_event_as_a_line() -> None:
    stream = io.StringIO()
    with open_progress("json", environment(stream)) as progress:
        for event in RUN:
            progress.emit(event)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == RUN


def test_quiet_shows_nothing_and_starts_no_thread() -> None:
    stream = io.StringIO()
    before = threading.active_count()
    with open_progress("quiet", environment(stream)) as progress:
        progress.emit(RUN[0])
        assert threading.active_count() == before
    assert stream.getvalue() == ""


def test_auto_is_a_live_table_where_someone_watches_and_plain_elsewhere() -> None:
    watched, logged = Terminal(), io.StringIO()
    for stream in (watched, logged):
        with open_progress("auto", environment(stream)) as progress:
            for event in RUN[:2]:
                progress.emit(event)
    assert "\x1b[" in watched.getvalue()
    assert logged.getvalue().startswith("run 0193 of news.yaml")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_takes_a_whole_run(mode: str) -> None:
    with open_progress(mode, environment(Terminal())) as progress:  # type: ignore[arg-type]
        for event in RUN:
            progress.emit(event)
    assert progress.dropped == 0


class Stuck:
    """A view that shows nothing until it is let go, as a terminal does that has stopped reading."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()
        self.shown: list[ProgressEvent] = []
        self.missed = 0

    def show(self, event: ProgressEvent) -> None:
        self.reached.set()
        self.let_go.wait()
        self.shown.append(event)

    def dropped(self, count: int) -> None:
        self.missed += count

    def idle(self) -> None: ...

    def hush(self, on: bool) -> None: ...

    def close(self) -> None: ...


def test_a_view_that_is_stuck_loses_events_is_told_and_never_holds_up_the_run() -> None:
    view = Stuck()
    progress = Progress(view, limit=4)
    progress.emit({"event": "started", "path": "0"})
    view.reached.wait()
    for index in range(1, 8):
        progress.emit({"event": "started", "path": str(index)})
    assert progress.dropped == 3
    view.let_go.set()
    progress.close()
    assert [event["path"] for event in view.shown] == ["0", "1", "2", "3", "4"]
    assert view.missed == 3


def test_generated_text_never_crowds_out_starts_and_ends() -> None:
    view = Stuck()
    progress = Progress(view, limit=10)
    progress.emit({"event": "started", "path": "a"})
    view.reached.wait()
    for _ in range(100):
        progress.emit({"event": "token", "path": "a", "text": "x"})
    progress.emit({"event": "finished", "path": "a"})
    view.let_go.set()
    progress.close()
    assert [event["event"] for event in view.shown] == ["started", *["token"] * 5, "finished"]
    assert view.missed == progress.dropped == 95


def test_the_end_of_a_run_does_not_wait_for_ever_for_a_terminal_that_has_stopped_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.showing.progress.CLOSE_SECONDS", 0.001)
    view = Stuck()
    progress = Progress(view, limit=1)
    progress.emit({"event": "started", "path": "0"})
    view.reached.wait()
    progress.emit({"event": "started", "path": "1"})
    progress.close()
    assert view.shown == []
    monkeypatch.setattr("edge.showing.progress.CLOSE_SECONDS", 60.0)
    view.let_go.set()
    progress.close()
    assert [event["path"] for event in view.shown] == ["0", "1"]


def test_a_view_is_called_while_nothing_happens_so_that_it_can_show_time_pass() -> None:
    idle = threading.Event()

    class Clock(Stuck):
        def idle(self) -> None:
            idle.set()

    view = Clock()
    view.let_go.set()
    with Progress(view) as progress:
        progress.emit({"event": "started", "path": "a"})
        assert idle.wait(120)


@pytest.mark.parametrize("view", [JsonView, PlainView, lambda stream: LiveView(stream, colour=False)])
def test_every_view_says_how_much_it_missed(view: type[PlainView]) -> None:
    stream = io.StringIO()
    shown = view(stream)
    shown.dropped(3)
    shown.close()
    assert "3" in stream.getvalue()
    assert "dropped" in stream.getvalue()


def test_a_closed_stream_ends_the_view_and_not_the_run() -> None:
    stream = io.StringIO()
    stream.close()
    with open_progress("plain", environment(stream)) as progress:
        for event in RUN:
            progress.emit(event)


def test_closing_twice_or_without_any_event_is_harmless() -> None:
    progress = open_progress("plain", environment(io.StringIO()))
    progress.close()
    progress.emit(RUN[0])
    progress.close()
    progress.close()


def test_a_question_waits_until_the_view_draws_no_more() -> None:
    class Quiet(Stuck):
        def __init__(self) -> None:
            super().__init__()
            self.hushed: list[object] = []

        def show(self, event: ProgressEvent) -> None:
            self.hushed.append(event["path"])

        def hush(self, on: bool) -> None:
            self.hushed.append(on)

    view = Quiet()
    with Progress(view) as progress:
        progress.hush(True)  # nothing is drawn yet, so there is nothing to wait for
        progress.emit({"event": "started", "path": "a"})
        progress.hush(True)
        assert view.hushed == ["a", True]
        progress.hush(False)
        assert view.hushed == ["a", True, False]


def test_a_view_that_is_stuck_holds_up_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.showing.progress.HUSH_SECONDS", 0.01)
    view = Stuck()
    progress = Progress(view, limit=1)
    progress.emit({"event": "started", "path": "0"})
    view.reached.wait()
    progress.hush(True)
    progress.hush(False)
    view.let_go.set()
    progress.close()
