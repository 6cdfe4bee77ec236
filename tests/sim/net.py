"""Simulated TCP: bytes arrive late, in pieces, or not at all, but in order; connections are cut, refused, swallowed, or half of them is.

It stands behind `loop.create_connection` and `loop.create_server`: the WebSocket library and everything above it are the real ones.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import TimerHandle
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from sim.loop import SimLoop

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["Line", "Network", "SimTransport"]

Address = tuple[Any, Any]

_KERNEL: Final = 64 * 1024
"""Bytes that the system takes before a transport's buffer fills."""
_HIGH: Final = 64 * 1024
_GIVES_UP: Final = 924.0
"""Seconds for which a system sends again what nobody acknowledges: Linux's default."""


class Line:
    """How a machine is connected to the world. `blocked`: nothing gets through, and nobody is told; `slow` is by how much. On a `narrow` one what
    is sent waits until what was sent before has left, `rate` bytes a second.
    """

    def __init__(self, name: str, latency: float) -> None:
        self.name = name
        self.latency = latency
        self.slow = 1.0
        self.blocked = False
        self.rate = 2e6
        self.narrow = False
        self.waiting: list[Callable[[], None]] = []

    def unblock(self) -> None:
        self.blocked = False
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each()


class Network:
    """All lines, who listens, and what is open."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lines: dict[str, Line] = {}
        self.open: list[SimTransport] = []
        self._listening: dict[Address, list[_Server]] = {}

    def line(self, name: str) -> Line:
        """The line of a machine."""
        if name not in self.lines:
            self.lines[name] = Line(name, 0.001 + 0.03 * self.world.chance.random())
        return self.lines[name]

    def transports(self, name: str) -> list[SimTransport]:
        """Both ends of all open connections of a machine."""
        return [each for each in self.open if name in (each.machine, each.peer.machine)]

    async def dial(self, loop: SimLoop, factory: Any, address: Address) -> tuple[SimTransport, Any]:
        machine = self.world.machine
        assert machine is not None
        name = machine.name
        line = self.line(name)
        self.world.hit("connect", name)
        await asyncio.sleep(line.latency * line.slow)
        while line.blocked:  # the system tries again and again
            through = loop.create_future()
            line.waiting.append(partial(_let_through, through))
            await through
        servers = self._listening.get(address)
        if not servers:
            raise ConnectionRefusedError(111, "Connection refused")
        server = servers[int(self.world.chance.random() * len(servers))]
        number = self.world.count()
        here = SimTransport(self, loop, line, name, number)
        there = SimTransport(self, server.loop, line, server.machine, number)
        here.peer, there.peer = there, here
        self.open += [here, there]
        self.world.tell("connect", name, server.machine, number)
        server.loop.call_soon(there.begin, server.factory)
        here.begin(factory)
        return here, here.protocol

    def listen(self, loop: SimLoop, factory: Any, address: Address) -> _Server:
        machine = self.world.machine
        assert machine is not None
        server = _Server(self, loop, factory, address, machine.name)
        self._listening.setdefault(address, []).append(server)
        return server

    def forget(self, server: _Server) -> None:
        listening = self._listening.get(server.address, [])
        if server in listening:
            listening.remove(server)

    def died(self, loop: SimLoop, *, silent: bool) -> None:
        """A process ended: the system closes what it had open, unless the machine itself is gone."""
        for servers in list(self._listening.values()):
            for server in [each for each in servers if each.loop is loop]:
                self.forget(server)
        for transport in [each for each in self.open if each.loop is loop]:
            transport.vanish(silent=silent)


def _let_through(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class _Server(asyncio.AbstractServer):
    """What `loop.create_server` gives."""

    def __init__(self, network: Network, loop: SimLoop, factory: Any, address: Address, machine: str) -> None:
        self.network = network
        self.loop = loop
        self.factory = factory
        self.address = address
        self.machine = machine
        self.family = socket.AF_INET

    @property
    def sockets(self) -> tuple[_Server, ...]:
        return (self,)

    def getsockname(self) -> Address:
        return self.address

    def close(self) -> None:
        self.network.forget(self)

    async def wait_closed(self) -> None:
        """Nothing is left to be done."""

    async def start_serving(self) -> None:
        """It does so from the beginning."""

    async def serve_forever(self) -> None:
        raise NotImplementedError

    def is_serving(self) -> bool:
        return True

    def get_loop(self) -> SimLoop:
        return self.loop


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    peer: SimTransport

    def __init__(self, network: Network, loop: SimLoop, line: Line, machine: str, number: int) -> None:
        super().__init__({"peername": ("127.0.0.1", number), "sockname": ("127.0.0.1", 1)})
        self.network = network
        self.loop = loop
        self.line = line
        self.machine = machine
        self.number = number
        self.protocol: Any = None
        self.swallows = False
        """Whether what is written here vanishes on its way."""
        self.astray = False
        """Whether what is written here takes a way that is blocked for now."""
        self._due = self._leaves = 0.0
        self._flight = 0
        self._unread = 0
        """Bytes that are here and were not read: their sender has them in flight."""
        self._held: deque[bytes | None] = deque()
        self._inbox: deque[bytes | None] = deque()
        self._reading = True
        self._paused = False
        self._closing = False
        self._finished = False
        self._lost = False
        self._hopeless = False

    def begin(self, factory: Any) -> None:
        if self._lost:
            return
        self.protocol = factory()
        self.protocol.connection_made(self)
        while self._inbox and self._reading:
            self._hand(self._inbox.popleft())

    # -- asyncio.Transport

    def write(self, data: Any) -> None:
        if self._closing or self._finished or self._lost or self.loop.dead or not data:
            return
        self._send(bytes(data))

    def write_eof(self) -> None:
        if not self._finished and not self._lost and not self.loop.dead:
            self._finished = True
            self._send(None)

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self._closing and not self._lost:
            self._closing = True
            if not self._finished:
                self._finished = True
                self._send(None)
            self.loop.call_soon(self._lose, None)

    def abort(self) -> None:
        if not self._lost:
            self._closing = True
            self.loop.call_soon(self._lose, None)
            self._reset_peer()

    def is_closing(self) -> bool:
        return self._closing or self._lost

    def get_write_buffer_size(self) -> int:
        return max(0, self._flight - _KERNEL)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """One limit for all."""

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        if self._unread:
            unread, self._unread = self._unread, 0
            self.peer._taken(unread)
        if self._inbox:
            self.loop.call_soon(self._read_on)

    def is_reading(self) -> bool:
        return self._reading

    # -- on the way

    def _send(self, data: bytes | None) -> None:
        if self.swallows:
            self._unanswered()
            return
        if data is not None:
            self._flight += len(data)
            if not self._paused and self.get_write_buffer_size() > _HIGH:
                self._paused = True
                self.protocol.pause_writing()
        world, line = self.network.world, self.line
        pieces: list[bytes | None] = [data]
        if data is not None and len(data) > 1 and world.chance.random() < 0.1:
            cut = 1 + int(world.chance.random() * (len(data) - 1))
            pieces = [data[:cut], data[cut:]]
        for piece in pieces:
            leaves = max(self._leaves, world.now) if line.narrow else world.now
            self._leaves = leaves + len(piece or b"") / line.rate * line.slow
            seconds = line.latency * line.slow * (0.5 + world.chance.random()) + self._leaves - world.now
            self._due = max(self._due + 1e-6, world.now + seconds)
            self._at(self._due, self._arrive, piece)

    def _at(self, when: float, callback: Callable[..., Any], *args: Any) -> None:
        world = self.network.world
        operator = world.operator
        world.later(when, operator, TimerHandle(when, callback, args, operator, None))

    def _arrive(self, data: bytes | None) -> None:
        """At the other end, in the world's own time; held back while the line is blocked, as the system sends it again later."""
        if self.peer._lost or self.swallows:
            self._unanswered()
            return
        if self.line.blocked or self.astray or self._held:
            if not self._held and not self.astray:
                self.line.waiting.append(self._resend)
            self._held.append(data)
            return
        if self.peer._reading:
            self._taken(len(data or b""))
        else:
            self.peer._unread += len(data or b"")
        self.peer._receive(data)

    def _taken(self, size: int) -> None:
        """So many bytes are out of the way: there is room for others."""
        self._flight -= size
        if self._paused and not self.get_write_buffer_size():
            self._paused = False
            if not self.loop.dead and not self._lost:
                self.loop.call_soon(self._resume)

    def _unanswered(self) -> None:
        """Nobody says that it has what was sent: the system sends it again for a while, and then gives up."""
        if not self._hopeless:
            self._hopeless = True
            self._at(self.network.world.now + _GIVES_UP, self.reset)

    def _resume(self) -> None:
        if not self._lost:
            self.protocol.resume_writing()

    def arrive_late(self) -> None:
        """What took another way arrives after all."""
        self.astray = False
        if self.line.blocked:
            self.line.waiting.append(self._resend)
        else:
            self._resend()

    def _resend(self) -> None:
        """The system sends again what is held; what is on its way meanwhile arrives behind it."""
        if self._held:
            self._at(self.network.world.now + self.line.latency, self._arrive_again)

    def _arrive_again(self) -> None:
        if self.astray:
            return
        if self.line.blocked:
            self.line.waiting.append(self._resend)
            return
        held, self._held = self._held, deque()
        self.network.world.arrived_late = self.network.world.now
        for data in held:
            self._arrive(data)

    def _receive(self, data: bytes | None) -> None:
        if self.loop.dead or self._lost:
            if data is not None:
                self._reset_peer()
            return
        world = self.network.world
        world.tell("bytes", self.machine, self.number, len(data or b""), crc32(data or b""))
        world.hit("packet", self.machine)
        if self.loop.dead:
            return
        self.loop.call_soon(self._take, data)

    def _take(self, data: bytes | None) -> None:
        if self._lost:
            return
        if self.protocol is None or not self._reading or self._inbox:
            self._inbox.append(data)
        else:
            self._hand(data)

    def _read_on(self) -> None:
        while self._inbox and self._reading and not self._lost:
            self._hand(self._inbox.popleft())

    def _hand(self, data: bytes | None) -> None:
        if data is not None:
            self.protocol.data_received(data)
        elif not self.protocol.eof_received():
            self.close()

    # -- ends

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        if self in self.network.open:
            self.network.open.remove(self)
        if self.protocol is not None:
            self.protocol.connection_lost(error)

    def _reset_peer(self) -> None:
        """The other end is told, as soon as anything reaches it."""
        if self.line.blocked:
            self.line.waiting.append(self._reset_peer)
        elif not self.peer.swallowed and not self.peer._lost:
            self._at(self.network.world.now + self.line.latency, self.peer.reset)

    @property
    def swallowed(self) -> bool:
        """Whether nothing reaches this end any more."""
        return self.peer.swallows

    def reset(self) -> None:
        """The connection is gone, and this end hears of it."""
        if not self._lost and not self.loop.dead:
            self.loop.call_soon(self._lose, ConnectionResetError(104, "Connection reset by peer"))

    def vanish(self, *, silent: bool) -> None:
        """The process at this end is no more."""
        self._lost = True
        if self in self.network.open:
            self.network.open.remove(self)
        if not silent:
            self._reset_peer()
