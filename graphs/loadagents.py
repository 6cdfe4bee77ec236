"""The agents of a side: the standard ones and those of the user's own modules (`--agents package.module`)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from graphs.errors import UsageError
from graphs.registry import Agent, Registry

__all__ = ["known_agents"]


def known_agents(modules: Iterable[str] = (), *, folder: Path | None = None) -> Registry:
    """The standard agents and every `Agent` found at the top of these modules.

    A module is named as in an import statement, looked for in `folder` too, or by the path of its file. Raises UsageError
    naming the module.
    """
    from graphs.agents import standard

    registry = standard()
    for name in modules:
        module = _import(name, folder)
        found = [each for each in vars(module).values() if isinstance(each, Agent)]
        if not found:
            raise UsageError(
                f"--agents {name}: no agent in it", hint="An agent is made with the decorator graphferry.agent('name')."
            )
        for each in found:
            registry.add(each)
    return registry


def _import(name: str, folder: Path | None) -> object:
    if name.endswith(".py"):
        path = Path(name) if folder is None else folder / name
        folder, name = path.parent, path.stem
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"--agents {name}: cannot be imported: {error}") from error
