"""What a run came to: the facts that the terminal, `--json` and `runs show` tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgpack import ExtType

from edge.showing.node_table import NodeRow
from graphs.environment import ExitStatus
from graphs.errors import AnswerNeeded, LinkCondition
from graphs.questions import Question
from graphs.records import State
from graphs.running.recorder import error_code
from graphs.values import Value, clean

__all__ = ["NodeReport", "RunReport", "maker", "result_text", "status_of"]

_STATUS: Mapping[int, str] = {
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.ABORTED: "cancelled",
    State.SUSPENDED: "suspended",
}


def status_of(state: int) -> str:
    """The word for how a run ended: completed, failed, cancelled or suspended."""
    return _STATUS[state]


@dataclass(slots=True)
class NodeReport:
    """One execution's place: where it ran, why, by what, how long (ms), at what cost. `up` and `down` are payload bytes over the
    link; `usd` is what its tokens cost, None where it used none or nobody named a price.
    """

    path: str
    state: str
    place: str
    reason: str
    by: Mapping[str, Value] = field(default_factory=dict)
    retry: int = 0
    ms: float | None = None
    usage: Mapping[str, Value] | None = None
    up: int = 0
    down: int = 0
    usd: float | None = None

    @property
    def degraded(self) -> str | None:
        """Why the result is less than was asked for; None if it is not."""
        reason = self.by.get("degraded")
        return str(reason) if reason else None

    def as_json(self) -> dict[str, Any]:
        """The entry under `nodes` of `--json`."""
        entry: dict[str, Any] = {
            "state": self.state,
            "place": self.place,
            "reason": self.reason,
            "by": dict(self.by),
            "retry": self.retry,
            "ms": self.ms,
        }
        if self.usage:
            entry["usage"] = {
                name: each for name, each in self.usage.items() if not isinstance(each, ExtType)
            }  # such a count is not here
        if self.usd is not None:
            entry["usd"] = round(self.usd, 9)
        if self.degraded:
            entry["degraded"] = self.degraded
        if self.up or self.down:
            entry["bytes"] = {"up": self.up, "down": self.down}
        return entry

    def as_row(self) -> NodeRow:
        """The line of the table."""
        tokens = (self.usage or {}).get("completion_tokens")
        return NodeRow(
            path=self.path,
            place=self.place,
            state=self.state,
            why=self.reason,
            by=maker(self.by),
            ms=self.ms,
            tokens=tokens if isinstance(tokens, int) else None,
            up=self.up or None,
            down=self.down or None,
            degraded=self.degraded,
        )


def maker(by: Mapping[str, Value]) -> str:
    """What made a result, for people: a model, else an agent, or who said that it was so (`--assume`)."""
    return str(by.get("model") or by.get("agent") or ("a person" if "assumed" in by else ""))


@dataclass(slots=True)
class RunReport:
    """What a run came to. `results` are the values asked for, `errors` those of all failed or suspended nodes by path."""

    run: str
    status: str
    results: Mapping[str, Value]
    errors: Mapping[str, BaseException]
    nodes: Mapping[str, NodeReport]
    first_error: tuple[str, BaseException] | None = None
    cost: Mapping[str, Any] | None = None
    """What the tokens of all nodes cost (`usd`, `unpriced`, `prices`); None if there were none."""

    @property
    def questions(self) -> list[Question]:
        """What people are asked, where the run waits for nobody else."""
        return [error.question for error in self.errors.values() if isinstance(error, AnswerNeeded)]

    @property
    def exit_status(self) -> ExitStatus:
        """The status the command leaves with (docs/design: exit codes)."""
        if self.status == "completed":
            return ExitStatus.COMPLETED
        if self.status == "suspended":
            unreached = any(
                isinstance(error, LinkCondition) and error.condition == "UNREACHABLE" for error in self.errors.values()
            )
            nothing_done = not any(node.state == "completed" for node in self.nodes.values())
            return ExitStatus.UNREACHABLE if unreached and nothing_done else ExitStatus.SUSPENDED
        if self.status == "cancelled":
            return ExitStatus.INTERRUPTED
        return ExitStatus.FAILED

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "run": self.run,
            "status": self.status,
            "results": clean(dict(self.results)),
            "errors": {
                path: {
                    "code": error_code(error),
                    "message": getattr(error, "message", None) or str(error) or type(error).__name__,
                    "retryable": bool(getattr(error, "retryable", False)),
                }
                for path, error in self.errors.items()
            },
            "nodes": {path: node.as_json() for path, node in self.nodes.items()},
            **({"cost": dict(self.cost)} if self.cost is not None else {}),
            **({"questions": [each.as_json() for each in self.questions]} if self.questions else {}),
        }


def result_text(results: Mapping[str, Value]) -> str:
    """What goes to stdout: the text of one result that is text or has `text`, otherwise JSON."""
    from graphs.language.jstext import json_text

    if len(results) == 1:
        only = next(iter(results.values()))
        if isinstance(only, str):
            return only
        if isinstance(only, Mapping) and isinstance(only.get("text"), str):
            return str(only["text"])
    return json_text(clean(dict(results)), 2)
