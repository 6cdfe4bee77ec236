"""Makes sure that the layers which get imported are graphferry's own.

Their names are plain words (`graphs`, `protocol`, `edge`, `cloud`), so another distribution, or a folder on the path, may carry the
same one. Without this check that shows up as an obscure missing attribute, far from its cause.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["LAYERS", "require_own_layers"]

LAYERS = ("graphs", "protocol", "edge", "cloud")


def require_own_layers() -> None:
    """Raises ImportError naming each layer that is missing or belongs to someone else, and where that one lies."""
    problems = [problem for layer in LAYERS if (problem := _problem(layer))]
    if problems:
        raise ImportError("graphferry cannot run: " + "; ".join(problems))


def _problem(layer: str) -> str | None:
    try:
        module = import_module(layer)
    except ModuleNotFoundError as error:
        if error.name != layer:
            raise
        return f"its package {layer!r} is missing: install graphferry again"
    if getattr(module, "__distribution__", None) == "graphferry":
        return None
    where = module.__file__ or ", ".join(getattr(module, "__path__", ["?"]))
    return f"another package named {layer!r} at {where} hides its own: rename or remove that one, or use a virtual environment"
