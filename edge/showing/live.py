"""The live table of a run on a terminal: the nodes that run, those that wait, and the latest that are done.

Drawn at most four times a second, and only when something changed: processor time spent here is taken from the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from edge.showing.node_table import FINISHED, NodeRow, fold, node_table
from edge.showing.progress import FRAME_SECONDS, ProgressEvent, lost
from graphs.terminal import printable

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["LiveView", "RunState"]


class RunState:
    """What the events so far say of a run: a row for each node. `now` is in seconds, of any one clock."""

    def __init__(self) -> None:
        self.title = ""
        self._rows: dict[str, NodeRow] = {}
        self._began: dict[str, float] = {}
        self._pieces: dict[str, int] = {}

    @property
    def running(self) -> bool:
        """Whether a node runs, so that its time goes on without any event."""
        return bool(self._began)

    def apply(self, event: ProgressEvent, now: float) -> None:
        """Takes an event into account."""
        kind, path = event["event"], event.get("path")
        if kind == "run-started":
            self.title = printable(event.get("graph", ""))
        if path is None:
            return
        if kind == "token":
            self._pieces[path] = self._pieces.get(path, 0) + 1
            return
        if kind == "retry":  # the node keeps its place and its slot through all its attempts
            self._rows[path] = replace(self._rows.get(path, NodeRow(path)), why=event.get("message", ""))
            return
        self._rows[path] = _row(self._rows.get(path, NodeRow(path)), event)
        since = self._began.pop(path, None)
        self._pieces.pop(path, None)
        if kind == "started" or (kind == "waiting" and event.get("place") == "cloud"):
            self._began[path] = since if since is not None and kind == "started" else now
            if "model" in event:
                self._pieces[path] = 0

    def frame(self, now: float, *, width: int, height: int, colour: bool = False, encoding: str = "utf-8") -> str:
        """The table at that moment, in at most `height` lines. What is done gives way to what is not."""
        rows = [self._at(row, now) for row in fold(self._rows.values())]
        room = max(height - 3, 1)  # the title, the head of the table, and the line that counts what is not shown
        shown = rows
        if len(rows) > room:
            by_interest = sorted(range(len(rows)), key=lambda index: (rows[index].state in FINISHED, -index))
            shown = [rows[index] for index in sorted(by_interest[:room])]
        hidden = len(rows) - len(shown)
        title = f"{self.title}\n" if self.title else ""
        more = f"and {hidden} more\n" if hidden else ""
        return title + node_table(shown, width=width, colour=colour, encoding=encoding) + more

    def _at(self, row: NodeRow, now: float) -> NodeRow:
        began = self._began.get(row.path)
        if began is None:
            return row
        pieces = self._pieces.get(row.path)
        phase = row.state if pieces is None else "generating" if pieces else "reads the prompt"
        return replace(row, ms=float(int(now - began) * 1000), tokens=pieces or None, state=phase)


def _row(row: NodeRow, event: ProgressEvent) -> NodeRow:
    """The node's row after an event that changed its state."""
    why = event.get("message") or event.get("why") or row.why
    return NodeRow(
        row.path,
        place=event.get("place", row.place),
        state=_STATES[event["event"]],
        why=why,
        by=event.get("by") or event.get("model") or row.by,
        ms=event.get("ms"),
        tokens=event.get("tokens"),
        up=event.get("up"),
        down=event.get("down"),
        degraded=event.get("degraded"),
    )


_STATES = {
    "started": "executing",
    "waiting": "waiting",
    "finished": "completed",
    "failed": "failed",
    "skipped": "skipped",
    "stopped": "aborted",
    "suspended": "suspended",
}


class LiveView:
    """Draws a `RunState` in place, and leaves nothing behind but word of dropped events."""

    def __init__(self, stream: TextIO, *, colour: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._colour = colour
        self._clock = clock
        self._state = RunState()
        self._lost = 0
        self._changed = False
        self._drawn = float("-inf")
        self._live: Live | None = None
        self._hushed = False

    def show(self, event: ProgressEvent) -> None:
        self._state.apply(event, self._clock())
        self._changed = True
        self._draw()

    def dropped(self, count: int) -> None:
        self._lost += count

    def idle(self) -> None:
        if self._state.running and int(self._clock()) != int(self._drawn):
            self._changed = True
        self._draw()

    def hush(self, on: bool) -> None:
        self._hushed, self._changed = on, True
        if on and self._live is not None:
            self._live.stop()  # which leaves nothing behind
            self._live = None
        self._draw()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
        if self._lost:
            self._stream.write(lost(self._lost) + "\n")
            self._stream.flush()

    def _draw(self) -> None:
        now = self._clock()
        if self._hushed or not self._changed or now - self._drawn < FRAME_SECONDS:
            return
        self._drawn = now
        self._changed = False
        live = self._live = self._live or self._open()
        width, height = live.console.size
        frame = self._state.frame(now, width=width, height=height, colour=self._colour, encoding=self._stream.encoding or "utf-8")
        from rich.text import Text

        live.update(Text.from_ansi(frame.rstrip("\n"), no_wrap=True, overflow="crop"), refresh=True)

    def _open(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._stream, force_terminal=True, no_color=not self._colour)
        live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
        live.start()
        return live
