"""Links that live through lost connections, broken journals and handlers' mistakes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from graphs.errors import JournalError, WorkerUnreachable
from graphs.records import Close, End, Event, Input, Result, State, Submit
from protocol.events import Closed, DeltaSeen, Event as LinkEvent, Faulted, Got, Ready
from protocol.link import Link
from protocol.session import Conn
from protocol.transport import PATH, connect, listen
from wire.memory_store import MemoryStore
from wire.pair import DEVICE, STORES, WORKER, run_id
from wire.sockets import DEVICE_CONFIG, SUBMIT, TOKEN, Device, Worker, kinds, run, serving, until


async def work(worker: Worker, link: Link, device: Device) -> None:
    run_ = run_id(1)
    link.append(run_, SUBMIT)
    await until(worker, lambda: bool(kinds(worker, Got)))
    start = worker.link.append(run_, Event("a", 1, State.EXECUTING, 5, {}))
    worker.link.delta(run_, start, ["Hel", "lo"])
    await until(device, lambda: bool(kinds(device, DeltaSeen)))
    worker.link.append(run_, Result("a", 1, 0, "Hello", 5, {}))
    worker.link.append(run_, End(0, 5, {}))
    await until(device, lambda: len(kinds(device, Got)) == 3)


def test_a_run_goes_out_and_its_results_come_back() -> None:
    async def main() -> None:
        device = Device()
        async with serving() as worker:
            async with connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN) as (link, ready):
                assert ready == Ready(STORES[WORKER], {})
                await work(worker, link, device)
                await link.flushed()
                assert "".join(token for event in kinds(device, DeltaSeen) for token in event.tokens) == "Hello"
            assert device.store.tail(run_id(1), STORES[WORKER], 0, 3) == worker.store.tail(run_id(1), STORES[WORKER], 0, 3)
            assert kinds(device, Closed)
            await until(worker, lambda: bool(kinds(worker, Closed)))

    run(main)


def test_a_lost_connection_is_made_again_and_nothing_is_lost() -> None:
    async def main() -> None:
        device = Device()
        async with (
            serving() as worker,
            connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN, reconnect=True) as (link, _),
        ):
            link.append(run_id(1), SUBMIT)
            await until(worker, lambda: bool(kinds(worker, Got)))
            worker.sockets[-1].transport.abort()
            await until(device, lambda: bool(kinds(device, Closed)))
            link.append(run_id(1), Close(None))
            worker.link.append(run_id(1), Result("a", 1, 0, 1, 5, {}))
            await until(device, lambda: bool(kinds(device, Got)))
            await until(worker, lambda: len(kinds(worker, Got)) == 2)
            assert [type(event.record) for event in kinds(worker, Got)] == [Submit, Close]
            assert len(worker.sockets) == 2

    run(main)


def test_a_worker_that_refuses_later_is_told_once() -> None:
    async def main() -> None:
        device = Device()
        async with (
            serving() as worker,
            connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN, reconnect=True),
        ):
            await worker.sockets[-1].close(4403)
            await until(device, lambda: bool(kinds(device, Closed)))
            assert len(worker.sockets) == 1
            assert kinds(device, Closed)[-1].code == 4403

    run(main)


def test_without_a_working_journal_nothing_is_sent() -> None:
    class Broken(MemoryStore):
        async def commit(self, effects: Any) -> None:
            raise OSError("disk full")

    async def main() -> None:
        device = Device()
        store = Broken(STORES[DEVICE])
        async with serving() as worker:
            async with connect(worker.url, DEVICE_CONFIG, store, device.hear, token=TOKEN) as (link, _):
                link.append(run_id(1), SUBMIT)
                with pytest.raises(JournalError, match="disk full"):
                    await link.durable()
                with pytest.raises(JournalError):
                    link.append(run_id(1), Close(None))
                await until(device, lambda: bool(kinds(device, Closed)))
                assert kinds(device, Faulted)[0].code == "INTERNAL"
            assert worker.store.logs == {}

    run(main)


def test_what_is_appended_during_a_commit_makes_the_next_one() -> None:
    class Slow(MemoryStore):
        gate: asyncio.Event

        async def commit(self, effects: Any) -> None:
            await self.gate.wait()
            await super().commit(effects)

    async def main() -> None:
        store = Slow(STORES[DEVICE])
        store.gate = asyncio.Event()
        link = Link(Conn(DEVICE_CONFIG, store.snapshot()), store, lambda _: None)
        link.append(run_id(1), SUBMIT)
        await asyncio.sleep(0)
        for number in range(10):
            link.append(run_id(number + 2), SUBMIT)
        store.gate.set()
        await link.durable()
        assert store.commits == 2
        assert len(store.logs) == 11
        await link.close()

    run(main)


def test_a_handlers_mistake_does_not_stop_the_link(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        device = Device()

        def broken(event: LinkEvent) -> None:
            device.hear(event)
            if isinstance(event, Got):
                raise ValueError("mine")

        async with serving() as worker, connect(worker.url, DEVICE_CONFIG, device.store, broken, token=TOKEN) as (link, _):
            await work(worker, link, device)

    run(main)
    assert "handles Got" in caplog.text
    assert TOKEN not in caplog.text


def test_a_worker_that_says_nothing_is_given_up() -> None:
    async def main() -> None:
        async def silent(socket: ServerConnection) -> None:
            await socket.wait_closed()

        server = await listen(silent, host="127.0.0.1", port=0, token=None)
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}{PATH}"
        with pytest.raises(WorkerUnreachable, match="said nothing"):
            async with connect(url, DEVICE_CONFIG, MemoryStore(STORES[DEVICE]), lambda _: None, seconds=0.2):
                pass
        server.close()
        await server.wait_closed()

    run(main)


def test_draining_says_so_and_closes() -> None:
    async def main() -> None:
        device = Device()
        async with serving() as worker, connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN):
            worker.link.drain("stopping", 0, 9_000)
            await until(device, lambda: bool(kinds(device, Closed)))
            assert kinds(device, Closed)[0].code == 4503
            assert any(type(event).__name__ == "GoingAway" for event in device.events)

    run(main)


def test_a_peer_that_takes_nothing_and_says_nothing_is_given_up_like_any_other() -> None:
    async def main() -> None:
        device = Device()
        async with (
            serving() as worker,
            connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN) as (link, _),
        ):
            assert worker.link._sender is not None
            worker.link._sender.cancel()
            worker.sockets[-1].transport.pause_reading()
            for number in range(1, 6):  # more than the system's buffers hold
                link.append(run_id(number), SUBMIT)
                for _ in range(60):
                    link.append(run_id(number), Input("a", State.COMPLETED, "x" * 60_000))
            await until(device, lambda: bool(kinds(device, Closed)))
            assert kinds(device, Closed)[0].code == 4408

    run(main)
