"""Upgrades: a completed run in which something smaller stood in is done again where it did, in a fork, now that there is a worker.

Made again are the degraded results and what depended on them, and nothing else. What the worker made of it too late is used first. What has
effects is never done a second time: a degraded result of such a node stays, and one that would be handed something else asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from edge.runs.at_work import at_work
from edge.runs.fork import Forked, fork_of, require_whole, write_fork
from edge.runs.late import Late, late_results
from edge.runs.past import engine_of, read_past
from edge.syncing.held import holding_of
from graphs.engine.events import Outcome
from graphs.engine.outcomes import KEY, UPGRADE
from graphs.engine.retrace import apart, retrace, trace
from graphs.errors import JournalError
from graphs.paths import opener
from graphs.records import Result, State, Submit
from graphs.values import canonical
from protocol.marks import is_marked, mark

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from edge.means import Device, RunOptions
    from graphs.journal import Journal, RunRow
    from graphs.language.spec import Graph

__all__ = [
    "Upgrade",
    "degraded_in",
    "degraded_of",
    "forget_degraded",
    "nothing_stands_in",
    "upgradable",
    "upgrade_of",
    "upgrade_run",
    "upgrades_of",
]

_NOTED: Final = "degraded "


@dataclass(slots=True)
class Upgrade:
    """What is to become of a run: its fork, or None if there is nothing that may be made again. `again` are the degraded results that are made
    anew, `late` those for which the worker had a result already, `kept` those that stay, since their nodes have effects.
    """

    forked: Forked | None = None
    again: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def degraded_in(journal: Journal, run: bytes) -> list[str]:
    """The paths of a run whose results are degraded, as its holder's logs say."""
    found: dict[str, bool] = {}
    for logged in journal.records(run):
        record = logged.record
        if isinstance(record, Result) and not record.by.get("alt") and KEY not in record.by:
            found.setdefault(record.path, bool(record.by.get("degraded")))
    return sorted(path for path, degraded in found.items() if degraded)


def degraded_of(journal: Journal, rows: Iterable[RunRow]) -> dict[bytes, list[str]]:
    """The degraded results of those of these root runs that have any. What was found in a completed run of this device is noted: it does not change.

    One that is damaged has none: `runs show` says what is wrong with it.
    """
    noted = journal.meta_values(_NOTED, list)
    found: dict[bytes, list[str]] = {}
    for row in rows:
        if (known := noted.get(row.run.hex())) is not None and row.status == "completed":
            paths = known
        else:
            try:
                paths = degraded_in(journal, row.run)
                if row.status == "completed" and holding_of(journal, row.run).holder == journal.store_id:
                    journal.set_meta(_NOTED + row.run.hex(), canonical(paths))
            except JournalError:
                continue
        if paths:
            found[row.run] = paths
    return found


def forget_degraded(journal: Journal, run: bytes) -> None:
    """Queue that nothing is noted of a run any more."""
    journal.drop_meta(_NOTED + run.hex())


def upgrades_of(journal: Journal) -> dict[bytes, list[bytes]]:
    """Which forks upgrade which run, the newest first; not those whose making was cut off."""
    return {run: whole for run, forks in _forks(journal).items() if (whole := [fork for fork, is_whole in forks if is_whole])}


def upgrade_of(journal: Journal, run: bytes) -> bytes | None:
    """The run that this one upgrades, if it is such a fork."""
    submit = _order(journal, run)
    fork = fork_of(submit) if submit is not None else None
    return fork["run"] if fork is not None and fork.get(UPGRADE) else None


def upgradable(journal: Journal) -> Iterator[RunRow]:
    """The completed runs of this device that have degraded results and no fork that upgrades them, the oldest first."""
    rows = journal.runs(role="root", status="completed")
    poor = degraded_of(journal, rows)
    done = upgrades_of(journal) if poor else {}
    for row in reversed(rows):
        if row.run in poor and row.run not in done and holding_of(journal, row.run).holder == journal.store_id:
            yield row


def nothing_stands_in(options: RunOptions) -> RunOptions:
    """The options of a run in which whatever is placed at the worker waits for it."""
    return replace(options, when_offline=replace(options.when_offline, always="wait"))


async def upgrade_run(
    device: Device, graph: Graph, options: RunOptions, source: bytes, link: WorkerLink | None = None
) -> Upgrade | None:
    """Make the fork that upgrades a completed run, ready to be resumed; None if there is one. `options` are those that the run began with; values
    that are at the worker come over the link. Raises UsageError if another process is about to do the same, JournalError.
    """
    journal = device.journal
    with at_work(journal.path, source):
        for fork, is_whole in _forks(journal).get(source, ()):
            if is_whole:
                return None
            mark(journal, fork, on=False)  # it has begun nothing, and is made anew
            journal.remove_run(fork)
        return await _upgrade(device, graph, options, source, link)


async def _upgrade(device: Device, graph: Graph, options: RunOptions, source: bytes, link: WorkerLink | None) -> Upgrade:
    journal = device.journal
    past = await read_past(device, source, graph, options.url, link)
    known, inject = past.known, past.inject
    skipped, made = apart(past.outcomes)

    def engine(without: Mapping[str, Outcome]) -> Any:
        return engine_of(graph, options, past.agents, known, without)

    first = trace(engine(skipped), made, inject)
    acting = past.done(first.effects)
    degraded = {path for path, result in known.made.items() if result.by.get("degraded")}
    again = degraded - acting
    if not again:
        return Upgrade(kept=sorted(degraded))
    found = await late_results(journal, source, graph, link, past.agents)
    late = Late.of(found, made, lambda outcomes: trace(engine(skipped), outcomes, inject).handed)
    held, _ = retrace(engine, past.outcomes, before=inject, after=inject, same_maker=lambda path: path not in again, instead=late)
    for path, (result, place) in late.taken.items():
        known.outcomes[path], known.made[path], past.places[path] = Outcome(State.COMPLETED, result.value), result, place
        held -= set(_openers(path))  # it is put together anew
    held -= past.away.keys()
    forked = await write_fork(
        journal,
        source,
        past,
        nothing_stands_in(options),
        held=held,
        doubtful=known.indeterminate | (acting - held),
        later=past.later(first.handed, held, lambda path: path not in again),
        inject=inject,
        about={UPGRADE: True},
        shared=options.sync or is_marked(journal, source),
        waits=True,
    )
    return Upgrade(forked, sorted(again - late.taken.keys()), sorted(late.taken), sorted(degraded & acting))


def _openers(path: str) -> Iterator[str]:
    while path := opener(path):
        yield path


def _forks(journal: Journal) -> dict[bytes, list[tuple[bytes, bool]]]:
    """The forks that were made to upgrade each run, and whether they are whole."""
    found: dict[bytes, list[tuple[bytes, bool]]] = {}
    for row in journal.runs(role="root"):
        source = upgrade_of(journal, row.run)
        if source is not None:
            found.setdefault(source, []).append((row.run, _is_whole(journal, row.run)))
    return found


def _is_whole(journal: Journal, run: bytes) -> bool:
    submit = _order(journal, run)
    assert submit is not None
    try:
        require_whole(run, submit, sum(head.last for head in journal.heads(run)))
    except JournalError:
        return False
    return True


def _order(journal: Journal, run: bytes) -> Submit | None:
    """What a run was begun with: the first record of the log of whoever began it."""
    for writer in journal.writers(run):
        try:
            first = journal.first(run, writer)
        except JournalError:
            return None
        if first is not None and isinstance(first.record, Submit):
            return first.record
    return None
