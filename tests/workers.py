"""A worker inside the test's own process, on a thread with an event loop of its own: for all that does not need it to be killed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from cloud.access import Access
from cloud.accounts import DEFAULT, Account
from cloud.server import WorkerServer
from cloud.worker import Worker
from graphs.bounds import UNTRUSTED
from graphs.journal import Journal
from graphs.loadagents import known_agents
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.registry import Registry

__all__ = ["ServedWorker", "worker"]

_ROOMY = replace(UNTRUSTED, value_bytes=256 << 20, run_bytes=1 << 30)
"""What the link can carry is tested with it, not how much of that a worker lets graphs have."""

T = TypeVar("T")


class ServedWorker:
    """`url` is where it is; `worker` and `server` belong to its thread: use `call`."""

    def __init__(self, url: str, worker: Worker, server: WorkerServer, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.worker = worker
        self.server = server
        self._loop = loop

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].partition("/")[0])

    def call(self, function: Callable[[], T]) -> T:
        """What the function gives in the worker's thread."""

        async def inside() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(120)


@contextmanager
def worker(
    home: Path,
    *,
    models: Sequence[str | ScriptedModel] = ("large",),
    agents: Sequence[str] = (),
    folder: Path | None = None,
    token: str | None = None,
    clearance: Collection[str] = (),
) -> Iterator[ServedWorker]:
    """A worker that serves scripted models under these names, with the agents of these modules in `folder`; it takes what has the labels of
    `clearance`.
    """
    made = [ScriptedModel(each) if isinstance(each, str) else each for each in models]
    served: list[ServedWorker] = []
    failed: list[BaseException] = []
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        with Journal.open(home / "cloud" / "journal.db") as journal:
            registry: Registry = known_agents(agents, folder=folder)
            each = Worker(journal, registry, ScriptedModels(made), bounds=_ROOMY)
            access = Access({DEFAULT: Account(clearance=frozenset(clearance))}, token=token, anybody=True)
            server = WorkerServer(each, access=access)
            served.append(ServedWorker(await server.start(), each, server, loop))
            stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
            ready.set()
            await stopping.wait()
            await server.stop()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - told to the test, in its own thread
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="worker")
    thread.start()
    ready.wait()
    try:
        if failed:
            raise failed[0]
        yield served[0]
    finally:
        if stop:
            stop[0]()
        thread.join()
    if failed:
        raise failed[0]
