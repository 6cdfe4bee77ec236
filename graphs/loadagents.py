"""The agents of a side: the standard ones and those of the user's own modules (`--agents package.module`)."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from graphs.errors import UsageError, why_failed
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


def _import(name: str, folder: Path | None) -> ModuleType:
    path = None
    if name.endswith(".py"):
        path = (Path(name) if folder is None else folder / name).resolve()
        folder = path.parent
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name) if path is None else _from_file(path)
    except (Exception, SystemExit) as error:  # the user's module may raise anything while it is imported, and be a script
        missing = isinstance(error, FileNotFoundError) and path is not None and not path.exists()
        why = why_failed(error) if missing else f"{type(error).__name__}: {error}"
        raise UsageError(f"--agents {name}: cannot be imported: {why}") from error


def _from_file(path: Path) -> ModuleType:
    """The module of exactly that file, also where one of the same name was imported from elsewhere."""
    there = sys.modules.get(path.stem)
    if there is not None and Path(getattr(there, "__file__", None) or "").resolve() == path:
        return there
    name = path.stem if there is None else f"{path.parent.name}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
