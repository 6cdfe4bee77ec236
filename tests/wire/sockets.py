"""A worker and a device on real sockets of this machine, and what they were told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import Server, ServerConnection

from graphs.records import Submit
from protocol.config import Config, Role
from protocol.events import Event as LinkEvent
from protocol.link import Link
from protocol.session import Conn
from protocol.transport import PATH, accept, listen
from wire.memory_store import MemoryStore
from wire.pair import DEVICE, DEVICE_ID, STORES, WORKER

SUBMIT = Submit("", bytes(32), {}, {})
TOKEN = "correct horse"
DEVICE_CONFIG = Config(Role.DEVICE, "worker", DEVICE_ID)


class Worker:
    """A worker with one session for one device, and what it was told."""

    def __init__(self) -> None:
        self.store = MemoryStore(STORES[WORKER])
        self.events: list[LinkEvent] = []
        self.changed = asyncio.Event()
        self.draining: int | None = None
        self.sockets: list[ServerConnection] = []
        self.link = Link(Conn(Config(Role.WORKER, "device", DEVICE_ID, hb_ms=1000), self.store.snapshot()), self.store, self.hear)
        self.server: Server
        self.url = ""

    def hear(self, event: LinkEvent) -> None:
        self.events.append(event)
        self.changed.set()

    async def handle(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        came = await accept(socket)
        if came is not None:
            await self.link.carry(socket, came[1].conn, came[0])


@asynccontextmanager
async def serving() -> AsyncIterator[Worker]:
    worker = Worker()
    worker.server = await listen(
        worker.handle, host="127.0.0.1", port=0, token=TOKEN, draining=lambda: worker.draining, origins=["http://good"]
    )
    port = next(iter(worker.server.sockets)).getsockname()[1]
    worker.url = f"ws://127.0.0.1:{port}{PATH}"
    try:
        yield worker
    finally:
        worker.server.close()
        await worker.server.wait_closed()
        await worker.link.close()


class Device:
    """Events of a device's link, and a way to wait for one."""

    def __init__(self) -> None:
        self.store = MemoryStore(STORES[DEVICE])
        self.events: list[LinkEvent] = []
        self.changed = asyncio.Event()

    def hear(self, event: LinkEvent) -> None:
        self.events.append(event)
        self.changed.set()


async def until(side: Worker | Device, condition: Callable[[], bool]) -> None:
    """Returns when what a side was told makes the condition true."""
    async with asyncio.timeout(120):
        while not condition():
            side.changed.clear()
            await side.changed.wait()


def kinds(side: Worker | Device, kind: type[Any]) -> list[Any]:
    return [event for event in side.events if isinstance(event, kind)]


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())
