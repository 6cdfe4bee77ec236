"""What a run is made with: what this device has, and how the run differs from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edge.clearance import NOWHERE, Clearance
from edge.placement import Place
from edge.policies import Sayings
from edge.showing.progress import ProgressEvent
from graphs.engine.made import Permissions
from graphs.errors import UsageError
from graphs.values import Value

if TYPE_CHECKING:
    from edge.people.desk import Person
    from graphs.journal import Journal
    from graphs.models.interface import Models
    from graphs.registry import Registry

__all__ = ["Device", "RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """How one run differs from the device's configuration. `inject` are values for static nodes; `each_durable` commits every
    result before
    anything that depends on it starts, instead of many at once; `all` asks for all nodes' values. `untrusted` says that the graph is a
    stranger's; `limits` are `NAME=N` words, `grants` what graphs from others may use (graphs.engine.made.Permissions). `when_offline` is what is
    said outside of the graph of nodes whose worker is not reached. `sync` marks the run, so that its logs go to workers and to the account's
    other devices."""

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
    untrusted: bool = False
    limits: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    when_offline: Sayings = field(default_factory=Sayings)
    sync: bool = False

    @cached_property
    def permissions(self) -> Permissions:
        """What the run may do and have. Raises UsageError for a limit or a grant that there is not."""
        return Permissions.of(untrusted=self.untrusted, limits=self.limits, grants=self.grants, max_turns=self.max_turns)

    def require_nodes(self, computed: Iterable[str]) -> None:
        """Raises UsageError for a node that is named on the command line and is none of the graph's computed ones."""
        known = set(computed)
        for option, named in (("--place", self.pinned), ("--when-offline", self.when_offline.nodes)):
            if unknown := [name for name in named if name not in known]:
                raise UsageError(f"{option} {unknown[0]}: the graph has no computed node of that name")

    def as_record(self) -> dict[str, Value]:
        """What `resume` must know again."""
        return {
            "config": dict(self.config),
            "strict": self.strict,
            "max_turns": self.max_turns,
            "pinned": dict(self.pinned),
            "agents": list(self.agents),
            "all": self.all,
            "untrusted": self.untrusted,
            "limits": list(self.limits),
            "grants": list(self.grants),
            "when_offline": {"nodes": dict(self.when_offline.nodes), "every": self.when_offline.every},
        }

    @classmethod
    def from_record(cls, kept: Mapping[str, Any]) -> RunOptions:
        """The options of which `as_record` gave that."""
        fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}
        said = fields.pop("when_offline", None) or {}
        return cls(**fields, when_offline=Sayings(nodes=said.get("nodes") or {}, every=said.get("every")))


@dataclass(slots=True)
class Device:
    """What this device has: its journal, agents, models and what it calls them. `connect(url, token, journal, child runs to go on
    with)` opens the link to a worker."""

    journal: Journal
    agents: Registry
    models: Models
    tiers: Mapping[str, str] = field(default_factory=dict)
    default_model: str | None = None
    servers: frozenset[str] = frozenset()
    """Names of models that are behind servers outside this device."""
    servers_here: frozenset[str] = frozenset()
    """Names of models that are behind servers on this device."""
    clearance: Clearance = NOWHERE
    """Which sensitivity labels may go where."""
    files: str | None = None
    person: Person | None = None
    """Who sits at the terminal of this process."""
    write: Callable[[str], Any] | None = None
    emit: Callable[[ProgressEvent], None] = lambda _event: None
    connect: Callable[[str, str | None, Journal, Sequence[bytes]], Any] | None = None

    def servers_for(self, options: RunOptions) -> frozenset[str]:
        """The models that a run must count as behind servers elsewhere: a local one may not open a socket to any."""
        return self.servers | self.servers_here if options.local_only else self.servers
