"""Forks: a run of its own that begins with what another one has done. Nothing of the other run changes.

The results that hold are copied into the fork's own log, each with where it came from, so that the fork needs the other run no more. A node with
effects whose result does not hold is not run by itself: it has done its work in the other run, or may have. The fork's log says so, and whoever
goes on with it is asked.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edge.ferrying.earlier import Earlier, Place
from edge.means import Device, RunOptions
from edge.people.answers import is_held_here
from edge.runs.pauses import DIVERGED
from edge.runs.recall import keyed, same_maker as made_alike, with_offered
from edge.runs.suspects import acting, begun_at_workers
from graphs.engine.engine import Engine
from graphs.engine.events import Outcome
from graphs.engine.outcomes import FORK, Known
from graphs.engine.retrace import is_below, retrace
from graphs.errors import JournalError, UsageError
from graphs.journal.ids import new_run_id, run_id_short, run_id_text
from graphs.language.spec import Graph, is_computed
from graphs.paths import root_node
from graphs.records import Event, Known as Recordable, Result, State, Submit
from graphs.registry import Registry
from graphs.running.attempt import Attempt
from graphs.running.runtime import Runtime
from graphs.values import Value
from protocol.run_log import RunLog, open_run

__all__ = ["Forked", "fork_run", "require_whole"]


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
) -> Forked:
    """Make a fork of the run `source`, suspended and ready to be resumed.

    Without `again` and `changes` all results are kept. `again` are nodes that run again, with all that depends on them; `changes` are
    other values for static nodes (None: a plain fork); of the rest is kept what is handed the same and made by the same agent and model. `keep`
    are paths whose results count whatever they depend on. `options` are those of the fork. Where another store may have begun nodes with effects that
    have no result here, they wait for a word: of a run that it holds, or of whose records one of the two has lost some, that may be any.
    Raises UsageError, JournalError.
    """
    journal = device.journal
    row = journal.run(source)
    earlier = Earlier(journal, graph, source)
    submit = next((each.record for each in earlier.logged if isinstance(each.record, Submit)), None)
    if submit is None:
        raise JournalError(f"no log of run {run_id_text(source)} begins with its order")
    known, places = await earlier.known(None), earlier.places()
    away = earlier.away
    before = {name: value for name, (state, value) in submit.inputs.items() if state == State.INJECTED}
    after = {**before, **(changes or {})}
    held = set(known.outcomes)
    doubtful = set(known.indeterminate)
    later: dict[str, Result] = {}

    def same_maker(path: str) -> bool:
        return made_alike(device, agents, known.made.get(path))

    agents = with_offered(device, options.url)
    suspects = begun_at_workers(journal, earlier.children, agents, graph) | known.suspects
    if (row.exit_info or {}).get(DIVERGED) or not is_held_here(journal, source):
        suspects |= set(acting(graph, agents))
    if changes is not None:
        _require_nodes(graph, again, changes)
        held, traced = retrace(
            lambda skipped: _engine(graph, options, agents, known, skipped),
            {**known.outcomes, **away},
            before=before,
            after=after,
            again=again,
            same_maker=same_maker,
        )
        held -= away.keys()  # what was made of them holds, but they themselves are not here
        _require_kept(keep, known)
        held |= set(keep)
        done = {path for path in known.outcomes if path in known.once or traced.effects.get(path, "none") != "none"}
        doubtful |= done - held
        for path, handed in traced.handed.items():
            if handed is None or path in held or path not in known.made or any(is_below(path, each) for each in again):
                continue
            if same_maker(path):
                later[path] = keyed(_copied(known.made[path], places[path]), handed)
    records = [*_records(known, places, held, doubtful), *later.values()]
    run = new_run_id()
    forked = Forked(run, len(held), sorted(doubtful | (suspects - held)))
    inputs = {name: [int(State.INJECTED), value] for name, value in after.items()}
    about = {"run": source, "records": len(records), "suspects": sorted(suspects)}
    opts = {"parent": None, FORK: about, "options": options.as_record()}
    submitted = Submit("", row.graph, inputs, opts)
    open_run(journal, run, submitted, {"graph_hash": row.graph, "name": row.name, "started": _now()}, shared=options.sync)
    log = RunLog(journal, run, shared=options.sync)
    for record in records:
        log.record(record)
    journal.finish_run(forked.run, "suspended", ended=_now(), exit_info={"why": f"forked from {run_id_text(source)}"})
    await journal.barrier(full=True)
    return forked


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
            records.append(_copied(made, places[path]))
    for path in sorted(doubtful):
        info: dict[str, Value] = {"retry": 0, "effect": "once"}
        if path in known.outcomes or path in known.repeated:
            info[FORK] = True
        records.append(Event(path, max(known.begun.get(path, 0), 1), State.EXECUTING, _now(), info))
    return records


def _copied(made: Result, place: Place) -> Result:
    """A result as it stands in a fork: with where it came from first."""
    return made if "from" in made.by else replace(made, by={**made.by, "from": list(place)})


def _engine(graph: Graph, options: RunOptions, agents: Registry, known: Known, skipped: Mapping[str, Outcome]) -> Engine:
    """An engine of that graph with nobody to run its nodes."""
    compiler = options.permissions.compiler(agents, strict=options.strict)
    plan = compiler.plan(graph)
    shell = Runtime(plan, compiler, config=options.config, max_turns=options.max_turns)
    return Engine(
        plan,
        compiler,
        known=skipped,
        begun=known.begun,
        retried=known.retried,
        report=True,
        max_turns=options.max_turns,
        start=Attempt,
        shell=shell,
    )


def _require_nodes(graph: Graph, again: Collection[str], changes: Mapping[str, Value]) -> None:
    from difflib import get_close_matches

    for name in changes:
        spec = graph.nodes.get(name)
        if spec is None or is_computed(spec):
            what = "is computed" if spec is not None else "is not in the graph"
            raise UsageError(f"--set {name}: that node {what}; only a node with a value can be given another one")
    roots = {name for name, spec in graph.nodes.items() if is_computed(spec)}
    for each in again:
        root = root_node(each)
        if root not in roots:
            close = get_close_matches(root, roots, 1)
            hint = f"Did you mean {close[0]}?" if close else "A value is changed with --set."
            raise UsageError(f"--from {each}: the graph has no computed node {root!r}", hint=hint)


def _require_kept(keep: Collection[str], known: Known) -> None:
    for path in keep:
        if path not in known.outcomes:
            raise UsageError(f"--assume {path}=done: that run has no result of {path!r}", hint="Give one: done:VALUE.")


def _now() -> int:
    return int(time.time() * 1000)
