"""What the agents' tests share: a context that records what an agent says, scripted services, and a call of any agent."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from graphs.agents import standard
from graphs.models.interface import Embeddings, Generation, GenerationRequest, ModelInfo, OnToken, Usage
from graphs.registry import Agent
from graphs.values import Value, clean

__all__ = ["Context", "ScriptedModel", "ScriptedModels", "context", "run", "scripted"]


@dataclass
class Context:
    """An AgentContext. `tokens`, `facts` and `counts` are what the agent handed to stream, made_by and used."""

    inputs: dict[str, Value]
    params: dict[str, Value]
    config: Mapping[str, Value] = field(default_factory=dict)
    filter_params: Mapping[str, Value] = field(default_factory=dict)
    node_id: str = "node"
    agent_name: str = "testAgent"
    model: str | None = None
    path: str = "node"
    retry: int = 0
    at: int = 1
    is_result: bool = False
    key: bytes = bytes(range(16))
    run: str = ""
    priority: float = 0
    services: Any = field(default_factory=SimpleNamespace)
    tokens: list[Value] = field(default_factory=list)
    facts: dict[str, Value] = field(default_factory=dict)
    counts: dict[str, Value] = field(default_factory=dict)

    async def call_agent(self, name: str, inputs: dict[str, Value], params: dict[str, Value]) -> Value:
        """Through the service of that name, if there is one."""
        return await self.services.call_agent(name, inputs, params)

    def find_agent(self, name: str) -> Agent | None:
        return standard().get(name)

    def stream(self, token: Value) -> None:
        self.tokens.append(token)

    def made_by(self, **facts: Value) -> None:
        self.facts |= facts

    def used(self, **counts: Value) -> None:
        self.counts |= counts


def context(inputs: Mapping[str, Value] | None = None, params: Mapping[str, Value] | None = None, **more: Any) -> Context:
    """A context with these inputs and params; `more` are other attributes, and `services` may be a map."""
    services = more.pop("services", {})
    if isinstance(services, Mapping):
        services = SimpleNamespace(**services)
    return Context(dict(inputs or {}), dict(params or {}), services=services, **more)


def run(agent: Agent, given: Context) -> Value:
    """The agent's value, without missing entries as a border sees it. Fails if the agent changed what it was handed."""
    before = copy.deepcopy((given.inputs, given.params, given.config, given.filter_params))
    value = asyncio.run(_awaited(agent, given)) if agent.is_async else agent.run(given)
    assert (given.inputs, given.params, given.config, given.filter_params) == before, f"{agent.name} changed what it was handed"
    return clean(value)


async def _awaited(agent: Agent, given: Context) -> Value:
    return await agent.run(given)


class ScriptedModel:
    """A model that gives the generations it was made with, in turn, and keeps the requests."""

    def __init__(self, generations: Sequence[Generation], *, pieces: Sequence[str] = ()) -> None:
        self.info = generations[0].model
        self.requests: list[GenerationRequest] = []
        self._generations = list(generations)
        self._pieces = pieces

    async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
        self.requests.append(request)
        for piece in self._pieces if on_token else ():
            assert on_token is not None
            on_token(piece)
        return self._generations.pop(0)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Texts that begin alike point the same way."""
        return Embeddings([[0.6, 0.8] if text.startswith("a") else [1.0, 0.0] for text in texts], len(texts), self.info)

    async def close(self) -> None:
        """Nothing to end."""


class ScriptedModels:
    """One model under any name; `asked` are the names."""

    def __init__(self, model: ScriptedModel) -> None:
        self.model = model
        self.asked: list[str] = []

    async def get(self, name: str) -> ScriptedModel:
        self.asked.append(name)
        return self.model


def scripted(*texts: str, pieces: Sequence[str] = (), **more: Any) -> ScriptedModels:
    """Models that answer with these texts in turn; `more` are attributes of each generation."""
    info = ModelInfo("tiny", "scripted", digest="ab" * 32)
    details: dict[str, Any] = {"finish_reason": "stop", "usage": Usage(7, 3), "first_token_ms": 20.0, "total_ms": 50.0, **more}
    return ScriptedModels(ScriptedModel([Generation(text, model=info, **details) for text in texts], pieces=pieces))
