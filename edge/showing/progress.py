"""What a person sees of a run while it goes on.

The run hands plain events to a `Progress`; a thread of its own shows them. Observers never slow a run down: the queue between the two is bounded,
what does not fit is dropped, and the view says how much. So the view may miss things; the journal does not, and the table printed at
the end is made from that.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Required, Self, TextIO, TypeAlias, TypedDict

from edge.showing.node_table import NodeRow, duration, node_table
from graphs.terminal import printable

if TYPE_CHECKING:
    from types import TracebackType

    from graphs.environment import Environment

__all__ = [
    "MODES",
    "Mode",
    "NodeRow",
    "Progress",
    "ProgressEvent",
    "View",
    "lost",
    "node_table",
    "open_progress",
    "plain_line",
    "unheard",
]

Mode: TypeAlias = Literal["auto", "tty", "plain", "json", "quiet"]
MODES: Final[tuple[Mode, ...]] = ("auto", "tty", "plain", "json", "quiet")
"""auto: tty where someone watches, else plain. tty: a live table. plain: a line a start and end. json: NDJSON. quiet: nothing."""

QUEUE_LIMIT: Final = 10_000
"""Events that wait for the view. Pieces of generated text may fill half of it, so that they never crowd out starts and ends."""

HUSH_SECONDS: Final = 0.5
"""How long a question waits for the view to stop drawing."""

FRAME_SECONDS: Final = 0.25
"""A frame of the live table costs processor time that a model on the same cores would use."""

CLOSE_SECONDS: Final = 2.0
"""How long the end of a run waits for a terminal that has stopped reading."""


class ProgressEvent(TypedDict, total=False):
    """One thing that happened. `event` says which; the other keys stand where they apply.

    `t` is in ms since 1970, `ms` a duration, `tokens` a count, `up` and `down` bytes on the link, `retry` the failed attempts so far.
    In the order of a run: `run-started` (run, graph, nodes); for nodes `started` (path, place, why, model), `token` (path, text),
    `waiting` (path, place, why: a worker is to do it, and whether it does is not known; `started` follows with the first piece of its answer),
    `retry` (path, retry, code, message), `finished` (path, place, by, ms, tokens, up, down, degraded; `kept` if an earlier
    session of the run had it),
    `failed` (path, code, message, ms), `skipped` (path), `stopped` (path, place, ms: another one
    was first); `suspended` (why, path where it is one node); `run-ended` (run, status, ms).
    """

    event: Required[
        Literal[
            "run-started",
            "started",
            "token",
            "waiting",
            "retry",
            "finished",
            "failed",
            "skipped",
            "stopped",
            "suspended",
            "run-ended",
        ]
    ]
    t: float
    run: str
    graph: str
    nodes: int
    path: str
    place: str
    why: str
    model: str
    by: str
    text: str
    retry: int
    code: str
    message: str
    ms: float
    tokens: int
    up: int
    down: int
    degraded: str
    kept: bool
    status: str


def unheard(_event: ProgressEvent) -> None:
    """Takes events that nobody sees: who makes them need not (`Progress.heard`)."""


class View(Protocol):
    """Shows events. All its methods are called in one thread, never in that of the run."""

    def show(self, event: ProgressEvent) -> None: ...

    def dropped(self, count: int) -> None:
        """Says that `count` further events were lost."""

    def idle(self) -> None:
        """Called when no event came for `FRAME_SECONDS`."""

    def hush(self, on: bool) -> None:
        """Draw nothing from now on, as a person is being asked there; or go on."""

    def close(self) -> None: ...


class Progress:
    """Takes a run's events and never blocks. Close it before anything else is written to its stream.

    Without a view it does nothing.
    """

    def __init__(self, view: View | None, *, limit: int = QUEUE_LIMIT) -> None:
        self.dropped = 0
        self._view = view
        self._limit = limit
        self._events: Queue[ProgressEvent | _Hush | None] = Queue(limit)
        self._thread: threading.Thread | None = None

    def emit(self, event: ProgressEvent) -> None:
        """Hands on an event, or drops it where the view is that far behind. To be called from one thread."""
        if self._view is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._pump, args=(self._view,), name="progress", daemon=True)
            self._thread.start()
        if event["event"] == "token" and self._events.qsize() * 2 >= self._limit:
            self.dropped += 1
            return
        try:
            self._events.put_nowait(event)
        except Full:
            self.dropped += 1

    @property
    def heard(self) -> Callable[[ProgressEvent], None]:
        """`emit`, or `unheard` where there is no view."""
        return self.emit if self._view is not None else unheard

    def hush(self, on: bool) -> None:
        """Has the view draw nothing while a person is asked at its terminal; False lets it go on. Waits until it does, for a moment at most."""
        if self._thread is None:
            return
        hush = _Hush(on)
        try:
            self._events.put(hush, timeout=HUSH_SECONDS)
        except Full:
            return
        hush.done.wait(HUSH_SECONDS)

    def close(self) -> None:
        """Shows what is still queued and ends the view; gives up on a terminal that has stopped reading."""
        if self._thread is None:
            return
        try:
            self._events.put(None, timeout=CLOSE_SECONDS)
        except Full:
            return
        self._thread.join(CLOSE_SECONDS)
        self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _pump(self, view: View) -> None:
        told = 0
        try:
            while True:
                try:
                    event = self._events.get(timeout=FRAME_SECONDS)
                except Empty:
                    view.idle()
                    continue
                if self.dropped > told:
                    missed, told = self.dropped - told, self.dropped
                    view.dropped(missed)
                if event is None:
                    break
                if isinstance(event, _Hush):
                    view.hush(event.on)
                    event.done.set()
                    continue
                view.show(event)
            view.close()
        except (OSError, ValueError):  # the stream is closed: nobody watches any more, and the run goes on
            self._view = None


class _Hush:
    """Word to the view, in the order of the events."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self.done = threading.Event()


def open_progress(mode: Mode, env: Environment) -> Progress:
    """The progress of one run on `env.stderr`, in that mode."""
    if mode == "auto":
        mode = "tty" if env.is_tty else "plain"
    if mode == "quiet":
        return Progress(None)
    if mode == "json":
        return Progress(JsonView(env.stderr))
    if mode == "plain":
        return Progress(PlainView(env.stderr))
    from edge.showing.live import LiveView

    return Progress(LiveView(env.stderr, colour=env.colour))


class JsonView:
    """NDJSON: each event as one line, and `{"event": "dropped", "count": n}` where some are missing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: ProgressEvent) -> None:
        self._write(event)

    def dropped(self, count: int) -> None:
        self._write({"event": "dropped", "count": count})

    def idle(self) -> None: ...

    def hush(self, on: bool) -> None: ...

    def close(self) -> None: ...

    def _write(self, event: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(event, separators=(",", ":"), default=repr) + "\n")
        self._stream.flush()


class PlainView:
    """One line for each start and each end, for logs and for terminals that cannot be drawn on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: ProgressEvent) -> None:
        line = plain_line(event)
        if line is not None:
            self._write(line)

    def dropped(self, count: int) -> None:
        self._write(lost(count))

    def idle(self) -> None: ...

    def hush(self, on: bool) -> None: ...

    def close(self) -> None: ...

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def plain_line(event: ProgressEvent) -> str | None:
    """The event as a line of text, or None where it is worth none."""
    words = _PLAIN.get(event["event"])
    return printable(words(event)) if words else None


def lost(count: int) -> str:
    """What is said of events that were dropped."""
    return f"{count} progress event{'' if count == 1 else 's'} dropped: the terminal is slower than the run"


def _count(nodes: int) -> str:
    return f"{nodes} computed node{'' if nodes == 1 else 's'}"


def _on(event: ProgressEvent) -> str:
    return f" on {event['place']}" if event.get("place") else ""


def _for(event: ProgressEvent) -> str:
    return " for a worker" if event.get("place") == "cloud" else ""


def _because(event: ProgressEvent) -> str:
    return f": {event['why']}" if event.get("why") else ""


def _in(event: ProgressEvent) -> str:
    return f" in {duration(event['ms'])}" if "ms" in event else ""


def _what(event: ProgressEvent) -> str:
    return ": " + " ".join(each for each in (event.get("code"), event.get("message")) if each)


def _finished(event: ProgressEvent) -> str:
    tokens = f", {event['tokens']} tokens" if event.get("tokens") else ""
    degraded = f", degraded: {event['degraded']}" if event.get("degraded") else ""
    if event.get("kept"):
        return f"kept      {event.get('path', '')}{_on(event)}{degraded}"
    return f"finished  {event.get('path', '')}{_on(event)}{_in(event)}{tokens}{degraded}"


_PLAIN: Final[Mapping[str, Callable[[ProgressEvent], str]]] = {
    "run-started": lambda event: (
        f"run {event.get('run', '')} of {event.get('graph', 'a graph')}: {_count(event.get('nodes', 0))}"
    ),
    "started": lambda event: f"started   {event.get('path', '')}{_on(event)}{_because(event)}",
    "waiting": lambda event: f"waiting   {event.get('path', '')}{_for(event)}{_because(event)}",
    "retry": lambda event: f"retry {event.get('retry', 1)}   {event.get('path', '')}{_what(event)}",
    "finished": _finished,
    "failed": lambda event: f"failed    {event.get('path', '')}{_on(event)}{_in(event)}{_what(event)}",
    "skipped": lambda event: f"skipped   {event.get('path', '')}",
    "stopped": lambda event: f"stopped   {event.get('path', '')}{_on(event)}{_in(event)}: another one was first",
    "suspended": lambda event: f"suspended {event.get('path', 'the run')}{_because(event)}",
    "run-ended": lambda event: f"{event.get('status', 'ended')}{_in(event)}",
}
