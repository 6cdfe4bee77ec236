"""Forks: a run of its own that begins with what another one has done. Nothing of the other run changes.

The results that hold are copied into the fork's own log, each with where it came from, so that the fork needs the other run no more, but for
large values that are only at a worker: those are referred to, for as long as the worker keeps that run. A node with
effects whose result does not hold is not run by itself: it has done its work in the other run, or may have. The fork's log says so, and whoever
goes on with it is asked.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.ferrying.earlier import Place
from edge.runs.past import Past, copied, engine_of, read_past
from edge.runs.recall import same_maker
from edge.syncing.sharing import labels_of
from graphs.engine.outcomes import FORK, Known
from graphs.engine.retrace import is_below, retrace
from graphs.errors import JournalError, UsageError
from graphs.journal.ids import new_run_id, run_id_short, run_id_text
from graphs.language.naming import require_computed, require_static
from graphs.language.spec import Graph
from graphs.paths import root_node
from graphs.records import Event, Known as Recordable, Result, State, Submit
from graphs.values import Value
from protocol.noted import UNSEEN, Noted, note, noted
from protocol.run_log import RunLog, open_run

if TYPE_CHECKING:
    from edge.means import Device, RunOptions
    from graphs.journal import Journal

__all__ = ["Forked", "fork_of", "fork_run", "require_whole", "write_fork"]


@dataclass(slots=True)
class Forked:
    """A fork. `kept` are the results it begins with, `asked` the nodes with effects that will not run again without a word: paths, or where in the
    graph they stand.
    """

    run: bytes
    kept: int = 0
    asked: list[str] = field(default_factory=list)


async def fork_run(
    device: Device,
    graph: Graph,
    options: RunOptions,
    source: bytes,
    *,
    again: Collection[str] = (),
    changes: Mapping[str, Value] | None = None,
    keep: Collection[str] = (),
    held_elsewhere: bool = False,
) -> Forked:
    """Make a fork of the run `source`, suspended and ready to be resumed.

    Without `again` and `changes` all results are kept. `again` are nodes that run again, with all that depends on them; `changes` are
    other values for static nodes (None: a plain fork); of the rest is kept what is handed the same and made by the same agent and model. `keep`
    are paths whose results count whatever they depend on. `options` are those of the fork. Where another store may have begun nodes with effects that
    have no result here, they wait for a word: of a run that it holds, or of whose records one of the two has lost some, that may be any. So it is if
    the run was `held_elsewhere` when it was decided to fork it: it may have come here since, and will go on by itself as well.
    Raises UsageError, JournalError.
    """
    past = await read_past(device, source, graph, options.url, held_elsewhere=held_elsewhere)
    known, before = past.known, past.inject
    after = {**before, **(changes or {})}
    held = set(known.outcomes)
    doubtful = set(known.indeterminate)
    later: Sequence[Result] = ()

    def same(path: str) -> bool:
        return same_maker(device, past.agents, known.made.get(path))

    if changes is not None:
        _require_nodes(graph, again, changes)
        held, traced = retrace(
            lambda skipped: engine_of(graph, options, past.agents, known, skipped),
            past.outcomes,
            before=before,
            after=after,
            again=again,
            same_maker=same,
        )
        held -= past.away.keys()  # what was made of them holds, but they themselves are not here
        _require_kept(keep, known)
        held |= set(keep)
        doubtful |= past.done(traced.effects) - held
        later = past.later(traced.handed, held, lambda path: same(path) and not any(is_below(path, each) for each in again))
    return await write_fork(
        device.journal, source, past, options, held=held, doubtful=doubtful, later=later, inject=after, shared=options.sync
    )


async def write_fork(
    journal: Journal,
    source: bytes,
    past: Past,
    options: RunOptions,
    *,
    held: Collection[str],
    doubtful: Collection[str],
    later: Sequence[Result],
    inject: Mapping[str, Value],
    about: Mapping[str, Value] = {},
    shared: bool = False,
    waits: bool = False,
) -> Forked:
    """Write a fork down, suspended: with the results `held`, and the word that the nodes `doubtful`, and those that another store may have begun, are
    not to run by themselves. `later` are results that may turn out to hold (edge.runs.recall), `inject` the values it begins with, `about` is noted
    in its order; it is marked for sync if it is `shared`, and goes on with the next sync if it `waits`.
    """
    row = journal.run(source)
    records = [*_records(past.known, past.places, held, doubtful), *later]
    forked = Forked(new_run_id(), len(held), sorted({*doubtful, *(past.suspects - {*held})}))
    inputs = {name: [int(State.INJECTED), value] for name, value in inject.items()}
    fork = {"run": source, "records": len(records), "suspects": sorted(past.suspects), **about}
    opts = {"parent": None, FORK: fork, "options": options.as_record()}
    what: dict[str, Any] = {"graph_hash": row.graph, "name": row.name, "started": _now()}
    labels = labels_of(journal, source)  # a value is not told from another here, and all of them are of one run
    of_inputs = dict.fromkeys(inputs, labels)
    known = noted(journal, source)
    if known is not None or UNSEEN in labels:
        note(journal, forked.run, known or Noted(labels))
    open_run(journal, forked.run, Submit("", row.graph, inputs, opts), what, shared=shared, labels=of_inputs)
    log = RunLog(journal, forked.run, shared=shared, labels=lambda _path: labels)
    for record in records:
        log.record(record)
    why = {"why": f"forked from {run_id_text(source)}", **({"waits": True} if waits else {})}
    journal.finish_run(forked.run, "suspended", ended=_now(), exit_info=why)
    await journal.barrier(full=True)
    return forked


def fork_of(submit: Submit) -> Mapping[str, Any] | None:
    """What a run's order says of the run that it is a fork of: `run`, how many `records` were copied, what was noted besides; None if it is none."""
    fork: Any = submit.opts.get(FORK)
    return fork if isinstance(fork, Mapping) and isinstance(fork.get("run"), bytes) else None


def require_whole(run: bytes, submit: Submit, records: int) -> None:
    """Raises JournalError for a fork with so few records that making it was cut off: what it lacks it would do again."""
    fork: Any = submit.opts.get(FORK)
    if isinstance(fork, Mapping) and records < 1 + fork["records"]:
        raise JournalError(
            f"making the fork {run_id_text(run)} was cut off, so it lacks results of the run it was made of.",
            hint=f"Remove it (graphferry runs rm --force {run_id_short(run)}) and fork again.",
        )


def _records(known: Known, places: Mapping[str, Place], held: Collection[str], doubtful: Collection[str]) -> Sequence[Recordable]:
    """What the fork's log says of the run it was made of."""
    records: list[Recordable] = []
    for path in known.outcomes:
        if path not in held:
            continue
        made = known.made.get(path)
        if made is None:
            records.append(Event(path, 0, State.SKIPPED, _now()))
        else:
            records.append(copied(made, places[path]))
    for path in sorted(doubtful):
        info: dict[str, Value] = {"retry": 0, "effect": "once"}
        if path in known.outcomes or path in known.repeated:
            info[FORK] = True
        records.append(Event(path, max(known.begun.get(path, 0), 1), State.EXECUTING, _now(), info))
    return records


def _require_nodes(graph: Graph, again: Collection[str], changes: Mapping[str, Value]) -> None:
    require_static(graph.nodes, changes, "--set")
    require_computed(graph.nodes, map(root_node, again), "--from")


def _require_kept(keep: Collection[str], known: Known) -> None:
    for path in keep:
        if path not in known.outcomes:
            raise UsageError(f"--assume {path}=done: that run has no result of {path!r}", hint="Give one: done:VALUE.")


def _now() -> int:
    return int(time.time() * 1000)
