"""What a session is told about itself and about its peer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from graphs.values import Value
from protocol.codec import DEFAULT_LIMITS, Limits
from protocol.gate import Judge

__all__ = ["Accepts", "Clear", "Config", "Role", "Room", "withhold"]

Clear: TypeAlias = Callable[[Collection[str], str], bool]
"""`clear(labels, peer)`: whether values with these sensitivity labels may go to that peer."""


Room: TypeAlias = Callable[[bytes], tuple[str, str, int | None] | None]
"""`room(run)`: None if a worker takes this new run of the peer, otherwise code, text and when to ask again in ms, None for not at all."""


Accepts: TypeAlias = Callable[[bytes, int, int], str | None]
"""`accepts(run, type, size)`: None if a worker keeps a further record of the peer, of that type and so many bytes, otherwise why not."""


class Role(Enum):
    """Which end of the link this is. The device owns child runs, the worker executes them."""

    DEVICE = "device"
    WORKER = "worker"


def withhold(labels: Collection[str], _peer: str) -> bool:
    """The policy where there is none: nothing that carries a label leaves."""
    return not labels


@dataclass(frozen=True, slots=True)
class Config:
    """How a session behaves.

    peer: the name under which this side's own configuration knows the other end; asked of `clear`, never taken from the peer's words.
    clear: the gate; the default withholds every labelled value. judge: on a device, what the gate itself finds out about what is to leave.
    device: 16 bytes, of the device, on both sides. hb_ms: how long this side may be silent. offer: what a worker offers at first.
    max_runs, busy_ms: open child runs a worker takes, and when a device may ask again.
    room: asked before each new run, for limits that are not this session's alone. accepts: asked before each record of the peer; a run one of
    whose records is refused is refused with QUOTA, and its log can be announced anew once there is room. reserved: on a device, in runs that are
    known from before no beginning of a node is acknowledged until `Conn.release`. session: on a device, a connection number that was drawn for this
    session before it was looked up which runs are its own; 0: it is that of the first connection.
    """

    role: Role
    peer: str
    device: bytes = bytes(16)
    agent: str = ""
    clear: Clear = withhold
    judge: Judge | None = None
    caps: Sequence[str] = ()
    limits: Limits = DEFAULT_LIMITS
    hb_ms: int = 15_000
    offer: Mapping[str, Value] = field(default_factory=dict)
    max_runs: int = 1024
    busy_ms: int = 1_000
    room: Room = lambda _run: None
    accepts: Accepts | None = None
    reserved: bool = False
    session: int = 0
