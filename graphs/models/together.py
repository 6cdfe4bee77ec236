"""Several sets of models as one: the host's, those behind servers, a scripted one. The first that knows a name answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from graphs.models.interface import Model, ModelInfo, Models

__all__ = ["SCRIPTED", "Aliased", "Together", "local_models", "prefetch"]

SCRIPTED: Final = "scripted"
"""A model that is always there: it says back what it is told. For trying a graph without a real model."""


class Together:
    """A `Models` over others. Raises what `stranger`, the first unless given, raises for a name that none knows."""

    def __init__(self, *members: Models, stranger: Models | None = None) -> None:
        self._members = members
        self._stranger = stranger or members[0]

    async def get(self, name: str) -> Model:
        return await self._member(name).get(name)

    def names(self) -> Sequence[str]:
        return sorted({name for member in self._members for name in member.names()})

    def describe(self, name: str) -> ModelInfo:
        return self._member(name).describe(name)

    def prefetch(self, name: str) -> None:
        prefetch(self._member(name), name)

    async def close(self) -> None:
        for member in self._members:
            await member.close()

    def _member(self, name: str) -> Models:
        return next((member for member in self._members if name in member.names()), self._stranger)


class Aliased:
    """A `Models` that knows other names for some: tiers on a device, names of its own on a worker."""

    def __init__(self, models: Models, aliases: Mapping[str, str]) -> None:
        self._models = models
        self._aliases = aliases

    async def get(self, name: str) -> Model:
        return await self._models.get(self._real(name))

    def names(self) -> Sequence[str]:
        real = self._models.names()
        return sorted({*real, *(alias for alias, name in self._aliases.items() if name in real)})

    def describe(self, name: str) -> ModelInfo:
        return self._models.describe(self._real(name))

    def prefetch(self, name: str) -> None:
        prefetch(self._models, self._real(name))

    async def close(self) -> None:
        await self._models.close()

    def _real(self, name: str) -> str:
        return self._aliases.get(name, name)


def prefetch(models: object, name: str) -> None:
    """Says that a model will soon be asked for; models that can, load it meanwhile. Costs and raises nothing where that means nothing."""
    begin = getattr(models, "prefetch", None)
    if begin is not None:
        begin(name)


def local_models(host: Models, *, servers: Models | None = None, scripted: Sequence[str] = ()) -> Together:
    """The models of one side: those behind servers, the host's, and scripted ones under these names besides `SCRIPTED`."""
    from graphs.models.scripted import ScriptedModel, ScriptedModels

    first = () if servers is None else (servers,)
    return Together(*first, host, ScriptedModels([ScriptedModel(name) for name in (SCRIPTED, *scripted)]), stranger=host)
