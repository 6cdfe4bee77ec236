"""Making many objects that all stay: without the garbage collector, which would look at every one of them again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["MANY", "uncollected"]

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
        gc.enable()
