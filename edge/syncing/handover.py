"""Handing a run over: to the worker, which goes on with it while this device is away, and back, or on to another device of the account.

Only the holder gives a run away, by a record in its own log that is durable before anybody hears of it; from then on it does nothing more for
the run. A holder that is silent keeps it (docs/protocol.md §11).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from edge.ferrying.attached import open_children
from edge.runs.at_work import at_work, is_at_work
from edge.runs.resting import ask_to_rest, relieving
from edge.syncing.alone import alone
from edge.syncing.held import holding_of, require_held, require_known, resting, shared_runs
from edge.syncing.sharing import labels_of, shared_part
from edge.syncing.spool import note_given
from graphs.engine.holding import Holding
from graphs.errors import JournalError, LinkCondition, UsageError
from graphs.journal.ids import run_id_short, run_id_text
from graphs.records import Cancel, Close, Handover, encode
from protocol.events import CopyRefused, Event
from protocol.marks import is_marked, mark
from protocol.run_log import lighten_run

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from graphs.journal import Journal

__all__ = ["Connect", "HolderSilent", "ask_for", "copy_run", "give_to_askers", "push"]

Connect = Callable[[Sequence[bytes]], Awaitable[Any]]
"""Opens the link to the worker, with these child runs to go on with."""

CLEARING: Final = (
    "Which labels may go to a worker is said in edge/config.yaml, under `sensitivity`, and by whoever runs the worker."
)
_PATIENCE: Final = 10.0
_LOOK: Final = 0.1
"""Seconds: how long a holder is waited for, and how often it is looked whether it gave."""
_LOOKS: Final = 30
"""How often it is looked, as often, whether what was closed has ended."""


class HolderSilent(UsageError):
    """The store that holds a run was asked for it, and did not give it in time: it is away, or works on it. Nobody takes it from there."""


async def push(
    journal: Journal,
    run: bytes,
    connect: Connect,
    *,
    hand_over: bool,
    told: Callable[[], object] = lambda: None,
    waits: Callable[[], object] = lambda: None,
) -> None:
    """Give the worker a copy of a run, and with `hand_over` the run itself. The run is marked for sync. A process of this device that works on the
    run is asked to let go of it once the worker has a copy, and waited for; `told` is called then, `waits` if another process that syncs is waited
    for.

    Raises UsageError if this device does not hold it, or the process does not let go, LinkCondition if the worker does not take it; then it is
    not handed over.
    """
    mark(journal, run)
    await journal.barrier(full=True)
    if not is_at_work(journal.path, run):
        with suppress(UsageError), at_work(journal.path, run):  # another process may just have begun
            lighten_run(journal, run, labels_of(journal, run))  # it may have been marked just now
    if not hand_over:
        async with alone(journal.path, waits=waits):
            await _copy(journal, run, connect)
        return
    if is_at_work(journal.path, run):  # what the worker may not have, or has no room for, is no reason to let go of the run
        async with alone(journal.path, waits=waits):
            await _copy(journal, run, connect)
    async with relieving(journal.path, run, told=told):
        require_held(journal, run)  # else who asks for it waits for this process, while it waits for him
        async with alone(journal.path, waits=waits):
            # What the run itself takes there counts, too, and a worker says at the beginning of a connection whether there is room.
            await _copy(journal, run, connect, open_children(journal, run))
            await _hand_over(journal, run, connect)


async def _copy(journal: Journal, run: bytes, connect: Connect, children: Sequence[bytes] = ()) -> None:
    link: WorkerLink = await connect(children)
    link.release(children)
    try:
        await link.caught_up()
        await copy_run(journal, link, run)
    finally:
        await link.close()


async def _hand_over(journal: Journal, run: bytes, connect: Connect) -> None:
    journal.renew(run)
    standing = require_held(journal, run)
    if standing.over:
        raise UsageError(f"run {run_id_text(run)} came to its end here: there is nothing to go on with")
    children = open_children(journal, run)
    link = await connect(children)
    link.release(children)
    try:
        _require_room(link.offer, run)
        await link.caught_up()
        await copy_run(journal, link, run)  # what the worker does not take it does not get
        await _close_parts(journal, link, children)
        await _give(journal, run, standing, link.store)
        await copy_run(journal, link, run)
    finally:
        await link.close()


def _require_room(offer: Mapping[str, Any], run: bytes) -> None:
    """A worker without room for what a run gives begins nothing more in it, and only who knows of it could have it back."""
    if (full := offer.get("full")) is not None:
        raise LinkCondition(
            "QUOTA",
            f"The worker would not go on with this run: {full}.",
            retryable=False,
            hint=_stays(run),
        )


def _stays(run: bytes) -> str:
    return f"This device holds the run: `graphferry resume {run_id_short(run)}` goes on with it. Or push it again when there is room there."


async def ask_for(
    journal: Journal, name: str, connect: Connect, seconds: float | None = None, *, waits: Callable[[], object] = lambda: None
) -> bytes:
    """Have a run here that the worker holds, or another device that is there: its id, once this device holds it. `name` is its id or the beginning.

    Raises HolderSilent if its holder does not give it in time, UsageError, LinkCondition, LABEL_WITHHELD where this device may not tell the worker
    anything of the run: what the worker has of it is here then all the same. `waits` is called if another process that syncs is waited for.
    """
    async with alone(journal.path, waits=waits):
        return await _ask_for(journal, name, connect, _PATIENCE if seconds is None else seconds)


async def _ask_for(journal: Journal, name: str, connect: Connect, seconds: float) -> bytes:
    link: WorkerLink = await connect(())
    try:
        run = _named(journal, name, link, await link.compare())
        standing = require_known(journal, run)
        if standing.over:
            raise UsageError(f"run {run_id_text(run)} is over.", hint=f"Look at it: graphferry runs show {run_id_short(run)}")
        if not is_marked(journal, run):
            raise UsageError(f"run {run_id_text(run)} is not marked for sync.", hint=f"graphferry runs mark {run_id_short(run)}")
        if standing.holder != journal.store_id and (why := link.held_back(labels_of(journal, run))):
            raise _cannot_ask(run, why)
        end = time.monotonic() + seconds
        asked = 0
        while standing.holder != journal.store_id:
            if asked != standing.epoch:  # whoever got it instead is asked in its turn
                asked = standing.epoch
                async with relieving(journal.path, run):  # who is told to cancel it here writes into the same log
                    journal.renew(run)
                    journal.append(run, encode(Handover(journal.store_id, standing.epoch + 1)))
                    await journal.barrier(full=True)
            elif time.monotonic() > end:
                raise HolderSilent(
                    f"run {run_id_text(run)} is held by the store {standing.holder.hex()}, which did not hand it over within "
                    f"{seconds:g} s: it is away, or still works on it.",
                    hint="It was asked, and gives the run when it syncs. --force makes a copy with an id of its own.",
                )
            else:
                await asyncio.sleep(_LOOK)
            await copy_run(journal, link, run)
            standing = holding_of(journal, run)
        return run
    finally:
        await link.close()


async def give_to_askers(
    journal: Journal,
    held_back: Callable[[Collection[str]], str] = lambda _labels: "",
    link: WorkerLink | None = None,
    attached: Collection[bytes] = (),
) -> int:
    """Hand over the runs of this device that rest here and that another store asked for; how many they were. A process that works on one of them
    is asked to let go of it, for the next time. Runs stay whose labels are `held_back`: nobody would hear that they were given.

    What of a run is open at the worker behind `link`, among the child runs `attached` to it, is closed first: it finishes what it has begun, and
    what came of it is here before the run is given, now or the next time.
    """
    given = 0
    for run, standing, _ in shared_runs(journal):
        if not standing.asking or _still_wants(journal, run) or held_back(labels_of(journal, run)):
            continue
        with resting(journal, run) as found:
            if found is None:
                ask_to_rest(journal.path, run)
                continue
            if not found.standing.asking or not {*found.children} <= {*attached}:
                continue
            if link is not None and found.children and not await _are_over(journal, link, run, found.children):
                continue
            await _give(journal, run, found.standing, found.standing.asking[0])
            given += 1
    return given


async def _are_over(journal: Journal, link: WorkerLink, run: bytes, children: list[bytes]) -> bool:
    """Close the open child runs of a run that rests; whether they came to their end soon."""
    try:
        await _close_parts(journal, link, children)
    except (UsageError, LinkCondition):  # at another worker, or this one went away: another time
        return False
    for _ in range(_LOOKS):
        if not open_children(journal, run):
            return True
        await asyncio.sleep(_LOOK)
    return False


def _still_wants(journal: Journal, run: bytes) -> bool:
    """Whether this device asked for the run, and has done nothing with it yet: else two that ask would pass it to and fro."""
    last = None
    for logged in journal.records(run, journal.store_id):
        last = logged.record
    return isinstance(last, Handover) and last.to == journal.store_id


async def _give(journal: Journal, run: bytes, standing: Holding, to: bytes) -> None:
    journal.append(run, encode(Handover(to, standing.epoch + 1)))
    why = f"handed over to the store {to.hex()}"
    journal.finish_run(run, "suspended", ended=int(time.time() * 1000), exit_info={"why": why})
    await journal.barrier(full=True)


async def _close_parts(journal: Journal, link: WorkerLink, children: list[bytes]) -> None:
    """The worker finishes what it does for the run and has all it needs for; nothing more will come from here."""
    for child in children:
        if child in link.refused:
            raise UsageError(
                "a part of this run is still at another worker.",
                hint="Sync with that one first, or end it: graphferry runs cancel.",
            )
    for child in children:
        records = [logged.record for logged in journal.records(child, journal.store_id)]
        if not any(
            isinstance(each, (Close, Cancel)) and (each.frame if isinstance(each, Close) else each.paths) is None
            for each in records
        ):
            link.append(child, Close(None))
    await link.delivered(children)


async def copy_run(journal: Journal, link: WorkerLink, run: bytes) -> None:
    """Bring the run up to date on both sides; how far the worker has it is noted."""
    parts = {run, *(child.run for child in journal.children(run) if child.status != "running")}
    given = {(line.run, line.writer): line.last for line in shared_part(journal).lines() if line.run in parts}
    for event in await link.compare():
        if isinstance(event, CopyRefused) and event.run == run:
            if event.unkept:
                raise _unkept(event)
            hint = CLEARING if event.local and event.code == "LABEL_WITHHELD" else None
            if event.code == "QUOTA" and not event.local and holding_of(journal, run).holder == journal.store_id:
                hint = _stays(run)
            raise LinkCondition(event.code, f"The worker does not get this run: {event.text}.", retryable=False, hint=hint)
    note_given(journal, given)
    await journal.barrier()


def _unkept(event: CopyRefused) -> JournalError:
    return JournalError(event.text, hint="Free some space, and say it again: it goes on where this one stopped.")


def _named(journal: Journal, name: str, link: WorkerLink, told: Iterable[Event]) -> bytes:
    """The run of that name, now that this was told of what the worker has."""
    try:
        return journal.run(name).run
    except UsageError as error:
        if not error.message.startswith("there is no run"):
            raise
        digits = name.replace("-", "").lower()
        for event in told:
            if isinstance(event, CopyRefused) and event.unkept and event.run.hex().startswith(digits):
                raise _unkept(event) from None
        takes = link.offer.get("clearance") or ()
        cleared = f"is cleared for {', '.join(takes)}" if takes else "is cleared for none"
        hint = f"The worker gives none of that name: it has none, or one with labels; your account there {cleared}."
        raise UsageError(error.message, hint=hint) from None


def _cannot_ask(run: bytes, why: str) -> LinkCondition:
    """To ask is a record in the run's log, and that holds whatever this device does for the run from then on."""
    return LinkCondition(
        "LABEL_WITHHELD",
        f"run {run_id_text(run)} cannot be asked for: {why}, and so nothing that this device would add to the run, not even that it "
        "wants it. What the worker has of the run is here.",
        retryable=False,
        hint=f"Look at it: graphferry runs show {run_id_short(run)}. Or say --force: a copy with an id of its own, which goes on on "
        f"this device. {CLEARING}",
    )
