"""Bodies over real sockets, between two journals: pulled when they are wanted, in constant memory, from where they were."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import JournalError, LinkCondition, ValueUnsupported
from graphs.journal import Journal
from graphs.records import Input, Result, Submit
from graphs.values import MISSING, canonical, digest
from protocol.config import Config, Role
from protocol.events import BodyBytes, Got, GraphReceived
from protocol.journal_store import JournalStore
from protocol.messages import GraphStatus
from protocol.payload import MAX_BODY, Reference, references
from protocol.pull import _decoded
from protocol.session import Conn
from protocol.transport import Link, accept, connect, listen
from wire.pair import DEVICE_ID, run_id

RUN = run_id(7)
BIG = "x" * 3_000_000


class Watched(JournalStore):
    """Tells when bytes of a body were kept."""

    def __init__(self, journal: Journal, scope: str) -> None:
        super().__init__(journal, scope)
        self.wrote = asyncio.Event()

    async def write_body(self, ref: bytes, off: int, *data: bytes | memoryview) -> None:
        await super().write_body(ref, off, *data)
        self.wrote.set()


class Side:
    """A journal, its store, and what its link was told."""

    def __init__(self, path: Path, scope: str) -> None:
        self.journal = Journal.open(path)
        self.store = Watched(self.journal, scope)
        self.events: list[Any] = []
        self.changed = asyncio.Event()
        self.link: Link

    def hear(self, event: Any) -> None:
        self.events.append(event)
        self.changed.set()

    async def got(self, kind: type[Any], count: int = 1) -> Any:
        """The `count`-th event of that kind, once it came."""
        async with asyncio.timeout(120):
            while len(found := [each for each in self.events if isinstance(each, kind)]) < count:
                self.changed.clear()
                await self.changed.wait()
        return found[count - 1]


class Two:
    """A device and a worker, and a run of both."""

    def __init__(self, device: Side, worker: Side) -> None:
        self.device = device
        self.worker = worker
        self.sockets: list[Any] = []

    async def result(self, value: Any) -> Reference:
        """A result the worker made, on record at the device."""
        self.worker.link.append(RUN, Result("a", 1, 0, value, 5, {}))
        got = await self.device.got(Got)
        (named,) = references(got.record)
        return named


@asynccontextmanager
async def two(folder: Path) -> AsyncIterator[Two]:
    device, worker = Side(folder / "edge.db", "own"), Side(folder / "cloud.db", "d")
    both = Two(device, worker)
    worker.link = Link(Conn(Config(Role.WORKER, "d", DEVICE_ID), await worker.store.find(())), worker.store, worker.hear)

    async def serve(connection: Any) -> None:
        both.sockets.append(connection)
        came = await accept(connection)
        assert came is not None
        await worker.link.carry(connection, came[1].conn, came[0])

    server = await listen(serve, host="127.0.0.1", port=0, token=None)
    url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/link"
    try:
        async with connect(url, Config(Role.DEVICE, "w", DEVICE_ID), device.store, device.hear, reconnect=True) as (link, _):
            device.link = link
            device.journal.create_run(RUN, role="child", graph_hash=bytes(32), name="x", started=1)
            link.append(RUN, Submit("", bytes(32), {}, {}))
            await worker.got(Got)
            yield both
    finally:
        server.close()
        await server.wait_closed()
        await worker.link.close()
        device.journal.close()
        worker.journal.close()


def go(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


def test_a_value_comes_when_it_is_wanted_and_only_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            named = await both.result(BIG)
            assert await both.device.store.load_body(named.ref) is None
            first, second = await asyncio.gather(*(both.device.link.bodies.value(RUN, named) for _ in range(2)))
            assert first == second == BIG
            assert await both.device.link.bodies.value(RUN, named) == BIG
            assert both.device.journal.body_files.held("own", named.ref) == (len(canonical(BIG)), True)
            record = Result("a", 1, 0, {"deep": [1]}, 5, {})
            assert await both.device.link.bodies.resolved(RUN, record, references(record)) is record

    go(main)


def test_who_asked_first_goes_on_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            named, bodies, order = await both.result(BIG[:150_000]), both.device.link.bodies, list[int]()

            async def ask(number: int) -> None:
                await bodies.pull(RUN, named)
                order.append(number)

            await asyncio.gather(*(ask(number) for number in range(12)))
            assert order == list(range(12))

    go(main)


def test_bytes_leave_no_faster_than_they_may_and_hold_up_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            both.worker.link.bodies.limit(1)  # the first of them would take some days
            named = await both.result(BIG)
            pulling = asyncio.ensure_future(both.device.link.bodies.pull(RUN, named))
            for number in range(2, 12):
                both.worker.link.append(RUN, Result(f"r{number}", 1, 0, number, 5, {}))
                await both.device.got(Got, number)
            assert both.device.journal.body_files.held("own", named.ref) == (0, False)
            await both.worker.link.close()  # and does not wait for it
            pulling.cancel()
            await asyncio.gather(pulling, return_exceptions=True)

    go(main)


def test_what_is_held_back_is_not_asked_for_and_what_is_here_is_given(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            named, bodies = await both.result(BIG), both.device.link.bodies
            bodies.held = lambda: LinkCondition("HELD_BACK", "it is dear")
            with pytest.raises(LinkCondition, match="dear"):
                await bodies.value(RUN, named)
            bodies.held = None
            assert await bodies.value(RUN, named) == BIG
            bodies.held = lambda: LinkCondition("HELD_BACK", "it is dear")
            assert await bodies.value(RUN, named) == BIG

    go(main)


def test_what_came_for_somebody_who_gave_up_is_not_mixed_with_what_comes_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            named, bodies = await both.result(BIG[:150_000]), both.device.link.bodies
            handle, came = bodies.handle, list[Any]()

            def only_one(event: Any) -> None:
                """The first chunk comes, and waits for more to be written with it; what follows is too late."""
                if isinstance(event, BodyBytes):
                    came.append(event)
                    if len(came) == 1:
                        assert event.more
                        gives_up.cancel()
                    else:
                        return
                handle(event)

            bodies.handle = only_one  # type: ignore[method-assign]
            gives_up = asyncio.ensure_future(bodies.value(RUN, named))
            await asyncio.gather(gives_up, return_exceptions=True)
            bodies.handle = handle  # type: ignore[method-assign]
            async with asyncio.timeout(120):
                assert await bodies.value(RUN, named) == BIG[:150_000]

    go(main)


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system has no such option")
def test_the_systems_own_queue_is_short_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            raw = both.sockets[0].transport.get_extra_info("socket")
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 64 * 1024

    go(main)


def test_a_value_goes_up_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            both.device.link.append(RUN, Input("a", 4, [BIG, BIG + "y"]))
            got = await both.worker.got(Got, 2)
            assert await both.worker.link.bodies.resolved(RUN, got.record, references(got.record)) == Input(
                "a", 4, [BIG, BIG + "y"]
            )

    go(main)


def test_a_lost_connection_only_costs_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            named = await both.result("y" * 20_000_000)
            pulling = asyncio.create_task(both.device.link.bodies.value(RUN, named))
            await asyncio.wait_for(both.device.store.wrote.wait(), 120)
            both.sockets[-1].transport.abort()
            assert await pulling == "y" * 20_000_000

    go(main)


def test_what_nobody_waits_for_any_more_is_not_sent_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            named = await both.result("z" * 20_000_000)
            pulling = asyncio.create_task(both.device.link.bodies.value(RUN, named))
            files = both.device.journal.body_files
            await asyncio.wait_for(both.device.store.wrote.wait(), 120)
            pulling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pulling
            await both.device.link.flushed()
            held, whole = files.held("own", named.ref)
            assert 0 < held < named.size
            assert not whole
            assert await both.device.link.bodies.value(RUN, named) == "z" * 20_000_000

    go(main)


def test_what_is_gone_is_a_condition(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            bodies = both.device.link.bodies
            for ref, code in ((digest(b"nothing"), "BLOB_GONE"), (b"i" * 16, "LABEL_WITHHELD")):
                with pytest.raises(LinkCondition) as caught:
                    await bodies.value(RUN, Reference(ref, 5))
                assert caught.value.condition == code
            with pytest.raises(LinkCondition, match="limit"):
                await bodies.value(RUN, Reference(digest(b"x"), MAX_BODY + 1))

    go(main)


def test_bytes_that_are_no_value_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            junk = b"\xc1" * 10
            both.worker.journal.pin_body(RUN, "d", digest(junk), len(junk), own=True)
            both.worker.journal.flush()
            both.worker.journal.body_files.keep("d", digest(junk), junk)
            with pytest.raises(ValueUnsupported):
                await both.device.link.bodies.value(RUN, Reference(digest(junk), len(junk)))

    go(main)


def test_a_bomb_is_not_unpacked() -> None:
    value = {"rows": [[1, 2], {"x": [MISSING]}]}
    assert _decoded(canonical(value), most=5) == value
    for bomb in (b"\x96" + b"\x80" * 6, b"\x96" + b"\x90" * 6):
        with pytest.raises(ValueUnsupported, match="more than 5"):
            _decoded(bomb, most=5)
    with pytest.raises(ValueUnsupported, match="not a value"):
        _decoded(b"\xc1" * 10, most=5)


def test_a_disk_that_refuses_is_told_and_the_link_lives(tmp_path: Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as both:
            named = await both.result(BIG)
            folder = both.device.journal.body_files.folder
            folder.write_text("a file where the folder should be")
            with pytest.raises(JournalError, match="could not be kept"):
                await both.device.link.bodies.value(RUN, named)
            folder.unlink()
            assert await both.device.link.bodies.value(RUN, named) == BIG

    go(main)


def test_a_large_graph_comes_as_a_body(tmp_path: Path) -> None:
    import random

    async def main() -> None:
        async with two(tmp_path) as both:
            body = canonical({"nodes": {"n": {"value": random.Random(1).randbytes(500_000).hex()}}})
            h = digest(b"graphferry.graph.1\n" + body)
            assert both.device.link.put_graph(h, body)
            both.worker.link.graph_state(h, GraphStatus.UNKNOWN)
            assert (await both.worker.got(GraphReceived)).body == body

    go(main)


def test_a_body_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    """64 MiB; benchmarks/bodies.py does a GiB."""
    size = 64 * 1024 * 1024

    async def main() -> None:
        import hashlib

        async with two(tmp_path) as both:
            hashed = hashlib.sha256()
            for _ in range(size >> 20):
                hashed.update(bytes(1 << 20))
            ref = hashed.digest()
            path = both.worker.journal.body_files.folder / "d" / ref.hex()
            path.parent.mkdir(parents=True)
            with path.open("wb") as file:
                file.truncate(size)
            both.worker.journal.pin_body(RUN, "d", ref, size, own=True)
            both.worker.journal.flush()
            tracemalloc.start()
            try:
                await both.device.link.bodies.pull(RUN, Reference(ref, size))
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert both.device.journal.body_files.held("own", ref) == (size, True)
            assert peak < 16 * 1024 * 1024

    go(main)
