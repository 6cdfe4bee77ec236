"""The agents every graph can name: GraphAI's catalogue (graph-spec §12) and ours, by category one module each.

Importing this package imports none of them; `standard` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from graphs.registry import Registry

__all__ = ["standard"]

_MODULES: Final = (
    "array", "cascade", "control", "data", "embeddings", "files", "llm", "matrix", "nesting", "network", "people", "privacy", "text",
    "toolloop", "tools",
)  # fmt: skip


def standard() -> Registry:
    """A registry of the standard agents, the caller's own to add to."""
    from graphs.registry import Registry

    modules = (import_module(f"graphs.agents.{name}") for name in _MODULES)
    return Registry(each for module in modules for each in module.AGENTS)
