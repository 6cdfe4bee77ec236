"""Copies over real sockets, between two journals: values are there before what refers to them, and nothing that is wrong holds up the rest."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.journal.reader import graph_address
from graphs.records import Result, State, Submit, encode
from graphs.values import canonical, digest
from protocol.config import Config, Role
from protocol.events import Closed, Copied, CopyRefused, Faulted, Synced
from protocol.journal_store import JournalStore
from protocol.run_log import RunLog, open_run
from protocol.session import Conn
from protocol.shared import Shared
from protocol.store import Left
from protocol.transport import Link, accept, connect, listen
from wire.pair import DEVICE_ID

GRAPH = canonical({"nodes": {"a": {"value": 1}}})
LARGE = "x" * 700_000
REF = digest(canonical(LARGE))


class Side:
    """A journal, its store, and what its link was told."""

    def __init__(self, path: Path, scope: str) -> None:
        self.journal = Journal.open(path)
        self.store = JournalStore(self.journal, scope, shared=Shared(self.journal))
        self.events: list[Any] = []
        self.changed = asyncio.Event()
        self.link: Link
        self.whole: list[bool] = []
        """Whether the large value was here, each time a copied record had become durable."""

    def hear(self, event: Any) -> None:
        if isinstance(event, Copied) and event.record.type == Result.TYPE:
            self.whole.append(any(self.journal.body_files.held(row.scope, REF)[1] for _, row in self.journal.bodies_named(REF)))
        self.events.append(event)
        self.changed.set()

    def seen(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]

    async def synced(self) -> None:
        """Begin to compare, and return when that is over."""
        before = len(self.seen(Synced))
        self.link.sync()
        await self.until(Synced, before + 1)

    async def until(self, kind: type[Any], count: int = 1) -> None:
        """Returns when so many events of that kind have come."""
        async with asyncio.timeout(120):
            while len(self.seen(kind)) < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def two(folder: Path) -> AsyncIterator[tuple[Side, Side]]:
    device, worker = Side(folder / "edge.db", "own"), Side(folder / "cloud.db", "d")
    worker.link = Link(Conn(Config(Role.WORKER, "d", DEVICE_ID), await worker.store.find(())), worker.store, worker.hear)

    async def serve(connection: Any) -> None:
        came = await accept(connection)
        assert came is not None
        await worker.link.carry(connection, came[1].conn, came[0])

    server = await listen(serve, host="127.0.0.1", port=0, token=None)
    url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/link"
    try:
        async with connect(url, Config(Role.DEVICE, "w", DEVICE_ID), device.store, device.hear) as (link, _):
            device.link = link
            yield device, worker
    finally:
        server.close()
        await server.wait_closed()
        await worker.link.close()
        device.journal.close()
        worker.journal.close()


def begun(side: Side, *values: Any) -> bytes:
    """A marked run of that side, with results of these values."""
    run = new_run_id()
    about: dict[str, Any] = {"graph_hash": graph_address(GRAPH), "graph": GRAPH, "name": "g.yaml", "started": 1}
    submit = Submit("", about["graph_hash"], {"a": [int(State.INJECTED), 1]}, {"parent": None})
    open_run(side.journal, run, submit, about, shared=True)
    for number, value in enumerate(values):
        RunLog(side.journal, run).record(Result(f"n{number}", 1, 0, value, 5, {}))
    side.journal.flush()
    return run


def same(run: bytes, *sides: Side) -> bool:
    first, *others = [[(head.writer, head.last, head.chk) for head in side.journal.heads(run)] for side in sides]
    return bool(first) and all(each == first for each in others)


def go(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


def test_both_sides_get_what_they_lack_with_values_and_documents(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as (device, worker):
            mine, theirs = begun(device, 1, LARGE), begun(worker, LARGE, 2)
            await device.synced()
            assert same(mine, device, worker)
            assert same(theirs, device, worker)
            assert device.whole == worker.whole == [True] * 2, "a body is never later than its record"
            assert device.store.has_graph(graph_address(GRAPH))
            assert not device.seen(CopyRefused)

    go(main)


def test_a_value_that_is_nowhere_holds_up_no_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as (device, worker):
            run = begun(device, LARGE, 1)
            for file in (device.journal.body_files.folder / "own").glob(f"{REF.hex()}*"):
                file.unlink()
            await device.synced()
            assert same(run, device, worker)
            assert not any(worker.whole)

    go(main)


def test_a_log_that_is_damaged_is_named_and_holds_up_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as (device, worker):
            damaged, good = begun(device, "one", "two"), begun(device, "three")
            db = sqlite3.connect(tmp_path / "edge.db")
            with db:
                db.execute(
                    "UPDATE records SET tail = ? WHERE id = ((SELECT id FROM logs WHERE run = ?) << 32) + 2",
                    (encode(Result("n0", 1, 0, "none", 5, {})).tail, damaged),
                )
            db.close()
            await device.synced()
            assert same(good, device, worker)
            (refused,) = device.seen(CopyRefused)
            assert (refused.run, refused.code) == (damaged, "INTERNAL")

    go(main)


def test_a_disk_that_refuses_a_value_refuses_its_log_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as (device, worker):
            large, good = begun(device, LARGE), begun(device, "small")
            worker.store.keep_graph(graph_address(GRAPH), GRAPH)  # or it came as a body, too
            worker.journal.flush()
            worker.journal.body_files.folder.write_text("no folder")  # nothing can be put in there
            await device.synced()
            assert same(good, device, worker)
            assert [(refused.run, refused.code) for refused in device.seen(CopyRefused)] == [(large, "INTERNAL")]
            assert str(tmp_path) not in device.seen(CopyRefused)[0].text, "where the other side keeps its files is its own"
            assert not worker.journal.heads(large) or not same(large, device, worker)

    go(main)


def test_what_cannot_be_written_down_does_not_leave_and_is_not_said_to_be_gone(tmp_path: Path) -> None:
    """A worker that takes a run without its graph never asks for that again, and no other device could go on with it."""

    async def main() -> None:
        async with two(tmp_path) as (device, worker):
            run = begun(device, LARGE, 1)

            async def leaves(left: Left) -> None:
                if left.kind == "body":
                    raise JournalError("the disk is full")

            device.store.leaves = leaves  # type: ignore[method-assign]
            device.link.sync()
            await device.until(Closed)
            assert [each.text for each in device.seen(Faulted)] == ["the disk is full"]
            assert not worker.journal.knows(run)

    go(main)
