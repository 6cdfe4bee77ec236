"""A run with nodes at a worker, for tests of the device's side: a real engine runs its nodes, the link is a list, and a test says what the
worker would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from edge.ferrying.delegate import Delegate
from edge.ferrying.fallback import Fallback
from edge.ferrying.fragments import Fragments
from edge.policies import Policy
from graphs.agents import standard
from graphs.engine.events import Outcome
from graphs.engine.plan import Compiler
from graphs.errors import LinkCondition
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.language.load import load_text
from graphs.language.run_labels import RunLabels
from graphs.language.spec import Graph
from graphs.records import Cancel, Close, Error, Result, State, Submit
from graphs.running.runtime import Runtime

__all__ = ["GRAPH", "Device", "Link", "Play", "error", "result", "with_device"]

GRAPH = """\
version: 0.5
nodes:
  text: {value: hi}
  here: {agent: copyAgent, inputs: {t: :text}}
  far: {agent: copyAgent, inputs: {t: :here.t}}
  off: {agent: copyAgent, inputs: {t: :far.t}}
  last: {agent: copyAgent, isResult: true, inputs: {t: :off.t}}
"""


class Link:
    """What a delegate says. `refuse` are paths of records, `""` the order itself, that may not or cannot be sent."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.refuse: dict[str, LinkCondition] = {}
        self.flushed = 0
        self.forgotten = False
        self.clear = True
        self._more = asyncio.Event()

    def put_graph(self, address: bytes, body: bytes, labels: Collection[str], run: bytes) -> bool:
        return self.clear

    def attach(self, run: bytes, delegate: Delegate) -> None: ...

    def open_run(self, run: bytes, delegate: Delegate, submit: Submit, labels: Collection[str]) -> None:
        self.append(run, submit, labels)

    def append(self, run: bytes, record: Any, labels: Collection[str] = ()) -> None:
        path = getattr(record, "path", "") or ""
        if path in self.refuse and not isinstance(record, (Close, Cancel)):
            raise self.refuse[path]
        self.said.append(record)
        self._more.set()

    def forget(self, run: bytes) -> None:
        self.forgotten = True

    async def flush(self) -> None:
        self.flushed += 1

    async def until(self, record: Any) -> None:
        """Returns once this was said, or something of this kind."""
        while record not in self.said and not (isinstance(record, type) and record in map(type, self.said)):
            self._more = asyncio.Event()
            await self._more.wait()

    def kinds(self) -> list[str]:
        return [type(record).__name__ for record in self.said]


class Device:
    """A run whose nodes `away` are at the worker. `doubtful` are paths that may have happened or not; with `demand` the two
    start on order. `policies` say what becomes of them when they do not come; with `lost` there is no worker at all.
    """

    def __init__(
        self,
        journal: Journal,
        text: str,
        known: Mapping[str, Outcome],
        *,
        doubtful: Collection[str] = (),
        demand: bool = False,
        policies: Mapping[str, Policy] | None = None,
        lost: LinkCondition | None = None,
        away: Collection[str] = ("far", "last"),
        **different: Any,
    ) -> None:
        graph = Graph.of(load_text(text).data, standard())
        run = new_run_id()
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g", started=0)
        self.link = Link()
        places = dict.fromkeys(away, "cloud")
        compiler = Compiler(standard(), places=places, orders=places if demand else ())
        self.tokens: list[tuple[str, Any]] = []
        usual: dict[str, Any] = {"labels": RunLabels(graph), "options": {"strict": False}, "one_frame": True}
        self.delegate = Delegate(
            run=run,
            fragments=Fragments(known, doubtful),
            journal=journal,
            feed=self._feed,
            clock=time.perf_counter,
            on_token=lambda path, token: self.tokens.append((path, token)),
            on_begun=self._begun,
            fallback=Fallback(policies or {}, compiler.stand_in, time.perf_counter),
            **{**usual, **different},
        )
        if lost is None:
            self.delegate.use(self.link)  # type: ignore[arg-type]
        else:
            self.delegate.lost(lost)
        plan = compiler.plan(graph)
        self.runtime = Runtime(plan, compiler, known=known, indeterminate=doubtful, remote=self.delegate, run_id=run)

    def _feed(self, event: Any) -> None:
        self.runtime.feed(event)

    def _begun(self, start: Any) -> None:
        self.runtime.begun_elsewhere(start)

    def tell(self, *records: Any) -> None:
        """The worker's log has these records."""
        for record in records:
            self.delegate.got(record, 10)

    async def ran(self, node: str) -> None:
        """Returns when a node of this side is done."""
        async with asyncio.timeout(120):
            while node not in self.runtime.engine.results():  # noqa: ASYNC110 - the engine tells nobody
                await asyncio.sleep(0)

    @property
    def waiting(self) -> dict[str, str]:
        """The conditions for which nodes wait."""
        found: dict[str, str] = {}
        for path, error in self.runtime.engine.suspended.items():
            assert isinstance(error, LinkCondition)
            found[path] = error.condition
        return found


Play: TypeAlias = Callable[[Device], Coroutine[Any, Any, None]]


def with_device(
    tmp_path: Path, play: Play, text: str = GRAPH, known: Mapping[str, Outcome] | None = None, **different: Any
) -> tuple[Device, State]:
    """Run to the end, while `play` says what the worker does."""
    found: list[tuple[Device, State]] = []

    async def main() -> None:
        with Journal.open(tmp_path / "journal.db") as journal:
            device = Device(journal, text, known or {}, **different)
            playing = asyncio.create_task(play(device))
            state = await device.runtime.run()
            await playing
            await device.delegate.close()
            found.append((device, state))

    asyncio.run(asyncio.wait_for(main(), 120))
    return found[0]


def result(path: str, value: Any) -> Result:
    return Result(path, 1, 0, value, 0, {}, None)


def error(path: str | None, code: str, *, final: bool = True) -> Error:
    return Error(path, 1, 0, code, "it says why", final, False)
