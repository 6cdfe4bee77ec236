"""Room for several models: who may be in memory, who waits, and who goes. The decisions are `graphs.models.memory`'s.

A request takes its model's seat, and leaves it when it is answered. Requests for models that are in memory pass at once, unless
somebody waits for room: then they queue, so that a model in demand cannot keep another one out for ever. Whoever comes to the head
of the queue waits until idle models make room, is seated, and with it all that wait for the same model by then: one load for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from graphs.errors import LinkCondition
from graphs.models.hosting.memory_settings import MemoryOptions
from graphs.models.memory import Resident, make_room

__all__ = ["Seatable", "Seats"]


_RETRY_MS: Final = 5000


class Seatable(Protocol):
    """A model that can be unloaded and loaded again."""

    @property
    def name(self) -> str: ...

    @property
    def loaded(self) -> bool: ...

    def needs(self) -> int:
        """Bytes it takes in memory."""

    async def unload(self) -> None:
        """Ends its process. It may be loaded again."""


class _Seat:
    def __init__(self, model: Seatable, size: int) -> None:
        self.model = model
        self.size = size
        self.users = 0
        self.used = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.leaving: asyncio.Task[None] | None = None


class Seats:
    """The seats of one host. Used within one event loop."""

    def __init__(self, options: MemoryOptions) -> None:
        self._options = options
        self._budget = options.budget
        self._seats: dict[str, _Seat] = {}
        self._queue: list[tuple[Seatable, asyncio.Future[None]]] = []
        self._usher: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def taken(self) -> int:
        """Bytes of the models that are in memory or on their way there."""
        return sum(seat.size for seat in self._seats.values())

    @asynccontextmanager
    async def seated(self, model: Seatable) -> AsyncIterator[None]:
        """Inside it the model may be in memory, and stays there. Raises LinkCondition MODEL_OVERLOADED if the machine has not enough
        memory for it even alone, DRAINING if the host is closed meanwhile.
        """
        await self._take(model)
        try:
            yield
        finally:
            self._leave(model)

    def has_room(self, model: Seatable) -> bool:
        """Whether the model could be loaded now without anybody having to wait or to go."""
        if self._queue or model.name in self._seats:
            return False
        needed, free = model.needs(), self._options.free()
        return self.taken + needed <= self._limit(free) and (free is None or needed <= free)

    def forget(self, model: Seatable) -> None:
        """The model's process was ended by somebody else."""
        seat = self._seats.get(model.name)
        if seat is not None and seat.model is model and not seat.users:
            self._drop(seat)

    async def close(self, error: Callable[[str], LinkCondition]) -> None:
        """Ends all waiting. Whoever is seated finishes or fails on its own."""
        queue, self._queue = self._queue, []
        for model, seated in queue:
            if not seated.done():
                seated.set_exception(error(model.name))
        leaving = [seat.leaving for seat in self._seats.values() if seat.leaving is not None]
        for seat in self._seats.values():
            if seat.timer is not None:
                seat.timer.cancel()
        if self._usher is not None:
            self._usher.cancel()
            leaving.append(self._usher)
        await asyncio.gather(*leaving, return_exceptions=True)

    async def _take(self, model: Seatable) -> None:
        seat = self._seats.get(model.name)
        first = not self._queue or model.name in self._options.pinned
        if seat is not None and seat.leaving is None and first:
            self._sit(seat, model)
            return
        seated: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((model, seated))
        if self._usher is None or self._usher.done():
            self._usher = asyncio.create_task(self._seat_them(), name="seats of models")
        try:
            await seated
        except asyncio.CancelledError:
            if seated.done() and not seated.cancelled() and seated.exception() is None:
                self._leave(model)  # seated and cancelled in the same moment
            raise
        finally:
            self._queue = [waiting for waiting in self._queue if waiting[1] is not seated]
            self._changed.set()

    async def _seat_them(self) -> None:
        while self._queue:
            model, seated = self._queue[0]
            if seated.done():
                self._queue.pop(0)
                continue
            self._changed.clear()
            seat = self._seats.get(model.name)
            if seat is not None and seat.leaving is not None:
                await asyncio.wait((seat.leaving,))
                continue
            if seat is None:
                try:
                    if not await self._make_room(model):
                        await self._changed.wait()
                        continue
                except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait for this model
                    self._refuse(model, error)
                    continue
                seat = self._seats[model.name]
            self._seat_all(seat)

    def _seat_all(self, seat: _Seat) -> None:
        for model, seated in self._queue:
            if model.name == seat.model.name and not seated.done():
                self._sit(seat, model)
                seated.set_result(None)
        self._queue = [waiting for waiting in self._queue if not waiting[1].done()]

    def _refuse(self, model: Seatable, error: Exception) -> None:
        for other, seated in self._queue:
            if other.name == model.name and not seated.done():
                seated.set_exception(error)
        self._queue = [waiting for waiting in self._queue if not waiting[1].done()]

    async def _make_room(self, model: Seatable) -> bool:
        """Gives the model a seat, or unloads one that has to go for it. False: to be looked at anew after a change."""
        needed, free = model.needs(), self._options.free()
        decision = make_room(needed, self._limit(free), [self._resident(seat) for seat in self._seats.values()])
        if decision.wait:
            return False
        if decision.unload:
            # One, then everything is looked at anew: meanwhile somebody may use the next one, or nobody need the room any more.
            await asyncio.wait((self._unload(self._seats[decision.unload[0]]),))
            return False
        if free is not None and needed > free:
            raise LinkCondition(
                "MODEL_OVERLOADED",
                f"Model {model.name} takes about {needed / 1e6:.0f} MB of memory, and {free / 1e6:.0f} MB are free.",
                retry_ms=_RETRY_MS,
                hint="Close something, or name a smaller model; `graphferry models` shows what each takes.",
            )
        self._seats[model.name] = _Seat(model, needed)
        return True

    def _limit(self, free: int | None) -> int:
        """What models may take together now: the budget, and no more than there is."""
        if self._budget is None and free is not None:
            self._budget = int(free * self._options.share)
        limits = [each for each in (self._budget, None if free is None else free + self.taken) if each is not None]
        return min(limits, default=1 << 62)

    def _resident(self, seat: _Seat) -> Resident:
        busy = seat.users > 0 or seat.leaving is not None
        return Resident(seat.model.name, seat.size, busy, seat.model.name in self._options.pinned, seat.used)

    def _sit(self, seat: _Seat, model: Seatable) -> None:
        seat.model = model
        seat.users += 1
        if seat.timer is not None:
            seat.timer.cancel()
            seat.timer = None

    def _leave(self, model: Seatable) -> None:
        seat = self._seats[model.name]
        loop = asyncio.get_running_loop()
        seat.users -= 1
        seat.used = loop.time()
        if not seat.users:
            keep = self._options.keep_alive
            if not seat.model.loaded:
                self._drop(seat)
            elif keep == 0 and seat.model.name not in self._options.pinned:
                self._unload(seat)
            elif keep > 0 and seat.model.name not in self._options.pinned:
                seat.timer = loop.call_later(keep, self._unload, seat)
        self._changed.set()

    def _unload(self, seat: _Seat) -> asyncio.Task[None]:
        if seat.leaving is None:
            seat.leaving = asyncio.create_task(self._unloading(seat), name=f"end of model {seat.model.name}")
        return seat.leaving

    async def _unloading(self, seat: _Seat) -> None:
        try:
            await seat.model.unload()
        finally:
            self._drop(seat)

    def _drop(self, seat: _Seat) -> None:
        if seat.timer is not None:
            seat.timer.cancel()
        if self._seats.get(seat.model.name) is seat:
            del self._seats[seat.model.name]
        self._changed.set()
