"""Sync: what waits goes out, what finished comes in, journals converge (docs/protocol.md §11).

A round is one connection: the open child runs of this device's runs are gone on with, so that what the worker made of them arrives; then the logs of
shared runs are compared and copied, both ways, with their bodies. Nothing of it needs to end well: the next round begins where this one stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge.ferrying.attached import open_children
from edge.runs.at_work import is_at_work
from edge.syncing.handover import Connect, give_to_askers
from edge.syncing.sharing import shared_part
from edge.syncing.waiting import waiting_runs
from graphs.engine.outcomes import KEY
from graphs.errors import LinkCondition
from graphs.journal.ids import run_id_text
from graphs.records import Result
from protocol.events import Copied, CopyRefused, Differs

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["Round", "Standing", "converge", "standing"]

_MOST_OPEN: Final = 1_024


@dataclass(slots=True)
class Round:
    """What one round moved: records that came in, by run; logs that were refused, why, by run; bodies that came."""

    received: Counter[bytes] = field(default_factory=Counter)
    refused: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    bodies: int = 0

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "received": sum(self.received.values()),
            "runs": [run_id_text(run) for run in self.received],
            "bodies": self.bodies,
            "refused": {run_id_text(run): {"code": code, "message": text} for run, (code, text) in self.refused.items()},
        }


@dataclass(slots=True)
class Standing:
    """How this device stands to the worker, like a clone to its origin: records it is `ahead` and `behind` by, `waiting` runs, runs with
    `degraded` results, and `bytes` to go out; `diverged` runs. The first two are None when nobody was asked.
    """

    ahead: int | None = None
    behind: int | None = None
    bytes: int = 0
    waiting: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {name: getattr(self, name) for name in ("ahead", "behind", "bytes", "waiting", "degraded", "diverged")}


async def converge(journal: Journal, connect: Connect) -> Round:
    """One round. Raises WorkerUnreachable if there is no worker, LinkCondition if it went away in the middle; what was moved by then is kept."""
    done = Round()
    attached = _open_parts(journal)
    before = _positions(journal, attached)
    link: WorkerLink = await connect(attached)
    try:
        await link.caught_up()
        for event in await link.compare():
            if isinstance(event, Copied):
                done.received[event.run] += 1
            elif isinstance(event, CopyRefused):
                done.refused[event.run] = event.code, event.text
        done.bodies = await _fetch(journal, link)
        if await give_to_askers(journal):
            await link.compare()
    finally:
        await link.close()
    for run, count in _positions(journal, attached).items():
        if count > before[run]:
            done.received[run] += count - before[run]
    return done


async def standing(journal: Journal, connect: Connect | None) -> Standing:
    """How things stand; without `connect` nobody is asked. Moves nothing."""
    found = Standing(
        waiting=[run_id_text(row.run) for row in waiting_runs(journal)],
        degraded=[run_id_text(row.run) for row in journal.runs(role="root") if _is_degraded(journal, row.run)],
    )
    if connect is None:
        return found
    link: WorkerLink = await connect(())
    try:
        told = await link.compare(look=True)
    finally:
        await link.close()
    found.ahead = found.behind = 0
    for event in told:
        if isinstance(event, CopyRefused) or (isinstance(event, Differs) and event.diverged):
            found.diverged.append(run_id_text(event.run))
        elif isinstance(event, Differs) and event.here > event.there:
            found.ahead += event.here - event.there
            found.bytes += sum(len(entry.tail) for entry in journal.entries(event.run, event.writer, event.there))
        elif isinstance(event, Differs):
            found.behind += event.there - event.here
    found.diverged = sorted(set(found.diverged))
    return found


def _open_parts(journal: Journal) -> list[bytes]:
    """Child runs that have no end here, of runs that no process works on: the worker may have more of them."""
    roots = {row.parent for row in journal.runs(role="child", status="running")} - {None}
    free = [root for root in roots if root is not None and not is_at_work(journal.path, root)]
    return [child for root in free for child in open_children(journal, root)][:_MOST_OPEN]


def _positions(journal: Journal, runs: Sequence[bytes]) -> Mapping[bytes, int]:
    return {run: sum(head.last for head in journal.heads(run)) for run in runs}


async def _fetch(journal: Journal, link: WorkerLink) -> int:
    """Bodies that shared runs need and that nobody here has read yet; those that do not come are no failure."""
    fetched = 0
    for run, named in shared_part(journal).missing():
        try:
            await link.fetch(run, named)
            fetched += 1
        except LinkCondition as condition:
            if condition.condition == "UNREACHABLE":
                raise
    return fetched


def _is_degraded(journal: Journal, run: bytes) -> bool:
    found = (logged.record for logged in journal.records(run))
    return any(isinstance(each, Result) and each.by.get("degraded") and KEY not in each.by for each in found)
