"""graphferry runs agent graphs on a device, offline if it must, and ferries the heavy part of a graph to a worker when it may.

This package is the only import a program needs. Its names are imported from the layers below when they are first used, so
that `import graphferry` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphferry.builder import Graph, Ref
    from graphferry.running import RunResult, arun, run
    from graphs.environment import Environment, ExitStatus
    from graphs.errors import (
        ContextTooLong,
        GraphferryError,
        GraphInvalid,
        JournalError,
        LinkCondition,
        ModelCrashed,
        ModelMissing,
        ModelRefused,
        NodeError,
        NodeTimeout,
        Problem,
        RunAborted,
        RunFailed,
        RunSuspended,
        UsageError,
        ValueUnsupported,
        WorkerUnreachable,
    )
    from graphs.registry import Agent, AgentContext, Registry, Sample, agent
    from graphs.values import MISSING, Value

__version__ = "0.1.0"

__all__ = [
    "MISSING",
    "Agent",
    "AgentContext",
    "ContextTooLong",
    "Environment",
    "ExitStatus",
    "Graph",
    "GraphInvalid",
    "GraphferryError",
    "JournalError",
    "LinkCondition",
    "ModelCrashed",
    "ModelMissing",
    "ModelRefused",
    "NodeError",
    "NodeTimeout",
    "Problem",
    "Ref",
    "Registry",
    "RunAborted",
    "RunFailed",
    "RunResult",
    "RunSuspended",
    "Sample",
    "UsageError",
    "Value",
    "ValueUnsupported",
    "WorkerUnreachable",
    "__version__",
    "agent",
    "arun",
    "run",
]

_EXPORTS = {
    "MISSING": "graphs.values",
    "Agent": "graphs.registry",
    "AgentContext": "graphs.registry",
    "ContextTooLong": "graphs.errors",
    "Environment": "graphs.environment",
    "ExitStatus": "graphs.environment",
    "Graph": "graphferry.builder",
    "GraphInvalid": "graphs.errors",
    "GraphferryError": "graphs.errors",
    "JournalError": "graphs.errors",
    "LinkCondition": "graphs.errors",
    "ModelCrashed": "graphs.errors",
    "ModelMissing": "graphs.errors",
    "ModelRefused": "graphs.errors",
    "NodeError": "graphs.errors",
    "NodeTimeout": "graphs.errors",
    "Problem": "graphs.errors",
    "Ref": "graphferry.builder",
    "Registry": "graphs.registry",
    "RunAborted": "graphs.errors",
    "RunFailed": "graphs.errors",
    "RunResult": "graphferry.running",
    "RunSuspended": "graphs.errors",
    "Sample": "graphs.registry",
    "UsageError": "graphs.errors",
    "Value": "graphs.values",
    "ValueUnsupported": "graphs.errors",
    "WorkerUnreachable": "graphs.errors",
    "agent": "graphs.registry",
    "arun": "graphferry.running",
    "run": "graphferry.running",
}

if not TYPE_CHECKING:  # a type checker that saw this would take every misspelt name for an export

    def __getattr__(name: str) -> object:
        module = _EXPORTS.get(name)
        if module is None:
            raise AttributeError(f"module 'graphferry' has no attribute {name!r}")
        from importlib import import_module

        from graphferry.layers import require_own_layers

        require_own_layers()
        value = getattr(import_module(module), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
