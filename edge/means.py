"""What a run is made with: what this device has, and how the run differs from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.placement import Place
from edge.progress import ProgressEvent
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.journal import Journal
    from graphs.models.interface import Models
    from graphs.registry import Registry

__all__ = ["Device", "RunOptions"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How one run differs from the device's configuration. `inject` are values for static nodes; `each_durable` commits every
    result before
    anything that depends on it starts, instead of many at once; `all` asks for all nodes' values."""

    inject: Mapping[str, Value] = field(default_factory=dict)
    url: str | None = None
    token: str | None = None
    offline: bool = False
    local_only: bool = False
    pinned: Mapping[str, Place] = field(default_factory=dict)
    deadline: float | None = None
    each_durable: bool = False
    strict: bool = False
    max_turns: int | None = None
    all: bool = False
    config: Mapping[str, Value] = field(default_factory=dict)
    agents: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Value]:
        """What `resume` must know again."""
        return {
            "config": dict(self.config),
            "strict": self.strict,
            "max_turns": self.max_turns,
            "pinned": dict(self.pinned),
            "agents": list(self.agents),
            "all": self.all,
        }


@dataclass(slots=True)
class Device:
    """What this device has: its journal, agents, models and what it calls them. `connect` opens the link to a worker."""

    journal: Journal
    agents: Registry
    models: Models
    tiers: Mapping[str, str] = field(default_factory=dict)
    default_model: str | None = None
    servers: frozenset[str] = frozenset()
    """Names of models that are behind servers outside this device."""
    files: str | None = None
    ask: Callable[[str], Any] | None = None
    write: Callable[[str], Any] | None = None
    emit: Callable[[ProgressEvent], None] = lambda _event: None
    connect: Callable[[str, str | None, Journal], Any] | None = None
