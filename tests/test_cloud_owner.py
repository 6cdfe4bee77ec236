"""A device's processes at a worker: whose a run is, how many there may be, and what is forgotten of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from cloud.owner import MOST_SESSIONS, Owner
from cloud.server import WorkerServer
from cloud.worker import Worker
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.loadagents import known_agents
from graphs.models.scripted import ScriptedModels
from graphs.records import Cancel, Submit, encode
from protocol import codec
from protocol.handshake import DeviceHello, Statement, Status
from protocol.messages import Entry, Fault, Log, Welcome
from protocol.moving import MovingLink
from protocol.transport import open_socket

DEVICE, STORE = b"D" * 16, b"device-1"


class Side:
    """One process of the device, in its own words."""

    def __init__(self, url: str, session: int) -> None:
        self._url = url
        self._session = session
        self._socket: Any = None
        self.heard: list[Any] = []
        self.code: int | None = None

    async def come(self, conn: int, *logs: Statement) -> Any:
        """HELLO on a connection of its own; what the worker says first, or the code it closes with."""
        self._socket = await open_socket(self._url)
        await self.say(DeviceHello(DEVICE, STORE, conn, logs=logs, session=self._session).message())
        return await self.next(lambda each: isinstance(each, (Welcome, Fault)))

    async def say(self, *messages: Any) -> None:
        await self._socket.send(b"".join(map(codec.encode, messages)))

    async def next(self, wanted: Callable[[Any], bool]) -> Any:
        """The next message of that kind; None once the connection is closed."""
        async with asyncio.timeout(120):
            while True:
                while self.heard:
                    if wanted(found := self.heard.pop(0)):
                        return found
                try:
                    self.heard += codec.decode(await self._socket.recv(decode=False))
                except ConnectionClosed:
                    self.code = self._socket.close_code
                    return None

    async def leave(self) -> None:
        await self._socket.close()


@asynccontextmanager
async def server(home: Path) -> AsyncIterator[tuple[WorkerServer, str, Journal]]:
    with Journal.open(home / "cloud" / "journal.db") as journal:
        serving = WorkerServer(Worker(journal, known_agents(), ScriptedModels()))
        url = await serving.start()
        try:
            yield serving, url, journal
        finally:
            await serving.stop()


def owner(serving: WorkerServer) -> Owner | None:
    return serving._devices.get(("default", DEVICE))


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not reached():  # noqa: ASYNC110 - what happens in the server tells nobody
            await asyncio.sleep(0.005)


async def opened(side: Side, run: bytes, serving: WorkerServer) -> None:
    """The run, which waits for its graph."""
    submit = Submit("", bytes(32), {}, {})
    await side.say(Log(1, run, STORE, 1), Entry(1, 1, encode(submit), submit))
    await until(lambda: (device := owner(serving)) is not None and run in device.runs)


def cancel(seq: int, alias: int = 1) -> Entry:
    record = Cancel(None, "too late")
    return Entry(alias, seq, encode(record), record)


def statement(journal: Journal, run: bytes) -> Statement:
    (head,) = (head for head in journal.heads(run) if head.writer == STORE)
    return Statement(run, STORE, head.last, head.chk)


def test_processes_of_a_device_leave_each_other_alone(own_home: Path) -> None:
    async def main() -> None:
        async with server(own_home) as (serving, url, _):
            first, second = Side(url, 1), Side(url, 2)
            assert isinstance(await second.come(2), Welcome)
            assert isinstance(await first.come(1), Welcome), "they may overtake each other"
            await opened(first, new_run_id(), serving)
            await opened(second, new_run_id(), serving)
            again = Side(url, 2)
            assert isinstance(await again.come(3), Welcome)
            assert await second.next(lambda _: False) is None
            assert second.code == 4409, "a newer connection of the same session"
            device = owner(serving)
            assert device is not None
            assert len(device.runs) == 2
            assert sorted(number for number, each in device.sessions.items() if each.connected) == [1, 2]

    asyncio.run(main())


def test_a_run_is_of_the_latest_session_that_named_it_also_in_the_next_process_of_the_worker(own_home: Path) -> None:
    run = new_run_id()

    async def main() -> None:
        async with server(own_home) as (serving, url, journal):
            zombie, heir = Side(url, 1), Side(url, 2)
            await zombie.come(1)
            await opened(zombie, run, serving)
            welcome = await heir.come(2, statement(journal, run))
            assert welcome.body["logs"][0][4] == Status.OK
            told = await zombie.next(lambda each: isinstance(each, Fault))
            assert (told.code, told.fatal, told.about) == ("RUN_TAKEN", False, [run, STORE])
            await zombie.say(cancel(2), Log(2, run, STORE, 2), cancel(2, 2))
            told = await zombie.next(lambda each: isinstance(each, Fault))
            assert (told.code, told.about) == ("RUN_TAKEN", 2)
            welcome = await Side(url, 1).come(3, statement(journal, run))
            assert [each[4] for each in welcome.body["logs"]] == [Status.TAKEN]
            assert journal.have(run, STORE) == 1, "nothing of the zombie was written"
            device = owner(serving)
            assert device is not None
            assert not device.runs[run].ended
        async with server(own_home) as (serving, url, journal):
            welcome = await Side(url, 1).come(4, statement(journal, run))
            assert [each[4] for each in welcome.body["logs"]] == [Status.TAKEN], "whoever comes first"
            heir = Side(url, 2)
            welcome = await heir.come(5, statement(journal, run))
            assert welcome.body["logs"][0][4] == Status.OK
            await heir.say(Log(1, run, STORE, 2), cancel(2))
            await until(lambda: journal.run(run).status == "cancelled")

    asyncio.run(main())


def test_a_run_that_an_earlier_session_began_unheard_is_the_later_ones(own_home: Path) -> None:
    """What the earlier one knows of it is less than what came from the later one: not a contradiction, but another process's affair."""
    run = new_run_id()

    async def main() -> None:
        async with server(own_home) as (serving, url, journal):
            first, second = Side(url, 1), Side(url, 2)
            await first.come(1)
            unheard = Statement(run, STORE, 1, 7)
            welcome = await second.come(2, unheard)
            assert [each[4] for each in welcome.body["logs"]] == [Status.UNKNOWN]
            await opened(second, run, serving)
            await second.say(cancel(2))
            await until(lambda: journal.run(run).status == "cancelled")
            await second.leave()
            await until(lambda: (device := owner(serving)) is None or 2 not in device.sessions)
            welcome = await Side(url, 1).come(3, unheard)
            assert [each[4] for each in welcome.body["logs"]] == [Status.TAKEN]

    asyncio.run(main())


def test_a_session_may_end_while_another_one_claims_its_runs(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run_id()
    give = MovingLink.give

    async def main() -> None:
        async with server(own_home) as (serving, url, journal):
            first, second = Side(url, 1), Side(url, 2)
            await first.come(1)
            await opened(first, run, serving)
            device = owner(serving)
            assert device is not None

            async def ends_meanwhile(link: MovingLink, *more: Any) -> None:
                device.sessions.pop(1)
                await link.close()
                await give(link, *more)

            monkeypatch.setattr(MovingLink, "give", ends_meanwhile)
            welcome = await second.come(2, statement(journal, run))
            assert isinstance(welcome, Welcome), "what the other one had is in the store"
            assert {each[4] for each in welcome.body["logs"]} == {Status.OK}

    asyncio.run(main())


def test_numbers_of_a_store_that_went_back_are_told_the_highest(own_home: Path) -> None:
    run = new_run_id()

    async def main() -> None:
        async with server(own_home) as (serving, url, journal):
            first = Side(url, 7)
            await first.come(7)
            await opened(first, run, serving)
            heir = Side(url, 9)
            assert isinstance(await heir.come(9, statement(journal, run)), Welcome)
            for session, conn, logs, why in (
                (7, 7, (), "twice"),
                (8, 8, (statement(journal, run),), "its run has a later session"),
            ):
                said = await Side(url, session).come(conn, *logs)
                assert isinstance(said, Fault), why
                assert (said.code, said.about, said.fatal) == ("STALE_CONN", 9, True)

    asyncio.run(main())


def test_what_is_over_is_forgotten_and_what_is_open_is_not(own_home: Path) -> None:
    run = new_run_id()

    async def main() -> None:
        async with server(own_home) as (serving, url, journal):
            for number in range(1, 30):
                side = Side(url, number)
                await side.come(number)
                await side.leave()
            await until(lambda: not serving._devices)
            first = Side(url, 30)
            await first.come(30)
            await opened(first, run, serving)
            await first.leave()
            other = Side(url, 31)
            await other.come(31)
            await other.leave()
            device = owner(serving)
            assert device is not None
            await until(lambda: list(device.sessions) == [30])
            heir = Side(url, 32)
            await heir.come(32, statement(journal, run))
            await until(lambda: list(device.sessions) == [32])
            await heir.say(Log(1, run, STORE, 2), cancel(2))
            await until(lambda: not device.runs)
            await heir.leave()
            await until(lambda: not serving._devices)

    asyncio.run(main())


def test_a_device_has_so_many_sessions_and_no_more(own_home: Path) -> None:
    async def main() -> None:
        async with server(own_home) as (_, url, _journal):
            sides = [Side(url, number) for number in range(1, MOST_SESSIONS + 2)]
            said: Sequence[Any] = [await side.come(number) for number, side in enumerate(sides, 1)]
            assert [isinstance(each, Welcome) for each in said] == [True] * MOST_SESSIONS + [False]
            assert sides[-1].code == 4503
            assert isinstance(await Side(url, 1).come(100), Welcome), "a session that is there comes anew"
            await sides[1].leave()
            later = Side(url, 101)
            assert isinstance(await later.come(101), (Welcome, type(None)))

    asyncio.run(main())


def test_a_device_that_is_revoked_loses_the_runs_of_all_its_sessions(own_home: Path) -> None:
    async def main() -> None:
        async with server(own_home) as (serving, url, journal):
            runs = [new_run_id() for _ in range(3)]
            for number, run in enumerate(runs, 1):
                side = Side(url, number)
                await side.come(number)
                await opened(side, run, serving)
                if number == 1:
                    await side.leave()
            device = owner(serving)
            assert device is not None
            device.revoked()
            await until(lambda: [journal.run(run).status for run in runs] == ["cancelled"] * 3)

    asyncio.run(main())


def test_a_hello_without_a_session_is_of_the_one_that_there_is(own_home: Path) -> None:
    async def main() -> None:
        async with server(own_home) as (serving, url, _):
            first, second, named = Side(url, 0), Side(url, 0), Side(url, 1)
            await named.come(1)
            await first.come(5)
            assert isinstance(await second.come(6), Welcome)
            assert await first.next(lambda _: False) is None
            assert first.code == 4409
            await opened(named, new_run_id(), serving)

    asyncio.run(main())


@pytest.mark.parametrize("session", [3, 1 << 52])
def test_a_session_that_is_younger_than_its_connection_is_refused(own_home: Path, session: int) -> None:
    async def main() -> None:
        async with server(own_home) as (_, url, _journal):
            said = await Side(url, session).come(2)
            assert said is None or said.code == "PROTOCOL_HANDSHAKE"

    asyncio.run(main())
