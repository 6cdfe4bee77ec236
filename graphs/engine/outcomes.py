"""What a run's records say is known: the table the engine resumes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from graphs.engine.doubts import Doubts
from graphs.engine.events import Outcome
from graphs.errors import LimitReached, LinkCondition, NodeError, NodeTimeout
from graphs.records import Error, Event, Record, Result, State, Submit
from graphs.values import MISSING, Value

__all__ = ["AGAIN", "FORK", "KEY", "NODE_CODES", "UPGRADE", "Known", "known_outcomes", "told_condition", "told_failure"]

FORK: Final = "fork"
"""What a fork's order says of the run it was made of: its id, how many records were copied, and nodes that may have begun elsewhere (`suspects`)."""

UPGRADE: Final = "upgrade"
"""In there: it was made to do again what was degraded, and nothing else."""

KEY: Final = "key"
"""In `by` of a result: it counts only for an execution that is handed what has this hash (edge.runs.recall)."""

AGAIN: Final[Mapping[str, Value]] = MappingProxyType({"assumed": "rerun"})
"""The `info` of an EVENT that says of a node which may have happened that it is to run again: somebody said so, and is not asked twice."""

NODE_CODES: Final = frozenset(
    {"NODE_FAILED", "NODE_TIMEOUT", "LIMIT_REACHED", "MODEL_REFUSED", "CONTEXT_TOO_LONG", "VALUE_UNSUPPORTED"}
)
"""Failures of the node's own doing; everything else is a condition of the link (docs/protocol.md §17)."""


@dataclass(slots=True)
class Known:
    """Outcomes by path; how often each path was begun, and how many of its attempts failed while others were left; the paths of nodes with
    effects, and of those among them that were in flight and may or may not have happened, or, in a fork, that did happen in the run it was
    made of (`repeated`). `withheld` are nodes that met a condition of the link of which somebody else was told, who decides what becomes of them.
    `suspects` are places in the document of nodes with effects that another store may have begun, except at the paths that are `cleared`.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    made: dict[str, Result] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    retried: dict[str, int] = field(default_factory=dict)
    once: set[str] = field(default_factory=set)
    indeterminate: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)
    withheld: dict[str, LinkCondition] = field(default_factory=dict)
    suspects: set[str] = field(default_factory=set)
    cleared: set[str] = field(default_factory=set)

    @property
    def doubts(self) -> Doubts:
        """What nobody runs without a word."""
        return Doubts(self.indeterminate, self.repeated, self.suspects, self.cleared, self.withheld)


def known_outcomes(records: Iterable[Record], *parts: Iterable[Record]) -> Known:
    """Reads the logs of a run, in any order between logs: the first result of a path counts, later ones are alternatives.

    `parts` are those of its child runs, each by itself: two that could not see each other may have begun a path under the same number, and how it
    ended in one says nothing of the other. A person's word, which is in the run's own logs, ends it everywhere: it is of no execution of theirs.
    """
    known = Known()
    own = _Executions()
    for record in records:
        _note(known, own, record)
    said = own.said()
    logs = [own]
    for part in parts:
        logs.append(_Executions())
        for record in part:
            _note(known, logs[-1], record)
    for log in logs:
        known.once |= log.once.keys()
        # A result or an error ends the execution it names; another record may tell of a later one.
        open_ = (path for path, at in log.once.items() if at > max(log.ended.get(path, 0), said.get(path, 0)))
        known.indeterminate.update(path for path in open_ if path not in known.outcomes)
    return known


def _is_again(event: Event) -> bool:
    return event.state == State.WAITING and AGAIN.items() <= (event.info or {}).items()


class _Executions:
    """By path, the last execution that must not happen twice, and the last one that is over, of a log or of logs that see each other."""

    def __init__(self) -> None:
        self.once: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.errors: set[tuple[str, int]] = set()
        self.events: set[tuple[str, int]] = set()

    def said(self) -> dict[str, int]:
        """By path, the last execution that ended here without having begun here."""
        return {path: at for path, at in sorted(self.errors - self.events)}  # noqa: C416 - the last one counts


def _note(known: Known, log: _Executions, record: Record) -> None:
    once, ended = log.once, log.ended
    if isinstance(record, Result):
        if KEY in record.by:
            return
        if record.path not in known.outcomes and not record.by.get("alt"):
            known.outcomes[record.path] = Outcome(State.COMPLETED, record.value)
            known.made[record.path] = record
        ended[record.path] = max(ended.get(record.path, 0), record.at)
    elif isinstance(record, Event) and record.path is not None and record.state == State.EXECUTING:
        known.begun[record.path] = max(known.begun.get(record.path, 0), record.at)
        if (record.info or {}).get("effect") == "once":
            once[record.path] = max(once.get(record.path, 0), record.at)
            log.events.add((record.path, record.at))
            if (record.info or {}).get(FORK):
                known.repeated.add(record.path)
        if not (record.info or {}).get(FORK):
            known.cleared.add(record.path)
    elif isinstance(record, Event) and record.path is not None and _is_again(record):
        ended[record.path] = max(ended.get(record.path, 0), record.at)
        log.errors.add((record.path, record.at))
        known.cleared.add(record.path)
    elif isinstance(record, Event) and record.path is not None and record.state == State.SKIPPED:
        known.outcomes.setdefault(record.path, Outcome(State.SKIPPED))
    elif isinstance(record, Error) and record.path is not None:
        known.begun[record.path] = max(known.begun.get(record.path, 0), record.at)
        if record.final:  # whoever goes on all the same does so with all attempts
            known.retried.pop(record.path, None)
        elif record.code != "MODEL_CRASHED":  # that was no failure of the node
            known.retried[record.path] = max(known.retried.get(record.path, 0), record.retry + 1)
        if record.code != "NODE_INDETERMINATE":  # that nobody knows how it ended is no end
            ended[record.path] = max(ended.get(record.path, 0), record.at)
            log.errors.add((record.path, record.at))
    elif isinstance(record, Submit):
        fork: Any = record.opts.get(FORK)
        known.suspects.update(fork.get("suspects") or () if isinstance(fork, Mapping) else ())


def told_condition(record: Error) -> LinkCondition:
    """The condition of the link of which a record tells."""
    text = record.text if isinstance(record.text, str) else record.code
    return LinkCondition(record.code, text, retryable=record.retryable, retry_ms=record.retry_ms)


def told_failure(record: Error) -> Outcome:
    """What became of a node of whose final failure a record tells."""
    text = record.text if isinstance(record.text, str) else record.code
    if record.code == NodeTimeout.code:
        return Outcome(State.TIMED_OUT, MISSING, NodeTimeout(text))
    if record.code == LimitReached.code:
        return Outcome(State.FAILED, MISSING, LimitReached.told(text, record.detail if isinstance(record.detail, dict) else None))
    return Outcome(State.FAILED, MISSING, NodeError(text, retryable=record.retryable))
