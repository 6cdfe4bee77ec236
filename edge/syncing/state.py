"""How single runs stand to the worker and to each other: for `graphferry runs`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.runs.pauses import pause_of
from edge.runs.upgrade import degraded_of, upgrade_of, upgrades_of
from edge.syncing.spool import NOTHING, ToGo, spooled
from edge.syncing.waiting import is_answered, is_waiting
from graphs.errors import JournalError
from graphs.journal.ids import run_id_short, run_id_text
from protocol.marks import is_marked

if TYPE_CHECKING:
    from graphs.journal import Journal
    from graphs.journal.reader import RunRow

__all__ = ["RunState", "run_states"]


@dataclass(frozen=True, slots=True)
class RunState:
    """`marked` for sync, with so much `to_go`; `waits` for a worker, or was `answered`, and goes on with the next sync; paths of `degraded`
    results; the run it is an `upgrade_of`, and those that are upgrades of it; `cut_off`: it is called running, and no process of this device
    works on it; paths of nodes `in_doubt`, of which a person has to say what became of them; the `holder`, if the run is not
    over and that is another store.
    """

    marked: bool = False
    to_go: ToGo = NOTHING
    waits: bool = False
    degraded: tuple[str, ...] = ()
    upgrade_of: bytes | None = None
    upgraded_by: tuple[bytes, ...] = ()
    cut_off: bool = False
    in_doubt: tuple[str, ...] = ()
    answered: bool = False
    holder: bytes | None = None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "marked": self.marked,
            "ahead": self.to_go.records,
            "bytes": self.to_go.bytes,
            "waits": self.waits,
            "cut_off": self.cut_off,
            "in_doubt": list(self.in_doubt),
            "holder": None if self.holder is None else self.holder.hex(),
            "degraded": list(self.degraded),
            "upgrade_of": None if self.upgrade_of is None else run_id_text(self.upgrade_of),
            "upgraded_by": [run_id_text(run) for run in self.upgraded_by],
        }

    def words(self) -> list[str]:
        """The same for people: what is worth a word."""
        found = ["has an answer" if self.answered else "waits for a worker"] if self.waits and not self.cut_off else []
        if self.holder is not None:
            found.append(f"held by the store {self.holder.hex()}")
        if self.in_doubt:
            found.append(f"asks what became of {_some(self.in_doubt)}")
        if self.to_go.records:
            found.append(f"ahead by {self.to_go.records}")
        if self.degraded:
            found.append(f"degraded: {_some(self.degraded)}")
        if self.upgraded_by:
            found.append(f"upgraded by {', '.join(map(run_id_short, self.upgraded_by))}")
        if self.upgrade_of is not None:
            found.append(f"upgrade of {run_id_short(self.upgrade_of)}")
        return found


def run_states(journal: Journal, rows: Collection[RunRow]) -> dict[bytes, RunState]:
    """How these root runs stand, as this device knows. One that is damaged has nothing said of it: `runs show` says what is wrong."""
    waiting, upgrades, poor = spooled(journal), upgrades_of(journal), degraded_of(journal, rows)
    found = {}
    for row in rows:
        try:
            waits, pause = is_waiting(journal, row), pause_of(journal, row)
            found[row.run] = RunState(
                marked=is_marked(journal, row.run),
                to_go=waiting.get(row.run, NOTHING),
                waits=waits,
                in_doubt=tuple(pause.in_doubt),
                degraded=tuple(poor.get(row.run, ())),
                upgrade_of=upgrade_of(journal, row.run),
                upgraded_by=tuple(upgrades.get(row.run, ())),
                cut_off=waits and row.status == "running",
                answered=waits and is_answered(journal, row),
                holder=pause.holder,
            )
        except JournalError:
            found[row.run] = RunState()
    return found


def _some(paths: Sequence[str]) -> str:
    """The first of them."""
    return f"{', '.join(paths[:3])}{f' and {len(paths) - 3} more' if len(paths) > 3 else ''}"
