"""Runs of small graphs with agents that a test makes of functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from graphs.agents import standard
from graphs.engine.plan import Compiler
from graphs.language.spec import Graph
from graphs.registry import Agent, agent
from graphs.running.runtime import Runtime
from graphs.values import Value

__all__ = ["Watch", "run", "runtime"]


def runtime(
    nodes: Mapping[str, Any], agents: Mapping[str, Callable[[Any], Any] | Agent] | None = None, **options: Any
) -> Runtime:
    """A run of these nodes; functions stand for agents of their name."""
    document = {"version": 0.5, **options.pop("graph", {}), "nodes": dict(nodes)}
    made = [each if isinstance(each, Agent) else agent(name, effect="none")(each) for name, each in (agents or {}).items()]
    registry = standard().with_agents(made)
    compiler = Compiler(registry)
    return Runtime(compiler.plan(Graph.of(document, set(registry))), compiler, **options)


def run(nodes: Mapping[str, Any], agents: Mapping[str, Callable[[Any], Any] | Agent] | None = None, **options: Any) -> Runtime:
    made = runtime(nodes, agents, **options)
    asyncio.run(asyncio.wait_for(made.run(options.pop("inject", None)), 120))
    return made


class Watch:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.started_: list[tuple[str, int]] = []
        self.tokens: list[Value] = []
        self.erred_: list[tuple[str, bool]] = []
        self.settled_: list[tuple[str, int]] = []

    def started(self, start: Any, t: float) -> None:
        self.started_.append((start.path, start.at))

    def settled(self, event: Any, by: Any, usage: Any, t: float) -> None:
        self.settled_.append((event.path, event.state))

    def erred(self, start: Any, error: BaseException, final: bool, t: float) -> None:
        self.erred_.append((str(error), final))

    def token(self, start: Any, token: Value) -> None:
        self.tokens.append(token)
