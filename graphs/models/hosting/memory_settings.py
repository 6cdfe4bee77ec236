"""How much memory models may take, and the configuration's word on it: `memory: {budget: 60% | 4GB, keep_alive: 5m, pin: [NAME]}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from graphs.errors import UsageError
from graphs.models.hosting.machine import available_memory
from graphs.models.memory import DEFAULT_SHARE

__all__ = ["KEEP_ALIVE", "MemoryOptions", "pinned_by_name", "read_memory"]

KEEP_ALIVE: Final = 300.0
"""Seconds a model nobody uses stays in memory."""

_EXAMPLE: Final = "memory: {budget: 60%, keep_alive: 5m, pin: [small]}"
_KEYS: Final = frozenset({"budget", "keep_alive", "pin"})
_BYTES: Final = {"": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12, "tb": 10**12}
_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """How much memory models may take together, and for how long.

    `budget` in bytes; None means `share` of what is free when the first model is loaded. `keep_alive` in seconds: 0 unloads a model as
    soon as nobody uses it, -1 never. `pinned` are names of models that stay once they are loaded. `free` says what the machine has.
    """

    budget: int | None = None
    share: float = DEFAULT_SHARE
    keep_alive: float = KEEP_ALIVE
    pinned: frozenset[str] = frozenset()
    free: Callable[[], int | None] = available_memory


def pinned_by_name(options: MemoryOptions, aliases: Mapping[str, str]) -> MemoryOptions:
    """The options with what is pinned under another name pinned under its own."""
    return replace(options, pinned=frozenset(aliases.get(name, name) for name in options.pinned))


def read_memory(entry: Any, where: str) -> MemoryOptions:
    """The options in a configuration's entry; the usual ones where there is none. Raises UsageError, saying `where`."""
    if entry is None:
        return MemoryOptions()
    if not isinstance(entry, Mapping) or set(entry) - _KEYS:
        raise UsageError(f"{where} is a map with {', '.join(sorted(_KEYS))}, for instance\n{_EXAMPLE}")
    pinned, keep = entry.get("pin") or [], entry.get("keep_alive", KEEP_ALIVE)
    if not isinstance(pinned, list) or not all(isinstance(name, str) for name in pinned):
        raise UsageError(f"{where}.pin is a list of names of models, for instance\n{_EXAMPLE}")
    keep_alive = -1.0 if keep in (-1, "-1") else _amount(keep, _SECONDS)
    if keep_alive is None:
        raise UsageError(f"{where}.keep_alive is a duration, 0 for not at all, or -1 for ever, for instance\n{_EXAMPLE}")
    budget = entry.get("budget", "60%")
    if isinstance(budget, str) and budget.endswith("%"):
        share = _amount(budget[:-1], {"": 0.01})
        if share is not None and 0 < share <= 1:
            return MemoryOptions(share=share, keep_alive=keep_alive, pinned=frozenset(pinned))
    else:
        size = _amount(budget, _BYTES)
        if size:
            return MemoryOptions(int(size), keep_alive=keep_alive, pinned=frozenset(pinned))
    raise UsageError(f"{where}.budget is a share of what is free or a size, 60% or 4GB, for instance\n{_EXAMPLE}")


def _amount(value: Any, units: Mapping[str, float]) -> float | None:
    match = (
        _AMOUNT.fullmatch(str(value).strip()) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    )
    unit = units.get(match[2].lower()) if match else None
    return float(match[1]) * unit if match and unit is not None else None
