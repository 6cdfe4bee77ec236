"""A worker as one account sees it: the models it may use, the labels that may come, the places it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cloud.accounts import Account
from cloud.worker import RefusedCut, Worker
from graphs.errors import ModelMissing
from graphs.language.labels import UNSEEN, confining, labels_by_node
from graphs.language.spec import Graph
from graphs.models.interface import Embeddings, Generation, GenerationRequest, Model, ModelInfo, Models, OnToken
from graphs.values import Value

__all__ = ["AllowedModels", "Share"]

_BUSY_MS: Final = 1_000


class AllowedModels:
    """A `Models` of which only those that an account may use can be seen."""

    def __init__(self, models: Models, account: Account) -> None:
        self._models = models
        self._account = account

    async def get(self, name: str) -> Model:
        return _OfAccount(await self._models.get(self._allowed(name)), self._account.name)

    def names(self) -> Sequence[str]:
        return [name for name in self._models.names() if self._account.allows(name)]

    def describe(self, name: str) -> ModelInfo:
        return self._models.describe(self._allowed(name))

    async def close(self) -> None:
        """They are others' too."""

    def _allowed(self, name: str) -> str:
        if not self._account.allows(name):
            raise ModelMissing(
                f"the account {self._account.name!r} may not use the model {name!r} at this worker; "
                f"it may use {', '.join(self.names()) or 'none'}",
                hint="Whoever runs the worker adds it to `models` of the account.",
            )
        return name


class _OfAccount:
    """A `Model` that is asked in the name of an account."""

    def __init__(self, model: Model, account: str) -> None:
        self._model = model
        self._account = account

    @property
    def info(self) -> ModelInfo:
        return self._model.info

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        return await self._model.generate(replace(request, account=self._account), on_token)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        return await self._model.embed(texts)

    async def close(self) -> None:
        """It is others' too."""


class Share(Worker):
    """What child runs of one account are given instead of the worker itself. Graphs and verdicts are kept by the worker, for all."""

    def __init__(self, worker: Worker, account: Account) -> None:
        self._whole = worker
        self._running = 0
        models = AllowedModels(worker.models, account)
        default = worker.default_model if worker.default_model is not None and account.allows(worker.default_model) else None
        super().__init__(
            worker.journal,
            worker.agents,
            models,
            default_model=default,
            files=worker.files,
            network=worker.network,
            bounds=worker.bounds,
            prices=worker.prices,
        )
        self.account = account
        self._cleared: set[bytes] = set()
        """Graphs whose labels were looked at: each row of a map asks for its graph."""

    @property
    def running(self) -> int:
        """How many child runs of the account are open; counted at the worker, too."""
        return self._running

    @running.setter
    def running(self, count: int) -> None:
        self._whole.running += count - self._running
        self._running = count

    @property
    def slots(self) -> int:
        return self._whole.slots if self.account.runs is None else min(self._whole.slots, self.account.runs)

    @property
    def free(self) -> int:
        return self._whole.free  # what the account may is asked anew for each run, by `room`: an offer may be old

    def room(self) -> tuple[str, str, int | None] | None:
        """`protocol.config.Room` for the places of the account: None if it may open one more child run."""
        if self.account.runs is None or self._running < self.account.runs:
            return None
        runs = "run" if self._running == 1 else "runs"
        text = f"the account {self.account.name!r} has {self._running} open {runs} at this worker, which is its limit"
        return "BUSY", text, _BUSY_MS

    def offer(self) -> dict[str, Value]:
        return {**super().offer(), "clearance": sorted(self.account.clearance)}

    def graph(self, address: bytes, bypass: tuple[str, ...] = ()) -> Graph | None:
        found = self._whole.graph(address, bypass)
        if found is not None and address not in self._cleared:
            self._check_labels(found)
            self._cleared.add(address)
        return found

    def keep_graph(self, address: bytes, body: bytes) -> None:
        self._whole.keep_graph(address, body)

    def _check_labels(self, graph: Graph) -> None:
        problems = []
        for name, labels in labels_by_node(graph).items():
            if back := confining(labels) - {UNSEEN} - self.account.clearance:  # a graph that is a value comes here as any value
                word = ", ".join(sorted(back))
                text = f"node {name!r} carries {word}, which the account {self.account.name!r} is not cleared for at this worker"
                problems.append((name, "LABEL_WITHHELD", text))
        if problems:
            raise RefusedCut("LABEL_WITHHELD", problems)
