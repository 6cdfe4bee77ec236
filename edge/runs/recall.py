"""What this device knows of who would make a result anew: whether one that a fork may keep (graphs.engine.recall) is still by the same maker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge.offers import last_offer
from graphs.engine.recall import made_alike
from graphs.errors import ModelMissing
from graphs.records import Result
from graphs.registry import Agent, Registry
from graphs.values import Value

if TYPE_CHECKING:
    from edge.means import Device

__all__ = ["same_maker", "with_offered"]


def with_offered(device: Device, url: str | None) -> Registry:
    """The agents here, and those that only the worker has: what they gave is known, and they are not run."""
    offered: Mapping[str, Value] = (last_offer(device.journal, url) or {}).get("agents") or {}
    strangers = [Agent(name, _never, version=str(version)) for name, version in offered.items() if name not in device.agents]
    return device.agents.with_agents(strangers)


def _never(_context: object) -> Value:
    raise AssertionError("an agent of the worker is not run here")


def same_maker(device: Device, agents: Registry, made: Result | None) -> bool:
    """Whether the agent and the model that made a result are those that would make it now, as far as that is known here."""

    def digest(model: str) -> str | None:
        try:
            return device.models.describe(model).digest
        except ModelMissing:  # the worker's, or gone: nothing says that it changed
            return None

    return made_alike(made, agents, digest)
