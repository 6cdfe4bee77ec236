"""Who may come: the token a request shows, the account it stands for, and connections that end because access does.

A token is the worker's own (`--token-file`), one whose hash the configuration has, or that of a paired device. On loopback, as long as
nothing of that exists, every device of this machine may come without one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from cloud.accounts import DEFAULT, Account
from cloud.devices import DeviceStore, PairedDevice, token_hash
from cloud.pairing import pair_over
from cloud.traffic import Traffic
from graphs.errors import JournalError
from protocol.ending import send_last
from protocol.errors import FAULTS
from protocol.messages import Fault
from protocol.pairing import PAIR_PATH
from protocol.transport import Refused, bearer

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

__all__ = ["Access", "Grant", "Refusal"]

_LOOK_SECONDS: Final = 0.5
"""How soon another process' revocation reaches open connections."""

_log = logging.getLogger("graphferry.access")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token stands for: an account, and for a paired device which one it is."""

    account: Account
    device: PairedDevice | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: the status before the upgrade, the fault after it, and words for a person."""

    status: HTTPStatus
    fault: str
    text: str


_NEEDED: Final = Refusal(
    HTTPStatus.UNAUTHORIZED, "AUTH_EXPIRED", "a token is needed: pair this device, or show the worker's token"
)
_EXPIRED: Final = Refusal(
    HTTPStatus.UNAUTHORIZED, "AUTH_EXPIRED", "this device's token has expired: pair it again (graphferry pair)"
)
_REVOKED: Final = Refusal(
    HTTPStatus.FORBIDDEN,
    "AUTH_FORBIDDEN",
    "this device's access was revoked at the worker; pair it again if it may come (graphferry pair)",
)
_NO_ACCOUNT: Final = Refusal(
    HTTPStatus.FORBIDDEN, "AUTH_FORBIDDEN", "the account of this device is not in the worker's configuration any more"
)
_REPLACED: Final = Refusal(
    HTTPStatus.UNAUTHORIZED, "AUTH_FORBIDDEN", "this device was paired again since: it has another token now"
)
_OTHER_DEVICE: Final = Refusal(
    HTTPStatus.FORBIDDEN, "AUTH_FORBIDDEN", "this token belongs to another installation: pair this one, too (graphferry pair)"
)


class _Watched:
    """An open connection and what to do when its access ends."""

    __slots__ = ("grant", "revoked", "socket")

    def __init__(self, socket: ServerConnection, grant: Grant, revoked: Callable[[], None]) -> None:
        self.socket = socket
        self.grant = grant
        self.revoked = revoked


class Access:
    """The door of one worker process.

    `token` is the worker's own. `devices` None: nothing can be paired. `anybody`: without any token configured or device paired, all may
    come, as on loopback. `bindings` are what a device may have seen of the certificate when it pairs (`protocol.pairing`).
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        *,
        token: str | None = None,
        devices: DeviceStore | None = None,
        anybody: bool = False,
        bindings: Collection[str] = ("",),
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        traffic: Traffic | None = None,
    ) -> None:
        self.accounts = accounts
        self.traffic = traffic or Traffic()
        """How much of what comes is taken."""
        self._devices = devices
        self._bindings = bindings
        self._anybody = anybody
        self._clock = clock
        self._watched: set[_Watched] = set()
        self._looking: asyncio.Task[None] | None = None
        self._tokens = [(bytes.fromhex(digest[7:]), each) for each in accounts.values() for digest in each.tokens.values()]
        if token is not None:
            self._tokens.append((token_hash(token), accounts[DEFAULT]))

    # -- before the upgrade

    def admit(self, path: str, token: str | None, address: str = "") -> Refused | None:
        """`protocol.transport.Admit`: for the link who has a good token, for pairing who does not come too often. Who has none and tries again and
        again is told when to come back; that does not touch who comes from the same address with a good one.
        """
        if path == PAIR_PATH:
            if self._devices is None:
                return Refused(HTTPStatus.NOT_FOUND, "this worker pairs no devices")
            if (seconds := self.traffic.may_pair(address)) is not None:
                return Refused(
                    HTTPStatus.TOO_MANY_REQUESTS, f"too many attempts to pair; the next one is looked at in {seconds} s", seconds
                )
            return None
        found = self._judge(token)
        if not isinstance(found, Refusal):
            return None
        if (seconds := self.traffic.refuses(address)) is not None:
            text = f"too many attempts without a good token from this address; the next one is looked at in {seconds} s"
            return Refused(HTTPStatus.TOO_MANY_REQUESTS, text, seconds)
        return Refused(found.status, found.text)

    def grant(self, socket: ServerConnection) -> Grant | Refusal:
        """What the token of an open connection stands for now."""
        assert socket.request is not None
        return self._judge(bearer(socket.request))

    def _judge(self, token: str | None) -> Grant | Refusal:
        known = None
        if token is not None:
            wanted = token_hash(token)
            for digest, account in self._tokens:
                if hmac.compare_digest(digest, wanted):
                    known = account
        if known is not None:
            return Grant(known)
        device = self._devices.by_token(token) if token is not None and self._devices is not None else None
        if device is not None:
            return self._ended(device) or Grant(self.accounts[device.account], device)
        if self._anybody and not self._tokens and not (self._devices is not None and self._devices.devices()):
            return Grant(self.accounts[DEFAULT])
        return _NEEDED

    def _ended(self, device: PairedDevice) -> Refusal | None:
        if device.revoked is not None:
            return _REVOKED
        if device.until is not None and self._clock() >= device.until:
            return _EXPIRED
        return None if device.account in self.accounts else _NO_ACCOUNT

    # -- connections

    async def enter(self, socket: ServerConnection, device: bytes) -> Grant | None:
        """What a connection may do that said it is this device; None if nothing: then it was told why, and closed."""
        found = self.grant(socket)
        if isinstance(found, Grant) and found.device is not None and found.device.device != device:
            found = _OTHER_DEVICE
        if isinstance(found, Refusal):
            await _send_away(socket, found)
            return None
        return found

    @contextlib.contextmanager
    def watching(self, socket: ServerConnection, grant: Grant, revoked: Callable[[], None]) -> Iterator[None]:
        """While the block runs: when this access expires or is revoked, by whichever process, the device is told and the connection closed.
        If it was revoked, `revoked` is called first.
        """
        watched = _Watched(socket, grant, revoked)
        self._watched.add(watched)
        if self._looking is None and grant.device is not None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
        try:
            yield
        finally:
            self._watched.discard(watched)

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except JournalError as error:  # locked or damaged: who is in stays in, and the next look tells
                _log.warning("%s", error.message)

    async def look(self) -> None:
        """Send those away whose access has ended."""
        for watched in list(self._watched):
            device = watched.grant.device
            if device is None or self._devices is None:
                continue
            now = self._devices.get(device.device)
            why = self._ended(now) if now is not None else _REVOKED
            if why is None and now is not None and not hmac.compare_digest(now.token, device.token):
                why = _REPLACED
            if why is not None:
                self._watched.discard(watched)
                _log.warning("device %s (%s): %s", device.id, device.name, why.text)
                if why is _REVOKED or why is _NO_ACCOUNT:
                    watched.revoked()
                await _send_away(watched.socket, why)

    # -- pairing

    async def pair(self, socket: ServerConnection) -> None:
        """Be a connection that wants to pair."""
        assert self._devices is not None
        paired = await pair_over(socket, self._devices, self._bindings, self.accounts, self._clock)
        if paired is not None:
            _log.warning("paired: %s, account %s", paired.name, paired.account)


async def _send_away(socket: ServerConnection, why: Refusal) -> None:
    close = FAULTS[why.fault].close
    assert close is not None
    await send_last(socket, Fault(why.fault, why.text, True), close)
