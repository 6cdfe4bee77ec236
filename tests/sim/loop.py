"""An event loop in virtual time: one for each simulated process, all of them turned by one `World`."""

from __future__ import annotations

import asyncio
import weakref
from asyncio import Handle, TimerHandle, events
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["SimLoop", "new_loop"]

_CALL: Final = 0.000_2
"""Seconds that work in a thread takes at least."""


class _Task(asyncio.Task[Any]):
    """A task whose hash is its number, not its address: sets of tasks have the same order in every process."""

    def __init__(self, coro: Any, *, number: int, **more: Any) -> None:
        self._number = number
        super().__init__(coro, **more)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimLoop(asyncio.AbstractEventLoop):
    """What is ready runs in order, as asyncio promises; what runs between two loops' handles is the world's choice.

    `missed` is how much of the world's time this loop's clock did not see, for its machine was asleep. A `frozen` loop runs nothing for a
    while, a `dead` one nothing any more.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.ready: deque[Handle] = deque()
        self.missed = 0.0
        self.owner: Any = None
        """The process whose loop it is."""
        self.queued = False
        """Whether the world knows that there is something to run."""
        self.frozen = False
        self.dead = False
        self.tasks: list[weakref.ref[asyncio.Task[Any]]] = []
        self.generators: list[weakref.ref[Any]] = []
        self.late: list[TimerHandle] = []
        """Timers that came due while this loop was frozen."""

    # -- time and callbacks

    def time(self) -> float:
        return self.world.now - self.missed

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Handle:  # type: ignore[override]
        handle = Handle(callback, args, self, context)
        self.add(handle)
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Handle:  # type: ignore[override]
        return self.call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> TimerHandle:  # type: ignore[override]
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> TimerHandle:  # type: ignore[override]
        timer = TimerHandle(when, callback, args, self, context)
        self.world.later(when + self.missed, self, timer)
        return timer

    def add(self, handle: Handle) -> None:
        """Let a handle run when it is this loop's turn."""
        self.ready.append(handle)
        if not self.queued and not self.frozen:
            self.queued = True
            self.world.busy.append(self)

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        """The world drops it when its time comes."""

    # -- what asyncio asks of a loop

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        task = _Task(coro, number=self.world.count(), loop=self, name=name or "", context=context)
        self.tasks.append(weakref.ref(task))
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """A thread's work is done at once, some time from now."""
        future = self.create_future()
        self.call_later(_CALL * (1 + self.world.chance.random()), _carry_out, future, func, args)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.dead or self.world.over:
            return  # what is left of a killed process is swept up
        error = context.get("exception")
        self.world.complaints.append(f"{self.name}: {context.get('message')}: {error!r}")

    # -- the network

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:  # type: ignore[override]
        return await self.world.network.dial(self, factory, (host, port))

    async def create_server(self, factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:  # type: ignore[override]
        return self.world.network.listen(self, factory, (host, port))


def new_loop(world: World, name: str) -> SimLoop:
    """A loop; what of asyncio's interface it lacks nobody here uses."""
    return SimLoop(world, name)  # type: ignore[abstract]


def _carry_out(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if future.done():
        return
    try:
        result = func(*args)
    except Exception as error:  # noqa: BLE001 - whatever it raises is told to who awaits it
        future.set_exception(error)
    else:
        future.set_result(result)
