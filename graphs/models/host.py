"""The model host: the models of one side, each in a child process of its own, so that none can take the program down.

Nothing here imports llama.cpp: without it, models are listed and described all the same.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from graphs.errors import ModelMissing
from graphs.models.hosted import HostedModel, HostOptions, closed
from graphs.models.interface import ModelInfo, Models
from graphs.models.process import CHILD
from graphs.models.store import ModelStore, missing

__all__ = ["HostOptions", "ModelHost"]


class ModelHost(Models):
    """The models of a folder and of files named in a configuration, by name. A file of the configuration wins over the folder's.

    Used within one event loop; `close` ends all processes. Raises nothing when it is made: a name is looked up when it is asked for.
    """

    def __init__(
        self, store: ModelStore | None = None, *, files: Mapping[str, Path] | None = None, options: HostOptions | None = None
    ) -> None:
        self._store = store if store is not None else ModelStore()
        self._files = dict(files or {})
        self._options = options if options is not None else HostOptions()
        self._models: dict[str, HostedModel] = {}
        self._closed = False

    async def get(self, name: str) -> HostedModel:
        """The model of that name, loaded. Raises ModelMissing, ModelCrashed if loading it ended its process."""
        if self._closed:
            raise closed(name)
        model = self._models.get(name)
        if model is None or model.closed:
            path = self._path(name)
            self._require_llama(name)
            model = self._models[name] = HostedModel(name, path, self._options)
        await model.load()
        return model

    def names(self) -> Sequence[str]:
        return sorted({*self._files, *(model.name for model in self._store.list())})

    def describe(self, name: str) -> ModelInfo:
        model = self._models.get(name)
        if model is not None and not model.closed:
            return model.info
        return HostedModel(name, self._path(name), self._options).info

    def pid(self, name: str) -> int | None:
        """The process that has the model loaded now, None if there is none."""
        model = self._models.get(name)
        return model.pid if model is not None else None

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*(model.close() for model in self._models.values()))

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
