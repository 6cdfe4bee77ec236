"""Going on with a run: what its journals say is known, what a worker still does for it, and what a person says became of the rest."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from edge.ferrying.doubt import doubtful_openers, made_again, still_running
from edge.ferrying.earlier import Earlier
from edge.ferrying.fence import give_up, outgrown
from edge.ferrying.needs import Unread
from edge.means import Device, RunOptions
from edge.runs.assume import Assumption, assume
from edge.runs.recall import same_maker, with_offered
from edge.runs.resting import at_work_until_asked
from edge.runs.runner import Run
from edge.syncing.held import require_held
from graphs.engine.outcomes import Known
from graphs.engine.recall import Recall
from graphs.errors import UsageError
from graphs.journal.claims import claim
from graphs.journal.ids import run_id_text
from graphs.language.uncollected import uncollected
from graphs.paths import document_path
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
) -> RunReport:
    """Go on with a run from its journal: completed nodes do not run again, nodes with effects that were in flight ask.

    What a worker still does for the run, or did while this device was away, counts; so does what is `assumed` of nodes in flight. Raises
    UsageError if another process or another store works on it, or has ended it meanwhile.
    """
    run = Run(device, graph, options, run_id, Known())
    with at_work_until_asked(device.journal.path, run_id, run.rest, run.stop):
        claim(device.journal, run_id)
        device.journal.renew(run_id)
        require_held(device.journal, run_id)
        status = device.journal.run(run_id).status
        if status in ("completed", "cancelled"):  # whoever called looked before others were kept out
            text = run_id_text(run_id)
            raise UsageError(f"run {text} is {status}", hint=f"Look at it: graphferry runs show {text}")
        device.run = run_id
        return await _go_on(run, name, assumed)


async def _go_on(run: Run, name: str, assumed: Sequence[Assumption]) -> RunReport:
    device, run_id = run.device, run.id
    with uncollected(device.journal.have(run_id)):
        said = await _take_stock(run, assumed)
    run.told.begin()
    device.journal.reopen_run(run_id)
    for record in said:
        run.record(record)
    if said:
        await device.journal.barrier(full=True)  # what a person said is kept, whatever becomes of this process
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
    run.known = await earlier.known(run.link, _stays(run, earlier))
    if made_again(earlier.lacking, run.known, run.placed, run.attached):
        await run.begin_anew()
        run.known = await earlier.known(run.link, _stays(run, earlier))
        made_again(earlier.lacking, run.known, run.placed, None)
    run.known.indeterminate -= still_running(device.journal, run_id, run.placed, run.attached, alone=run.unreachable is not None)
    try:
        said = assume(run.known, assumed, run.placed, _now())
        if run.attached is not None and any(each.what == "rerun" and _is_away(run, each.path) for each in assumed):
            await run.begin_anew()  # it was not to run there, and is to now
            run.known = await earlier.known(run.link, _stays(run, earlier))
            said = assume(run.known, assumed, run.placed, _now())
    except UsageError:
        await run.leave()
        raise
    run.known.indeterminate |= doubtful_openers(run.known.indeterminate, run.placed)
    await _recall(run, earlier)
    return said


def _is_away(run: Run, path: str) -> bool:
    placement = run.placed.get(document_path(path))
    return placement is not None and placement.place == "cloud"


def _now() -> int:
    return int(time.time() * 1000)


def _stays(run: Run, earlier: Earlier) -> Callable[[Known, str], bool]:
    """Says of what is known of a path whether nobody of this process will read its value."""
    unread = functools.cache(partial(_unread, run))
    return lambda known, path: not earlier.gone and unread()(path, known.outcomes)


def _unread(run: Run) -> Unread:
    limits, policies = run.orders(), run.policies()
    return Unread(
        run.compiler(limits).plan(run.graph),
        everything=run.options.all,
        may_run=lambda path: path in policies and policies[path].alternative is not None,
        elsewhere=lambda path: path in run.placed and run.placed[path].place == "cloud" and path not in limits,
    )


async def _recall(run: Run, earlier: Earlier) -> None:
    """What a fork was given to keep, if it comes to be handed the same (edge.runs.recall)."""
    results = await earlier.keyed(run.link, run.known, _stays(run, earlier))
    if results:
        from edge.runs.upgrade import upgrade_of

        if upgrade_of(run.device.journal, run.id) is None:  # an upgrade makes nothing again for its maker's sake
            agents = with_offered(run.device, run.options.url)
            results = {path: result for path, result in results.items() if same_maker(run.device, agents, result)}
        run.recall = Recall(run.record, results, run.known.doubts)
