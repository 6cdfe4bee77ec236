"""How much of what comes a worker takes: bytes and messages a second of a device and of its account, how often a device says HELLO, how often an
address shows a wrong token or tries to pair. Pure: time is an argument, in seconds of a clock that only goes forward.

Nobody is shut out: who sends more than his rate waits until it is paid, who comes too often is told when to come again, and a good token is looked
at before the address it comes from. What is kept of peers is bounded; the one that was not heard of for longest is forgotten first.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from cloud.accounts import Account
from protocol.pacing import Bucket

__all__ = ["KNOWN", "Pace", "Peers", "Rates", "address_key"]

KNOWN: Final = 4_096
"""Peers of one kind that are remembered."""
BURST_SECONDS: Final = 4.0
"""So many seconds' worth may come at once from who was quiet."""
OWED_SECONDS: Final = 5.0
"""No wait is longer: neither end takes the other for dead meanwhile, and a flood is forgotten so long after it ended."""
_WRONG_BURST: Final = 20
_WRONG_RATE: Final = 20 / 60
_PAIRS_BURST: Final = 600
_PAIRS_RATE: Final = 600 / 60
"""Of all addresses together: what it costs to look at them stays bounded, however many one attacker has."""

Kept = TypeVar("Kept")


class Peers(Generic[Kept]):
    """What is kept of each peer, a bucket say: of at most `most` peers."""

    def __init__(self, make: Callable[[], Kept], most: int = KNOWN) -> None:
        self._make = make
        self._most = most
        self._buckets: dict[Hashable, Kept] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def __contains__(self, peer: Hashable) -> bool:
        return peer in self._buckets

    def of(self, peer: Hashable) -> Kept:
        """That of this peer, who was heard of now."""
        bucket = self._buckets.pop(peer, None) or self._make()
        self._buckets[peer] = bucket
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        return bucket


class Flow:
    """What one peer may send: so many bytes and so many messages a second."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self, rate: int, messages: int) -> None:
        self._bytes, self._messages = _steady(rate), _steady(messages)

    def take(self, now: float, size: int, messages: int) -> float:
        """So much came at `now`: the seconds for which nothing more should be read."""
        return max(self._bytes.take(now, size), self._messages.take(now, messages))


class Pace:
    """What comes over one connection, which counts for its device and for its account."""

    __slots__ = ("_flows",)

    def __init__(self, *flows: Flow) -> None:
        self._flows = flows

    def take(self, now: float, size: int, messages: int = 0) -> float:
        """So many bytes and messages came at `now`: the seconds for which nothing more should be read."""
        return max(flow.take(now, size, messages) for flow in self._flows)


class _Of:
    """One account's."""

    def __init__(self, account: Account, most: int) -> None:
        self.flow = Flow(account.rate, account.messages)
        self.devices = Peers(lambda: Flow(account.device_rate, account.device_messages), most)
        self.hellos, self.new = (Peers(lambda: Bucket(account.connects / 60, account.connects), most) for _ in range(2))


class Rates:
    """Of one worker process. `most` is how many peers of each kind are remembered: addresses, and of each account devices."""

    def __init__(self, most: int = KNOWN) -> None:
        self._most = most
        self._accounts: dict[str, _Of] = {}
        self._wrong, self._pairs = (Peers(lambda: Bucket(_WRONG_RATE, _WRONG_BURST), most) for _ in range(2))
        self._all_pairs = Bucket(_PAIRS_RATE, _PAIRS_BURST)

    def wrong(self, now: float, address: str) -> float:
        """Somebody there showed no good token: 0.0, or, if that happened too often, the seconds after which to come again."""
        return self._wrong.of(address_key(address)).allow(now)

    def pairing(self, now: float, address: str) -> float:
        """Somebody there wants to pair: 0.0, or, if that happened too often, there or everywhere, the seconds after which to come again."""
        return self._pairs.of(address_key(address)).allow(now) or self._all_pairs.allow(now)

    def hello(self, now: float, account: Account, device: bytes, address: str) -> float:
        """A device of this account wants to come in: 0.0, or the seconds after which it may. Who uses its name elsewhere does not count against it;
        new names of one address count together, for whoever shares a token with others may think of as many as he likes.
        """
        own, place = self._of(account), address_key(address)
        if (device, place) not in own.hellos and (wait := own.new.of(place).allow(now)):
            return wait
        return own.hellos.of((device, place)).allow(now)

    def pace(self, account: Account, device: bytes) -> Pace:
        """For a connection of this device."""
        own = self._of(account)
        return Pace(own.devices.of(device), own.flow)

    def _of(self, account: Account) -> _Of:
        return self._accounts.get(account.name) or self._accounts.setdefault(account.name, _Of(account, self._most))


def address_key(address: str) -> str:
    """What counts as one address: of IPv6 the first half, for whoever has one address there has them all."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    return str(known.ipv4_mapped) if known.ipv4_mapped is not None else known.packed[:8].hex()


def _steady(rate: int) -> Bucket:
    return Bucket(rate, BURST_SECONDS * rate, OWED_SECONDS * rate)
