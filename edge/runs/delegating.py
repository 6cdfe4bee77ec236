"""Makes the delegate of a run: what is shipped, by which policies, and what is known already of the worker's part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.ferrying.delegate import Delegate
from edge.ferrying.fallback import Fallback
from edge.ferrying.fragments import Fragments
from edge.ferrying.salting import store_secret
from graphs.engine.doubts import Doubts
from graphs.errors import LinkCondition
from graphs.language.spec import is_computed
from graphs.paths import escape, root_node

if TYPE_CHECKING:
    from edge.runs.runner import Run
    from edge.showing.watch import Watch
    from graphs.running.runtime import Runtime
    from graphs.values import Value

__all__ = ["make_delegate"]


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
            labels=run.labels,
            secret=store_secret(device.journal),
        ),
        labels=run.labels,
        options=_submit_options(run),
        one_frame=_one_frame(run),
        shows_all=run.options.all,
        journal=device.journal,
        feed=runtime.feed,
        clock=runtime.clock,
        on_token=watch.streamed,
        on_begun=runtime.begun_elsewhere,
        fallback=fallback,
        attached=run.attached,
        earlier=run.earlier,
        deadline=runtime.clock() + run.options.deadline if run.options.deadline is not None else None,
    )
    doubtful = {root_node(path) for path in run.known.indeterminate}
    doubtful |= {name for name in map(root_node, run.known.suspects) if run.place_of(name) == "cloud"}
    if run.link is None:
        assert run.unreachable is not None
        delegate.lost(run.unreachable)
    elif run.not_shipping is not None:
        delegate.lost(run.not_shipping)
    elif doubtful and run.graph.document.get("loop"):
        text = f"node {min(doubtful)!r} may have happened or not, and the nodes of this loop wait for it"
        delegate.lost(LinkCondition("NODE_INDETERMINATE", text, retryable=False))
    else:
        delegate.use(run.link)
    return delegate


def _not_shipped(run: Run) -> Doubts:
    """Nodes that nobody is to run. A new child run does not even begin what this device has made, as it might before it is told of that, nor what
    a worker has made whose values are yet to come.
    """
    made = run.earlier.own | run.earlier.withheld.keys() if run.earlier is not None and run.attached is None else set()
    return Doubts(run.known.indeterminate | made, (), run.known.suspects, run.known.cleared)


def _submit_options(run: Run) -> dict[str, Value]:
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
