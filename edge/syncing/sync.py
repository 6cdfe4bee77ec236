"""Sync: what waits goes out, what finished comes in, journals converge (docs/protocol.md §11).

A round is one connection: the open child runs of this device's runs are gone on with, so that what the worker made of them arrives; then the logs of
shared runs are compared and copied, both ways, with their bodies. Nothing of it needs to end well: the next round begins where this one stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge.ferrying.attached import open_children
from edge.ferrying.looked_up import LookedUp
from edge.people.answers import asking_runs
from edge.runs.at_work import at_work, is_at_work
from edge.runs.cancel import cancel_as_asked
from edge.runs.pauses import pause_of
from edge.runs.upgrade import degraded_of, upgrades_of
from edge.syncing.alone import alone
from edge.syncing.handover import Connect, give_to_askers
from edge.syncing.sharing import labels_of, shared_part
from edge.syncing.spool import NOTHING, ToGo, note_given, spooled, to_go, together, total
from edge.syncing.waiting import waiting_runs
from graphs.errors import JournalError, LinkCondition, UsageError, WorkerUnreachable
from graphs.journal.ids import run_id_text
from protocol.events import Copied, CopyRefused, Differs
from protocol.run_log import lighten_run

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal
    from protocol.audit import Departures

__all__ = ["Round", "Standing", "converge", "standing"]

_MOST_OPEN: Final = 1_024
_SOON: Final = 1.0
"""Seconds for what was said to be acknowledged."""


@dataclass(slots=True)
class Round:
    """What one round moved: records that came in, by run; logs that were refused, why, by run; bodies that came whole; the
    `size` of both in bytes; runs of which something came that could not be written down here, and why; what of root runs went out. `held` is why
    no more was tried.
    """

    received: Counter[bytes] = field(default_factory=Counter)
    refused: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    bodies: int = 0
    unkept: dict[bytes, str] = field(default_factory=dict)
    held: str | None = None
    sent: dict[bytes, ToGo] = field(default_factory=dict)
    size: int = 0

    def __add__(self, later: Round) -> Round:
        """What both moved."""
        refused = {**self.refused, **later.refused}
        unkept = {**self.unkept, **later.unkept}
        sent = together(self.sent, later.sent)
        received, bodies, size = self.received + later.received, self.bodies + later.bodies, self.size + later.size
        return Round(received, refused, bodies, unkept, self.held or later.held, sent, size)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "held": self.held,
            "received": sum(self.received.values()),
            "runs": [run_id_text(run) for run in self.received],
            "bodies": self.bodies,
            "bytes": self.size,
            "sent": {run_id_text(run): each._asdict() for run, each in self.sent.items()},
            "refused": {run_id_text(run): {"code": code, "message": text} for run, (code, text) in self.refused.items()},
            "unkept": {run_id_text(run): text for run, text in self.unkept.items()},
        }


@dataclass(slots=True)
class Standing:
    """How this device stands to the worker, like a clone to its origin: records it is `ahead` and `behind` by, `bytes` to go out, large values
    included; `waiting` runs, runs that are `asking` a person, runs with `degraded` results that no other one upgrades, `diverged` runs, and those
    that are `withheld` as their labels may not go there. If nobody was `asked`, `ahead` and `bytes` are what this device knows since the last round,
    and `behind` is None.
    """

    asked: bool = False
    ahead: int = 0
    behind: int | None = None
    bytes: int = 0
    waiting: list[str] = field(default_factory=list)
    asking: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            name: getattr(self, name)
            for name in ("asked", "ahead", "behind", "bytes", "waiting", "asking", "degraded", "diverged", "withheld")
        }


async def converge(
    journal: Journal, connect: Connect, held: str | None = None, *, waits: Callable[[], object] = lambda: None
) -> Round:
    """One round. While shared runs and large values are `held` back, for this reason, only what the worker did for open runs comes in. `waits` is
    called if another process of this device syncs, and is waited for. Raises WorkerUnreachable if there is no worker, LinkCondition if it went away
    in the middle; what was moved by then is kept; UsageError if the other process does not end.
    """
    async with alone(journal.path, waits=waits):
        return await _converge(journal, connect, held)


async def _converge(journal: Journal, connect: Connect, held: str | None) -> Round:
    done = Round(held=held)
    attached = _open_parts(journal)
    before, had = _positions(journal, attached), _bodies(journal)
    link: WorkerLink = await connect(attached)
    link.release(attached)
    try:
        await link.caught_up()
        if held is None:
            await _compare(journal, link, attached, done)
            if _lighten(journal, done):
                await _compare(journal, link, attached, done)
            await _fetch(journal, link)
            if await cancel_as_asked(journal, link, attached) + await give_to_askers(journal, link.held_back, link, attached):
                await _compare(journal, link, attached, done)
    finally:
        await link.close()
    came = {name: size for name, size in _bodies(journal).items() if name not in had}
    done.bodies = len(came)
    done.size += sum(came.values())
    done.sent = _went_out(journal, link.departures, done.refused)
    for (run, writer), last in _positions(journal, attached).items():
        if last > (had_before := before.get((run, writer), 0)):
            done.received[run] += last - had_before
            done.size += _size(journal, run, writer, had_before)
    done.received = _by_root(journal, done.received)
    return done


def _by_root(journal: Journal, records: Counter[bytes]) -> Counter[bytes]:
    """The same of whole runs: the part of one that a worker does is no run to who reads that."""
    found: Counter[bytes] = Counter()
    for run, count in records.items():
        found[(journal.run(run).parent if journal.knows(run) else None) or run] += count  # it may have been removed meanwhile
    return found


def _went_out(journal: Journal, departures: Departures, refused: Collection[bytes]) -> dict[bytes, ToGo]:
    """What of shared runs went over the link, by root run. The spool does not tell: of what was done at the worker it knows only since a round."""
    found: dict[bytes, ToGo] = {}

    def add(run: bytes, records: int, size: int) -> None:
        if run in refused or not journal.knows(run):  # it may have been removed meanwhile
            return
        root = journal.run(run).parent or run
        before = found.get(root, NOTHING)
        found[root] = ToGo(before.records + records, before.bytes + size)

    for (run, _, _), (records, size) in departures.copied.items():
        add(run, records, size)
    for size, runs in departures.given.values():  # the same graph may be that of runs that the worker has
        add(next((run for run in runs if run in found), runs[0]), 0, size)
    return found


async def _compare(journal: Journal, link: WorkerLink, attached: Collection[bytes], done: Round) -> None:
    """Bring what is shared up to date on both sides; how far the worker has it is noted."""
    given = {line.key: line.last for line in shared_part(journal, lambda labels: not link.held_back(labels)).lines()}
    for event in await link.compare():
        if isinstance(event, Copied):
            done.received[event.run] += 1
            done.size += len(event.record.tail)
            given[event.run, event.writer] = max(event.seq, given.get((event.run, event.writer), 0))
        elif isinstance(event, CopyRefused):
            if event.unkept:
                done.unkept[event.run] = event.text
            else:
                done.refused[event.run] = event.code, event.text
    away = done.refused.keys() | done.unkept.keys() | await _undelivered(link, attached)
    note_given(journal, {key: last for key, last in given.items() if key[0] not in away})
    await journal.barrier()


def _lighten(journal: Journal, done: Round) -> bool:
    """Write anew what was refused as a value in it is too large for its record: of runs that were marked later than they began. Whether any was."""
    some = False
    for run, (code, _) in list(done.refused.items()):
        if code != "VALUE_TOO_LARGE":
            continue
        try:
            with at_work(journal.path, run):
                lightened = lighten_run(journal, run, labels_of(journal, run))
        except (JournalError, UsageError):
            continue  # it is damaged, or somebody works on it
        if lightened:
            del done.refused[run]
            some = True
    return some


async def _undelivered(link: WorkerLink, attached: Collection[bytes]) -> set[bytes]:
    """Open child runs, which are not compared as the session itself brings them, of which the worker may lack something."""
    live = [run for run in attached if run not in link.refused]
    try:
        await link.delivered(live, _SOON)
    except WorkerUnreachable:  # it is busy, and asks again
        return set(attached)
    return set(attached) - set(live)


async def standing(journal: Journal, connect: Connect | None) -> Standing:
    """How things stand; without `connect` nobody is asked. Moves nothing."""
    rows = journal.runs(role="root")
    poor = degraded_of(journal, rows)
    upgraded = upgrades_of(journal) if poor else {}
    asking = {row.run for row, _ in asking_runs(journal, rows)}
    found = Standing(
        waiting=[run_id_text(row.run) for row in waiting_runs(journal)],
        asking=[run_id_text(row.run) for row in rows if row.run in asking or pause_of(journal, row).in_doubt],
        degraded=[run_id_text(row.run) for row in rows if row.run in poor and row.run not in upgraded],
    )
    if connect is None:
        found.ahead, found.bytes = total(spooled(journal))
        return found
    link: WorkerLink = await connect(())
    try:
        told = await link.compare(look=True)
    finally:
        await link.close()
    found.asked, found.behind = True, 0
    lacking: list[tuple[bytes, bytes, int]] = []
    for event in told:
        if isinstance(event, CopyRefused) and event.code == "LABEL_WITHHELD":
            found.withheld.append(run_id_text(event.run))
        elif isinstance(event, CopyRefused) or (isinstance(event, Differs) and event.diverged):
            found.diverged.append(run_id_text(event.run))
        elif isinstance(event, Differs) and event.here > event.there:
            lacking.append((event.run, event.writer, event.there))
        elif isinstance(event, Differs):
            found.behind += event.there - event.here
    found.ahead, found.bytes = total(to_go(journal, lacking))
    found.diverged = sorted(set(found.diverged))
    return found


def _open_parts(journal: Journal) -> LookedUp:
    """Child runs that have no end here, of runs that no process works on: the worker may have more of them."""
    roots = {row.parent for row in journal.runs(role="child", status="running")} - {None}
    found = LookedUp(journal.next_conn() if roots else 0, ())
    free = [root for root in roots if root is not None and not is_at_work(journal.path, root)]
    for root in free:
        with suppress(JournalError):  # `runs show` says what is wrong with it
            found += open_children(journal, root)
    del found[_MOST_OPEN:]
    return found


def _positions(journal: Journal, runs: Sequence[bytes]) -> Mapping[tuple[bytes, bytes], int]:
    return {(run, head.writer): head.last for run in runs for head in journal.heads(run)}


def _size(journal: Journal, run: bytes, writer: bytes, after: int) -> int:
    """Bytes of a log's records after this one."""
    try:
        return sum(len(entry.tail) for entry in journal.entries(run, writer, after))
    except JournalError:
        return 0  # `runs show` says what is wrong with it


async def _fetch(journal: Journal, link: WorkerLink) -> None:
    """Bodies that shared runs need and that nobody here has read yet; those that do not come are no failure."""
    for run, named in shared_part(journal).missing():
        try:
            await link.fetch(run, named)
        except LinkCondition as condition:
            if condition.condition == "UNREACHABLE":
                raise


def _bodies(journal: Journal) -> dict[bytes, int]:
    """The large values of runs that are here, whole, with their size."""
    return {row.name: row.size for _, row in journal.pinned() if journal.body_files.held(row.scope, row.name)[1]}
