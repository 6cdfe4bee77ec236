"""Bounds: how much one run may have. The numbers, their names and their defaults; what counts against them is in `graphs.budget`.

A graph may come from anywhere: a stranger's file, a device, a model that wrote it a moment ago. Whatever it says, a run ends with an
error that names one of these limits before it takes the machine with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from graphs.errors import UsageError

__all__ = ["TRUSTED", "UNTRUSTED", "Bounds", "limits", "split_limit", "with_limits"]

_MIB: Final = 2**20


def _limit(default: float | None, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one run; None is no limit. The defaults are those of graphs from others.

    With `every_value` each node's value is measured; without, only what templates, functions and the agents of the catalogue make of
    other values.
    """

    seconds: float | None = _limit(3600, "time from the start of a run to its end; of a graph made at run time, of that graph")
    nodes: int | None = _limit(100_000, "nodes begun, counted anew in each turn, each row and each retry")
    turns: int | None = _limit(10_000, "turns of one loop")
    rows: int | None = _limit(10_000, "rows of one map")
    nesting: int | None = _limit(16, "graphs inside each other")
    retries: int | None = _limit(1_000, "further attempts of one node")
    graphs: int | None = _limit(1_000, "graphs made at run time that are opened")
    concurrency: int | None = _limit(256, "nodes that run at once, whatever the graph says: more of them wait")
    value_bytes: int | None = _limit(16 * _MIB, "bytes of one value, written out")
    run_bytes: int | None = _limit(256 * _MIB, "bytes of all values together")
    graph_nodes: int | None = _limit(10_000, "nodes of one graph, nested ones counted")
    graph_values: int | None = _limit(100_000, "keys and values of one graph")
    every_value: bool = True


UNTRUSTED: Final = Bounds()
"""For graphs from others: all graphs at a worker, graphs made at run time, and with `--untrusted` the graph of a run."""

TRUSTED: Final = Bounds(
    seconds=None,
    nodes=1_000_000,
    turns=100_000,
    rows=250_000,
    nesting=64,
    retries=10_000,
    graphs=None,
    concurrency=None,
    value_bytes=64 * _MIB,
    run_bytes=1024 * _MIB,
    graph_nodes=None,
    graph_values=None,
    every_value=False,
)
"""For the user's own graphs on a device: only what would end the process without a word is stopped."""

_NAMED: Final[Mapping[str, str]] = {each.name: each.metadata["meaning"] for each in fields(Bounds) if each.metadata}
_FRACTIONS: Final = frozenset({"seconds"})


def limits() -> Mapping[str, str]:
    """The names of all limits, each with its meaning."""
    return _NAMED


def with_limits(bounds: Bounds, given: Mapping[str, Any] | Iterable[str], *, where: str) -> Bounds:
    """These bounds with some limits replaced: a map of a configuration, or `NAME=N` words. `null` or `none` is no limit.

    Raises UsageError, which begins with `where`.
    """
    pairs = given.items() if isinstance(given, Mapping) else [split_limit(each) for each in given]
    changed: dict[str, float | None] = {}
    for name, value in pairs:
        if name not in _NAMED:
            raise UsageError(f"{where}: there is no limit {name!r}; known are {', '.join(_NAMED)}")
        changed[name] = _number(name, value, where)
    return replace(bounds, **changed) if changed else bounds  # type: ignore[arg-type]


def split_limit(word: str) -> tuple[str, str]:
    """Name and number of `NAME=N`. Raises UsageError."""
    name, equals, value = word.partition("=")
    if not equals:
        raise UsageError(f"--limit {word}: expected NAME=N, for instance --limit turns=1000")
    return name, value


def _number(name: str, value: Any, where: str) -> float | None:
    if value is None or value == "none":
        return None
    if isinstance(value, str):
        try:
            value = float(value.replace("_", ""))
        except ValueError:
            value = None
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
    if not good or (name not in _FRACTIONS and value % 1):
        kind = "a number" if name in _FRACTIONS else "a whole number"
        raise UsageError(f"{where}: the limit {name!r} is {kind} greater than 0, or none")
    return value if name in _FRACTIONS else int(value)
