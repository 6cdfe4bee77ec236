"""Why a run is suspended: what is said where none of its nodes waits for anything, and what the journal notes for those who go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge.syncing.held import holding_of
from edge.syncing.waiting import waits
from graphs.errors import AnswerNeeded, JournalError, LinkCondition, RunSuspended
from graphs.journal.ids import run_id_short, run_id_text
from graphs.records import Event

if TYPE_CHECKING:
    from graphs.journal import Journal, RunRow

__all__ = ["CANCELLED", "DIVERGED", "HANDED_OVER", "Pause", "asked_for", "noted", "pause_of", "too_late"]

CANCELLED: Final = "cancelled by another process"

HANDED_OVER: Final = "handed over"
"""Why a run rests that another process asked for."""

DIVERGED: Final = "diverged"
"""What the journal notes of a run whose copy at a worker contradicts the one here."""


def asked_for(run: str) -> RunSuspended:
    """Another process asked for the run (edge.runs.resting)."""
    return RunSuspended(run, HANDED_OVER, "this run was asked for, to be handed over: nothing more was begun here")


def too_late(run: str, deadline: float | None) -> RunSuspended:
    """The run's deadline, in seconds from its beginning, is over."""
    return RunSuspended(run, "deadline", f"the deadline of {deadline:g} s passed before the run was complete")


_SUSPENDED: Final = "suspended"
_MOST: Final = 32
"""Nodes of which is noted why they wait."""
_LONGEST: Final = 500
"""Characters of a reason."""


def noted(suspended: Mapping[str, BaseException], *, rests: bool) -> dict[str, Any]:
    """For the journal's table of runs, of the nodes that wait, by path: whether the run goes on by itself once a worker is there, which one that
    `rests` for a person does not, whether the worker's copy contradicts this one, and why each node waits that asks nothing.
    """
    why = {path: error for path, error in suspended.items() if isinstance(error, LinkCondition)}
    diverged = any(each.condition == "RUN_DIVERGED" for each in why.values())
    reasons = {
        path: [each.condition, each.message[:_LONGEST], each.hint]
        for path, each in sorted(why.items(), key=lambda found: found[1].condition != "NODE_INDETERMINATE")[:_MOST]
        if not isinstance(each, AnswerNeeded)
    }
    return {
        "waits": not rests and any(map(waits, suspended.values())),
        **({DIVERGED: True} if diverged else {}),
        **({_SUSPENDED: reasons} if reasons else {}),
    }


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a run does not go on: its nodes that wait, by path, with code, reason and what there is to do about it; if another store holds it, that
    store, and what it said last.
    """

    nodes: Mapping[str, tuple[str, str, str | None]] = field(default_factory=dict)
    holder: bytes | None = None
    there: str | None = None

    @property
    def in_doubt(self) -> list[str]:
        """The nodes of which a person has to say what became of them."""
        return [path for path, (code, _, _) in self.nodes.items() if code == "NODE_INDETERMINATE"]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        nodes = {path: {"code": code, "message": text} for path, (code, text, _) in self.nodes.items()}
        return {"suspended": nodes, "holder": self.holder.hex() if self.holder is not None else None}

    def lines(self, run: bytes) -> list[str]:
        """For people."""
        said = []
        if self.holder is not None:
            said.append(f"held by the store {self.holder.hex()}{f', where it rests: {self.there}' if self.there else ''}")
            said.append(f"  graphferry runs pull {run_id_short(run)} brings it here")
        for path, (_, text, hint) in self.nodes.items():
            said.append(f"{path} waits: {text}")
            said += [f"  {hint.replace(' RUN ', f' {run_id_text(run)} ')}"] if hint else []
        return said


def pause_of(journal: Journal, row: RunRow) -> Pause:
    """What is known here of why a run does not go on; nothing of one that is over, or that a process works on."""
    if row.status not in ("running", "suspended", "failed"):
        return Pause()
    try:
        holder = holding_of(journal, row.run).holder
    except JournalError:
        return Pause()
    if holder != journal.store_id:
        return Pause(holder=holder, there=_said(journal, row.run, holder))
    found: Mapping[str, Any] = (row.exit_info or {}).get(_SUSPENDED) or {}
    return Pause({path: (code, text, hint) for path, (code, text, hint) in found.items()} if row.status == "suspended" else {})


def _said(journal: Journal, run: bytes, holder: bytes) -> str | None:
    """Why the holder's process stopped; None if it goes on, as far as is known here."""
    last = None
    with suppress(JournalError):  # `runs show` says what is wrong with it
        for logged in journal.records(run, holder):
            last = logged.record
    if not isinstance(last, Event) or last.path is not None:
        return None
    why = (last.info or {}).get("why")
    return why if isinstance(why, str) else None
