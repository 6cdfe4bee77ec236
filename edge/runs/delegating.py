"""Makes the delegate of a run: what is shipped, by which policies, and what is known already of the worker's part. And tells it of a worker that is
reached only later.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from edge.ferrying.delegate import Delegate
from edge.ferrying.fallback import Fallback
from edge.ferrying.fragments import Fragments
from edge.ferrying.salting import store_secret
from edge.offers import check_offer
from graphs.engine.doubts import Doubts
from graphs.errors import UsageError
from graphs.language.spec import Graph, is_boundary, is_computed
from graphs.paths import escape
from graphs.records import Record
from graphs.values import decode

if TYPE_CHECKING:
    from edge.runs.runner import Run
    from edge.showing.watch import Watch
    from graphs.journal import Journal
    from graphs.running.runtime import Runtime
    from graphs.values import Value

__all__ = ["join", "make_delegate", "submit_options"]


def make_delegate(run: Run, runtime: Runtime, watch: Watch) -> Delegate:
    """The delegate of a run of whose nodes some are placed at a worker, reached or not; `run.fallback` is its policies then."""
    device = run.device
    fallback = run.fallback = Fallback(run.policies(), runtime.compiler.stand_in, runtime.clock)
    delegate = Delegate(
        run=run.id,
        fragments=Fragments(
            run.known.outcomes,
            _not_shipped(run),
            run.attached.frames if run.attached is not None else None,
            ran=partial(_ran, device.journal),
            labels=run.labels,
            secret=store_secret(device.journal),
            begun={path: run.known.begun[path] for path in sorted(run.known.once)},
            asks=run.guard is not None,
        ),
        labels=run.labels,
        options=submit_options(run),
        one_frame=_one_frame(run),
        shows_all=run.options.all,
        journal=device.journal,
        feed=runtime.feed,
        clock=runtime.clock,
        on_token=watch.streamed,
        on_begun=runtime.begun_elsewhere,
        on_spent=partial(_spent, run, watch),
        fallback=fallback,
        attached=run.attached,
        earlier=run.earlier,
        deadline=runtime.clock() + run.options.deadline if run.options.deadline is not None else None,
    )
    if run.link is None:
        assert run.unreachable is not None
        # A loop whose nodes may have happened, and a part that is open at a worker, are for the next process, which looks at all that is known.
        doubts = run.known.indeterminate or run.known.suspects
        later = not (doubts and run.graph.document.get("loop")) and not (run.earlier is not None and run.earlier.children)
        run.joins = later and not run.options.local_only and run.options.unasked() is None
        (delegate.away if run.joins else delegate.lost)(run.unreachable)
    elif run.not_shipping is not None:
        delegate.lost(run.not_shipping)
    else:
        delegate.use(run.link)
    return delegate


def join(run: Run) -> None:
    """The worker was reached while the run goes on that began without it: what waits for it goes out, if it has what these nodes need."""
    if run.link is None or not run.joins or run.delegate is None:
        return
    try:
        check_offer(run.graph, run.placed, run.shipped(), run.link.offer)
    except UsageError:  # a person has to do something about that: whoever resumes the run hears of it
        return
    run.joins = False
    run.delegate.use(run.link)
    run.delegate.back()


def _spent(run: Run, watch: Watch, record: Record) -> None:
    """The worker tells of its part: what attempts used up that gave nothing is counted, and shown where one was stopped."""
    watch.stopped_there(record)
    if run.guard is not None:
        run.guard.spent_on(record)
    run.elsewhere.retries.told(record)


def _ran(journal: Journal, address: bytes) -> Collection[str] | None:
    """The nodes that run in a cut that was shipped; None if it is not here any more."""
    stored = journal.graph(address)
    if stored is None:
        return None
    nodes = Graph(decode(stored.body)).nodes
    return [name for name, spec in nodes.items() if is_computed(spec) and not is_boundary(spec)]


def _not_shipped(run: Run) -> Doubts:
    """Nodes that nobody is to run. A new child run does not even begin what this device has made, as it might before it is told of that, nor what
    a worker has made whose values are yet to come.
    """
    made = run.earlier.own | run.earlier.withheld.keys() if run.earlier is not None and run.attached is None else set()
    return Doubts(run.known.indeterminate | made, (), run.known.suspects, run.known.cleared)


def submit_options(run: Run) -> dict[str, Value]:
    """What the worker is told with a child run."""
    options = run.options
    return {
        "config": dict(options.config),
        "strict": options.strict,
        "max_turns": options.max_turns,
        "models": dict(run.device.tiers),
        "grants": sorted(options.permissions.made.grants),
    }


def _one_frame(run: Run) -> bool:
    """Whether all that can be shipped is in one turn of the root graph."""
    specs = [spec for name, spec in run.graph.nodes.items() if run.place_of(name) == "edge" or escape(name) in run.limits]
    here = [spec["agent"] for spec in specs if is_computed(spec)]
    opens = any(not isinstance(name, str) or name.startswith(":") or _nests(run, name) for name in here)
    return not opens and "loop" not in run.graph.document


def _nests(run: Run, name: str) -> bool:
    agent = run.device.agents.get(name)
    return agent is not None and agent.nests is not None
