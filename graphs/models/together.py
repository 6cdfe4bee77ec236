"""Several sets of models as one: the host's, a scripted one, later servers'. The first that knows a name answers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graphs.models.interface import Model, ModelInfo, Models

__all__ = ["SCRIPTED", "Together", "local_models"]

SCRIPTED: Final = "scripted"
"""A model that is always there: it says back what it is told. For trying a graph without a real model."""


class Together:
    """A `Models` over others. Raises what the first raises for a name that none knows."""

    def __init__(self, *members: Models) -> None:
        self._members = members

    async def get(self, name: str) -> Model:
        return await self._member(name).get(name)

    def names(self) -> Sequence[str]:
        return sorted({name for member in self._members for name in member.names()})

    def describe(self, name: str) -> ModelInfo:
        return self._member(name).describe(name)

    async def close(self) -> None:
        for member in self._members:
            await member.close()

    def _member(self, name: str) -> Models:
        return next((member for member in self._members if name in member.names()), self._members[0])


def local_models(host: Models) -> Together:
    """The models of one side: the host's and the scripted one."""
    from graphs.models.scripted import ScriptedModel, ScriptedModels

    return Together(host, ScriptedModels([ScriptedModel(SCRIPTED)]))
