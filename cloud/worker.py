"""The worker: what it has, what it says it has, and the child runs it executes, whatever connection they came over."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from graphs.bounds import UNTRUSTED, Bounds
from graphs.budget import Budget
from graphs.engine.made import Made, require_fit
from graphs.engine.plan import Compiler
from graphs.engine.recall import made_alike
from graphs.errors import GraphInvalid, ModelMissing, ValueUnsupported
from graphs.language.spec import Graph, is_computed
from graphs.models.interface import Models
from graphs.models.prices import Price
from graphs.models.together import Aliased, prefetch
from graphs.records import Result
from graphs.registry import Registry
from graphs.running.ports import Services
from graphs.values import Value, canonical, decode

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["RefusedCut", "Worker"]

_TOLD, _LONGEST = 10, 500
"""How many problems of a cut are told in one text, and how much of each: the text has to fit a record."""


_NO_PRICES: Final[Mapping[str, Price]] = MappingProxyType({})


class RefusedCut(Exception):
    """A cut graph this worker does not run. `code` is the link's word for why, `problems` are (path, code, text) of each."""

    def __init__(self, code: str, problems: Collection[tuple[str, str, str]]) -> None:
        self.code = code
        self.problems = list(problems)
        more = f"; and {len(self.problems) - _TOLD} more" if len(self.problems) > _TOLD else ""
        super().__init__("; ".join(text[:_LONGEST] for _, _, text in self.problems[:_TOLD]) + more)


class Worker:
    """Agents, models and the journal of one worker process. Verdicts about cuts are kept by their hash.

    `files` is the folder that is granted to agents, `network` whether servers are; `bounds` are those of each child run, `prices` those of
    models.
    """

    def __init__(
        self,
        journal: Journal,
        agents: Registry,
        models: Models,
        *,
        default_model: str | None = None,
        files: str | None = None,
        network: bool = False,
        bounds: Bounds = UNTRUSTED,
        prices: Mapping[str, Price] = _NO_PRICES,
    ) -> None:
        self.journal = journal
        self.agents = agents.only([name for name, each in agents.items() if each.requires is None])
        """Those that graphs of devices may use: what is shipped is a stranger's, so an agent that requires trusted inputs is as good as not here."""
        self.models = models
        self.default_model = default_model
        self.files = files
        self.network = network
        self.bounds = bounds
        self.prices = prices
        self.running = 0
        self._received: dict[bytes, Any] = {}
        """Documents that the journal may not show yet."""
        self._graphs: dict[tuple[bytes, tuple[str, ...]], Graph] = {}

    def makes_alike(self, made: Result) -> bool:
        """Whether the agent and the model that made a result are those that would make it here, as far as that is known."""

        def digest(model: str) -> str | None:
            try:
                return self.models.describe(model).digest
            except ModelMissing:
                return None

        return made_alike(made, self.agents, digest)

    def services(self, names: Mapping[str, str]) -> Services:
        """What agents are offered here. `names` are the device's words for models: they count where this worker has no model of
        that name itself.
        """
        own = set(self.models.names())
        aliases = {alias: name for alias, name in names.items() if alias not in own}
        return Services(
            models=Aliased(self.models, aliases), default_model=self.default_model, files=self.files, network=self.network
        )

    def compiler(self, budget: Budget, *, strict: bool, bypass: Collection[str], grants: Collection[str]) -> Compiler:
        """Compiles the cuts of one child run. `budget` is what it may have, `grants` what its holder grants to graphs made at run
        time; they use up the same budget.
        """
        return Compiler(
            self.agents, strict=strict, bypass=bypass, budget=budget, made=Made(bounds=None, grants=frozenset(grants))
        )

    def offer(self) -> dict[str, Value]:
        """What this worker says it has (docs/protocol.md §6)."""
        models: dict[str, Value] = {}
        for name in self.models.names():
            try:
                info = self.models.describe(name)
            except ModelMissing:
                continue
            models[name] = {
                "digest": info.digest,
                "context": info.context,
                "toks_s": info.tokens_per_second,
                "prompt_s": info.prompt_per_second,
                "measured": int(info.measured * 1000) if info.measured is not None else None,
                "loaded": info.loaded,
                **(self.prices[name].as_offer() if name in self.prices else {}),
            }
        return {
            "agents": {name: each.version for name, each in self.agents.items()},
            "models": models,
            "filters": [],
            "queue": max(0, self.free),
            "slots": self.slots,
            "t": int(time.time() * 1000),
        }

    @property
    def slots(self) -> int:
        """How many child runs may be open at once, those included whose device is away (docs/protocol.md §15)."""
        return 1024

    @property
    def free(self) -> int:
        """How many more may be opened now."""
        return self.slots - self.running

    def graph(self, address: bytes, bypass: tuple[str, ...] = ()) -> Graph | None:
        """The cut with this hash, checked, if it is here; `bypass` are names of agents that need not exist. Raises RefusedCut."""
        known = self._graphs.get((address, bypass))
        if known is None:
            stored = self.journal.graph(address)
            document = decode(stored.body) if stored is not None else self._received.get(address)
            if document is None:
                return None
            known = self._graphs[address, bypass] = self._check(document, bypass)
        return known

    def keep_graph(self, address: bytes, body: bytes) -> None:
        """Keep a cut that arrived; whether it can run here is looked at when it is to. Its bytes are untrusted. Raises RefusedCut."""
        try:
            document = decode(body)
            same = isinstance(document, Mapping) and canonical(document, strict=True) == body
        except ValueUnsupported as error:
            raise RefusedCut("GRAPH_INVALID", [("", "GRAPH_INVALID", str(error))]) from error
        if not same:  # duplicate keys, which a decoder drops silently, or another order of bytes
            raise RefusedCut("GRAPH_INVALID", [("", "GRAPH_INVALID", "these bytes are not the canonical form of a graph")])
        self._received = {each: kept for each, kept in self._received.items() if self.journal.graph(each) is None}
        self._received[address] = document
        self.journal.put_graph(address, body)

    def _check(self, document: Any, bypass: tuple[str, ...]) -> Graph:
        try:
            require_fit(document, self.bounds)
            return Graph.of(document, self.agents.keys(), bypass=bypass, allow_cut=True)
        except GraphInvalid as error:
            unknown = any(problem.code == "GF105" for problem in error.problems)
            problems = [
                (".".join(map(str, problem.path)), problem.code, problem.message)
                for problem in error.problems
                if not problem.warning
            ]
            raise RefusedCut("AGENT_UNKNOWN" if unknown else "GRAPH_INVALID", problems) from error

    def check_models(self, graph: Graph, names: Mapping[str, str]) -> None:
        """Raises RefusedCut if a node asks for a model that is not here; `names` as in `services`."""
        has = set(self.models.names())
        problems = []
        for name, spec in graph.nodes.items():
            model = _asked_model(spec) if is_computed(spec) else None
            if model is not None and model not in has and names.get(model) not in has:
                problems.append(
                    (
                        name,
                        "MODEL_UNKNOWN",
                        f"node {name!r} asks for the model {model!r}; this worker has {', '.join(sorted(has))}",
                    )
                )
        if problems:
            raise RefusedCut("MODEL_UNKNOWN", problems)

    def prefetch(self, graph: Graph, names: Mapping[str, str]) -> None:
        """Says of the models that this cut's nodes name that they are coming; `names` as in `services`."""
        models = self.services(names).models
        for name in dict.fromkeys(_asked_model(spec) for spec in graph.nodes.values() if is_computed(spec)):
            if name is not None:
                prefetch(models, name)

    async def close(self) -> None:
        """Ends all model processes."""
        await self.models.close()


def _asked_model(spec: Mapping[str, Any]) -> str | None:
    model = (spec.get("params") or {}).get("model") or spec.get("model")
    return model if isinstance(model, str) and not model.startswith(":") else None
