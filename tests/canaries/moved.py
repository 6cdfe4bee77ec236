"""What becomes of a run after it was played: synced, pushed, handed over and asked back, exported to another device and done again there, towards
another worker under another policy. Whatever of it is refused on the way is no failure here: only what leaves counts.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from canaries.planted import MODELS, registry
from edge.commands.resume import stored_graph
from edge.ferrying.connecting import connect_worker
from edge.means import Device, RunOptions
from edge.privacy.clearance import Clearance
from edge.runs.fork import fork_run
from edge.runs.resuming import resume_run
from edge.syncing.handover import ask_for, push
from edge.syncing.sync import converge
from graphs.errors import GraphferryError
from graphs.journal import Journal
from graphs.journal.archive import export_run, import_run
from graphs.language.spec import is_computed
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.values import canonical
from protocol.marks import mark
from protocol.noted import untold

__all__ = ["Way", "again", "brought", "moved"]

_PATIENCE = 1.0


@dataclass(frozen=True)
class Way:
    """Where something may go: a worker, the token of an account there, and what this device lets go."""

    url: str
    token: str
    clearance: Clearance

    async def connect(self, journal: Journal, runs: Any) -> Any:
        """A link."""
        return await connect_worker(self.url, token=self.token, journal=journal, runs=runs, clearance=self.clearance)


async def moved(journal: Journal, run: bytes, way: Way, chance: random.Random, done: Counter[str]) -> None:
    """Brings the run to the worker, in one of the ways that there are."""
    how = chance.choice(["sync", "push", "hand over"])

    async def connect(runs: Any) -> Any:
        return await way.connect(journal, runs)

    if how == "sync":
        mark(journal, run)
        await journal.barrier()
        await _tried(done, how, converge(journal, connect))
        return
    if await _tried(done, how, push(journal, run, connect, hand_over=how == "hand over")) and how == "hand over":
        await _tried(done, "ask back", ask_for(journal, run.hex(), connect, _PATIENCE))


async def brought(journal: Journal, run: bytes, other: Journal, way: Way, chance: random.Random, done: Counter[str]) -> bool:
    """Brings the run to another device, in a file or by the worker that has it; whether it is there."""

    async def connect(runs: Any) -> Any:
        return await way.connect(other, runs)

    if chance.random() < 0.5:
        file = io.BytesIO()
        export_run(journal, run, file)

        async def take_in() -> None:
            import_run(other, file, canonical(untold().told()))

        await _tried(done, "import", take_in())
    else:
        await _tried(done, "sync there", converge(other, connect))
    return other.knows(run)


async def again(other: Journal, run: bytes, way: Way, files: str, chance: random.Random, done: Counter[str]) -> None:
    """The other device gives the run to its own worker, and does some of it again, there if it can."""
    models = ScriptedModels([ScriptedModel(name) for name in MODELS])

    async def connect(url: str, token: str | None, journal: Journal, runs: Any) -> Any:
        return await way.connect(journal, runs)

    device = Device(
        journal=other,
        agents=registry(),
        models=models,
        default_model=MODELS[0],
        files=files,
        connect=connect,
        clearance=way.clearance,
    )
    mark(other, run)
    await other.barrier()
    await _tried(done, "sync on", converge(other, lambda runs: way.connect(other, runs)))
    row = other.run(run)
    graph = None
    with suppress(GraphferryError):
        graph = stored_graph(other, row)
    if graph is None:
        return
    names = [name for name, spec in graph.nodes.items() if is_computed(spec) and spec.get("agent") != "diaryAgent"]
    pinned: Any = {name: "cloud" for name in names if chance.random() < 0.5}
    options = RunOptions(url=way.url, token=way.token, pinned=pinned, max_turns=4, deadline=60, sync=chance.random() < 0.5)
    forked: list[bytes] = []

    async def fork() -> None:
        chosen = [name for name in names if chance.random() < 0.5] or names
        forked.append((await fork_run(device, graph, options, run, again=chosen, changes={})).run)

    if await _tried(done, "fork", fork()):
        for trying in (options, replace(options, pinned={})):
            if await _tried(done, "do again", resume_run(device, graph, trying, forked[0], name="canaries")):
                break
        await _tried(done, "sync on", converge(other, lambda runs: way.connect(other, runs)))
    for each in (run, *forked):
        mark(other, each, on=False)
    await other.barrier()


async def _tried(done: Counter[str], what: str, awaitable: Awaitable[Any]) -> bool:
    """Whether it was done, and not refused."""
    try:
        await awaitable
    except GraphferryError:
        return False
    done[what] += 1
    return True
