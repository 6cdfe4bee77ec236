"""The model host: the models of one side, each in a child process of its own, so that none can take the program down.

They share the memory that is granted to them: what is idle makes room for what is asked for (`graphs.models.hosting.seats`). Nothing here
imports llama.cpp: without it, models are listed and described all the same.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path

from graphs.errors import GraphferryError, ModelMissing, NodeTimeout
from graphs.models.chat import require_sound, require_texts
from graphs.models.files.facts import known_facts, memory_needed
from graphs.models.files.store import ModelStore, missing
from graphs.models.hosting.hosted import HostedModel, HostOptions, closed
from graphs.models.hosting.memory_settings import MemoryOptions
from graphs.models.hosting.process import CHILD
from graphs.models.hosting.seats import Seats
from graphs.models.interface import Embeddings, Generation, GenerationRequest, ModelInfo, Models, OnToken

__all__ = ["HostOptions", "MemoryOptions", "ModelHost"]


class _SeatedModel(HostedModel):
    """A model of a host: each request takes a seat first, so that it is loaded only where there is room, and stays while it is used."""

    def __init__(self, name: str, path: Path, options: HostOptions, seats: Seats) -> None:
        super().__init__(name, path, options)
        self.name = name
        self.over = False
        """Closed for good, not just unloaded."""
        self._given = (name, path, options)
        self._seats = seats

    @property
    def loaded(self) -> bool:
        """Whether it takes memory; a start that nobody waits for any more goes on."""
        return self.pid is not None or self._starting is not None

    @property
    def info(self) -> ModelInfo:
        info = super().info
        if info.tokens_per_second is None and (facts := known_facts(self._given[1])) is not None:
            return replace(
                info,
                tokens_per_second=facts.tokens_per_second,
                prompt_per_second=facts.prompt_per_second,
                measured=facts.measured_at,
            )
        return info

    def needs(self) -> int:
        """Bytes it takes in memory. Raises OSError."""
        _, path, options = self._given
        return memory_needed(path, options.context)

    async def load(self) -> None:
        async with self._seats.seated(self):
            await super().load()

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        require_sound(self.name, request)  # or it would send others out of memory, to be refused then
        if self.over:
            raise closed(self.name)
        clock = asyncio.get_running_loop().time
        handed_over = clock()
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(None if request.deadline_ms is None else request.deadline_ms / 1000):
                    await stack.enter_async_context(self._seats.seated(self))
            except TimeoutError as error:
                raise NodeTimeout(f"Model {self.name} had no room within {request.deadline_ms:g} ms.") from error
            waited = (clock() - handed_over) * 1000
            if request.deadline_ms is not None:
                request = replace(request, deadline_ms=request.deadline_ms - waited)
            generation = await super().generate(request, on_token)
        first = generation.first_token_ms
        return replace(
            generation, first_token_ms=None if first is None else first + waited, total_ms=generation.total_ms + waited
        )

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        require_texts(self.name, texts)
        if self.over:
            raise closed(self.name)
        async with self._seats.seated(self):
            return await super().embed(texts)

    async def unload(self) -> None:
        """Ends its process; the next request starts another."""
        await super().close()
        if not self.over:
            super().__init__(*self._given)  # as it was before it was loaded

    async def close(self) -> None:
        self.over = True
        await super().close()
        self._seats.forget(self)


class ModelHost(Models):
    """The models of a folder and of files named in a configuration, by name. A file of the configuration wins over the folder's.

    Used within one event loop; `close` ends all processes. Raises nothing when it is made: a name is looked up when it is asked for.
    """

    def __init__(
        self,
        store: ModelStore | None = None,
        *,
        files: Mapping[str, Path] | None = None,
        options: HostOptions | None = None,
        memory: MemoryOptions | None = None,
    ) -> None:
        self._store = store if store is not None else ModelStore()
        self._files = dict(files or {})
        self._options = options if options is not None else HostOptions()
        self._models: dict[str, _SeatedModel] = {}
        self._seats = Seats(memory or MemoryOptions())
        self._fetching: set[asyncio.Task[None]] = set()
        self._closed = False

    async def get(self, name: str) -> HostedModel:
        """The model of that name, loaded: it may be unloaded again while nobody asks it, and is loaded again by the next request.

        Raises ModelMissing, ModelCrashed if loading it ended its process, LinkCondition MODEL_OVERLOADED if there is no memory for it.
        """
        model = self._model(name)
        await model.load()
        return model

    def prefetch(self, name: str) -> None:
        """Begins to load a model that will soon be asked for, if there is room without another having to go. Raises nothing."""
        with suppress(GraphferryError, OSError):
            model = self._model(name)
            if not model.loaded and self._seats.has_room(model):
                fetching = asyncio.create_task(_quietly(model), name=f"prefetch of model {name}")
                self._fetching.add(fetching)
                fetching.add_done_callback(self._fetching.discard)

    def names(self) -> Sequence[str]:
        return sorted({*self._files, *(model.name for model in self._store.list())})

    def describe(self, name: str) -> ModelInfo:
        model = self._models.get(name)
        if model is not None and not model.over:
            return model.info
        return _SeatedModel(name, self._path(name), self._options, self._seats).info

    def pid(self, name: str) -> int | None:
        """The process that has the model loaded now, None if there is none."""
        model = self._models.get(name)
        return model.pid if model is not None else None

    @property
    def taken(self) -> int:
        """Bytes of memory that models take now, as they were estimated before they were loaded."""
        return self._seats.taken

    async def close(self) -> None:
        self._closed = True
        await self._seats.close(closed)
        await asyncio.gather(*(model.close() for model in self._models.values()))
        await asyncio.gather(*self._fetching)

    def _model(self, name: str) -> _SeatedModel:
        if self._closed:
            raise closed(name)
        model = self._models.get(name)
        if model is None or model.over:
            path = self._path(name)
            self._require_llama(name)
            model = self._models[name] = _SeatedModel(name, path, self._options, self._seats)
        return model

    def _path(self, name: str) -> Path:
        path = self._files.get(name)
        if path is None:
            try:
                return self._store.find(name).path
            except ModelMissing:
                looked = f"{self._store.folder} and the configuration" if self._files else str(self._store.folder)
                raise missing(name, self.names(), looked) from None
        if not path.is_file():
            raise ModelMissing(f"There is no file {path}, which the configuration names for model {name}.")
        return path

    def _require_llama(self, name: str) -> None:
        if self._options.command is CHILD and importlib.util.find_spec("llama_cpp") is None:
            raise ModelMissing(
                f"Model {name} needs llama.cpp, and llama-cpp-python is not installed in {sys.prefix}.",
                hint="pip install 'graphferry[llama]'",
            )


async def _quietly(model: _SeatedModel) -> None:
    """Whoever asks the model meets its error."""
    with suppress(GraphferryError):
        await model.load()
