"""A real worker and peers who take too much: they are slowed or told when to come again, and others at the same address notice nothing."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from cloud.access import Access
from cloud.accounts import Account
from cloud.server import WorkerServer
from cloud.traffic import Traffic
from cloud.worker import Worker
from graphs.journal import Journal
from graphs.loadagents import known_agents
from graphs.models.scripted import ScriptedModels
from protocol import codec
from protocol.config import Config, Role
from protocol.errors import WorkerRefused
from protocol.handshake import DeviceHello
from protocol.journal_store import JournalStore
from protocol.messages import Fault, Ping, Pong, Welcome
from protocol.transport import PATH, SUBPROTOCOL, connect, open_socket

TOKEN = "the token of alice"
ALICE = Account(
    "alice",
    tokens={"ci": "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest()},
    rate=64 << 10,
    device_rate=64 << 10,
    connects=6,
)
LAPTOP, PHONE = bytes(range(16)), bytes(range(16, 32))


class Clock:
    """A mock: it stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def serving(home: Path, test: Callable[[str, Clock], Awaitable[None]], account: Account = ALICE) -> None:
    """A worker with one account, whose limits go by a clock of ours."""
    clock = Clock()

    async def main() -> None:
        with Journal.open(home / "cloud" / "journal.db") as journal:
            access = Access({"default": Account(), "alice": account}, traffic=Traffic(clock=clock))
            server = WorkerServer(Worker(journal, known_agents((), folder=None), ScriptedModels()), access=access)
            url = await server.start()
            try:
                await asyncio.wait_for(test(url, clock), 120)
            finally:
                await server.stop()

    asyncio.run(main())


async def hello(url: str, device: bytes, conn: int) -> tuple[Any, int | None]:
    """Say HELLO: the first answer, and the code with which the connection was closed by the worker, if it was."""
    socket = await open_socket(url, TOKEN)
    try:
        await socket.send(codec.encode(DeviceHello(device, device[:8], conn).message()))
        first = codec.decode(await socket.recv(decode=False))[0]
        if isinstance(first, Welcome):
            return first, None
        with pytest.raises(ConnectionClosed):
            await socket.recv(decode=False)
        return first, socket.close_code
    finally:
        await socket.close()


def asked(url: str, token: str) -> tuple[int, str | None]:
    """The status before the upgrade, and when to come again."""
    host, _, rest = url.partition("//")[2].partition(":")
    with closing(http.client.HTTPConnection(host, int(rest.partition("/")[0]), timeout=120)) as connection:
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": SUBPROTOCOL, "Authorization": f"Bearer {token}"}
        connection.request("GET", PATH, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Retry-After")


def test_who_says_hello_too_often_is_told_when_to_come_again_and_another_device_is_not(own_home: Path) -> None:
    async def test(url: str, clock: Clock) -> None:
        assert isinstance((await hello(url, PHONE, 1))[0], Welcome)
        for conn in range(1, 6):
            assert isinstance((await hello(url, LAPTOP, conn))[0], Welcome)
        assert isinstance((await hello(url, LAPTOP, 6))[0], Welcome)
        for conn in range(7, 12):
            fault, code = await hello(url, LAPTOP, conn)
            assert isinstance(fault, Fault)
            assert (fault.code, fault.fatal, fault.retry_ms, code) == ("RATE_LIMITED", True, 10_000, 4429)
        assert isinstance((await hello(url, PHONE, 2))[0], Welcome), "at the same address, with the same token"
        clock.now += 10
        assert isinstance((await hello(url, LAPTOP, 12))[0], Welcome)

    serving(own_home, test)


def test_a_device_that_is_told_so_gets_a_refusal_that_says_when(own_home: Path) -> None:
    async def test(url: str, _: Clock) -> None:
        with Journal.open(own_home / "edge" / "journal.db") as journal:
            config = Config(role=Role.DEVICE, peer=url, device=LAPTOP)
            for _number in range(6):
                async with connect(url, config, JournalStore(journal), lambda _: None, token=TOKEN):
                    pass
            with pytest.raises(WorkerRefused, match="more often than 6 times a minute") as caught:
                async with connect(url, config, JournalStore(journal), lambda _: None, token=TOKEN):
                    pass
            assert (caught.value.retryable, caught.value.retry_ms) == (True, 10_000)

    serving(own_home, test)


def test_a_device_that_comes_back_by_itself_waits_as_long_as_it_was_told(own_home: Path) -> None:
    """Its connection is lost, and others of its name have used up what there is for it."""

    async def test(url: str, clock: Clock) -> None:
        faults, told = list[Any](), asyncio.Event()

        def hear(event: Any) -> None:
            if getattr(event, "code", "") == "RATE_LIMITED":
                faults.append(event)
                told.set()

        with Journal.open(own_home / "edge" / "journal.db") as journal:
            config = Config(role=Role.DEVICE, peer=url, device=LAPTOP)
            async with connect(url, config, JournalStore(journal), hear, token=TOKEN, reconnect=True) as (link, _):
                for conn in range(50, 55):
                    await hello(url, LAPTOP, conn)
                assert link._carrier is not None
                link._carrier.transport.abort()
                await told.wait()
                assert faults[0].retry_ms == link.retry_ms == 10_000

    serving(own_home, test)


def test_wrong_tokens_are_answered_later_and_later_and_a_good_one_at_the_same_address_at_once(own_home: Path) -> None:
    async def test(url: str, clock: Clock) -> None:
        answers = [await asyncio.to_thread(asked, url, f"guess {number}") for number in range(30)]
        assert answers == [(401, None)] * 20 + [(429, "3")] * 10
        assert isinstance((await hello(url, LAPTOP, 1))[0], Welcome)
        clock.now += 3
        assert [await asyncio.to_thread(asked, url, "guess") for _ in range(2)] == [(401, None), (429, "3")]

    serving(own_home, test)


FLOODS = {
    "bytes": (ALICE, codec.encode(Ping(1, 1)) + b"\x92\x70\xc5\x80\x00" + bytes(0x8000)),
    "messages": (replace(ALICE, rate=1 << 40, device_rate=1 << 40, device_messages=50), b"\x92\x70\xc4\x40" + bytes(0x40)),
}
"""What a flooder sends: experiments of §19, which are ignored."""


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flooder_is_held_up_and_not_cut_and_another_device_is_answered(kind: str, own_home: Path) -> None:
    """The clock of the limits stands still, so nothing is ever paid: of a flood a worker reads a portion at a time."""
    account, flood = FLOODS[kind]

    async def test(url: str, _: Clock) -> None:
        flooder: Any = await open_socket(url, TOKEN)
        await flooder.send(codec.encode(DeviceHello(LAPTOP, LAPTOP[:8], 1).message()))
        ours = await open_socket(url, TOKEN)
        await ours.send(codec.encode(DeviceHello(PHONE, PHONE[:8], 1).message()))
        answered = stuck = 0
        while stuck < 50 and answered < 5_000:
            stuck = stuck + 1 if flooder.paused else 0  # the sockets' own buffers are full: TCP has told it
            while not flooder.paused:
                flooder.put([flood])
            await ours.send(codec.encode(Ping(answered, 1)))
            answered += sum(isinstance(each, Pong) for each in codec.decode(await ours.recv(decode=False)))
        assert stuck == 50, "the worker went on reading"
        assert flooder.is_open
        flooder.transport.abort()
        await ours.close()

    serving(own_home, test, account)
