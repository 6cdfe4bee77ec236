"""Going on with a run: what its journals say is known, what a worker still does for it, and what a person says became of the rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.ferrying.doubt import doubtful_openers, made_again, still_running
from edge.ferrying.earlier import Earlier
from edge.ferrying.fence import give_up, outgrown
from edge.ferrying.needs import Unread
from edge.means import Device, RunOptions
from edge.runs.assume import Assumption, assume
from edge.runs.at_work import at_work
from edge.runs.runner import Run
from edge.runs.upgrade import recall_of
from edge.syncing.held import require_held
from graphs.engine.outcomes import Known
from graphs.errors import UsageError
from graphs.language.uncollected import uncollected
from graphs.records import Known as Recordable

if TYPE_CHECKING:
    from edge.showing.report import RunReport
    from graphs.language.spec import Graph

__all__ = ["resume_run"]


async def resume_run(
    device: Device,
    graph: Graph,
    options: RunOptions,
    run_id: bytes,
    *,
    name: str,
    assumed: Sequence[Assumption] = (),
    recall: Any = None,
) -> RunReport:
    """Go on with a run from its journal: completed nodes do not run again, nodes with effects that were in flight ask.

    What a worker still does for the run, or did while this device was away, counts; so does what is `assumed` of nodes in flight, and what
    `recall` knows (edge.runs.fork), which an upgrade finds out again. Raises UsageError if another process or another store works on it.
    """
    with at_work(device.journal.path, run_id):
        require_held(device.journal, run_id)
        if recall is None:
            recall = await recall_of(device, graph, options, run_id)
        run = Run(device, graph, options, run_id, Known())
        return await _go_on(run, name, assumed, recall)


async def _go_on(run: Run, name: str, assumed: Sequence[Assumption], recall: Any) -> RunReport:
    device, run_id = run.device, run.id
    run.recall = recall
    with uncollected(device.journal.have(run_id)):
        said = await _take_stock(run, assumed)
    device.journal.reopen_run(run_id)
    for record in said:
        run.record(record)
    return await run.execute(name)


async def _take_stock(run: Run, assumed: Sequence[Assumption]) -> list[Recordable]:
    """Find out all that is known of a run; the records that say what is assumed."""
    device, run_id = run.device, run.id
    run.earlier = earlier = Earlier(device.journal, run.graph, run_id)
    run.desk.know(earlier.logged)
    await run.prepare(earlier.children)
    if run.link is None:
        left = outgrown(device.journal, earlier.children, run.graph, run.placed, device.agents)
        give_up(device.journal, left, "the run goes on at the device")
    run.known = await earlier.known(run.link, partial(_unread, run))
    if made_again(earlier.lacking, run.known, run.placed, run.attached):
        await run.begin_anew()
        run.known = await earlier.known(run.link, partial(_unread, run))
        made_again(earlier.lacking, run.known, run.placed, None)
    run.known.indeterminate -= still_running(device.journal, run_id, run.placed, run.attached, alone=run.unreachable is not None)
    try:
        said = assume(run.known, assumed, run.placed, int(time.time() * 1000))
    except UsageError:
        await run.leave()
        raise
    run.known.indeterminate |= doubtful_openers(run.known.indeterminate, run.placed)
    return said


def _unread(run: Run) -> Unread:
    """Whose values nobody of this process will read."""
    limits, policies = run.orders(), run.policies()
    return Unread(
        run.compiler(limits).plan(run.graph),
        everything=run.options.all,
        may_run=lambda path: path in policies and policies[path].alternative is not None,
        elsewhere=lambda path: path in run.placed and run.placed[path].place == "cloud" and path not in limits,
    )
