"""Which models may be in memory together: pure decisions over what each takes and who uses it.

The budget is a promise to everything else on the machine. A model that is in use, or pinned, is never unloaded for another: the new
one waits. One that is larger than the budget all by itself is loaded alone; whether the machine has that much is another question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["DEFAULT_SHARE", "Decision", "Resident", "footprint", "make_room"]

DEFAULT_SHARE: Final = 0.6
"""Of the memory that is free when the first model is loaded."""

_MARGIN: Final = 1.15
_PROCESS: Final = 100_000_000
"""Bytes of a process with Python, numpy, llama.cpp and what it computes in, measured with the smallest models."""

_USUAL_CONTEXT: Final = 4096
_USUAL_KV: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Resident:
    """A model in memory, or on its way there. `bytes` is what it takes; `used` when it was last in use (seconds, of any one clock)."""

    name: str
    bytes: int
    busy: bool = False
    pinned: bool = False
    used: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What has to happen before a model is loaded: these are unloaded, and if `wait`, a busy one has to become idle first."""

    unload: Sequence[str] = ()
    wait: bool = False


def footprint(size: int, kv_bytes: int | None, context: int | None) -> int:
    """Bytes a model takes: its file, the keys and values of its context, 15 % for what grows with them, and its process.

    `kv_bytes` is what a token of context takes, `context` its length in tokens; where they are not known, a small model's count.
    """
    return int((size + (kv_bytes or _USUAL_KV) * (context or _USUAL_CONTEXT)) * _MARGIN) + _PROCESS


def make_room(needed: int, budget: int, residents: Iterable[Resident]) -> Decision:
    """How a model that takes `needed` bytes comes into the budget. Idle ones go first that were used longest ago, and no more of them
    than have to.

    If not even all idle ones make room, nothing is unloaded yet and the answer is to wait; alone, or beside pinned models only, a
    model need not fit the budget: it could wait for ever.
    """
    there = list(residents)
    taken = sum(each.bytes for each in there)
    unload: list[str] = []
    for each in sorted((each for each in there if not each.busy and not each.pinned), key=lambda each: each.used):
        if taken + needed <= budget:
            break
        unload.append(each.name)
        taken -= each.bytes
    if taken + needed <= budget or not any(each.busy and not each.pinned for each in there):
        return Decision(tuple(unload))
    return Decision(wait=True)
