"""What the rules of placement are told, `Facts`, and what they say of a node, `Placement`. Pure.

The rules are in `edge.placement` (where a node runs) and `edge.policies` (what becomes of it while no worker is reached).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast

from edge.placing.figures import Estimate
from edge.privacy.clearance import NOWHERE, Clearance
from graphs.language import fields
from graphs.registry import Agent
from graphs.values import Value

__all__ = ["OFFLINE", "Facts", "Implementation", "Offline", "Place", "Placement", "Sayings", "Way", "nothing_done"]

Place: TypeAlias = Literal["edge", "cloud"]

Offline: TypeAlias = Literal["wait", "local", "fail"]

OFFLINE: Final = cast("tuple[Offline, ...]", fields.OFFLINE)


@dataclass(frozen=True, slots=True)
class Sayings:
    """What is said outside of the graph: of single nodes and of all on the command line, and in the device's configuration. `always` counts before
    all of that, and before the graph's own word, at whatever depth: of a run in which nothing may stand in again.
    """

    nodes: Mapping[str, Offline] = field(default_factory=dict)
    every: Offline | None = None
    device: Offline | None = None
    always: Offline | None = None

    @property
    def inside(self) -> Sayings:
        """What of it holds in graphs inside nodes, whose nodes have no names outside."""
        return Sayings(every=self.every, device=self.device, always=self.always)


def nothing_done(_path: str) -> bool:
    """`Facts.done` of a run that begins."""
    return False


@dataclass(frozen=True, slots=True)
class Facts:
    """What placement knows. `models` are those on this device; `offer` is what the worker said last (docs/protocol.md §6), None if
    none was ever reached.
    """

    agents: Mapping[str, Agent]
    models: Collection[str]
    tiers: Mapping[str, str] = field(default_factory=dict)
    default_model: str | None = None
    offer: Mapping[str, Any] | None = None
    pinned: Mapping[str, Place] = field(default_factory=dict)
    local_only: bool = False
    servers: Collection[str] = ()
    """Of the models, those that are behind servers outside this device."""
    offline: Sayings = field(default_factory=Sayings)
    """What is said outside of the graph of nodes whose worker is not reached."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Of the models on this device, those whose file is known: two are the same where these are."""
    clearance: Clearance = NOWHERE
    """Which labels may go where."""
    noted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Labels that came with a run of elsewhere, by place (graphs.language.labels.label_graph)."""
    done: Callable[[str], bool] = nothing_done
    """Whether the node at this path has its result here, in a run that goes on: it needs no place. Asked only about nodes that have none."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a node runs, and why. `model` is the name of the model it will ask, if it asks one.

    `free` says that no rule forbids it another place: figures may decide (`edge.placing`). Where they did, `estimate` is what it is expected to
    take, and `ways` are all there were, this one first. Of a node with several implementations `implementation` is the number of this one, and
    `others` are those that could be had besides, in the order in which they are preferred.
    """

    place: Place
    reason: str
    model: str | None = None
    free: bool = False
    estimate: Estimate | None = None
    ways: tuple[Way, ...] = ()
    implementation: int | None = None
    others: tuple[Implementation, ...] = ()


@dataclass(frozen=True, slots=True)
class Implementation:
    """One of the ways that a node lists under `any`, at a place where it can be had: its number, and the node's attributes in it."""

    number: int
    place: Place
    model: str | None
    spec: Mapping[str, Value]
    free: bool = False
    """No rule forbids it another place."""


@dataclass(frozen=True, slots=True)
class Way:
    """One of the ways to do a node: seconds of its work and of its values on the link, what it costs, and the seconds that the whole run takes
    with it, everything else as it is placed. `figures` say where these come from.
    """

    place: Place
    model: str | None
    seconds: float
    moving: float
    usd: float
    joules: float
    run_seconds: float
    figures: Estimate
    implementation: int | None = None
