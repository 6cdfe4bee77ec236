"""Forks: a run of its own that begins with what another one has done. Nothing of the other run changes.

The results that hold are copied into the fork's own log, each with where it came from, so that the fork needs the other run no more, but for
large values that are only at a worker: those are referred to, for as long as the worker keeps that run. A node with
effects whose result does not hold is not run by itself: it has done its work in the other run, or may have. The fork's log says so, and whoever
goes on with it is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from edge.ferrying.contradictions import made_elsewise, own_results, sound
from edge.ferrying.refill import Source
from edge.means import Device, RunOptions
from edge.offers import last_offer
from edge.syncing.sharing import labels_of
from graphs.engine.engine import Engine
from graphs.engine.events import Outcome, Start
from graphs.engine.outcomes import Known, known_outcomes
from graphs.engine.retrace import handed_to, is_below, retrace
from graphs.errors import JournalError, ModelMissing, UsageError
from graphs.journal import Journal
from graphs.journal.ids import new_run_id, run_id_short, run_id_text
from graphs.language.spec import Graph, is_computed
from graphs.paths import root_node
from graphs.records import Event, Known as Recordable, Record, Result, State, Submit, encode
from graphs.registry import Agent, Registry
from graphs.running.attempt import Attempt
from graphs.running.runtime import Runtime
from graphs.values import Value
from protocol.payload import references
from protocol.refill import refill, resolved_here
from protocol.run_log import RunLog, open_run

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink

__all__ = [
    "Forked",
    "Past",
    "Recall",
    "engine_of",
    "fork_of",
    "fork_run",
    "read_past",
    "require_whole",
    "same_maker",
    "with_offered",
    "write_fork",
]

_FORK: Final = "fork"


class Recall:
    """Results of the other run that hold in a fork if, when it comes to them, they are handed the same: what was done before them again may have
    come to the same.

    Called with an attempt; gives the outcome, once it is in the fork's log, or None.
    """

    def __init__(self, run: bytes, journal: Journal, results: Mapping[str, tuple[bytes, Result]], asked: Collection[str]) -> None:
        self._run = run
        self._journal = journal
        self._results = dict(results)
        self._asked = frozenset(asked)

    def __call__(self, start: Start) -> Outcome | None:
        if start.node.place is not None and start.path not in self._asked:
            return None  # a worker runs it ahead
        handed, result = self._results.pop(start.path, (None, None))
        if result is None or handed != handed_to(start):
            return None
        self._journal.append(self._run, encode(result))
        return Outcome(State.COMPLETED, result.value)


@dataclass(slots=True)
class Forked:
    """A fork. `kept` are the results it begins with, `asked` the paths of nodes with effects that will not run again without a word; `recall`
    knows results that may turn out to hold while it runs.
    """

    run: bytes
    kept: int = 0
    asked: list[str] = field(default_factory=list)
    recall: Recall | None = None


@dataclass(slots=True)
class Past:
    """A run as its journals have it. `away` are outcomes whose values are still where they were made, `places` say where the result of each path
    stands, `submit` is its order.
    """

    known: Known
    away: dict[str, Outcome]
    places: dict[str, tuple[bytes, bytes, int]]
    submit: Submit

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """All of them."""
        return {**self.known.outcomes, **self.away}

    @property
    def inject(self) -> dict[str, Value]:
        """The values of static nodes that it began with."""
        return {name: value for name, (state, value) in self.submit.inputs.items() if state == State.INJECTED}

    def done(self, effects: Mapping[str, str]) -> set[str]:
        """The paths of nodes that have had effects; `effects` are those of a node by its path, as a trace says them."""
        return {path for path in self.known.outcomes if path in self.known.once or effects.get(path, "none") != "none"}

    def later(
        self, handed: Mapping[str, bytes | None], held: Collection[str], may: Callable[[str], bool]
    ) -> dict[str, tuple[bytes, Result]]:
        """The results for `Recall`: of paths that are not held, that were handed this, and that `may` be taken."""
        found: dict[str, tuple[bytes, Result]] = {}
        for path, what in handed.items():
            if what is not None and path not in held and path in self.known.made and may(path):
                found[path] = what, _copied(self.known.made[path], self.places[path])
        return found


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
    are paths whose results count whatever they depend on. `options` are those of the fork. Raises UsageError, JournalError.
    """
    past = await read_past(device.journal, source, graph)
    known, away = past.known, past.away
    before = past.inject
    after = {**before, **(changes or {})}
    held = set(known.outcomes)
    doubtful = set(known.indeterminate)
    later: dict[str, tuple[bytes, Result]] = {}

    def same(path: str) -> bool:
        return same_maker(device, agents, known.made.get(path))

    agents = with_offered(device, options)
    if changes is not None:
        _require_nodes(graph, again, changes)
        held, traced = retrace(
            lambda skipped: engine_of(graph, options, agents, known, skipped),
            past.outcomes,
            before=before,
            after=after,
            again=again,
            same_maker=same,
        )
        held -= away.keys()  # what was made of them holds, but they themselves are not here
        _require_kept(keep, known)
        held |= set(keep)
        doubtful |= past.done(traced.effects) - held
        later = past.later(traced.handed, held, lambda path: same(path) and not any(is_below(path, each) for each in again))
    return await write_fork(device.journal, source, past, options, held=held, doubtful=doubtful, later=later, inject=after)


async def write_fork(
    journal: Journal,
    source: bytes,
    past: Past,
    options: RunOptions,
    *,
    held: Collection[str],
    doubtful: Collection[str],
    later: Mapping[str, tuple[bytes, Result]],
    inject: Mapping[str, Value],
    about: Mapping[str, Value] = {},
    shared: bool = False,
    waits: bool = False,
) -> Forked:
    """Write a fork down, suspended: with the results `held`, and the word that the nodes `doubtful` are not to run by themselves. `later` are results
    that may turn out to hold (`Recall`), `inject` the values it begins with, `about` is noted in its order; it is marked for sync
    if it is `shared`, and goes on with the next sync if it `waits`.
    """
    row = journal.run(source)
    records = _records(past.known, past.places, held, doubtful)
    forked = Forked(new_run_id(), len(held), sorted(doubtful))
    forked.recall = Recall(forked.run, journal, later, doubtful)
    inputs = {name: [int(State.INJECTED), value] for name, value in inject.items()}
    opts = {"parent": None, _FORK: {"run": source, "records": len(records), **about}, "options": options.as_record()}
    what: dict[str, Any] = {"graph_hash": row.graph, "name": row.name, "started": _now()}
    labels = labels_of(journal, source)  # a value is not told from another here, and all of them are of one run
    of_inputs = dict.fromkeys(inputs, labels)
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
    fork: Any = submit.opts.get(_FORK)
    return fork if isinstance(fork, Mapping) and isinstance(fork.get("run"), bytes) else None


def require_whole(run: bytes, submit: Submit, records: int) -> None:
    """Raises JournalError for a fork with so few records that making it was cut off: what it lacks it would do again."""
    fork: Any = submit.opts.get(_FORK)
    if isinstance(fork, Mapping) and records < 1 + fork["records"]:
        raise JournalError(
            f"making the fork {run_id_text(run)} was cut off, so it lacks results of the run it was made of.",
            hint=f"Remove it (graphferry runs rm --force {run_id_short(run)}) and fork again.",
        )


async def read_past(journal: Journal, source: bytes, graph: Graph, link: WorkerLink | None = None) -> Past:
    """What the journal knows of a run; values of nodes with effects that are at the worker come over the `link`, where there is one. Other values
    that are elsewhere stay there, and their references count for them: whoever goes on with the fork has them fetched if somebody reads
    them, or made again if they are lost. Raises JournalError if the run's beginning is not here.
    """
    found: list[Record] = []
    homes: dict[bytes, bytes] = {}
    places: dict[str, tuple[bytes, bytes, int]] = {}
    own: set[str] = set()
    for run in (source, *(child.run for child in journal.children(source))):
        entries = list(journal.records(run))
        records = [logged.record for logged in entries]
        elsewise = set() if run == source else made_elsewise(graph, own, records)
        if run == source:
            own = own_results(records)
        found += sound(records, elsewise)
        homes.update((named.ref, run) for record in records for named in references(record))
        for logged in entries:
            record = logged.record
            if isinstance(record, Result) and not record.by.get("alt") and record.path not in elsewise:
                places.setdefault(record.path, (run, logged.writer, logged.seq))
    order = next((record for record in found if isinstance(record, Submit)), None)
    if order is None:
        raise JournalError(f"no log of run {run_id_text(source)} begins with its order")
    order = resolved_here(journal, order)
    known = known_outcomes(found)
    before = dict(known.outcomes)
    elsewhere = Source(journal, link, homes)
    await refill(known, elsewhere.value, lambda path, record, named: path not in known.once and elsewhere.is_away(record, named))
    away = {path: outcome for path, outcome in before.items() if path not in known.outcomes}
    return Past(known, away, places, order)


def _records(
    known: Known, places: Mapping[str, tuple[bytes, bytes, int]], held: Collection[str], doubtful: Collection[str]
) -> list[Recordable]:
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
            info[_FORK] = True
        records.append(Event(path, max(known.begun.get(path, 0), 1), State.EXECUTING, _now(), info))
    return records


def _copied(made: Result, place: tuple[bytes, bytes, int]) -> Result:
    """A result as it stands in a fork: with where it came from first."""
    return made if "from" in made.by else replace(made, by={**made.by, "from": list(place)})


def engine_of(graph: Graph, options: RunOptions, agents: Registry, known: Known, skipped: Mapping[str, Outcome]) -> Engine:
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


def with_offered(device: Device, options: RunOptions) -> Registry:
    """The agents here, and those that only the worker has: what they gave is known, and they are not run."""
    offered: Any = (last_offer(device.journal, options.url) or {}).get("agents") or {}
    strangers = [Agent(name, _never, version=str(version)) for name, version in offered.items() if name not in device.agents]
    return device.agents.with_agents(strangers)


def _never(_context: Any) -> Value:
    raise AssertionError("an agent of the worker is not run here")


def same_maker(device: Device, agents: Registry, made: Result | None) -> bool:
    """Whether the agent and the model that made a result are those that would make it now, as far as that is known here."""
    if made is None:
        return True
    by = made.by
    agent = agents.get(str(by.get("agent")))
    if agent is not None and by.get("version") not in (None, agent.version):
        return False
    model, was = by.get("model"), by.get("digest")
    if not isinstance(model, str) or was is None:
        return True
    try:
        now = device.models.describe(model).digest
    except ModelMissing:  # the worker's, or gone: nothing says that it changed
        return True
    return now is None or now == was


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
