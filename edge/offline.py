"""The decision about a node that was to run at the worker and cannot now: it waits, runs here, fails, or a person is asked. Pure.

What is known goes in, a verdict comes out; who acts on it is `edge.ferrying.fallback`. Times are seconds of any one clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from edge.policies import Policy

__all__ = ["DEADLINE", "Reason", "Verdict", "concerns", "decide", "moved_by", "reason_of", "too_near"]

Reason: TypeAlias = Literal["unreachable", "deadline", "budget", "too large"]
"""Why a result is less than was asked for, as its record says it."""

DEADLINE: Final = "DEADLINE"
"""The condition of a node whose worker cannot be waited for, as the run's deadline comes first."""

_REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        "UNREACHABLE": "unreachable",
        "BUSY": "unreachable",
        "DRAINING": "unreachable",
        "MODEL_OVERLOADED": "unreachable",
        DEADLINE: "deadline",
        "QUOTA": "budget",
        "BUDGET_EXCEEDED": "budget",
        "VALUE_TOO_LARGE": "too large",
    }
)


_MOVED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BUSY": "worker busy",
        "DRAINING": "worker draining",
        "MODEL_OVERLOADED": "model at the worker overloaded",
        DEADLINE: "deadline near",
        "QUOTA": "quota at the worker used up",
        "BUDGET_EXCEEDED": "budget at the worker used up",
        "VALUE_TOO_LARGE": "value too large for the worker",
    }
)
_REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AGENT_UNKNOWN": "agent unknown to the worker",
        "MODEL_UNKNOWN": "model unknown to the worker",
        "GRAPH_INVALID": "refused by the worker",
        "GRAPH_MISSING": "refused by the worker",
    }
)
"""What a worker says of a part that it cannot do: nobody's mistake where a node is there only by choice."""


class Verdict(Enum):
    """What becomes of the node."""

    WAIT = auto()
    """It is suspended: the worker may do it later."""
    LOCAL = auto()
    """Its alternative runs on this device, and the result says so."""
    FAIL = auto()
    ASK = auto()
    """It may have happened at the worker and must not happen twice: only the worker or a person knows."""


def reason_of(condition: str) -> Reason | None:
    """What a condition of the link (docs/protocol.md §17) means to a policy; None for one that no policy is about, such as a part of the
    graph that the worker refuses or lacks the agent for: to hide that would hide a mistake.
    """
    return _REASONS.get(condition)


def moved_by(condition: str) -> str:
    """Why a node that could be anywhere runs here after all, as its record says it."""
    return _MOVED.get(condition) or _REFUSED.get(condition, "worker unreachable")


def concerns(policy: Policy, condition: str) -> bool:
    """Whether the policy is about such a condition."""
    return reason_of(condition) is not None or (policy.free and condition in _REFUSED)


def decide(policy: Policy, condition: str, *, begun: bool) -> Verdict:
    """What becomes of a node that is under `policy` and meets a condition of the link; `begun` says that it may have begun there."""
    if policy.offline == "wait" or not concerns(policy, condition):
        return Verdict.WAIT
    if begun and policy.once:
        return Verdict.ASK
    if policy.offline == "fail":
        return Verdict.FAIL
    return Verdict.WAIT if policy.alternative is None else Verdict.LOCAL


def too_near(now: float, grace: float, deadline: float | None) -> bool:
    """Whether a connection that was lost just now, and is waited for through `grace`, might be back only when the run's deadline is over."""
    return deadline is not None and now + grace >= deadline
