"""Links that live through lost connections, broken journals and handlers' mistakes."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Awaitable
from typing import Any

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.asyncio.server import ServerConnection

from graphs.errors import JournalError, WorkerUnreachable
from graphs.records import Close, End, Event, Input, Result, State, Submit
from protocol import codec
from protocol.config import Config, Role
from protocol.events import Closed, DeltaSeen, Event as LinkEvent, Faulted, Got, Ready
from protocol.link import MAX_UNWRITTEN, Link
from protocol.messages import Ping
from protocol.session import Conn
from protocol.transport import MAX_PACKET, PATH, SUBPROTOCOL, connect, listen
from wire.memory_store import MemoryStore
from wire.pair import DEVICE, DEVICE_ID, STORES, WORKER, run_id
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


def test_tokens_of_several_streams_arrive_whichever_turn_they_are_said_in() -> None:
    """One at a time, in turns of their own, before and after the timer that sends those said before. None waits for a heartbeat."""

    async def main() -> None:
        device = Device()
        async with serving() as worker, connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN) as (link, _):
            runs = [run_id(number) for number in (1, 2, 3)]
            for run_ in runs:
                link.append(run_, SUBMIT)
            await until(worker, lambda: len(kinds(worker, Got)) == 3)
            starts = [worker.link.append(run_, Event("a", 1, State.EXECUTING, 5, {})) for run_ in runs]
            for number in range(60):
                for run_, start in zip(runs, starts, strict=True):
                    worker.link.delta(run_, start, [f"{number} ", *["z" * 4_000] * (number % 20 // 19 * 4)])
                    assert in_time(worker.link), f"nothing sends token {number}"
                    await asyncio.sleep(0)
                if number % 10 == 9:  # all are here before the next is said
                    await until(device, lambda: sum(each.n for each in kinds(device, DeltaSeen)) == 3 * said(number))  # noqa: B023
            for run_ in runs:
                text = "".join(token for event in kinds(device, DeltaSeen) if event.run == run_ for token in event.tokens)
                assert text.replace("z", "").split() == [str(number) for number in range(60)]

    def in_time(link: Link) -> bool:
        due = link._conn.volatile_due
        return link._awake or due is None or (link._timer is not None and link._due <= due)

    def said(number: int) -> int:
        return number + 1 + (number + 1) // 20 * 4  # every twentieth time there are four long ones besides

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


@pytest.mark.parametrize("at_once", [True, False])
def test_without_a_working_journal_nothing_is_sent(at_once: bool) -> None:
    class Broken(MemoryStore):
        def commit(self, effects: Any) -> Awaitable[None] | None:
            if at_once:
                raise OSError("disk full")
            return self._later()

        async def _later(self) -> None:
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
            self.write(effects)

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


def test_no_more_is_read_than_can_be_written_down() -> None:
    class Stuck(MemoryStore):
        gate: asyncio.Event

        async def commit(self, effects: Any) -> None:
            await self.gate.wait()
            self.write(effects)

    async def main() -> None:
        device = Device()
        async with serving() as worker:
            store = Stuck(STORES[WORKER])
            store.gate = asyncio.Event()
            worker.link = Link(Conn(Config(Role.WORKER, "device", DEVICE_ID), store.snapshot()), store, worker.hear)
            async with connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN) as (link, _):
                link.append(run_id(1), SUBMIT)
                for number in range(60):
                    link.append(run_id(1), Input(f"n{number}", State.COMPLETED, "x" * 60_000))
                transport = worker.sockets[-1].transport
                async with asyncio.timeout(120):
                    while transport.is_reading():  # noqa: ASYNC110 - a transport tells nobody that it pauses
                        await asyncio.sleep(0.01)
                assert MAX_UNWRITTEN < worker.link._conn.unwritten < MAX_UNWRITTEN + 2 * MAX_PACKET
                store.gate.set()
                await until(worker, lambda: len(kinds(worker, Got)) == 61)
                assert transport.is_reading()
                assert worker.link._conn.unwritten == 0

    run(main)


def test_a_peer_that_never_reads_does_not_keep_its_socket() -> None:
    async def main() -> None:
        async with serving() as worker:
            options: Any = {"subprotocols": [SUBPROTOCOL], "additional_headers": {"Authorization": f"Bearer {TOKEN}"}}
            async with open_socket(worker.url, proxy=None, compression=None, **options) as socket:
                conn = Conn(DEVICE_CONFIG, MemoryStore(STORES[DEVICE]).snapshot())
                conn.connected(0, 1)
                conn.append(run_id(1), SUBMIT)
                conn.committed(len(conn.effects()))
                while (packet := conn.poll(0, 0)) is not None:
                    await socket.send(packet)
                await until(worker, lambda: bool(kinds(worker, Got)))
                socket.transport.pause_reading()
                socket.transport.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 64 * 1024)
                for number in range(100):
                    worker.link.append(run_id(1), Result(f"n{number}", 1, 0, "x" * 60_000, 5, {}))

                async def talk() -> None:
                    while not kinds(worker, Closed):
                        await socket.send(codec.encode(Ping(1, 1)))
                        await asyncio.sleep(0.2)

                talking = asyncio.create_task(talk())
                await until(worker, lambda: bool(kinds(worker, Closed)))
                assert kinds(worker, Closed)[-1].code == 4408
                assert "takes nothing" in kinds(worker, Faulted)[-1].text
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)
                socket.transport.abort()

    run(main)


class Gated(MemoryStore):
    """Commits once the gate is open."""

    def __init__(self, store: bytes) -> None:
        super().__init__(store)
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, effects: Any) -> None:
        await self.gate.wait()
        self.write(effects)


def ended_at(store: MemoryStore, run_: bytes) -> bool:
    """Whether END is durable there."""
    return any(record.type == End.TYPE for record, _ in store.logs.get((run_, STORES[WORKER]), ()))


def test_what_is_being_written_down_is_acknowledged_before_the_connection_ends() -> None:
    """An END of which the worker never hears that it came keeps the run there for ever."""

    async def main() -> None:
        device = Device()
        device.store = store = Gated(STORES[DEVICE])
        async with serving() as worker, connect(worker.url, DEVICE_CONFIG, store, device.hear, token=TOKEN) as (link, _):
            link.append(run_id(1), SUBMIT)
            await until(worker, lambda: bool(kinds(worker, Got)))
            store.gate.clear()
            worker.link.append(run_id(1), End(0, 5, {}))
            async with asyncio.timeout(20):
                while not link._conn.unwritten:  # noqa: ASYNC110 - nobody is told of what is not durable
                    await asyncio.sleep(0)
            closing = asyncio.get_running_loop().create_task(link.close())
            await asyncio.sleep(0)
            store.gate.set()
            await closing
            await until(worker, lambda: bool(kinds(worker, Closed)))
            assert ended_at(store, run_id(1))
            assert worker.store.trimmed == {run_id(1)}

    run(main)


def test_what_comes_when_nothing_can_be_acknowledged_any_more_comes_again() -> None:
    async def main() -> None:
        device = Device()
        async with serving() as worker:
            async with connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN) as (link, _):
                link.append(run_id(1), SUBMIT)
                await until(worker, lambda: bool(kinds(worker, Got)))
                closing = asyncio.get_running_loop().create_task(link.close())
                await asyncio.sleep(0)
                assert link._carrier is not None
                assert not link._carrier.is_open
                assert not kinds(worker, Closed)
                worker.link.append(run_id(1), End(0, 5, {}))  # leaves before the worker reads that the connection ends
                await closing
            await until(worker, lambda: bool(kinds(worker, Closed)))
            assert ended_at(device.store, run_id(1)) == (run_id(1) in worker.store.trimmed)
            again = connect(worker.url, DEVICE_CONFIG, device.store, device.hear, token=TOKEN, runs=[run_id(1)])
            async with again:
                await until(worker, lambda: run_id(1) in worker.store.trimmed)
            assert ended_at(device.store, run_id(1))

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


def test_a_handler_that_cannot_write_is_told_of_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        device = Device()

        def full(event: LinkEvent) -> None:
            device.hear(event)
            if isinstance(event, Got):
                raise JournalError("the disk is full")

        async with serving() as worker, connect(worker.url, DEVICE_CONFIG, device.store, full, token=TOKEN) as (link, _):
            await work(worker, link, device)

    run(main)
    assert "the disk is full" in caplog.text
    assert "Traceback" not in caplog.text


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
