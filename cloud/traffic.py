"""What keeps one peer from taking all of a worker: its HELLOs are counted, and its bytes and messages paced (`cloud.rates` decides)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cloud.accounts import Account
from cloud.rates import Rates
from protocol.ending import send_last
from protocol.errors import FAULTS
from protocol.messages import Fault
from protocol.paced import Paced

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

__all__ = ["Traffic"]

_log = logging.getLogger("graphferry.access")


class Traffic:
    """Of one worker process. `clock` gives seconds and only goes forward."""

    def __init__(self, rates: Rates | None = None, clock: Callable[[], float] | None = None) -> None:
        self.rates = rates or Rates()
        self._clock = clock or time.monotonic

    def refuses(self, address: str) -> int | None:
        """After how many seconds whoever shows no good token there may try again; None if he was not there too often."""
        seconds = self.rates.wrong(self._clock(), address)
        return math.ceil(seconds) if seconds else None

    def may_pair(self, address: str) -> int | None:
        """After how many seconds whoever is there may try to pair again; None if he may now."""
        seconds = self.rates.pairing(self._clock(), address)
        return math.ceil(seconds) if seconds else None

    async def admits(self, socket: ServerConnection, account: Account, device: bytes) -> bool:
        """Whether a connection may go on that said it is this device; then its bytes are paced from now on. If not it was told when to come
        again, and closed.
        """
        remote = socket.remote_address
        address = str(remote[0]) if remote else ""
        seconds = self.rates.hello(self._clock(), account, device, address)
        if seconds:
            _log.info("device %s comes too often", device.hex())
            text = f"this device connects more often than {account.connects} times a minute"
            fault = Fault("RATE_LIMITED", text, True, None, math.ceil(1000 * seconds))
            close = FAULTS[fault.code].close
            assert close is not None
            await send_last(socket, fault, close)
            return False
        if isinstance(socket, Paced):
            socket.pace(self.rates.pace(account, device).take)
        return True
