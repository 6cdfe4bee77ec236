"""A child run at the worker, with the log of a device that is a list."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

from cloud.child import ChildRun
from cloud.worker import Worker
from graphs.agents import standard
from graphs.bounds import UNTRUSTED, Bounds
from graphs.engine.outcomes import Known
from graphs.errors import LinkCondition
from graphs.journal import Journal
from graphs.language.cut import CutGraph, cut
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.records import End, EndStatus, Result, State, Submit
from graphs.registry import Agent

__all__ = ["AGENTS", "ROOT", "RUN", "Log", "ran", "shipped", "with_child"]

RUN = bytes(range(16))
ROOT = bytes(range(16, 32))


class Log:
    """A `cloud.child.ChildLog`.

    `ended` is set by END; `holds` lets go who waits for the device, `waits` says that somebody does; `refuse` are paths that may not cross;
    `commits` lets go who waits for the disk, `writing` says that somebody does.
    """

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.deltas: list[tuple[int, Any]] = []
        self.shown: list[tuple[str, State]] = []
        self.ended = asyncio.Event()
        self.holds = asyncio.Event()
        self.waits = asyncio.Event()
        self.asked: list[int] = []
        self.refuse: set[str] = set()
        self.writing = asyncio.Event()
        self.commits = asyncio.Event()
        self.commits.set()

    def append(self, run: bytes, record: Any, labels: Collection[str] = ()) -> int:
        assert run == RUN
        assert not self.ended.is_set(), f"{record} after END"
        if isinstance(record, Result) and record.path in self.refuse:
            raise LinkCondition("VALUE_TOO_LARGE", "it is too large", retryable=False)
        self.records.append(record)
        if isinstance(record, End):
            self.ended.set()
        return len(self.records)

    def delta(self, run: bytes, start: int, token: Any) -> None:
        self.deltas.append((start, token))

    def state(self, run: bytes, path: str, at: int, state: int) -> None:
        self.shown.append((path, State(state)))

    async def durable(self, run: bytes) -> None:
        self.writing.set()
        await self.commits.wait()

    async def held(self, run: bytes, seq: int) -> None:
        self.asked.append(seq)
        self.waits.set()
        await self.holds.wait()

    def results(self) -> dict[str, Any]:
        return {record.path: record.value for record in self.records if isinstance(record, Result)}

    @property
    def end(self) -> EndStatus:
        """How it ended; END is the last record and the only one."""
        assert [type(record) for record in self.records].count(End) == 1
        return EndStatus(self.records[-1].status)


class Ran(list[tuple[str, bytes]]):
    """Path and key of each node that began, in order."""

    more = asyncio.Event()

    def note(self, context: Any) -> None:
        self.append((context.path, context.key))
        self.more.set()

    async def reach(self, count: int) -> None:
        """Returns once so many began."""
        while len(self) < count:
            self.more = asyncio.Event()
            await self.more.wait()


ran = Ran()


async def _count(context: Any) -> Any:
    ran.note(context)
    return dict(context.inputs)


async def _forever(context: Any) -> Any:
    ran.note(context)
    await asyncio.Event().wait()


async def _fold(context: Any) -> Any:
    """A value that is larger written out than in memory."""
    ran.note(context)
    part = ["x" * 100] * 8
    return [part, part]


_OURS = {
    "countAgent": (_count, "none"),
    "onceAgent": (_count, "once"),
    "foreverAgent": (_forever, "none"),
    "foldAgent": (_fold, "once"),
}
AGENTS = standard().with_agents([Agent(name, run, effect=effect) for name, (run, effect) in _OURS.items()])  # type: ignore[arg-type]


def shipped(text: str, *nodes: str) -> CutGraph:
    return cut(Graph.of(load_text(f"version: 0.5\n{text}").data, AGENTS), nodes)


def with_child(
    tmp_path: Path,
    graph: CutGraph,
    use: Callable[[ChildRun, Submit, Log], Awaitable[None]],
    inputs: dict[str, Any] | None = None,
    before: Known | None = None,
    bounds: Bounds = UNTRUSTED,
    **opts: Any,
) -> Log:
    """Use a child run of this cut, ordered but not begun yet, of which `before` is known; gives what its log holds."""
    logs: list[Log] = []

    async def main() -> None:
        ran.clear()
        logs.append(Log())
        with Journal.open(tmp_path / "journal.db") as journal:
            worker = Worker(journal, AGENTS, ScriptedModels([ScriptedModel("large")]), bounds=bounds)
            order = Submit("", graph.hash, inputs or {}, {"parent": [ROOT, 1], **opts})
            child = ChildRun(worker, logs[0], RUN, order, before)
            assert worker.running == 1
            child.park(order)
            await use(child, order, logs[0])
            await child.stop()
            assert worker.running == 0

    asyncio.run(asyncio.wait_for(main(), 120))
    return logs[0]
