"""Making many objects that all stay: without the garbage collector, which would look at every one of them again and again, or with one that
looks seldom.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["MANY", "collected_seldom", "uncollected"]

MANY: Final = 2_000
"""Nodes of a graph from which on it pays."""


@contextmanager
def uncollected(count: int) -> Iterator[None]:
    """While a graph of `count` nodes is read or compiled nothing is collected, if they are many: that is a third of its cost at 50,000.

    What other threads leave behind meanwhile is collected afterwards. Nested blocks are one.
    """
    if count < MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if _runs:  # else all of it would be looked at in a moment, and once more when it is older
            gc.freeze()
        gc.enable()


_runs: set[object] = set()
"""The blocks of `collected_seldom` that last."""

_SELDOM: Final = 10_000
"""New objects after which the collector looks at them; Python's own number is 700."""


@contextmanager
def collected_seldom() -> Iterator[None]:
    """For the length of a run in a process of its own: what is there already stays, so nobody looks at it, and at what is new more seldom.

    That is a sixth of what it takes to go on with a run of 10,000 nodes. What is made in the meantime without the collector stays as well.
    Nested blocks are one.
    """
    before, this = gc.get_threshold(), object()
    gc.freeze()
    gc.set_threshold(max(_SELDOM, before[0]), *before[1:])
    _runs.add(this)
    try:
        yield
    finally:
        _runs.remove(this)
        gc.set_threshold(*before)
        if not _runs:
            gc.unfreeze()
