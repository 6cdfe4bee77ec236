"""What a run is made with: what this device has, and how the run differs from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edge.cascading.kept import kept_below
from edge.placing.facts import Place, Sayings
from edge.placing.wishes import Wishes
from edge.privacy.clearance import NOWHERE, Clearance
from edge.showing.progress import ProgressEvent, unheard
from graphs.engine.made import Permissions
from graphs.errors import WorkerUnreachable
from graphs.language.cascade import expanded
from graphs.language.naming import Nodes, require_computed, require_static
from graphs.values import Value

if TYPE_CHECKING:
    from edge.people.desk import Person
    from edge.placing.figures import Estimator
    from graphs.journal import Journal
    from graphs.language.spec import Graph
    from graphs.models.interface import Models
    from graphs.models.prices import Price
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
    budget: Mapping[str, float] = field(default_factory=dict)
    """What the whole run may spend before a person is asked, by kind; counts instead of what the graph says."""
    wishes: Wishes = field(default_factory=Wishes)
    """What is best, where figures say what a node takes here and there."""
    decided: Mapping[str, str] = field(default_factory=dict)
    """Where a run that goes on had the nodes that figures placed, and which of several implementations."""

    @cached_property
    def permissions(self) -> Permissions:
        """What the run may do and have. Raises UsageError for a limit or a grant that there is not."""
        return Permissions.of(untrusted=self.untrusted, limits=self.limits, grants=self.grants, max_turns=self.max_turns)

    def unasked(self) -> WorkerUnreachable | None:
        """Why no worker is even asked; None if one is."""
        if self.offline:
            return WorkerUnreachable(self.url or "", "this run is offline: no worker was asked")
        hint = (
            "Start one with `graphferry serve` and name it with --cloud URL, or get the model here: `graphferry models get NAME`."
        )
        return WorkerUnreachable("", "no worker is configured", hint=hint) if self.url is None else None

    def require_nodes(self, nodes: Nodes) -> None:
        """Raises UsageError for a node that is named on the command line and is none of these nodes of the graph, or of the wrong kind."""
        require_static(nodes, self.inject, "--set")
        require_computed(nodes, self.pinned, "--place")
        require_computed(nodes, self.when_offline.nodes, "--when-offline")

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
            **({"budget": dict(self.budget)} if self.budget else {}),
            "grants": list(self.grants),
            "when_offline": {
                "nodes": dict(self.when_offline.nodes),
                "every": self.when_offline.every,
                **({"always": self.when_offline.always} if self.when_offline.always else {}),
            },
            "wishes": {"minimise": self.wishes.minimise, "deadline": self.wishes.deadline, "budget": self.wishes.budget},
            "decided": dict(self.decided),
        }

    @classmethod
    def from_record(cls, kept: Mapping[str, Any]) -> RunOptions:
        """The options of which `as_record` gave that."""
        fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}
        said = fields.pop("when_offline", None) or {}
        wishes = Wishes(**(fields.pop("wishes", None) or {}))
        sayings = Sayings(said.get("nodes") or {}, said.get("every"), always=said.get("always"))
        return cls(**fields, wishes=wishes, when_offline=sayings)


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
    prices: Mapping[str, Price] = field(default_factory=dict)
    """What models behind servers cost, where the configuration says so."""
    servers_here: frozenset[str] = frozenset()
    """Names of models that are behind servers on this device."""
    clearance: Clearance = NOWHERE
    """Which sensitivity labels may go where."""
    files: str | None = None
    person: Person | None = None
    """Who sits at the terminal of this process."""
    write: Callable[[str], Any] | None = None
    emit: Callable[[ProgressEvent], None] = unheard
    connect: Callable[[str, str | None, Journal, Sequence[bytes]], Any] | None = None
    is_low: Callable[[], bool] = lambda: False
    """Whether this device runs on a battery that is nearly empty."""
    estimator: Callable[[Graph, Mapping[str, Any], str | None, Mapping[str, Value]], Estimator] | None = None
    """What knows figures for a graph, by a worker's offer, its URL, and values of static nodes. None knows none: the rules alone place nodes."""
    run: bytes | None = None
    """The run that this process works on, as soon as that can be gone on with."""

    def written_out(self, graph: Graph) -> Graph:
        """The graph with its cascades and hedges written out: each asking where its model is, with the bars calibrated here."""
        here = self.models.names()

        def place_of(agent: str, model: str | None) -> Place | None:
            if model is not None:
                return "edge" if self.tiers.get(model, model) in here else "cloud"
            known = self.agents.get(agent)
            if known is not None and ("model" not in known.needs or self.default_model in here):
                return "edge"
            return None

        return expanded(graph, place_of, lambda key: kept_below(self.journal, key))

    def servers_for(self, options: RunOptions) -> frozenset[str]:
        """The models that a run must count as behind servers elsewhere: a local one may not open a socket to any."""
        return self.servers | self.servers_here if options.local_only else self.servers
