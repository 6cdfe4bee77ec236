"""Watches a run on the device: keeps a line a node for the report, and tells the terminal view what happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from edge.placement import DONE
from edge.placing.facts import Place, Placement
from edge.showing.progress import ProgressEvent, unheard
from edge.showing.report import NodeReport
from graphs.engine.events import Settled, Start
from graphs.errors import WorkerNeeded
from graphs.paths import document_path, escape, root_node
from graphs.records import Event, Record, Result, State, used_up
from graphs.running.attempt import Attempt
from graphs.running.recorder import error_code
from graphs.values import Value

__all__ = ["Watch"]

_WORDS: Mapping[int, str] = {
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.TIMED_OUT: "timed-out",
    State.SKIPPED: "skipped",
    State.SUSPENDED: "suspended",
}


_INSTEAD = "ran here instead of at the worker"


class Watch:
    """A `graphs.running.ports.Observer`.

    `made` looks up the record of a result that was not made in this process: by a worker, or in an earlier session of the run;
    `kept` says of the latter on which side they were made, as far as that is known. `emit` takes progress events.
    """

    def __init__(
        self,
        placed: Mapping[str, Placement],
        made: Callable[[str], tuple[Result, int] | None],
        emit: Callable[[ProgressEvent], None],
        kept: Mapping[str, Place | None] = MappingProxyType({}),
    ) -> None:
        self.nodes: dict[str, NodeReport] = {}
        self.errors: dict[str, BaseException] = {}
        self._began: dict[str, float] = {}
        """When those attempts began that run inside a node, which may be a race: then all but one are stopped."""
        self._left: set[str] = set()
        """Nodes that were placed here and went to the worker all the same."""
        self._awaited: set[str] = set()
        """Nodes of the worker's of which nothing has been heard: nobody here knows whether they run."""
        self._placed = placed
        self._made = made
        self._kept = kept
        self._emit = emit
        self._heard = emit is not unheard

    def waiting(self, path: str) -> NodeReport:
        """The line of a node that never became ready."""
        return self._report(path)

    def started(self, start: Start, t: float) -> None:
        report = self._report(start.path)
        if "/" in report.path:
            self._began[report.path] = t
        report.state = "executing"
        self.errors.pop(report.path, None)  # it only waited
        if start.node.stands_in:
            report.place, report.reason = "edge", _why_here(start.node.moved)
            self._left.discard(start.path)
        elif start.node.leaves is not None:
            report.place, report.reason = "cloud", f"goes to the worker after all: {start.node.leaves}"
            self._left.add(start.path)
        if self._heard:
            far = report.place == "cloud"
            (self._awaited.add if far else self._awaited.discard)(report.path)
            began: ProgressEvent = {
                "event": "waiting" if far else "started", "t": _now(), "path": report.path, "place": report.place, "why": report.reason,
            }  # fmt: skip
            if report.place == "edge" and start.agent is not None and "model" in start.agent.needs:
                began["model"] = start.node.model or ""
            self._emit(began)

    def token(self, start: Start, token: Value) -> None:
        self.streamed(start.path, token)

    def streamed(self, path: str, token: Value) -> None:
        """A piece of an answer came, from here or from the worker; that it came is the first word that the node runs there."""
        if path in self._awaited:
            self._awaited.discard(path)
            self._emit({"event": "started", "t": _now(), "path": path, "place": "cloud", "why": self._report(path).reason})
        self._emit({"event": "token", "t": _now(), "path": path, "text": token if isinstance(token, str) else ""})

    def erred(self, start: Start, error: BaseException, final: bool, t: float) -> None:  # noqa: ARG002 - the port hands it over
        report = self._report(start.path)
        report.retry = start.retry + (0 if final else 1)
        if not final:
            self._emit(
                {
                    "event": "retry",
                    "t": _now(),
                    "path": report.path,
                    "retry": report.retry,
                    "code": error_code(error),
                    "message": _message(error),
                }
            )

    def settled(self, event: Settled, by: Mapping[str, Value], usage: Mapping[str, Value] | None, t: float) -> None:
        report = self._report(event.path)
        report.state = _WORDS.get(event.state, "completed")
        if event.known:
            self._take_record(report)
        elif event.start is not None and event.state != State.SUSPENDED and not isinstance(event.value, WorkerNeeded):
            # else it only waited, or could not even do that, and nobody made anything
            report.by, report.usage = dict(by), usage
            report.retry = event.start.retry
            report.ms = round((t - event.start.t) * 1000, 1)
        if isinstance(event.value, BaseException):
            self.errors[report.path] = event.value
        if self._began:
            self._began.pop(report.path, None)
            if _is_race(event.start):
                self._stop_losers(report.path, t)
        if self._heard:
            self._awaited.discard(report.path)
            self._emit(self._ending(report, event))

    def _stop_losers(self, race: str, t: float) -> None:
        """What still ran when a race was over was stopped; its time was spent all the same."""
        for path in [path for path in self._began if path.startswith(f"{race}/")]:
            loser = self._report(path)
            loser.state, loser.ms = "aborted", round((t - self._began.pop(path)) * 1000, 1)
            self._emit({"event": "stopped", "t": _now(), "path": path, "place": loser.place, "ms": loser.ms})

    def stopped(self, start: Start, t: float) -> None:  # noqa: ARG002 - the port hands it over
        """What it used up is known now, if anybody says so."""
        if isinstance(start, Attempt):
            self._spent(start.path, *start.provenance())

    def stopped_there(self, record: Record) -> None:
        """The same, as a worker tells it."""
        used = used_up(record)
        if used is not None and isinstance(record, Event) and record.path is not None:
            self._spent(record.path, {name: used[name] for name in ("model", "backend") if name in used}, used)

    def _spent(self, path: str, by: Mapping[str, Value], usage: Mapping[str, Value] | None) -> None:
        report = self.nodes.get(path)
        if report is not None and report.state == "aborted" and usage:
            report.by, report.usage = dict(by), usage

    def _take_record(self, report: NodeReport) -> None:
        found = self._made(report.path)
        if found is None:
            return
        record, size = found
        report.by, report.usage, report.retry = dict(record.by), record.usage, record.retry
        self.errors.pop(report.path, None)  # it only seemed that it would not come
        moved = report.by.get("moved")
        here = report.degraded or moved
        if here:
            report.place, report.reason = "edge", _why_here(moved)
        elif report.path not in self._left:
            report.place, report.reason = self._placement(report.path)
            if (kept := self._kept.get(report.path) or report.place) != report.place:
                report.place, report.reason = kept, DONE  # where it would be now is no matter
        report.ms = (record.usage or {}).get("ms")
        report.down = size if report.place == "cloud" else 0

    def _ending(self, report: NodeReport, event: Settled) -> ProgressEvent:
        t = _now()
        if event.state == State.SKIPPED:
            return {"event": "skipped", "t": t, "path": report.path}
        if event.state == State.SUSPENDED:
            return {"event": "suspended", "t": t, "path": report.path, "why": _message(event.value)}
        if isinstance(event.value, BaseException):
            return {
                "event": "failed",
                "t": t,
                "path": report.path,
                "place": report.place,
                "code": error_code(event.value),
                "message": _message(event.value),
            }
        row = report.as_row()
        ending: ProgressEvent = {"event": "finished", "t": t, "path": report.path, "place": report.place, "by": row.by}
        optional: dict[str, Any] = {
            "ms": row.ms, "tokens": row.tokens, "up": row.up, "down": row.down, "degraded": row.degraded,
        }  # fmt: skip
        if event.known and event.path in self._kept:
            ending["kept"] = True
        for key, value in optional.items():
            if value is not None:
                ending[key] = value  # type: ignore[literal-required]
        return ending

    def _report(self, path: str) -> NodeReport:
        report = self.nodes.get(path)
        if report is None:
            report = self.nodes[path] = NodeReport(path, "waiting", *self._placement(path))
        return report

    def _placement(self, path: str) -> tuple[str, str]:
        placed = self._placed
        placement = placed.get(path) or placed.get(document_path(path)) or placed.get(escape(root_node(path)))
        return (placement.place, placement.reason) if placement is not None else ("edge", "")


def _why_here(moved: Value) -> str:
    return f"runs here as well: {moved}" if moved else _INSTEAD


def _is_race(start: Start | None) -> bool:
    """Whether the attempt opened a graph that is over with its first answer (graphs.language.cascade)."""
    return start is not None and start.agent is not None and start.agent.nests is not None and bool(start.params.get("race"))


def _message(error: BaseException) -> str:
    """What happened, without the advice that the end of the run gives."""
    return getattr(error, "message", None) or str(error) or type(error).__name__


def _now() -> float:
    return time.time() * 1000
