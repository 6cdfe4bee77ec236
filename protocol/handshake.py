"""HELLO and WELCOME: what each says, how it is read, and what both sides settle on (docs/protocol.md §6).

Bodies are maps; unknown keys are ignored, missing ones and wrong types are a PROTOCOL_HANDSHAKE fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, TypeVar

from graphs.values import Value
from protocol import codec
from protocol.codec import DEFAULT_LIMITS, LOWEST_LIMITS, Limits
from protocol.errors import RemoteProtocolError
from protocol.messages import Hello, RunId, StoreId, Welcome, is_uint

__all__ = [
    "MAX_STATEMENTS",
    "VERSIONS",
    "Agreed",
    "DeviceHello",
    "Statement",
    "Status",
    "WorkerWelcome",
    "agree",
    "read_first_packet",
    "read_offer",
]

VERSIONS: Final = (1, 1)
"""The lowest and highest minor version this side speaks."""

MAX_STATEMENTS: Final = 2048
"""Logs one HELLO may name: two for each of 1,024 open child runs; they fit into the first packet."""

T = TypeVar("T")


class Status(IntEnum):
    """What the worker says about a log that HELLO named."""

    OK = 0
    UNKNOWN = 1
    EXPIRED = 2
    DIVERGED = 3
    TAKEN = 4
    """A later session of the device goes on with the run."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one side holds durably of a log. `shown`: (start, tokens) of the streams a device shows in part; `status`: in WELCOME only."""

    run: RunId
    writer: StoreId
    have: int
    chk: int
    shown: Sequence[tuple[int, int]] = ()
    status: Status = Status.OK

    def to_wire(self, *, answer: bool) -> list[Value]:
        """As it stands in WELCOME (`answer`) or HELLO."""
        fields: list[Value] = [self.run, self.writer, self.have, self.chk]
        if answer:
            fields.append(int(self.status))
        elif self.shown:
            fields.append([list(pair) for pair in self.shown])
        return fields

    @classmethod
    def from_wire(cls, value: Value, *, answer: bool) -> Statement:
        """Raises ValueError if it is not one."""
        run, writer, have, chk, *rest = value
        if not (
            type(run) is bytes
            and len(run) == 16
            and type(writer) is bytes
            and len(writer) == 8
            and is_uint(have)
            and is_uint(chk)
        ):
            raise ValueError("a log is [run, writer, have, chk]")
        if answer:
            return cls(run, writer, have, chk, status=Status(rest[0] if rest else 0))
        shown = tuple((start, count) for start, count in (rest[0] if rest and rest[0] else ()))
        if not all(is_uint(number) for pair in shown for number in pair):
            raise ValueError("streams are [start, offset]")
        return cls(run, writer, have, chk, shown)


@dataclass(frozen=True, slots=True)
class DeviceHello:
    """A device introduces itself; `device` has 16 bytes. `conn` fences older connections of its `session`, which is a number that the device gave no
    connection or session before; 0: of the one session that a device has if it names none.
    """

    device: bytes
    store: StoreId
    conn: int
    agent: str = ""
    versions: tuple[int, int] = VERSIONS
    caps: Sequence[str] = ()
    limits: Limits = DEFAULT_LIMITS
    logs: Sequence[Statement] = ()
    session: int = 0

    def message(self) -> Hello:
        """As a message."""
        return Hello(
            {
                "v": list(self.versions),
                "caps": list(self.caps),
                "agent": self.agent,
                "device": self.device,
                "store": self.store,
                "conn": self.conn,
                **({"session": self.session} if self.session else {}),
                "limits": _limits_to_wire(self.limits),
                "logs": [each.to_wire(answer=False) for each in self.logs],
            }
        )

    @classmethod
    def read(cls, message: Hello) -> DeviceHello:
        """Raises RemoteProtocolError if the body is not a HELLO's."""
        body = _Body("HELLO", message.body)
        hello = cls(
            device=body.take("device", _bytes(16)),
            store=body.take("store", _bytes(8)),
            conn=body.take("conn", _uint),
            agent=body.take("agent", _text, ""),
            versions=body.take("v", _range),
            caps=body.take("caps", _texts, ()),
            limits=body.take("limits", _limits_from_wire, DEFAULT_LIMITS),
            logs=body.take("logs", lambda value: _statements(value, answer=False)),
            session=body.take("session", _uint, 0),
        )
        if hello.session > hello.conn:
            raise RemoteProtocolError("PROTOCOL_HANDSHAKE", "HELLO: a session is not younger than its connections")
        return hello


@dataclass(frozen=True, slots=True)
class WorkerWelcome:
    """The worker's answer. `offer` is all it has to offer now; `hb_ms` is how long it may be silent."""

    store: StoreId
    version: int
    hb_ms: int
    caps: Sequence[str] = ()
    limits: Limits = DEFAULT_LIMITS
    logs: Sequence[Statement] = ()
    offer: Mapping[str, Value] = field(default_factory=dict)

    def message(self) -> Welcome:
        """As a message."""
        return Welcome(
            {
                "v": self.version,
                "caps": list(self.caps),
                "store": self.store,
                "hb_ms": self.hb_ms,
                "limits": _limits_to_wire(self.limits),
                "logs": [each.to_wire(answer=True) for each in self.logs],
                "offer": dict(self.offer),
            }
        )

    @classmethod
    def read(cls, message: Welcome) -> WorkerWelcome:
        """Raises RemoteProtocolError if the body is not a WELCOME's."""
        body = _Body("WELCOME", message.body)
        return cls(
            store=body.take("store", _bytes(8)),
            version=body.take("v", _uint),
            hb_ms=body.take("hb_ms", _heartbeat),
            caps=body.take("caps", _texts, ()),
            limits=body.take("limits", _limits_from_wire, DEFAULT_LIMITS),
            logs=body.take("logs", lambda value: _statements(value, answer=True)),
            offer=body.take("offer", read_offer, {}),
        )


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides keep to: each value is the lower of both."""

    version: int
    caps: frozenset[str]
    limits: Limits


def agree(versions: tuple[int, int], caps: Sequence[str], limits: Limits, own_caps: Sequence[str], own_limits: Limits) -> Agreed:
    """The highest common version, the common capabilities, the lower limits. Raises RemoteProtocolError if there is no common version."""
    version = min(versions[1], VERSIONS[1])
    if version < max(versions[0], VERSIONS[0]):
        raise RemoteProtocolError(
            "PROTOCOL_VERSION",
            f"the peer speaks minor versions {versions[0]} to {versions[1]}, this side {VERSIONS[0]} to {VERSIONS[1]}",
        )
    lower = Limits(
        packet=min(limits.packet, own_limits.packet),
        window=min(limits.window, own_limits.window),
        window_bytes=min(limits.window_bytes, own_limits.window_bytes),
    )
    return Agreed(version, frozenset(caps) & frozenset(own_caps), lower)


def read_first_packet(packet: bytes) -> DeviceHello:
    """The HELLO that the first packet of a connection begins with; the worker needs it to find the session that is to receive the packet.

    Raises RemoteProtocolError if the packet is too long, is no packet, or begins with something else.
    """
    first = codec.decode(packet, codec.MAX_FIRST_PACKET)[:1]
    if not first or not isinstance(first[0], Hello):
        raise RemoteProtocolError("PROTOCOL_HANDSHAKE", "a connection begins with HELLO")
    return DeviceHello.read(first[0])


def read_offer(value: Value) -> Mapping[str, Value]:
    """What a worker says it offers. Raises ValueError if what placement reads of it is of another type; unknown keys are kept."""
    offer = _map(value)
    for key in ("agents", "models"):
        if offer.get(key) is not None:
            _map(offer[key])
    for about in (offer.get("models") or {}).values():
        _map(about)
    for key in ("queue", "slots"):
        if offer.get(key) is not None:
            _uint(offer[key])
    return offer


# -- reading the bodies


class _Body:
    def __init__(self, name: str, body: Mapping[str, Value]) -> None:
        self._name = name
        self._body = body

    def take(self, key: str, read: Callable[[Any], T], default: T | None = None) -> T:
        value = self._body.get(key)
        if value is None and default is not None:
            return default
        try:
            return read(value)
        except (TypeError, ValueError) as error:
            raise RemoteProtocolError("PROTOCOL_HANDSHAKE", f"{self._name}: {key!r} is not what it has to be: {error}") from None


def _bytes(size: int) -> Callable[[Any], bytes]:
    def read(value: Any) -> bytes:
        if type(value) is not bytes or len(value) != size:
            raise ValueError(f"{size} bytes expected")
        return value

    return read


def _uint(value: Any) -> int:
    if not is_uint(value):
        raise ValueError("an unsigned number expected")
    return int(value)


def _heartbeat(value: Any) -> int:
    if not 100 <= _uint(value) <= 600_000:
        raise ValueError("100 to 600,000 ms expected")
    return int(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("text expected")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(each) for each in value)


def _map(value: Any) -> Mapping[str, Value]:
    if type(value) is not dict:
        raise ValueError("a map expected")
    return value


def _range(value: Any) -> tuple[int, int]:
    low, high = value
    return _uint(low), _uint(high)


def _statements(value: Any, *, answer: bool) -> tuple[Statement, ...]:
    return tuple(Statement.from_wire(each, answer=answer) for each in value)


_LIMIT_NAMES: Final = ("packet", "window", "window_bytes")


def _limits_to_wire(limits: Limits) -> dict[str, Value]:
    return {name: getattr(limits, name) for name in _LIMIT_NAMES}


def _limits_from_wire(value: Any) -> Limits:
    given = {name: _uint(_map(value).get(name, getattr(DEFAULT_LIMITS, name))) for name in _LIMIT_NAMES}
    for name, number in given.items():
        if number < getattr(LOWEST_LIMITS, name):
            raise ValueError(f"the limit {name!r} is at least {getattr(LOWEST_LIMITS, name):,}")
    return Limits(**given)
