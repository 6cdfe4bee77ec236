"""What a run's records say is known: the table the engine resumes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from graphs.events import Outcome
from graphs.records import Error, Event, Input, Record, Result, State

__all__ = ["Known", "known_outcomes"]


@dataclass(slots=True)
class Known:
    """Outcomes by path; how often each path was begun; and the paths of nodes with effects that were in flight and may or may not
    have happened.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    made: dict[str, Result] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    indeterminate: set[str] = field(default_factory=set)


def known_outcomes(records: Iterable[Record]) -> Known:
    """Reads the logs of a run in any order between logs: the first result of a path counts, later ones are alternatives."""
    known = Known()
    for record in records:
        if isinstance(record, Result):
            known.indeterminate.discard(record.path)
            if record.path not in known.outcomes and not record.by.get("alt"):
                known.outcomes[record.path] = Outcome(State.COMPLETED, record.value)
                known.made[record.path] = record
        elif isinstance(record, Event) and record.path is not None and record.state == State.EXECUTING:
            known.begun[record.path] = max(known.begun.get(record.path, 0), record.at)
            if (record.info or {}).get("effect") == "once" and record.path not in known.outcomes:
                known.indeterminate.add(record.path)
        elif isinstance(record, Error) and record.path is not None:
            known.begun[record.path] = max(known.begun.get(record.path, 0), record.at)
            known.indeterminate.discard(record.path)
        elif isinstance(record, Input) and record.state == State.COMPLETED:
            continue  # what the holder told a worker stands in the holder's own log, or can be derived
    return known
