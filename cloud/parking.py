"""Frames that wait for their graph: the device is asked for it, and given so many seconds of connected time (docs/protocol.md §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["GRAPH_SECONDS", "Parking"]

GRAPH_SECONDS: Final = 30.0

T = TypeVar("T")


class _Place(Generic[T]):
    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.timer: asyncio.TimerHandle | None = None
        self.waiting: list[T] = []


class Parking(Generic[T]):
    """What waits, by the address of its graph. `give_up` gets what waited too long. All methods belong to one event loop.

    Time counts only while there is a connection: a device that is away cannot send anything.
    """

    def __init__(self, give_up: Callable[[T], None], seconds: float = GRAPH_SECONDS) -> None:
        self._give_up = give_up
        self._seconds = seconds
        self._places: dict[bytes, _Place[T]] = {}
        self._connected = False

    def park(self, address: bytes, waiting: T) -> None:
        """This waits for the graph with that address."""
        place = self._places.get(address)
        if place is None:
            place = self._places[address] = _Place(self._seconds)
            if self._connected:
                self._start(address, place)
        place.waiting.append(waiting)

    def take(self, address: bytes) -> list[T]:
        """The graph is here, or never will be: what waited for it."""
        place = self._places.pop(address, None)
        if place is None:
            return []
        self._stop(place)
        return place.waiting

    def leave(self, goes: Callable[[T], bool]) -> list[T]:
        """What waits here no more, as it waits elsewhere."""
        gone: list[T] = []
        for address, place in list(self._places.items()):
            gone += [each for each in place.waiting if goes(each)]
            place.waiting = [each for each in place.waiting if not goes(each)]
            if not place.waiting:
                self.take(address)
        return gone

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._places

    def connected(self) -> None:
        """The device can be asked."""
        if not self._connected:
            self._connected = True
            for address, place in self._places.items():
                self._start(address, place)

    def disconnected(self) -> None:
        """The device is away, or this process ends."""
        self._connected = False
        for place in self._places.values():
            self._stop(place)

    def _start(self, address: bytes, place: _Place[T]) -> None:
        place.timer = asyncio.get_running_loop().call_later(place.left, self._over, address)

    def _stop(self, place: _Place[T]) -> None:
        if place.timer is not None:
            place.left = max(0.0, place.timer.when() - asyncio.get_running_loop().time())
            place.timer.cancel()
            place.timer = None

    def _over(self, address: bytes) -> None:
        for waiting in self._places.pop(address).waiting:
            self._give_up(waiting)
