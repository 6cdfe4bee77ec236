"""What can go wrong on the link, as data: fault codes, close codes, and the two exceptions.

    GraphferryError
    ├── ProtocolError             the link's rules were broken
    │   ├── LocalProtocolError    by this side: a bug here; nothing was sent
    │   └── RemoteProtocolError   by the peer: becomes a FAULT and, if fatal, a close code
    └── WorkerUnreachable
        └── WorkerRefused         the worker answered, and does not let this device in
            └── WorkerUntrusted   it shows a certificate that this device does not trust; nothing was sent to it

`FAULTS` says for each code who acts and whether the same order may succeed later; `CLOSES` what a device does after a close code
(docs/protocol.md §17).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from graphs.errors import GraphferryError, WorkerUnreachable

__all__ = [
    "CLOSES",
    "FAULTS",
    "Close",
    "FaultKind",
    "LocalProtocolError",
    "ProtocolError",
    "Reconnect",
    "RemoteProtocolError",
    "Retry",
    "Scope",
    "WorkerRefused",
    "WorkerUntrusted",
]


class Scope(Enum):
    """What a fault concerns."""

    NODE = "node"
    LINK = "link"
    RUN = "run"
    CONNECTION = "connection"


class Retry(Enum):
    """Whether the same order may succeed later, here or under a new child run."""

    YES = "yes"
    NO = "no"
    ONCE = "once"


class Reconnect(Enum):
    """What a device does after the connection was closed."""

    ALWAYS = "always"
    ONCE = "once"
    NEVER = "never"


class Close(IntEnum):
    """Close codes of the link."""

    PROTOCOL = 4400
    TOKEN_EXPIRED = 4401
    FORBIDDEN = 4403
    TIMEOUT = 4408
    REPLACED = 4409
    TOO_BIG = 4413
    VERSION = 4426
    TOO_OFTEN = 4429
    DRAINING = 4503


CLOSES: Final[Mapping[int, Reconnect]] = {
    Close.PROTOCOL: Reconnect.ONCE,
    Close.TOKEN_EXPIRED: Reconnect.ALWAYS,
    Close.FORBIDDEN: Reconnect.NEVER,
    Close.TIMEOUT: Reconnect.ALWAYS,
    Close.REPLACED: Reconnect.ALWAYS,
    Close.TOO_BIG: Reconnect.ONCE,
    Close.VERSION: Reconnect.NEVER,
    Close.TOO_OFTEN: Reconnect.ALWAYS,
    Close.DRAINING: Reconnect.ALWAYS,
}
"""Any other code, or none, is a lost connection: reconnect."""


class FaultKind(NamedTuple):
    """One row of the table of faults. `close` is the close code of a fault that ends the connection."""

    scope: Scope
    retry: Retry
    close: Close | None = None


_NODE, _LINK, _RUN, _CONNECTION = Scope.NODE, Scope.LINK, Scope.RUN, Scope.CONNECTION

FAULTS: Final[Mapping[str, FaultKind]] = {
    "NODE_FAILED": FaultKind(_NODE, Retry.YES),
    "NODE_TIMEOUT": FaultKind(_NODE, Retry.YES),
    "MODEL_REFUSED": FaultKind(_NODE, Retry.NO),
    "CONTEXT_TOO_LONG": FaultKind(_NODE, Retry.NO),
    "LIMIT_REACHED": FaultKind(_NODE, Retry.NO),
    "VALUE_UNSUPPORTED": FaultKind(_NODE, Retry.NO),
    "BUSY": FaultKind(_LINK, Retry.YES),
    "DRAINING": FaultKind(_LINK, Retry.YES),
    "MODEL_OVERLOADED": FaultKind(_LINK, Retry.YES),
    "INTERNAL": FaultKind(_LINK, Retry.YES),
    "MODEL_CRASHED": FaultKind(_LINK, Retry.YES),
    "AGENT_UNKNOWN": FaultKind(_LINK, Retry.NO),
    "MODEL_UNKNOWN": FaultKind(_LINK, Retry.NO),
    "FILTER_UNKNOWN": FaultKind(_LINK, Retry.NO),
    "GRAPH_INVALID": FaultKind(_LINK, Retry.NO),
    "LABEL_WITHHELD": FaultKind(_LINK, Retry.NO),
    "VALUE_TOO_LARGE": FaultKind(_LINK, Retry.NO),
    "GRAPH_MISSING": FaultKind(_LINK, Retry.YES),
    "BLOB_GONE": FaultKind(_LINK, Retry.YES),
    "STORE_CHANGED": FaultKind(_LINK, Retry.NO),
    "NODE_INDETERMINATE": FaultKind(_LINK, Retry.NO),
    "ANSWER_NEEDED": FaultKind(_LINK, Retry.YES),
    "BUDGET_EXCEEDED": FaultKind(_RUN, Retry.NO),
    "QUOTA": FaultKind(_RUN, Retry.NO),
    "CANCELLED": FaultKind(_RUN, Retry.NO),
    "RUN_EXPIRED": FaultKind(_RUN, Retry.NO),
    "RUN_DIVERGED": FaultKind(_RUN, Retry.NO),
    "RUN_UNKNOWN": FaultKind(_RUN, Retry.NO),
    "RUN_TAKEN": FaultKind(_RUN, Retry.NO),
    "AUTH_EXPIRED": FaultKind(_CONNECTION, Retry.YES, Close.TOKEN_EXPIRED),
    "AUTH_FORBIDDEN": FaultKind(_CONNECTION, Retry.NO, Close.FORBIDDEN),
    "STALE_CONN": FaultKind(_CONNECTION, Retry.ONCE, Close.REPLACED),
    "DEVICE_CLONED": FaultKind(_CONNECTION, Retry.NO, Close.REPLACED),
    "RATE_LIMITED": FaultKind(_CONNECTION, Retry.YES, Close.TOO_OFTEN),
    "TIMEOUT": FaultKind(_CONNECTION, Retry.YES, Close.TIMEOUT),
    "PROTOCOL_DECODE": FaultKind(_CONNECTION, Retry.ONCE, Close.PROTOCOL),
    "PROTOCOL_TYPE": FaultKind(_CONNECTION, Retry.NO),
    "PROTOCOL_HANDSHAKE": FaultKind(_CONNECTION, Retry.ONCE, Close.PROTOCOL),
    "PROTOCOL_VERSION": FaultKind(_CONNECTION, Retry.NO, Close.VERSION),
    "PROTOCOL_ALIAS": FaultKind(_CONNECTION, Retry.ONCE, Close.PROTOCOL),
    "PROTOCOL_WRITER": FaultKind(_CONNECTION, Retry.ONCE, Close.PROTOCOL),
    "PROTOCOL_ORDER": FaultKind(_CONNECTION, Retry.ONCE, Close.PROTOCOL),
    "PROTOCOL_ACK": FaultKind(_CONNECTION, Retry.ONCE, Close.PROTOCOL),
    "GAP": FaultKind(_CONNECTION, Retry.ONCE, Close.PROTOCOL),
    "LIMIT_WINDOW": FaultKind(_CONNECTION, Retry.ONCE, Close.PROTOCOL),
    "LIMIT_CONTROL": FaultKind(_CONNECTION, Retry.ONCE, Close.PROTOCOL),
    "LIMIT_PACKET": FaultKind(_CONNECTION, Retry.ONCE, Close.TOO_BIG),
    "LIMIT_ITEMS": FaultKind(_CONNECTION, Retry.ONCE, Close.TOO_BIG),
    "LIMIT_DEPTH": FaultKind(_CONNECTION, Retry.ONCE, Close.TOO_BIG),
    "LIMIT_RECORD": FaultKind(_CONNECTION, Retry.ONCE, Close.TOO_BIG),
}


class ProtocolError(GraphferryError):
    """A rule of the link was broken. `fault` is a code of `FAULTS`; `about` names what it concerns, if it is more than the connection."""

    code = "PROTOCOL"

    def __init__(self, fault: str, message: str, *, about: object = None, hint: str | None = None) -> None:
        super().__init__(f"{message} ({fault})", hint=hint)
        self.fault = fault
        self.text = message
        self.about = about

    @property
    def close(self) -> Close | None:
        """The close code this fault ends the connection with, or None if it goes on."""
        return FAULTS[self.fault].close

    @property
    def fatal(self) -> bool:
        """Whether the connection ends."""
        return self.close is not None


class LocalProtocolError(ProtocolError):
    """This side broke a rule: a bug in the code that called. Nothing was written and nothing was sent."""

    code = "PROTOCOL_LOCAL"


class RemoteProtocolError(ProtocolError):
    """The peer broke a rule. The session turns it into a FAULT; it reaches no caller of the session."""

    code = "PROTOCOL_REMOTE"


class WorkerRefused(WorkerUnreachable):
    """The worker answered with an HTTP status instead of a connection: wrong token, forbidden, another version, draining.

    `status` is the HTTP status; `retryable` and `retry_ms` say whether and when to try again.
    """

    def __init__(self, url: str, status: int, message: str, *, retry_ms: int | None = None, hint: str | None = None) -> None:
        super().__init__(url, message, hint=hint)
        self.status = status
        self.retryable = retry_ms is not None
        self.retry_ms = retry_ms


class WorkerUntrusted(WorkerRefused):
    """The worker's certificate is not the one this device was paired with, or none that the system verifies. Nothing was sent; trying
    again does not help.
    """

    def __init__(self, url: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(url, 0, message, hint=hint)
